"""A model file for hashes that others wrote, proposed by what a sample of them holds. Nothing is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aioredisca.compiler.changes import BATCH
from aioredisca.errors import UsageError
from aioredisca.maintenance.adopting.grouping import Group, grouped, hashes_text
from aioredisca.maintenance.adopting.guessing import Guess, guess, suggest_index
from aioredisca.maintenance.adopting.proposing import ModelPlan, Planned, name_classes, name_fields, source_of
from aioredisca.persistence import asking
from aioredisca.storage.codecs import whole_in
from aioredisca.storage.keys import MARKER, bad_field, id_text
from aioredisca.storage.replies import LIST, reader
from aioredisca.types import Call, Reply, Store

WIDE = 200
"""A hash of more fields is read in part."""

MOST_GROUPS = 50
"""The groups that are looked into, the largest first."""

ASKED = 100
"""Values of a field that are looked for among the ids of another group."""


@dataclass
class Proposal:
    """What :func:`adopt` found.

    ``models``    the classes that it proposes, as data.
    ``problems``  what fits in no class.
    ``keys``      how many keys it looked at, ``complete`` whether these were all.
    ``source``    the text of a model file.
    """

    models: list[ModelPlan] = field(default_factory=list[ModelPlan])
    problems: list[str] = field(default_factory=list[str])
    keys: int = 0
    complete: bool = True
    source: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it but for the file, for machines."""
        models = [plan.as_json() for plan in self.models]
        return {"keys": self.keys, "complete": self.complete, "models": models, "problems": self.problems}


async def adopt(
    store: Store,
    *,
    match: str = "*",
    sample: int = 1000,
    limit: int = 200_000,
    blocking: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Proposal:
    """Propose models for the hashes in *store* whose keys match a pattern, as ``SCAN`` has it.

    ``sample``    how many hashes of each prefix are read.
    ``limit``     how many keys of the store are looked at.
    ``blocking``  whether the file is for blocking code.
    ``progress``  called with the number of keys so far.

    It reads, and never writes. SCAN, with TYPE per key; then HLEN, PTTL and HGETALL per hash of the sample,
    HSCAN for those of more than 200 fields; EXISTS for values that may be references. Two round trips per
    1,000 keys, and two per 100 hashes of the sample.
    """
    for name, number in (("sample", sample), ("limit", limit)):
        if whole_in(number, 1, 10**9) is None:
            raise UsageError(f"{name}={number!r}: is a number from 1 on")
    run = _Adopt(store, sample)
    await run.look(match, limit, progress)
    await run.plan()
    run.done.source = source_of(
        run.done.models, blocking=blocking, keys=run.done.keys, whole=run.done.complete
    )
    return run.done


@dataclass
class _Sampled:
    """What was read of a group: the values of each hash field, and the ids that have them."""

    group: Group
    rows: int = 0
    ending: int = 0
    wide: int = 0
    values: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])


