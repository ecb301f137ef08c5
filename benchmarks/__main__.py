"""``python -m benchmarks``: run the contenders side by side and write RESULTS.md and its chart."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import goals
from .facts import gather
from .harness import HERE, WORKS, Result, Work, measure
from .report import Run, base_of, chart, page
from .stage import SEARCH_PEERS, Stage, beside_search, files_for, opened, search_server


def main() -> None:
    options = arguments()
    os.chdir(HERE.parent)
    works = [work for work in WORKS if not options.only or work.name in options.only]
    if options.quick:
        works = [work.quick() for work in works]
    cores = (1, 0) if (os.cpu_count() or 1) > 1 else (None, None)
    own = options.contender or ()
    with contextlib.ExitStack() as stack:

        def open_stage(binary: Path, modules: Sequence[str], files: Sequence[Path]) -> Stage:
            return stack.enter_context(opened(binary, modules, cores, files, options.environments))

        stages = [open_stage(options.server, options.module, files_for(own, search=bool(options.module)))]
        beside = [] if options.module else beside_search(own)
        if beside and (found := search_server(options.search)):
            stages.append(open_stage(*found, beside))
        elif beside:
            print("Who needs a search engine is left out: see benchmarks/README.md for how to have one.")
        run = Run(stages, command(), options.rounds)
        for stage in stages:
            perform(stage, works, run, options)
        if not options.only or "facts" in options.only:
            run.facts = gather(stages, options.environments, quick=options.quick)
        write(run, options)
        if options.gate and (misses := goals.misses(run.stages, run.facts)):
            sys.exit("\n".join([f"below {goals.GATE:.0%} of the goal:", *misses]))


def perform(stage: Stage, works: Sequence[Work], run: Run, options: argparse.Namespace) -> None:
    """All works that more than one of a stage can do."""
    for work in works:
        if sum(contender.takes(work) for contender in stage.contenders) < 2:
            continue
        stage.results.append(measure(work, stage.contenders, stage.port, options.rounds))
        print(summary(stage.results[-1]), flush=True)
        if options.write:  # each time, so that a run that is cut short leaves what it has
            write(run, options)


def summary(result: Result) -> str:
    base = base_of(result)
    ratios = ", ".join(f"{name} {result.ratio(name, base):.2f}" for name in result.seconds)
    failed = "".join(f"; {name} fails: {error}" for name, error in result.failed.items())
    return f"{result.work.title}: {ratios}{failed}"


def write(run: Run, options: argparse.Namespace) -> None:
    """Write the page and the chart, or with --no-write say what would have stood there."""
    text = page(run)
    if options.write:
        (HERE / "RESULTS.md").write_text(text, "utf-8")
        (HERE / "results.svg").write_text(chart(run.stages[0].results), "utf-8")
    elif options.print:
        print(text)


def command() -> str:
    return "nox -s bench" + (f" -- {shlex.join(sys.argv[1:])}" if sys.argv[1:] else "")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", help="an operation, such as get, or facts; repeatable")
    parser.add_argument(
        "--contender", action="append", help="the name of its file; repeatable. All by default"
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the work: to try, not to publish")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave RESULTS.md alone")
    parser.add_argument("--print", action="store_true", help="with --no-write: print the page at the end")
    parser.add_argument("--gate", action="store_true", help="fail below 80 %% of the goals")
    parser.add_argument("--server", type=Path, default=Path(shutil.which("redis-server") or "redis-server"))
    parser.add_argument(
        "--module", action="append", default=[], help="a module for it, such as redisearch.so"
    )
    parser.add_argument(
        "--search", type=Path, default=SEARCH_PEERS, help="an environment with a server and its modules"
    )
    parser.add_argument("--environments", type=Path, default=Path(".nox/contenders"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
