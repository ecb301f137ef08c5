"""Model classes by name: ``app.models:User``, ``app.models``, or ``User`` where the project lists it."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any, TypeGuard

from aioredisca.cli.settings import TABLE, Settings
from aioredisca.errors import UsageError
from aioredisca.model.record import Record

_AS = "write it as package.module:Class, as in app.models:User"
_LIST = f'or list it in pyproject.toml: {TABLE}, models = ["app.models"]'


def model_named(path: str, settings: Settings) -> type[Any]:
    """The model class called *path*. UsageError where there is none."""
    if path.isidentifier() and settings.models:
        return _of_project(path, settings)
    module, _, name = path.partition(":")
    if not (module and name) or module.startswith("."):
        raise UsageError(f"{path!r} names no class: {_AS}, {_LIST}")
    return _class_in(_module(module, path, settings), name, path)


def models_named(paths: Iterable[str], settings: Settings) -> list[type[Any]]:
    """The classes that *paths* name, those of the project if there are none. UsageError for what is none."""
    wanted = [*paths]
    if not wanted and not settings.models:
        raise UsageError(f"no model is named: {_AS}, {_LIST}")
    found = dict[type[Any], None]()
    for path in wanted or settings.models:
        short = path.isidentifier() and bool(wanted and settings.models)
        if ":" in path or (short and path in _names(settings)):
            found[model_named(path, settings)] = None
        else:
            found.update(dict.fromkeys(_all_in(path, settings)))
    return [*found]


def find_modules(settings: Settings) -> None:
    """Have modules looked for in the working folder, and in that of the project."""
    for folder in ("", *([str(settings.folder)] if settings.folder else [])):
        if folder not in sys.path:
            sys.path.insert(0 if not folder else 1, folder)


def name_of(model: type[Any]) -> str:
    """What a class is called on the command line."""
    return f"{model.__module__}:{model.__name__}"


def _of_project(name: str, settings: Settings) -> type[Any]:
    known = [model for model in models_named((), settings) if model.__name__ == name]
    if len(known) == 1:
        return known[0]
    if known:
        places = " and ".join(map(name_of, known))
        raise UsageError(f"{name!r} may be {places}: write which")
    there = ", ".join(sorted(_names(settings)))
    raise UsageError(f"{name!r} names no class of the project, which has {there}: {_AS}")


def _names(settings: Settings) -> set[str]:
    return {model.__name__ for model in models_named((), settings)}


def _all_in(name: str, settings: Settings) -> list[type[Any]]:
    """The model classes that a module, or a package, declares."""
    if name.startswith(".") or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} names no class and no module: {_AS}")
    module = _module(name, name, settings)
    found = [
        one for one in vars(module).values() if _is_model(one) and f"{one.__module__}.".startswith(f"{name}.")
    ]
    if not found:
        raise UsageError(f"{name} declares no model class")
    return found


def _class_in(module: ModuleType, name: str, path: str) -> type[Any]:
    try:
        found: object = getattr(module, name)
    except AttributeError as error:
        raise UsageError(f"{path}: {error}") from None
    if not _is_model(found):
        raise UsageError(f"{path} is no model class")
    return found


def _is_model(found: object) -> TypeGuard[type[Any]]:
    return isinstance(found, type) and issubclass(found, Record)


def _module(name: str, path: str, settings: Settings) -> ModuleType:
    """The module called *name*, as it is found from the working folder, or from that of the project."""
    find_modules(settings)
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None
    except Exception as error:  # whatever the module does when it is imported
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UsageError(f"{path} cannot be imported: {what} ({last.filename}, line {last.lineno})") from None