class _Adopt:
    def __init__(self, store: Store, sample: int) -> None:
        self.store, self.sample, self.done = store, sample, Proposal()
        self.groups = list[Group]()
        self.indexed = dict[str, set[str]]()
        """Hash fields that redisca kept an index of, by prefix."""
        self.index_keys = list[str]()
        """Keys of other types that might be such."""

    async def look(self, match: str, limit: int, progress: Callable[[int], None] | None) -> None:
        """Find the keys and group them."""
        hashes, others = list[bytes](), list[tuple[bytes, str]]()
        async for keys, looked_at in self._scan(match):
            kinds = await asking.read_together(self.store, [Call(("TYPE", key)) for key in keys])
            for key, kind in zip(keys, kinds, strict=True):
                if kind == b"hash":
                    hashes.append(key)
                elif kind != b"none":
                    others.append((key, kind.decode()))
            self.done.keys += len(keys)
            if progress is not None:
                progress(self.done.keys)
            if looked_at >= limit:
                self.done.complete = False
                break
        # SCAN may name a key twice; those of the library's own stores begin with a prefix and '/'
        hashes = [key for key in dict.fromkeys(hashes) if not _OURS.search(key)]
        spread = Counter(found.groups() for key in hashes if (found := _PARTITION.match(key)))
        hashes = [key for key in hashes if not _PARTITION.match(key)]
        self.groups, self.done.problems = grouped(hashes, dict.fromkeys(others))
        self.done.problems += [
            f"{id_text(prefix)}: {hashes_text(n)} in {int(count)} partitions, by a class with "
            f"@conf(partitions={int(count)}): declare it so, or end that by `aioredisca partition`"
            for (prefix, count), n in spread.items()
        ]
        self.index_keys = [id_text(key) for key, kind in others if kind in ("set", "zset")]
        kinds_left = Counter(kind for key, kind in dict.fromkeys(others) if not _OURS.search(key))
        for group in self.groups:
            kinds_left -= group.others
        self.done.problems += [
            f"{n:,} keys of type {kind}: they are no records" for kind, n in kinds_left.items()
        ]
        for group in self.groups[MOST_GROUPS:]:
            self.done.problems.append(
                f"{group.base}: {hashes_text(len(group.ids))} not looked into: name them by match"
            )

    async def _scan(self, match: str) -> AsyncIterator[tuple[list[bytes], int]]:
        cursor, looked_at = b"0", 0
        while True:
            call = Call(("SCAN", cursor, "MATCH", match, "COUNT", 1000), cursor=1)
            cursor, keys = _page(await asking.read(self.store, call, LIST))
            looked_at += 1000
            yield keys, 0 if cursor == b"0" else looked_at
            if cursor == b"0":
                return

    async def plan(self) -> None:
        """Make a class of each group."""
        sampled = [await self._read(group) for group in self.groups[:MOST_GROUPS]]
        plans = [await self._model(one) for one in sampled]
        self.done.models = [plan for plan in plans if plan is not None]
        name_classes(self.done.models)
        name_fields(self.done.models)
        await self._refer(sampled)
        for plan in self.done.models:
            plan.canonical = any(one.guess.odd and one.guess.indexed for one in plan.fields)

    # -- what the hashes hold ----------------------------------------------------------------------

    async def _read(self, group: Group) -> _Sampled:
        found = _Sampled(group)
        ids = group.ids[: self.sample]
        for first in range(0, len(ids), BATCH):
            keys = [f"{group.base}:{id}" for id in ids[first : first + BATCH]]
            sizes = await asking.read_together(self.store, [Call(("HLEN", key)) for key in keys])
            calls = [
                Call(("HSCAN", key, 0, "COUNT", WIDE)) if size > WIDE else Call(("HGETALL", key))
                for key, size in zip(keys, sizes, strict=True)
            ]
            lives = [Call(("PTTL", key)) for key in keys]
            replies = await asking.read_together(self.store, [*calls, *lives])
            found.wide += sum(size > WIDE for size in sizes)
            found.ending += sum(left >= 0 for left in replies[len(keys) :])
            for size, reply in zip(sizes, replies, strict=False):
                _take(found, reply[1] if size > WIDE else reply)
        return found

    async def _model(self, sampled: _Sampled) -> ModelPlan | None:
        group = sampled.group
        plan = ModelPlan(_class_name(group.prefix), group.prefix, group.tag, len(group.ids), sampled.rows)
        plan.problems += group.problems
        if any("cannot be a prefix" in problem for problem in group.problems) or not sampled.rows:
            self.done.problems += [f"{group.base}: {problem}" for problem in group.problems]
            return None
        whole = self.done.complete and sampled.rows == len(group.ids)
        known = await asking.read(self.store, Call(("HGET", f"{group.base}/meta", "signature")))
        if known:
            plan.problems.append("aioredisca keeps records here already")
        indexed = self._redisca_indexes(plan, sampled)
        for key in sorted(sampled.values):
            self._field(plan, sampled, key, whole, indexed)
        if sampled.ending:
            plan.problems.append(
                f"{hashes_text(sampled.ending)} of {sampled.rows:,} with an end of its own: see conf(ttl=)"
            )
        if sampled.wide:
            plan.problems.append(f"{hashes_text(sampled.wide)} with more than {WIDE} fields: read in part")
        for kind, count in sorted(group.others.items()):
            plan.problems.append(f"{count:,} keys of type {kind} begin like its records, and are none")
        return plan

    def _redisca_indexes(self, plan: ModelPlan, sampled: _Sampled) -> set[str]:
        """The hash fields that redisca has indexed.

        It kept sets at ``prefix:field:value``, and sorted sets at ``prefix:field``.
        """
        stem = f"{sampled.group.base}:"
        found = {
            key[len(stem) :].partition(":")[0] for key in self.index_keys if key.startswith(stem)
        } & sampled.values.keys()
        if found:
            plan.problems.append(
                f"redisca has kept indexes of {', '.join(sorted(found))}: aioredisca has its own; delete"
                " those when nothing uses them"
            )
        return found

    def _field(self, plan: ModelPlan, sampled: _Sampled, key: str, whole: bool, indexed: set[str]) -> None:
        raws = sampled.values[key]
        if reason := bad_field(key, indexed=False):
            if key != MARKER:
                plan.problems.append(f"a hash field cannot be declared: {reason}")
            return
        found = guess(key, raws)
        always = len(raws) == sampled.rows
        is_id = always and [*map(id_text, raws)] == sampled.group.ids[: self.sample]
        if reason := bad_field(key, indexed=True):
            found.options.pop("index", None)
            plan.problems.append(f"{key!r} cannot have an index: {reason}")
        elif not is_id:
            suggest_index(key, found, raws)
            if key in indexed:
                _as_redisca_had_it(found, raws)
        if whole and always:
            found.options["required"] = "True"
        elif always:
            found.notes.append("in all that were read: required=True?")
        if not whole and found.options.pop("unique", ""):
            found.options.setdefault("index", "True")
            found.notes.append("in the sample: unique=True?")
        if found.odd:
            found.notes.append(f"{found.odd:,} are written otherwise than the library does")
        plan.fields.append(Planned(key, found, len(raws), is_id))

    # -- references --------------------------------------------------------------------------------

    async def _refer(self, sampled: Sequence[_Sampled]) -> None:
        """Find the fields that hold ids of records of another group, or of their own."""
        by_base = {one.group.base: one for one in sampled}  # {x} and x are two
        for plan in self.done.models:
            for planned in plan.fields:
                raws = by_base[plan.base].values[planned.key]
                if planned.is_id or planned.guess.kind not in ("String", "Integer", "UUID"):
                    continue
                for target in self.done.models:
                    form = await self._refers(planned.key, raws, target)
                    if form is not None:
                        planned.refers(target, form)
                        break

    async def _refers(self, key: str, raws: Sequence[bytes], target: ModelPlan) -> bool | None:
        """Whether values are ids of *target* behind its prefix (or alone); None if they are none."""
        values = [*dict.fromkeys(map(id_text, raws))][:ASKED]
        stem = f"{target.prefix}:"
        children = all(value.startswith(stem) for value in values)
        ids = [value.removeprefix(stem) if children else value for value in values]
        telling = len(values) > 2 and any(len(id) > 5 for id in ids)
        if not (children or telling or _is_like(key, target)):
            return None
        calls = [Call(("EXISTS", f"{target.base}:{id}")) for id in ids]
        there = sum(await asking.read_together(self.store, calls))
        return children if there >= 0.95 * len(ids) else None


