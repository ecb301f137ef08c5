"""Coverage is counted in some tests only: counting halves the speed of Python before 3.12."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

_FOR_PROCESSES = "COVERAGE_PROCESS_START"


def is_traced(item: pytest.Item) -> bool:
    """Whether a test is one of those: it is short, does not run a hundred examples, and looks at its part of the
    library by one driver and one server, the real one if it takes both."""
    given: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    of_examples = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if "scenarios" in item.path.parts or item.get_closest_marker("slow") or of_examples:
        return False
    if given.get("backend") == "memory" and not item.get_closest_marker("memory_only"):
        return False
    of_drivers = {"drivers", "sync"} & {*item.path.parts} or item.get_closest_marker("blocking_only")
    return bool(of_drivers) or given.get("driver") != "blocking"


@contextmanager
def untraced() -> Generator[None]:
    """Nothing is counted inside, nor in processes that are started there."""
    coverage: Any = sys.modules.get("coverage")
    counting = coverage.Coverage.current() if coverage is not None else None
    if counting is None:
        yield
        return
    settings = os.environ.pop(_FOR_PROCESSES, None)
    counting.stop()
    try:
        yield
    finally:
        counting.start()
        if settings is not None:
            os.environ[_FOR_PROCESSES] = settings
