"""One version of a class takes over from others: what it needs is built, what it does not keep goes, and who
does not keep all of it is ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from aioredisca.compiler.signature import change_meta_call, meta_call
from aioredisca.errors import SchemaMismatch, StoreError, WrongType
from aioredisca.maintenance.indexing import Overtaken
from aioredisca.maintenance.lease import Lease
from aioredisca.persistence import asking, readiness, refusals
from aioredisca.storage import versions
from aioredisca.storage.meta import PASS, READY, RETIRING, SEEN, Edit, Meta, read_meta
from aioredisca.storage.replies import LIST
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Store

QUIET = 600
"""Seconds for which a version must not have written before it is ended."""

WATCHED = 5.0
"""Seconds for which a version is watched that is to be ended, where nobody has noted yet when it writes."""


class TakeOver:
    """Changes of meta, for whoever holds the lease."""

    def __init__(self, store: Store, schema: Schema, lease: Lease, force: bool) -> None:
        self._store, self._schema, self._lease, self._force = store, schema, lease, force
        self._watched = set[str]()

    async def meta(self) -> Meta:
        """What it is. SchemaMismatch where the records move: to take over there would let writers in."""
        try:
            meta = read_meta(await asking.read(self._store, meta_call(self._schema.keys), LIST))
        except WrongType:
            raise WrongType(self._schema.keys.meta, place="meta") from None
        if versions.barred(meta.states):
            raise SchemaMismatch(self._schema.model, [], refusals.elsewhere(meta.states))
        return meta

    async def change(self, edit: Edit) -> None:
        """Make a change of meta, if it is still as it was read; else Overtaken."""
        await self._lease.keep()
        if not await asking.read(self._store, change_meta_call(self._schema.keys, edit)):
            raise Overtaken

    async def prepare(self) -> None:
        """Let this version write, and let go of what it does not keep, but end nobody."""
        while True:
            meta = await self.meta()
            plan = versions.coming(meta, self._schema)
            await self._refuse_early(meta, plan)
            try:
                if edit := versions.edit(meta, self._schema, plan):
                    await self.change(edit)
                break
            except Overtaken:
                continue
        readiness.forget(self._store, [self._schema])

    async def _refuse_early(self, meta: Meta, plan: versions.Plan) -> None:
        """StoreError where to let go of something now would make an answer wrong."""
        model, retired = self._schema.model, {e for e, state in plan.states.items() if state == RETIRING}
        if versions.ends_differ(meta, self._schema):
            raise StoreError(f"{model}: {refusals.ENDS_DIFFER}")
        if meta.old_writes and retired and not self._force:
            raise StoreError(
                f"processes of a release that knew no states may write {model}, and would read what is let "
                f"go of: once none is left, run `aioredisca reindex` from the code before this change"
            )
        if any(there for _, there in (await self._nulls(meta, plan)).values()) and not self._force:
            raise StoreError(
                f"{model}: records lack a value of a field that is required now, and an order by it would "
                f"pass them over: fill them in first (`is_none()` finds them)"
            )

    async def _nulls(self, meta: Meta, plan: versions.Plan) -> dict[str, tuple[str, bool]]:
        """Indexes that keep an order by a field that becomes required: each with the key of the set of those
        without a value, and whether there are such."""
        found = {
            spec.index_entry: self._schema.keys.none(spec.key)
            for spec in self._schema.indexes
            if spec.index in ("range", "sorted")
            and meta.states.get(spec.index_entry) == READY
            and plan.states.get(f"n:{spec.key}") == RETIRING
        }
        sizes = await asking.read_together(self._store, [Call(("SCARD", key)) for key in found.values()])
        return {entry: (key, size > 0) for (entry, key), size in zip(found.items(), sizes, strict=True)}

    async def take_over(self, meta: Meta) -> bool:
        """Say which indexes there are, and end the versions that keep others; whether it was done. Else these
        were watched, and meta is to be read once more."""
        ids = self._schema.keys.ids
        empty = meta.known and not await asking.read(self._store, Call(("ZCARD", ids)))
        plan = versions.taken_over(meta, self._schema, empty=empty)
        nulls = await self._nulls(meta, plan)
        absent = [key for key, there in nulls.values() if not there]
        for entry in (entry for entry, (_, there) in nulls.items() if there):
            plan = plan.with_state(entry, PASS)  # which finds the records that an order would pass over
        if not self._force:
            await self._refuse_busy(meta, plan)
            if versions.unwatched(meta, plan, self._watched):
                await watch([self])
                return False
        if edit := versions.edit(meta, self._schema, plan, (*absent, *([ids] if empty else []))):
            seen = {} if self._force else {SEEN + name: meta.seen.get(name, "") for name in plan.ends(meta)}
            await self.change(replace(edit, expects={**edit.expects, **seen}))
        return True

    async def stamp(self) -> frozenset[str]:
        """Let versions leave the time of their writes that this one would end, and of which nobody knows
        whether they write: their names."""
        while True:
            meta = await self.meta()
            names = versions.unwatched(meta, versions.taken_over(meta, self._schema), self._watched)
            try:
                if edit := versions.stamped(meta, names):
                    await self.change(edit)
                return names
            except Overtaken:
                continue

    async def wait(self, seconds: float) -> None:
        """Hold the lease for so long."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            await self._lease.wait(rest)

    def watched(self, names: frozenset[str]) -> None:
        """These versions have had time to write."""
        self._watched |= names

    async def _refuse_busy(self, meta: Meta, plan: versions.Plan) -> None:
        """StoreError where a version that is to be ended has just written."""
        seen = [meta.seen[name] for name in plan.ends(meta) if name in meta.seen]
        if not seen:
            return
        another = f"another version of {self._schema.model}, which does not keep these indexes, has written"
        if not all(one.isdigit() for one in seen):  # as shared/stamp.lua leaves where TIME is denied
            raise StoreError(
                f"{another}, nobody knows when, for its user may not ask for the TIME, and would be refused "
                "from now on: stop its processes, then `aioredisca reindex --force`"
            )
        now = int((await asking.read(self._store, asking.time_call(self._schema.keys), LIST))[0])
        age = min(now - int(one) // 1000 for one in seen)
        if age < QUIET:
            raise StoreError(
                f"{another} {age} seconds ago and would be refused from now on: stop its processes and wait "
                f"{QUIET - age} seconds, or `aioredisca reindex --force`"
            )


async def watch(several: Sequence[TakeOver]) -> None:
    """Let versions that are to be ended leave the time of their writes, for a while: whose writers live will
    show. In all partitions at once, for each would take as long."""
    found = [(one, await one.stamp()) for one in several]
    if any(names for _, names in found):
        await several[0].wait(WATCHED)
    for one, names in found:
        one.watched(names)
