"""``aioredisca shell``: a Python shell with the models at hand, which takes await at the top level."""

from __future__ import annotations

import ast
import asyncio
import code
import datetime as dt
import importlib
import importlib.util
import inspect
import sys
import types
from contextlib import suppress
from typing import Annotated, Any

import typer

from aioredisca.cli.app import Url, app, models_of, note, use_database
from aioredisca.cli.settings import read_settings
from aioredisca.compiler.conditions import exclusive
from aioredisca.config import conf
from aioredisca.drivers.database import Database
from aioredisca.model.sessions import session


@app.command("shell", epilog="Example: aioredisca shell app.models")
def shell_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="modules and classes beside those of the project, as app.models"
        ),
    ] = None,
    url: Url = "",
) -> None:
    """Open a Python shell with the models, the database and await at the top level.

    IPython, where it is installed: pip install 'aioredisca\\[shell]'. Else the shell of Python itself.
    """
    named = models or []
    kinds = [*(models_of([]) if read_settings().models else []), *(models_of(named) if named else [])]
    store = use_database(url)
    names: dict[str, Any] = {kind.__name__: kind for kind in kinds}
    tools = {"conf": conf, "db": store, "session": session, "exclusive": exclusive, "dt": dt}
    banner = _banner(store, [*names], [*tools])
    if importlib.util.find_spec("IPython") is not None:
        _ipython(banner, {**tools, **names})
    else:
        note("IPython would complete and colour: pip install 'aioredisca[shell]'")
        _python(banner, {**tools, **names}, store)


def _banner(store: Database, models: list[str], tools: list[str]) -> str:
    example = f"await {models[0]}.all().count()" if models else "await db.client.ping()"
    return "\n".join(
        [
            f"aioredisca {sys.modules['aioredisca'].__version__} on {store!r}",
            f"models   {', '.join(models) or 'none: name some, or list them in pyproject.toml'}",
            f"besides  {', '.join(tools)}",
            f"await works here: {example}",
            "",
        ]
    )


def _ipython(banner: str, names: dict[str, Any]) -> None:
    config = importlib.import_module("traitlets.config").Config()
    config.TerminalInteractiveShell.banner1 = banner
    importlib.import_module("IPython").start_ipython(argv=[], user_ns=names, config=config)


def _python(banner: str, names: dict[str, Any], store: Database) -> None:
    with suppress(ImportError):
        importlib.import_module("readline")
    with asyncio.Runner() as runner:
        _Console(names, runner).interact(banner, exitmsg="")
        runner.run(store.aclose())


class _Console(code.InteractiveConsole):
    """The shell of Python, with await at the top level. The loop runs while something is awaited."""

    def __init__(self, names: dict[str, Any], runner: asyncio.Runner) -> None:
        super().__init__({"__name__": "__console__", **names})
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._runner = runner

    def runcode(self, code: types.CodeType) -> None:
        try:
            result = types.FunctionType(code, self.locals)()
            if inspect.iscoroutine(result):
                self._runner.run(result)
        except SystemExit:
            raise
        except KeyboardInterrupt:
            self.write("KeyboardInterrupt\n")
        except BaseException:
            self.showtraceback()
