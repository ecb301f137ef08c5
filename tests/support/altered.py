"""Calls whose script says something else, to see that a check notices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aioredisca.compiler.scripts import script_of
from aioredisca.types import Call


def altered(make: Callable[..., Call], alter: Callable[[str], str]) -> Callable[..., Call]:
    """*make*, with the text of the script of its calls as *alter* has it."""

    def call(*given: Any, **more: Any) -> Call:
        made = make(*given, **more)
        if made.script is None:
            return made
        script = script_of(alter(made.script.text))
        packed = made.packed and made.packed.replace(made.script.sha.encode(), script.sha.encode())
        return replace(made, script=script, packed=packed)

    return call


def replacing(*pairs: tuple[str, str]) -> Callable[[str], str]:
    """What puts other lines in a text that must have them."""

    def alter(text: str) -> str:
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return text

    return alter
