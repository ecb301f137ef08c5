"""Calls that look at several keys at one moment, and that write only if these are still as they were."""

from __future__ import annotations

from collections.abc import Sequence

from aioredisca.compiler.scripts import small_script
from aioredisca.types import Arg, Call

Command = tuple[Arg, ...]
"""A command, its key and its other arguments."""

Guard = tuple[Command, "bytes | int | None"]
"""A command that reads, and what it must answer."""


def look_call(commands: Sequence[Command]) -> Call:
    """What all *commands*, which read, answer at one moment; nothing where a key holds another type."""
    keys = tuple(command[1] for command in commands)
    return Call(tuple(_told(commands)), small_script("look"), keys)


def mend_call(guards: Sequence[Guard], commands: Sequence[Command]) -> Call:
    """Send *commands*, if all *guards* still answer the same: 1, else 0."""
    arguments: list[Arg] = [len(guards)]
    for command, answer in guards:
        plain = answer if isinstance(answer, bytes) else str(answer).encode()
        arguments += [*_told([command]), b"" if answer is None else b"=" + plain]
    keys = [*(command[1] for command, _ in guards), *(command[1] for command in commands)]
    return Call((*arguments, *_told(commands)), small_script("mend"), tuple(keys), writes=True)


def _told(commands: Sequence[Command]) -> list[Arg]:
    return [one for name, _, *rest in commands for one in (name, len(rest), *rest)]
