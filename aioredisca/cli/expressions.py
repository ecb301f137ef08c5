"""A query written as text, as in ``User.age >= 18``: read as Python and built step by step, never evaluated.

What is allowed is listed here; everything else is refused by a sentence that says what to write.
"""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import operator
import uuid
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from aioredisca.cli.finding import name_of
from aioredisca.compiler.conditions import exclusive
from aioredisca.errors import RediscaError, UsageError
from aioredisca.fields.times import EXPIRES_AT
from aioredisca.query.columns import BaseColumn, Descending
from aioredisca.query.query import Select

CLASS_METHODS = ("all", "where")
COLUMN_METHODS = (
    *("between", "in_", "not_in", "is_none", "not_none", "startswith", "has", "has_all", "has_any", "of"),
    "desc",
)
QUERY_METHODS = ("where", "scan", "order_by", "limit", "offset")
"""The methods that may be called: none of them asks the server."""

_METHODS: tuple[tuple[type[Any], tuple[str, ...]], ...] = (
    (type, CLASS_METHODS),
    (BaseColumn, COLUMN_METHODS),
    (Select, QUERY_METHODS),
)

ALLOWED = (
    "allowed are comparisons of fields, joined by & | ~, and "
    + ", ".join(f".{name}()" for name in dict.fromkeys((*CLASS_METHODS, *COLUMN_METHODS, *QUERY_METHODS)))
    + ", with literals: numbers, texts, None, True, False, tuples, datetime(...), date(...), timedelta(...), "
    "Decimal(...), UUID(...), exclusive(...)"
)

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_JOINS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.BitAnd: lambda left, right: left & right,
    ast.BitOr: lambda left, right: left | right,
}
_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "datetime": dt.datetime,
    "date": dt.date,
    "timedelta": dt.timedelta,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "exclusive": exclusive,
}
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
}
_CONSTANTS = (str, bytes, int, float, bool, type(None))
_SEQUENCES: dict[type[ast.expr], Callable[[Iterable[Any]], Any]] = {
    ast.Tuple: tuple,
    ast.List: list,
    ast.Set: set,
}

_CURES: dict[type[ast.AST], str] = {
    ast.And: "`and` compares truth values: join conditions with &, each in parentheses",
    ast.Or: "`or` compares truth values: join conditions with |, each in parentheses",
    ast.Not: "`not` makes a truth value: write ~( ) around the condition",
    ast.In: "`in` makes a truth value: write User.age.in_((1, 2))",
    ast.NotIn: "`not in` makes a truth value: write User.age.not_in((1, 2))",
    ast.Is: "`is` compares objects: write User.age.is_none()",
    ast.IsNot: "`is not` compares objects: write User.age.not_none()",
    ast.Await: "leave out await: the command does it",
    ast.JoinedStr: "a text is written out, without f",
}

_CHAINED = (
    "a chained comparison makes a truth value: write .between(low, high), and each comparison that & and | "
    "join in parentheses"
)

MAX_LENGTH = 10_000
"""Characters that an expression may have."""


def parse(text: str, models: Iterable[type[Any]]) -> Select[Any]:
    """The query that *text* means, over *models*. UsageError for whatever is not allowed."""
    if len(text) > MAX_LENGTH:
        raise UsageError(f"the expression has more than {MAX_LENGTH:,} characters")
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python, whose code this is not
            tree = ast.parse(text.strip(), mode="eval").body
        found = _Reader(models).read(tree)
    except SyntaxError as error:
        raise UsageError(f"{text!r} is no expression: {error.msg}; {ALLOWED}") from None
    except RediscaError:
        raise
    except (RecursionError, MemoryError, ValueError, TypeError) as error:  # too deep, a NUL, a list in a set
        raise UsageError(f"the expression cannot be read: {error}") from None
    if _is(found, type):
        found = found.all()
    if not _is(found, Select):
        raise UsageError(f"{text!r} is {_kind(found)} and no query, as User.age >= 18 is; {ALLOWED}")
    query: Select[Any] = found
    return query


def _is(value: Any, *kinds: type[Any]) -> bool:
    """Whether *value*, whose type nobody knows, is of one of *kinds*."""
    return isinstance(value, kinds)


def ordering(text: str, model: type[Any]) -> list[Any]:
    """The columns that ``--order-by`` names, as in ``name,-age``."""
    found = list[Any]()
    for name in names_in(text):
        column: Any = getattr(model, model.__mapper__.field(name.removeprefix("-")).name)
        found.append(column.desc() if name.startswith("-") else column)
    return found


def names_in(text: str) -> list[str]:
    """Names that are separated by commas."""
    return [name for part in text.split(",") if (name := part.strip())]


