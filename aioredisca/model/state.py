"""``Memory``: what a process knows of one record. Pure: it knows no class, no session and no server.

Three layers answer for a hash field: what was changed (``diff``), what is being saved right now
(``inflight``), and what is known to be stored (``raw``). ``values`` holds what was decoded of them.
"""

from __future__ import annotations

from typing import Any

from aioredisca.compiler.changes import Mode
from aioredisca.types import MISSING, Missing, Raw

_NOTHING: Raw = {}
"""What is on its way of a record that is not being saved. Never changed in place."""


class Memory:
    """The layers of one record, and how much of it they are.

    ``mode``      what the next save does by itself.
    ``loaded``    every declared field is known.
    ``complete``  undeclared ones too.
    ``blank``     nothing is stored: what is not set is None.
    ``fresh``     made by ``new()``: a change by itself.
    ``again``     a write was sent and not answered.
    """

    LAYERS = ("again", "blank", "complete", "diff", "fresh", "inflight", "loaded", "mode", "raw")

    __slots__ = (*LAYERS, "values")

    diff: Raw
    inflight: Raw
    raw: Raw
    values: dict[str, Any]
    mode: Mode
    again: bool
    blank: bool
    complete: bool
    fresh: bool
    loaded: bool

    def __init__(self, values: dict[str, Any]) -> None:
        """Of a handle, of which nothing is known.

        What is decoded goes into *values*, one dict that the record reads as well: it is never another.
        """
        self.raw, self.diff, self.inflight, self.values = {}, {}, _NOTHING, values
        self.complete = self.blank = self.fresh = self.again = self.loaded = False
        self.mode = "upsert"

    @classmethod
    def found(cls, raw: Raw, values: dict[str, Any]) -> Memory:
        """Of a record whose declared fields were read."""
        memory = cls(values)
        memory.raw, memory.loaded, memory.mode = raw, True, "update"
        return memory

    def state(self) -> dict[str, Any]:
        """All of it, but for what can be decoded anew: for a copy."""
        return {name: getattr(self, name) for name in self.LAYERS}

    def restore(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state` told."""
        for name, value in state.items():
            setattr(self, name, value)

    # -- asking ------------------------------------------------------------------------------------

    def stored(self, key: str) -> bytes | Missing | None:
        """The bytes of a hash field as a save would leave them, or MISSING where not known."""
        if self.diff and key in self.diff:
            return self.diff[key]
        if self.inflight and key in self.inflight:
            return self.inflight[key]
        if key in self.raw:
            return self.raw[key]
        return None if self.blank or self.fresh or (self.complete and self.loaded) else MISSING

    def known(self, *, all_fields: bool = False) -> bool:
        """Whether a load would tell nothing new: of declared fields, or of all."""
        return self.blank or self.fresh or (self.complete if all_fields else self.loaded)

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of the record, and nothing was set."""
        return not (self.raw or self.diff or self.inflight or self.fresh or self.blank or self.again)

    @property
    def absent(self) -> bool:
        """Whether there is no such record, and none was made."""
        return self.blank and not self.fresh

    @property
    def empty(self) -> bool:
        """Whether there is no such record, and nothing was set."""
        return self.absent and not self.diff and not self.inflight

    def merged(self) -> Raw:
        """The hash as a save would leave it."""
        return {**self.raw, **self.inflight, **self.diff}

    # -- changing ----------------------------------------------------------------------------------

    def set(self, key: str, raw: bytes | None) -> None:
        """Change a hash field; a change back to what is stored is none."""
        self.diff.pop(key, None)
        if self.stored(key) != raw:  # MISSING equals nothing
            self.diff[key] = raw

    def become_new(self) -> None:
        """Start an unsaved record, with nothing set."""
        self.raw, self.diff = {}, {}
        self.values.clear()
        self.mode, self.fresh = "create", True
        self.blank = self.loaded = self.complete = False

    def revert(self) -> None:
        """Forget what was changed."""
        self.diff = {}
        self.values.clear()

    def forget(self) -> None:
        """Forget what is stored; keep local changes."""
        self.raw = {}
        self.values.clear()
        self.loaded = self.complete = self.blank = False
        if not self.fresh:
            self.mode = "upsert"

    # -- what the server told ----------------------------------------------------------------------

    def take(self, raw: Raw | None, *, complete: bool) -> None:
        """Believe what was just read, None being no record; local changes stay on top of it."""
        found = raw is not None
        self.values.clear()
        self.fresh = self.fresh and not found
        self.blank = not found and not self.fresh
        self.loaded, self.complete = found, found and complete
        self.raw = raw or {}
        self.mode = "update" if found else "create"
        self.diff = {key: value for key, value in self.diff.items() if self.raw.get(key, MISSING) != value}

    def learn(self, raw: Raw) -> None:
        """These fields were written just now: they are stored so."""
        self.raw.update(raw)
        self.blank, self.mode = False, "update"

    def depart(self, changes: Raw) -> None:
        """*changes* are on their way: what is set from now on comes after them."""
        self.inflight, self.diff = changes, {}

    def arrive(self, *, created: Raw | None) -> None:
        """What was on its way is stored. A record that was *created* holds nothing else: all is known.

        *created* are the declared fields without a value.
        """
        if created is None:
            self.raw.update(self.inflight)
        else:
            self.raw = {**created, **self.raw, **self.inflight}
            self.loaded = self.complete = True
        self.inflight = _NOTHING
        self.again = self.fresh = self.blank = False
        self.mode = "update"

    def be_gone(self) -> None:
        """The record was deleted, as it was meant."""
        self.inflight, self.raw = _NOTHING, {}
        self.values.clear()
        self.again = self.fresh = self.loaded = self.complete = False
        self.blank, self.mode = True, "create"

    def put_back(self) -> None:
        """The write failed: its changes are pending again, below those made since."""
        self.diff = {**self.inflight, **self.diff}
        self.inflight = _NOTHING

    def vanish(self) -> None:
        """Somebody deleted the record: the next save creates it, from all that is known of it."""
        known = {key: raw for key, raw in self.raw.items() if raw is not None}
        self.diff = {**known, **self.diff}
        self.raw, self.blank, self.mode = {}, True, "create"
        self.loaded = self.complete = False
