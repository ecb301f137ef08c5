"""``State``: what a process knows of one record, at ``record.__state__``. Pure.

A record that was found is no more than the values of its row: of many, no more is ever asked. Whoever asks
for more gets :class:`Layers`. Three of them answer for a hash field: what was changed (``diff``), what is
being saved right now (``inflight``), and what is known to be stored (``raw``). ``values`` holds what was
decoded of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from aioredisca.compiler.changes import Mode
from aioredisca.types import MISSING, Lock, Missing, Raw, Stored, Transport

if TYPE_CHECKING:
    from aioredisca.model.unit_of_work import UnitOfWork

_NOTHING: Raw = {}
"""What is on its way of a record that is not being saved. Never changed in place."""


_NO_KEYS: frozenset[str] = frozenset()

_NOWHERE: Mapping[str, int] = {}


class State:
    """Of one record: who it is, and what is known of it.

    ``id``      the id, empty for a handle that names no record.
    ``unit``    the unit of work of the session that it belongs to, if any.
    ``values``  decoded values by attribute name.
    ``row``     the stored values of a record that was found, and of which nothing else is known; else None.
    ``places``  where the declared hash fields stand in the row.
    """

    __slots__ = ("_layers", "_lock", "id", "places", "row", "unit", "values")

    def __init__(
        self,
        id: str,
        unit: UnitOfWork | None = None,
        places: Mapping[str, int] = _NOWHERE,
        row: Stored | None = None,
    ) -> None:
        self.id = id
        self.unit = unit
        self.places = places
        self.row = row
        self.values: dict[str, Any] = {}
        # The other two are set when they are needed: a query makes thousands of states.

    if TYPE_CHECKING:
        _layers: Layers
        _lock: tuple[Transport, Lock]

    @property
    def layers(self) -> Layers:
        """What is known beyond the row, which gives way to it."""
        try:
            return self._layers
        except AttributeError:
            return self._unfold()

    def _unfold(self) -> Layers:
        row, made = self.row, Layers(self.values)
        if row is not None:
            made.be_found({key: row[place] for key, place in self.places.items()})
        try:
            made = self._layers  # another thread was faster
        except AttributeError:
            self._layers = made  # should another thread be as fast, its layers held but what the row holds
        self.row = None  # last: another thread may be reading
        return made

    def fold(self, places: Mapping[str, int], row: Stored) -> None:
        """Become no more than a row: nothing else is known of the record."""
        self.values.clear()
        self.places, self.row = places, row
        with suppress(AttributeError):  # another thread was faster
            del self._layers

    @classmethod
    def of_handle(cls, id: str) -> State:
        """Of a record that is only named: whoever made it has something in mind."""
        state = cls(id)
        state._layers = Layers(state.values)
        return state

    @classmethod
    def of_new(cls, id: str) -> State:
        """Of an unsaved record, with nothing set."""
        state = cls(id)
        state._layers = layers = Layers(state.values)
        layers.mode, layers.fresh = "create", True
        return state

    def knows(self, *, all_fields: bool = False) -> bool:
        """Whether a load would tell nothing new: of declared fields, or of all."""
        return (self.row is not None and not all_fields) or self.layers.known(all_fields=all_fields)

    @property
    def absent(self) -> bool:
        """Whether there is no such record, and none was made."""
        return self.row is None and self.layers.absent

    @property
    def untouched(self) -> bool:
        """Whether nothing is known of the record, and nothing was set."""
        return self.row is None and self.layers.unknown

    def lock(self, transport: Transport) -> Lock:
        """The lock that orders loads and saves of this record, of the transport now in use."""
        known = getattr(self, "_lock", None)
        if known is None or known[0] is not transport:
            known = self._lock = (transport, transport.lock())
        return known[1]


class Stateful:
    """What holds a state, and nothing else: its other names belong to models."""

    __slots__ = ("__state__", "__weakref__")

    __state__: State


set_state: Callable[[Any, State], None] = vars(Stateful)["__state__"].__set__
"""Gives a record its state, without a look at the name, and past a ``__setattr__`` that its class has."""


class Layers:
    """The layers of one record, and how much of it they are.

    ``mode``      what the next save does by itself.
    ``loaded``    every declared field is known.
    ``complete``  undeclared ones too.
    ``blank``     nothing is stored: what is not set is None.
    ``fresh``     made by ``new()``: a change by itself.
    ``cleared``   hash fields that were set to None of a record that is not stored, as far as is known:
                  nothing to a create, and a change to a record that is there all the same.
    ``gone``      the record was deleted by this instance, or has vanished: by others, or at its end. Empty if
                  neither, or if something was stored since.
    ``uncertain`` a write was sent and not answered.
    """

    KEPT = (
        *("blank", "cleared", "complete", "diff", "fresh", "gone"),
        *("inflight", "loaded", "mode", "raw", "uncertain"),
    )

    __slots__ = (*KEPT, "values")

    diff: Raw
    inflight: Raw
    raw: Raw
    values: dict[str, Any]
    mode: Mode
    cleared: frozenset[str]
    blank: bool
    complete: bool
    fresh: bool
    gone: Literal["", "deleted", "vanished"]
    loaded: bool
    uncertain: bool

    def __init__(self, values: dict[str, Any]) -> None:
        """Of a handle, of which nothing is known.

        What is decoded goes into *values*, one dict that the record reads as well: it is never another.
        """
        self.raw, self.diff, self.inflight, self.values = {}, {}, _NOTHING, values
        self.complete = self.blank = self.fresh = self.uncertain = self.loaded = False
        self.gone = ""
        self.mode, self.cleared = "upsert", _NO_KEYS

    def be_found(self, raw: Raw) -> None:
        """The declared fields were read, of a record of which nothing was known."""
        self.raw, self.loaded, self.mode = raw, True, "update"

    def snapshot(self) -> dict[str, Any]:
        """All of it, but for what can be decoded anew: for a copy."""
        return {name: getattr(self, name) for name in self.KEPT}

    def restore(self, state: dict[str, Any]) -> None:
        """Become what :meth:`snapshot` told."""
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
        return not (self.raw or self.diff or self.inflight or self.fresh or self.blank or self.uncertain)

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
        if raw is None and (self.fresh or self.blank):
            self.cleared |= {key}
        elif self.cleared:
            self.cleared -= {key}

    def changes(self, mode: Mode | None) -> Raw:
        """What a save of this *mode* writes: to a record that may be there, what was set to None as well."""
        if self.cleared and mode in ("update", "upsert"):
            return {**dict.fromkeys(self.cleared), **self.diff}
        return self.diff

    def become_new(self) -> None:
        """Start an unsaved record, with nothing set."""
        self.raw, self.diff, self.cleared = {}, {}, _NO_KEYS
        self.values.clear()
        self.mode, self.fresh = "create", True
        self.blank = self.loaded = self.complete = False
        self.gone = ""

    def revert(self) -> None:
        """Forget what was changed."""
        self.diff, self.cleared = {}, _NO_KEYS
        self.values.clear()

    def forget(self) -> None:
        """Forget what is stored; keep local changes."""
        self.raw = {}
        self.values.clear()
        self.loaded = self.complete = self.blank = False
        self.gone = ""
        if not self.fresh:
            self.mode = "upsert"
            self._set_cleared()

    # -- what the server told ----------------------------------------------------------------------

    def take(self, raw: Raw | None, *, complete: bool) -> None:
        """Believe what was just read, None being no record; local changes stay on top of it."""
        found = raw is not None
        if found:
            self._set_cleared()
            self.gone = ""
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
        self._set_cleared()
        self.blank, self.gone, self.mode = False, "", "update"

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
        self.inflight, self.cleared = _NOTHING, _NO_KEYS
        self.uncertain = self.fresh = self.blank = False
        self.gone, self.mode = "", "update"

    def be_gone(self) -> None:
        """The record was deleted, as it was meant."""
        self.inflight, self.raw, self.cleared = _NOTHING, {}, _NO_KEYS
        self.values.clear()
        self.uncertain = self.fresh = self.loaded = self.complete = False
        self.blank, self.gone, self.mode = True, "deleted", "create"

    def put_back(self) -> None:
        """The write failed: its changes are pending again, below those made since."""
        self.diff = {**self.inflight, **self.diff}
        self.inflight = _NOTHING

    def vanish(self) -> None:
        """Somebody deleted the record: save() creates it, from all that is known of it, and a flush never."""
        known = {key: raw for key, raw in self.raw.items() if raw is not None}
        self.diff = {**known, **self.diff}
        self.raw, self.blank, self.gone, self.mode = {}, True, "vanished", "create"
        self.loaded = self.complete = False

    def _set_cleared(self) -> None:
        """Something may be stored: what was set to None is a change."""
        if self.cleared:
            self.diff, self.cleared = {**dict.fromkeys(self.cleared), **self.diff}, _NO_KEYS
