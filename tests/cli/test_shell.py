"""``aioredisca shell``: await at the top level, with IPython and without."""

from __future__ import annotations

import importlib.util
import io
import sys
import types
from typing import Any

import pytest

from aioredisca.cli import shell

from .conftest import Call

real_find_spec = importlib.util.find_spec


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What somebody types into the shell of Python; IPython is not installed."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    given = iter(lines)

    def read(self: Any, prompt: str = "") -> str:
        try:
            return next(given)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(shell._Console, "raw_input", read)
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "IPython" else real_find_spec(name, *more),
    )


def test_python_itself_awaits_and_goes_on_after_errors(
    shop: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(
        monkeypatch,
        "User.get('0').age",
        "client = db.client",
        "await client.ping()",
        "async def answer():",
        "    return 41",
        "",
        "1 + await answer()",
        "1 / 0",
        "await missing",
        "sorted(n for n in dir() if n[0].islower() and n not in ('answer', 'client'))",
        "await client.aclose()",
    )
    told = call("shell")
    assert told.code == 0
    assert told.out.splitlines() == ["20", "True", "42", "['conf', 'db', 'dt', 'exclusive', 'session']"]
    assert "ZeroDivisionError: division by zero" in told.err
    assert "NameError: name 'missing' is not defined" in told.err
    assert "models   Language, User, Login\n" in told.err
    assert "await works here: await Language.all().count()" in told.err
    assert "pip install 'aioredisca[shell]'" in told.err


@pytest.mark.memory_only
def test_it_ends_when_it_is_told(call: Call, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "raise SystemExit(3)")
    told = call("shell")
    assert told.code == 3
    assert "models   none: name some" in told.err


@pytest.mark.memory_only
def test_ipython_is_taken_where_it_is_installed(
    shop: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own names of 2025: IPython.start_ipython(argv, user_ns, config), and traitlets' Config."""
    started: dict[str, Any] = {}
    config: Any = types.SimpleNamespace(TerminalInteractiveShell=types.SimpleNamespace())
    ipython: Any = types.SimpleNamespace(start_ipython=lambda **given: started.update(given))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    traitlets: Any = types.SimpleNamespace(Config=lambda: config)
    monkeypatch.setitem(sys.modules, "traitlets.config", traitlets)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: name)
    assert call("shell").code == 0
    assert (started["argv"], started["config"]) == ([], config)
    assert started["user_ns"]["User"] is shop.User
    assert "models   Language, User, Login" in config.TerminalInteractiveShell.banner1
