"""What a store knows of its migrations, in ``<namespace>/migrations``, and how a batch is recorded there.

A batch of records and the place up to which a step has come are one script call. So a step that is cut short
goes on behind the last record that it changed, and changes none twice. In a cluster that call touches one
slot: there the cursors, what was left out and a lease of their own stand beside the records
(``P/migrations``), and the ledger names the models that have such.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

from aioredisca.compiler.positions import Journal as Arguments
from aioredisca.compiler.scripts import journaled_script, migrate_script
from aioredisca.errors import AlreadyRunning, MigrationError, OutcomeUnknown, StoreError, WrongType
from aioredisca.maintenance.lease import Lease
from aioredisca.persistence import asking
from aioredisca.storage.keys import Keys
from aioredisca.storage.replies import LIST
from aioredisca.types import Arg, Call, Reply, Store

State = Literal["running", "done", "undoing"]

_STEP, _CURSOR, _BESIDE = "step:", "cursor:", "beside:"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is recorded of one step.

    ``digest``  SHA-256 of its file as it was when the step began.
    ``run``     names the cursors of this run; a step that was undone and is done again has another one.
    ``at``      when it was begun or finished, in UTC; ``by`` by whom.
    """

    state: State
    digest: str
    run: str
    at: str
    by: str


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one walk over records has come: ``text`` as it is stored, nothing before the first batch.

    It holds a number, of ``what`` the walk is, and the last id.
    """

    text: str = ""
    what: str = ""

    @classmethod
    def of(cls, title: str, text: str) -> Cursor:
        """Where the walk *title* is. MigrationError where another walk has come there."""
        what = hashlib.sha256(title.encode()).hexdigest()[:8]
        head = text.partition(":")[0].split(" ")
        if len(head) > 1 and head[1] != what:
            raise MigrationError(
                "",
                f"{title!r} is not what it has begun with: let it do the same in the same order, under the "
                "same names, until it is done",
            )
        return cls(text, what)

    @property
    def last(self) -> str:
        """The id of the last record that was dealt with."""
        return self.text.partition(":")[2][1:]

    @property
    def ended(self) -> bool:
        return self.text.partition(":")[2].startswith(".")

    def moved(self, last: str, *, ended: bool = False) -> Cursor:
        """The next one. Each has a number: none comes again, whatever is the id."""
        number = int(self.text.partition(":")[0].partition(" ")[0] or 0) + 1
        return Cursor(f"{number} {self.what}:{'.' if ended else '='}{last}", self.what)


@dataclass(slots=True)
class Batch:
    """What is to be recorded with a call: records left out, with the reason, and those that are no longer."""

    leaves: Mapping[str, str] = field(default_factory=dict[str, str])
    settles: Sequence[str] = ()


class Journal:
    """The records of one store on its migrations, and the lease of whoever works on them.

    ``beside``  of a cluster: the key beside the records of the one model whose walks are recorded here.
    """

    def __init__(self, store: Store, lease: Lease, beside: str = "") -> None:
        self.store, self.lease, self.beside = store, lease, beside
        self.key = beside or key_of(store)
        self.left_key = f"{self.key}/left"

    @asynccontextmanager
    async def of_walk(self, keys: Keys, run: str, *, dry_run: bool) -> AsyncGenerator[Journal]:
        """The journal for a walk over the records of a model: this one, in a cluster one in their slot."""
        if not self.store.clustered:
            yield self
            return
        lease = Lease(self.store, f"{keys.journal}/lease", "", self.lease.lasts, self.lease.name)
        journal = Journal(self.store, lease, keys.journal)
        if dry_run:
            yield journal
            return
        await asking.read(self.store, Call(("HSET", self.key, _beside(run) + keys.journal, ""), writes=True))
        try:
            async with lease:
                yield journal
        except AlreadyRunning as error:
            raise busy(error.holder) from None

    async def _besides(self, run: str) -> list[Journal]:
        """The journals of the walks of a run that stand beside records."""
        if self.beside or not self.store.clustered:
            return []
        stem = _beside(run)
        found = [name.removeprefix(stem) for name in await self._held() if name.startswith(stem)]
        return [Journal(self.store, self.lease, key) for key in found]

    async def send(
        self, field: str, seen: str, moved: str, call: Call | None = None, batch: Batch | None = None
    ) -> Reply:
        """Carry out *call*, and set *field* of the ledger from what was *seen* to *moved*, in one script.

        The reply of the call. MigrationError where another runner works here. EVALSHA, one round trip.
        """
        batch = batch or Batch()
        call = call or Call((), migrate_script("nothing"))
        assert call.script is not None
        tail = Arguments(
            holder=self.lease.name,
            milliseconds=round(self.lease.lasts * 1000),
            field=field,
            seen=_raw(seen),
            moved=_raw(moved),
            leaves=len(batch.leaves),
            settles=len(batch.settles),
        )
        left: list[Arg] = [_raw(text) for pair in batch.leaves.items() for text in pair]
        whole = Call(
            (*call.args, *left, *map(_raw, batch.settles), *tail),
            journaled_script(call.script),
            (*call.keys, self.lease.key, self.key, self.left_key),
            writes=True,
            reaches=call.reaches,
        )
        try:
            reply = await asking.read(self.store, whole, LIST)
        except OutcomeUnknown:
            if seen == moved or await self._field(field) != moved:
                raise
            return [b"OK"]  # it was written: nothing else moves the cursor to this place
        if reply[0] == b"LEASE":
            raise busy(reply[1].decode("utf-8", "replace"))
        if reply[0] == b"CURSOR":
            raise MigrationError("", "another runner has gone on from here: this one stops")
        return reply

    async def record(self, name: str, before: Entry | None, after: Entry | None) -> None:
        """Replace what is recorded of a step."""
        await self.send(_STEP + name, _text(before), _text(after))

    async def entries(self) -> dict[str, Entry]:
        """What is recorded of each step. HGETALL, one round trip."""
        return self._entries_in(await self._held())

    async def _held(self) -> dict[str, bytes]:
        """All that is recorded. HGETALL, one round trip."""
        try:
            reply = await asking.read(self.store, Call(("HGETALL", self.key)), LIST)
        except WrongType:
            reply = None
        if reply is None:
            raise MigrationError("", f"{self.key!r} holds something else than migrations: rename it")
        names = [name.decode("utf-8", "surrogateescape") for name in reply[::2]]
        return dict(zip(names, reply[1::2], strict=True))

    def _entries_in(self, held: Mapping[str, bytes]) -> dict[str, Entry]:
        found = dict[str, Entry]()
        for key, value in held.items():
            if key.startswith(_STEP):
                try:
                    found[key.removeprefix(_STEP)] = Entry(**json.loads(value))
                except (ValueError, TypeError):
                    raise StoreError(
                        f"what {self.key!r} holds of {key!r} was not written by migrations"
                    ) from None
        return found

    async def cursor(self, name: str, title: str) -> Cursor:
        return Cursor.of(title, await self._field(name))

    async def _field(self, name: str) -> str:
        found = await asking.read(self.store, Call(("HGET", self.key, name)))
        return (found or b"").decode("utf-8", "surrogateescape")

    async def left(self, run: str) -> dict[str, dict[str, str]]:
        """The records that a run has left out, with the reasons, by the name of the cursor."""
        found = dict[str, dict[str, str]]()
        start: Arg = "0"
        while True:
            match = f"{cursor_name(run, '')}*"
            call = Call(("HSCAN", self.left_key, start, "MATCH", match, "COUNT", 1000), cursor=2)
            start, page = await asking.read(self.store, call, LIST)
            for key, reason in zip(page[::2], page[1::2], strict=True):
                _, _, section, id = key.decode("utf-8", "surrogateescape").split(":", 3)
                found.setdefault(cursor_name(run, section), {})[id] = reason.decode("utf-8", "replace")
            if start == b"0":
                break
        for journal in await self._besides(run):
            found |= await journal.left(run)
        return found

    async def forget(self, run: str) -> None:
        """Remove the cursors of a run, and what it has left out.

        The cursors last: as long as one stands :meth:`tidy` finds what else there is.
        """
        for journal in await self._besides(run):
            await journal.forget(run)
        stems = (cursor_name(run, ""), _beside(run))
        cursors = [_raw(name) for name in await self._held() if name.startswith(stems)]
        left = await self.left(run)
        gone = [_raw(f"{cursor}:{id}") for cursor, ids in left.items() for id in ids]
        for key, names in ((self.left_key, gone), (self.key, cursors)):
            for first in range(0, len(names), 1000):
                await asking.read(self.store, Call(("HDEL", key, *names[first : first + 1000]), writes=True))

    async def tidy(self) -> None:
        """Forget the runs that are over, and that a runner which was killed has left.

        HGETALL, one round trip, and those of :meth:`forget`.
        """
        held = await self._held()
        going = {entry.run for entry in self._entries_in(held).values() if entry.state != "done"}
        runs = {name.split(":")[1] for name in held if name.startswith((_CURSOR, _BESIDE))}
        for run in sorted(runs - going):
            await self.forget(run)


def key_of(store: Store) -> str:
    """The hash in which a store keeps what it knows of its migrations: in a cluster in a slot of its own."""
    return f"{store.namespace}{'{/migrations}' if store.clustered else '/migrations'}"


def _beside(run: str) -> str:
    """What the fields of the ledger begin with that name the keys beside records where a run has cursors."""
    return f"{_BESIDE}{run}:"


def cursor_name(run: str, section: str) -> str:
    return f"{_CURSOR}{run}:{section}"


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def busy(who: str) -> MigrationError:
    return MigrationError(
        "", f"another runner is at work ({who}): wait for it; its lease ends soon after it does"
    )


def _text(entry: Entry | None) -> str:
    return "" if entry is None else json.dumps(asdict(entry), separators=(",", ":"))
