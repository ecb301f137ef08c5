"""``python tools/house.py [ROOT]``: count the house; with ``--check``, fail where it breaks its rules.

A private crossing is a use of a name with one leading underscore that another module of the package defines,
and this one does not: ``record._row``, ``getattr(record, "_row")``, ``from .keys import _joined``. Where both
define it, it cannot be told whose is meant: these are counted apart. What ``self``, ``cls`` and ``super()``
reach is one's own; where only another module defines it, it is inherited, and counted too, but no breach. A
private name that the package does not define at all is a foreign one, of redis-py or asyncio.

It reads the files and imports nothing of them; it needs nothing but Python.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "aioredisca"
MOST_MODULES = 14
"""Of one folder, ``__init__`` left out."""

MOST_AT_TOP = 15
"""The same of the top folder: there each face is one module, named as users import it."""

MOST_LINES = 450
"""Of one module."""

OWN = {"self", "cls"}
BY_NAME = {"getattr", "setattr", "hasattr", "delattr", "attrgetter", "methodcaller"}
"""Functions that reach a name which is written as text."""


@dataclass(frozen=True)
class Use:
    """A private name of somebody else, and where it is used."""

    name: str
    module: str
    line: int
    text: str
    own: bool
    """By ``self``, ``cls`` or ``super()``."""


@dataclass
class Module:
    """What stands in one file; ``attributes`` and ``variables`` are the private names that it makes."""

    name: str
    folder: str
    lines: int
    attributes: set[str] = field(default_factory=set[str])
    variables: set[str] = field(default_factory=set[str])
    uses: list[Use] = field(default_factory=list[Use])


@dataclass(frozen=True)
class Crossing:
    """A use, and the modules that define the name."""

    use: Use
    owners: tuple[str, ...]
    across: bool
    """Whether no owner is in the folder of the user."""

    def __str__(self) -> str:
        return f"{self.use.module}:{self.use.line}  {self.use.text}  (of {', '.join(self.owners)})"


@dataclass
class House:
    """All of a package."""

    modules: list[Module]
    lua: dict[str, int]

    @property
    def lines(self) -> int:
        return sum(module.lines for module in self.modules)

    @property
    def folders(self) -> dict[str, int]:
        """How many modules each folder holds, ``__init__`` left out."""
        counts = Counter(m.folder for m in self.modules if not m.name.endswith("__init__.py"))
        return dict(sorted(counts.items()))

    def crossings(self, *, inherited: bool = False) -> list[Crossing]:
        """Every use of a private name of another module; or of an *inherited* one, by ``self``."""
        return list(self._crossings(inherited, unclear=False))

    def unclear(self) -> list[Crossing]:
        """Every use, not by ``self``, of a private name that this module and others define."""
        return list(self._crossings(False, unclear=True))

    def _crossings(self, inherited: bool, *, unclear: bool) -> Iterator[Crossing]:
        owners = defaultdict[str, list[Module]](list)
        for module in self.modules:
            for name in module.attributes | module.variables:
                owners[name].append(module)
        for module in self.modules:
            for use in module.uses:
                who = [owner for owner in owners[use.name] if owner is not module]
                of_objects = [owner for owner in who if use.name in owner.attributes]
                who = of_objects or who
                if who and use.own == inherited and (use.name in module.attributes) == unclear:
                    across = all(owner.folder != module.folder for owner in who)
                    yield Crossing(use, tuple(owner.name for owner in who), across)

    def foreign(self) -> list[Use]:
        """Every use of a private name that no module of the package defines."""
        ours = {name for module in self.modules for name in module.attributes | module.variables}
        return [use for m in self.modules for use in m.uses if use.name not in ours and not use.own]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name.strip("_") != ""


def read(root: Path) -> House:
    """The house under *root*, a repository or the folder of the package itself."""
    top = root / PACKAGE if (root / PACKAGE).is_dir() else root
    modules = list[Module]()
    for file in sorted(top.rglob("*.py")):
        text = file.read_text("utf-8")
        place = file.relative_to(top)
        folder = place.parent.as_posix()
        module = Module(place.as_posix(), folder, text.count("\n"))
        _Reader(module).visit(ast.parse(text))
        modules.append(module)
    lua = {
        file.relative_to(top).as_posix(): file.read_text("utf-8").count("\n") for file in top.rglob("*.lua")
    }
    return House(modules, dict(sorted(lua.items())))


class _Reader(ast.NodeVisitor):
    """Notes what a module defines, and what it uses of others."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.scopes: list[ast.AST] = []

    def define(self, name: str, *, of_object: bool = True) -> None:
        if is_private(name):
            (self.module.attributes if of_object else self.module.variables).add(name)

    def define_here(self, name: str) -> None:
        """In a class it is an attribute, in a module a variable, in a function nobody else's matter."""
        if not any(isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)) for scope in self.scopes):
            self.define(name, of_object=bool(self.scopes))

    def use(self, name: str, node: ast.expr | ast.stmt, *, own: bool = False) -> None:
        if is_private(name):
            shown = " ".join(ast.unparse(node).split())[:80]
            self.module.uses.append(Use(name, self.module.name, node.lineno, shown, own))

    def inner(self, node: ast.AST) -> None:
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.function(node)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.define_here(node.name)
        self.inner(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.define_here(node.name)
        self.inner(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.define_here(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id == "__slots__" for target in node.targets):
            for name in _words(node.value):
                self.define(name)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        own = _is_own(node.value)
        self.use(node.attr, node, own=own)
        if own and isinstance(node.ctx, ast.Store):
            self.define(node.attr)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in BY_NAME or (name in {"__getattribute__", "__setattr__"} and len(node.args) > 1):
            objects, names = node.args[:1], node.args[1:2]
            if name in {"attrgetter", "methodcaller"}:
                objects, names = [], node.args
            for word in names:
                if isinstance(word, ast.Constant) and isinstance(word.value, str):
                    own = bool(objects) and _is_own(objects[0])
                    self.use(word.value, node, own=own)
                    if own and name == "setattr":
                        self.define(word.value)
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if node.level or (node.module or "").split(".")[0] == PACKAGE:
                self.use(alias.name, node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """``vars(model)["_name"]`` and ``model.__dict__["_name"]``."""
        inner = node.value
        ours = isinstance(inner, ast.Call) and getattr(inner.func, "id", "") == "vars"
        named = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        if named and (ours or getattr(inner, "attr", "") == "__dict__"):
            self.use(ast.literal_eval(node.slice), node)
        self.generic_visit(node)


def _is_own(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id in OWN
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _words(node: ast.expr) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


# -- rules -----------------------------------------------------------------------------------------


def problems(house: House) -> list[str]:
    """Every breach of the rules, as sentences. Empty is right."""
    found = [f"private name across folders: {crossing}" for crossing in house.crossings() if crossing.across]
    for folder, count in house.folders.items():
        most = MOST_AT_TOP if folder == "." else MOST_MODULES
        if count > most:
            found.append(f"{folder} holds {count} modules, more than {most}")
    long = (module for module in house.modules if module.lines > MOST_LINES)
    return found + [f"{module.name} has {module.lines} lines, more than {MOST_LINES}" for module in long]


# -- the page --------------------------------------------------------------------------------------


def page(house: House, *, everything: bool) -> Iterator[str]:
    """The counts, line by line."""
    crossings, inherited = house.crossings(), house.crossings(inherited=True)
    unclear, foreign = house.unclear(), house.foreign()
    across = [crossing for crossing in crossings if crossing.across]
    within = [crossing for crossing in crossings if not crossing.across]
    yield f"Python: {house.lines:,} lines in {len(house.modules)} modules"
    yield f"Lua: {sum(house.lua.values()):,} lines in {len(house.lua)} files"
    yield ""
    yield "modules per folder (without __init__):"
    for folder, count in house.folders.items():
        lines = sum(module.lines for module in house.modules if module.folder == folder)
        yield f"  {count:3}  {folder}  ({lines:,} lines)"
    yield ""
    yield "longest modules:"
    for module in sorted(house.modules, key=lambda module: -module.lines)[:10]:
        yield f"  {module.lines:4}  {module.name}"
    yield ""
    names = len({crossing.use.name for crossing in (*crossings, *inherited)})
    yield f"private crossings: {len(crossings) + len(inherited)} ({names} names)"
    yield f"  across folders: {len(across)}"
    yield from _listed(across, everything)
    yield f"  inside a folder: {len(within)}"
    yield from _listed(within, everything)
    yield f"  inherited, by self: {len(inherited)}"
    yield from _listed(inherited, everything)
    yield f"  not in these, for the module defines such a name too: {len(unclear)}"
    yield from _listed(unclear, everything)
    yield f"  foreign, of redis-py, asyncio and others: {len(foreign)}"
    for use in foreign:
        yield f"    {use.module}:{use.line}  {use.text}"


def _listed(crossings: Sequence[Crossing], everything: bool) -> Iterator[str]:
    """Every crossing, or how many from which folder to which."""
    if everything:
        yield from (f"    {crossing}" for crossing in crossings)
        return
    pairs = Counter[tuple[str, str]]()
    for crossing in crossings:
        owners = {_folder(owner) for owner in crossing.owners}
        user = _folder(crossing.use.module)
        pairs[user, user if user in owners else " or ".join(sorted(owners))] += 1
    for (user, owner), count in pairs.most_common():
        yield f"    {count:3}  {user} -> {owner}"


def _folder(module: str) -> str:
    return module.rpartition("/")[0] or "."


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python tools/house.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parent.parent)
    parser.add_argument("--all", action="store_true", help="list every crossing with its place")
    parser.add_argument("--check", action="store_true", help="fail where a rule is broken")
    options = parser.parse_args(words)
    house = read(options.root)
    if not options.check:
        print("\n".join(page(house, everything=options.all)))
        return 0
    found = problems(house)
    print("\n".join([*found, f"{len(found)} breaches"] if found else ["the house is in order"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
