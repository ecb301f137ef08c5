"""What a reply must be like. What stands before a server, or is none, may answer in another form. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from aioredisca.errors import OutcomeUnknown, StoreError
from aioredisca.types import Call, Reply

P = ParamSpec("P")
T = TypeVar("T")

MISREAD = (TypeError, ValueError, LookupError, AttributeError)
"""What reading a reply of another form may raise."""

NUMBER, LIST, TEXT = (int,), (list,), (bytes, type(None))
"""Kinds of replies."""

_TOLD = "the database answered in a form that Redis and Valkey do not have: see what stands in between"


def strange(*, writes: bool = False) -> StoreError:
    """The error for a reply of another form. What was to be written may have been."""
    return OutcomeUnknown(_TOLD) if writes else StoreError(_TOLD)


def of_kind(reply: Reply, kinds: tuple[type, ...], call: Call) -> Reply:
    """*reply* to *call*, if it is of one of *kinds*."""
    if type(reply) not in kinds:
        raise strange(writes=call.writes)
    return reply


def check_row(row: Reply, fields: Sequence[str]) -> None:
    """StoreError unless *row* is a list with a value for each of *fields*."""
    if type(row) not in LIST or len(row) != len(fields):
        raise strange()


def check_rows(rows: Any, width: int) -> None:
    """StoreError unless *rows* are lists of *width* values each."""
    if type(rows) not in LIST or {*map(type, rows)} - {list} or {*map(len, rows)} - {width}:
        raise strange()


def check_values(values: Iterable[Any]) -> None:
    """StoreError unless *values* are bytes or None. For afterwards: when something broke on them."""
    if not {*map(type, values)} <= {*TEXT}:
        raise strange()


def reader(read: Callable[P, T]) -> Callable[P, T]:
    """*read* makes something of a reply to a read; where it breaks, that is of another form."""
    return _reading(read, writes=False)


def write_reader(read: Callable[P, T]) -> Callable[P, T]:
    """The same of a reply to a write."""
    return _reading(read, writes=True)


def _reading(read: Callable[P, T], *, writes: bool) -> Callable[P, T]:
    @functools.wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except MISREAD:
            pass
        raise strange(writes=writes)

    return reading