def _as_redisca_had_it(found: Guess, raws: Sequence[bytes]) -> None:
    """An index where redisca had one."""
    found.notes.append("redisca had it indexed")
    if found.kind in _INDEXABLE and not found.options.keys() & {"unique", "index"}:
        found.options["index"] = "True"
    if found.differ == len(raws) and "unique" not in found.options:
        found.notes.append("all differ: unique=True?")


def _is_like(key: str, target: ModelPlan) -> bool:
    """Whether a hash field is called after a class."""
    stem = re.sub(r"(_?ids?|_?key|_?pk)$", "", key.lower()) or key.lower()
    name = target.name.lower()
    return len(stem) > 2 and (stem in name or name in stem)


@reader
def _page(reply: Reply) -> tuple[bytes, list[bytes]]:
    cursor, keys = reply
    return cursor, keys


def _take(found: _Sampled, pairs: Sequence[bytes]) -> None:
    if pairs:
        found.rows += 1
    for name, value in zip(pairs[::2], pairs[1::2], strict=True):
        found.values.setdefault(id_text(name), []).append(value)


def _class_name(prefix: str) -> str:
    words: list[Any] = re.findall(r"[A-Za-z0-9]+", re.split(r"[:.]", prefix)[-1])
    name = "".join(word[0].upper() + word[1:] for word in words) or "Thing"
    return name if name[0].isalpha() else f"Model{name}"


_OURS = re.compile(rb"^[^:]*(:[^:/]*)*/((ids|bad|meta|lease|t|t/n)$|migrations}?(/|$)|([uxyhrsncl]|import)/)")
"""Keys that the library itself keeps beside records."""

_PARTITION = re.compile(rb"[^:{]*\{([^{}]+)\.(\d+)\.\d+\.\d+\}\1:")
"""Records that the library keeps in partitions."""

_INDEXABLE = ("String", "Email", "Integer", "Float", "DateTime", "Date", "Bool", "UUID")