class _Reader:
    """Makes values of the nodes of one expression."""

    def __init__(self, models: Iterable[type[Any]]) -> None:
        self._models = dict[str, list[type[Any]]]()
        for model in models:
            self._models.setdefault(model.__name__, []).append(model)

    def read(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value) if isinstance(value, _CONSTANTS):
                return value
            case ast.Name(id=name):
                return self._model(name)
            case ast.Attribute(value=owner, attr=name):
                return self._column(self.read(owner), name)
            case ast.Compare(left=left, ops=[operation], comparators=[right]):
                return self._compared(left, operation, right)
            case ast.Compare():
                raise UsageError(_CHAINED)
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _JOINS:
                return _JOINS[type(operation)](self._query(left), self._query(right))
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return ~self._query(operand)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=value)) if (
                isinstance(value, int | float)
            ):
                return -value if isinstance(sign, ast.USub) else value
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                return _SEQUENCES[type(node)](map(self.read, elements))
            case ast.Call():
                return self._called(node)
            case _:
                raise _refused(node)

    def _model(self, name: str) -> type[Any]:
        found = self._models.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            places = " and ".join(map(name_of, found))
            raise UsageError(f"{name} may be {places}: name one alone, by --model")
        if name in _CONSTRUCTORS:
            raise UsageError(f"{name} is to be called, as in {name}(...)")
        there = ", ".join(sorted(self._models)) or "none"
        raise UsageError(f"there is no model {name!r}; there are: {there}; {ALLOWED}")

    def _column(self, owner: Any, name: str) -> Any:
        if _is(owner, type):
            if name in CLASS_METHODS:
                raise UsageError(f"{owner.__name__}.{name} is to be called: {owner.__name__}.{name}()")
            if name == EXPIRES_AT.name:
                return getattr(owner, name)
            return getattr(owner, owner.__mapper__.field(name).name)  # ValidationError tells the nearest
        raise UsageError(f".{name} of {_kind(owner)} is not allowed; {ALLOWED}")

    def _compared(self, left: ast.expr, operation: ast.cmpop, right: ast.expr) -> Any:
        if type(operation) in _CURES:
            raise UsageError(_CURES[type(operation)])
        first, second = self.read(left), self.read(right)
        for side in (first, second):
            if _is(side, type, Select, Descending):
                raise UsageError(f"{_kind(side)} is nothing to compare: write the name of a field behind it")
        if _is(first, BaseColumn) == _is(second, BaseColumn):
            raise UsageError("a comparison has a field on one side and a literal on the other")
        return _COMPARISONS[type(operation)](first, second)

    def _query(self, node: ast.expr) -> Any:
        found = self.read(node)
        if not _is(found, Select):
            raise UsageError(
                f"& | ~ join conditions, and {_kind(found)} is none: put each comparison in parentheses, "
                f"as in (User.age >= 18) & (User.name == 'Ada')"
            )
        return found

    # -- calls -------------------------------------------------------------------------------------

    def _called(self, node: ast.Call) -> Any:
        match node.func:
            case ast.Name(id=name) if name in _CONSTRUCTORS:
                return self._made(name, node)
            case ast.Name(id=name):
                return self._handle(self._model(name), node)
            case ast.Attribute(value=owner, attr=name):
                return self._method(self.read(owner), name, node)
            case _:
                raise _refused(node)

    def _arguments(self, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        given = [self.read(one) for one in node.args]  # which refuses a *
        if not all(one.arg for one in node.keywords):
            raise UsageError("arguments are written out, without **")
        return given, {one.arg: self.read(one.value) for one in node.keywords if one.arg}

    def _made(self, name: str, node: ast.Call) -> Any:
        given, named = self._arguments(node)
        _only_literals(name, [*given, *named.values()])
        try:
            if name in _FROM_TEXT and len(given) == 1 and isinstance(given[0], str):
                return _FROM_TEXT[name](given[0])
            return _CONSTRUCTORS[name](*given, **named)
        except decimal.InvalidOperation:
            raise UsageError(f"{name}(...) takes the text of a number") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"{name}(...): {error}") from None

    def _handle(self, model: type[Any], node: ast.Call) -> Any:
        """``User('ada')``: a record to compare a reference with."""
        given, named = self._arguments(node)
        if named or len(given) != 1 or not isinstance(given[0], (str, int)):
            raise UsageError(f"{model.__name__}(...) takes one id, as in {model.__name__}('ada')")
        return model(given[0])

    def _method(self, owner: Any, name: str, node: ast.Call) -> Any:
        allowed = next((names for kind, names in _METHODS if isinstance(owner, kind)), ())
        if name not in allowed:
            there = ", ".join(f".{one}()" for one in allowed) or "none"
            raise UsageError(f".{name}() of {_kind(owner)} is not allowed; there are: {there}")
        given, named = self._arguments(node)
        if _is(owner, BaseColumn):
            _only_literals(f".{name}", [*given, *named.values()])
        try:
            return getattr(owner, name)(*given, **named)
        except TypeError as error:
            raise UsageError(f".{name}(): {error}") from None


def _only_literals(name: str, values: list[Any]) -> None:
    for value in values:
        if _is(value, type, Select, BaseColumn, Descending):
            raise UsageError(f"{name}() takes literals, and {_kind(value)} is none")


def _refused(node: ast.expr) -> UsageError:
    """Why what stands there is not allowed."""
    part: ast.AST = getattr(node, "op", node)  # of `a and b` and of `not a`
    cure = _CURES.get(type(part))
    return UsageError(cure or f"`{ast.unparse(node)}` is not allowed here; {ALLOWED}")


def _kind(found: Any) -> str:
    """What to call a value in a sentence."""
    if _is(found, type):
        return f"the model {found.__name__}"
    if _is(found, BaseColumn, Descending):
        return f"the field {found!r}"
    return "a query" if _is(found, Select) else f"a literal of type {type(found).__name__}"
