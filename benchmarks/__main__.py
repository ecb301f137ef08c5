"""``python -m benchmarks``: run the contenders side by side and write RESULTS.md and its chart."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.servers import Server, version_of

from .harness import HERE, WORKS, Contender, Result, Work, facts_of, found, measure, pin
from .report import BASE, chart, page


def main() -> None:
    options = arguments()
    works = [work for work in WORKS if not options.only or work.operation in options.only]
    if options.quick:
        works = [Work(work.operation, work.tasks, max(work.count // 5, work.tasks)) for work in works]
    client_core, server_core = (1, 0) if (os.cpu_count() or 1) > 1 else (None, None)
    with Server("bench", options.server, *module_options(options)) as server:
        pin(server.process.pid, server_core)
        with opened(options, server.port, client_core) as (contenders, notes):
            results = list[Result]()
            for work in works:
                results.append(measure(work, contenders, server.port, options.rounds))
                print(summary(results[-1]), flush=True)
                if options.write:  # each time, so that a run that is cut short leaves what it has
                    write(options, results, contenders, notes)


def summary(result: Result) -> str:
    base = BASE if BASE in result.seconds else next(iter(result.seconds))
    ratios = ", ".join(f"{name} {result.ratio(name, base):.2f}" for name in result.seconds)
    failed = "".join(f"; {name} fails: {error}" for name, error in result.failed.items())
    return f"{result.work.title}: {ratios}{failed}"


def write(
    options: argparse.Namespace,
    results: Sequence[Result],
    contenders: Sequence[Contender],
    notes: dict[str, str],
) -> None:
    versions = {k: v for contender in contenders for k, v in contender.versions.items()}
    server = f"{options.server.name} {version_of(options.server)}"
    command = "nox -s bench" + (f" -- {shlex.join(sys.argv[1:])}" if sys.argv[1:] else "")
    text = page(results, notes, server, versions, command, options.rounds)
    (HERE / "RESULTS.md").write_text(text, "utf-8")
    (HERE / "results.svg").write_text(chart(results), "utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", help="an operation, such as get; repeatable")
    parser.add_argument(
        "--contender", action="append", help="the name of its file; repeatable. All by default"
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the work: to try, not to publish")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave RESULTS.md alone")
    parser.add_argument("--server", type=Path, default=Path(shutil.which("redis-server") or "redis-server"))
    parser.add_argument(
        "--module", action="append", default=[], help="a module for it, such as redisearch.so"
    )
    parser.add_argument("--environments", type=Path, default=Path(".nox/contenders"))
    return parser.parse_args()


def module_options(options: argparse.Namespace) -> list[str]:
    return [word for module in options.module for word in ("--loadmodule", module)]


@contextlib.contextmanager
def opened(
    options: argparse.Namespace, port: int, core: int | None
) -> Iterator[tuple[list[Contender], dict[str, str]]]:
    """The contenders, started, and their notes. Who needs a search engine runs only where one is loaded."""
    contenders, notes = list[Contender](), dict[str, str]()
    try:
        for file in found(options.contender or ()):
            facts = facts_of(file)
            if facts.get("SEARCH") and not options.module:
                print(f"{facts['NAME']} is left out: it needs --module redisearch.so --module rejson.so")
                continue
            contenders.append(Contender(file, options.environments, port, core))
            if "NOTE" in facts:
                notes[facts["NAME"]] = facts["NOTE"]
        yield contenders, notes
    finally:
        for contender in contenders:
            contender.close()


if __name__ == "__main__":
    main()
