"""A ``memory://`` that judges as a cluster would: no command may touch keys of two slots.

A real node looks only at the keys that a call declares; here those count, too, that a script builds.

With ``--slots`` whatever is tested is tested so. There each model lies in a slot of its own, unless it says otherwise,
and yet its keys are called as ever, for tests name them: where a key lies is told by the model that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakeredis._commands import Key
from fakeredis._helpers import SimpleError
from fakeredis._socket import _base
from redis.crc import key_slot

from aioredisca import Database
from aioredisca.maintenance.migrations import places
from aioredisca.model import mapper
from aioredisca.storage.keys import Keys, Tag, tag_in

_SCRIPTS = ("EVAL", "EVALSHA")


def judge_slots(
    monkeypatch: pytest.MonkeyPatch, slot_of: Callable[[bytes], int | str | None] = key_slot
) -> None:
    """From here on every Database is a cluster, and those in memory judge like one.

    *slot_of* tells where a key lies; None where nobody cares.
    """
    run, touched = _base.BaseFakeSocket._run_command, dict[int | str, bytes]()

    def judged(self: Any, func: Any, sig: Any, args: list[Any], from_script: bool) -> Any:
        if not from_script:
            touched.clear()
        for key in _keys(sig, args):
            if (slot := slot_of(key)) is not None:
                touched.setdefault(slot, key)
        if len(touched) > 1:
            return SimpleError(f"TWOSLOTS {sig.name} touches {' and '.join(map(repr, touched.values()))}")
        return run(self, func, sig, args, from_script)

    monkeypatch.setattr(_base.BaseFakeSocket, "_run_command", judged)
    monkeypatch.setattr(Database, "clustered", property(lambda self: True))


def _keys(sig: Any, args: list[Any]) -> Iterator[bytes]:
    """The keys that a command names."""
    if sig.name.upper() in _SCRIPTS:
        yield from args[2 : 2 + int(args[1])]
        return
    types = [*sig.fixed, *(sig.repeat[i % len(sig.repeat)] for i in range(len(args) - len(sig.fixed)))]
    yield from (arg for arg, kind in zip(args, types, strict=False) if isinstance(kind, Key))


class _Unseen(str):
    """A tag that stands in no key."""


def judge_models(monkeypatch: pytest.MonkeyPatch, *, together: bool) -> None:
    """The same with keys as ever, and a slot for each model; *together*: one for all that say nothing else."""
    slots, make = dict[str, str](), Keys.__post_init__

    def default_tag(model: str, tag: Tag | None, *, clustered: bool, spread: bool = False) -> Tag:
        if tag is None and not spread:
            return _Unseen()
        return tag_in(model, tag, clustered=clustered, spread=spread)

    def made(self: Keys) -> None:
        make(self)
        if isinstance(self.tag, _Unseen):
            object.__setattr__(self, "base", self.namespace + self.prefix)
            object.__setattr__(self, "slot", "all" if together else self.prefix)
        slots[self.base] = self.slot

    def slot_of(key: bytes) -> str | None:
        text = key.decode("utf-8", "replace")
        if "{/migrations}" in text:
            return "/migrations"
        bases = [base for base in slots if text.startswith((f"{base}:", f"{base}/"))]
        return slots[max(bases, key=len)] if bases else None

    monkeypatch.setattr(Keys, "__post_init__", made)
    monkeypatch.setattr(mapper, "tag_in", default_tag)
    monkeypatch.setattr(places, "tag_in", default_tag)
    judge_slots(monkeypatch, slot_of)
