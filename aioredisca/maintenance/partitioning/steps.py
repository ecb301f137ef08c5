"""How meta changes while records move into another number of partitions: what is in :class:`Meta` -> what is
to be.

Pure. The meta of the whole class says what goes on, so that whoever comes next goes on there:

    ``e:!:copying=N``      the records are copied into N; who wrote them writes on. ``cur:`` of it: how far.
    ``e:!:moving=N``       nobody writes, for what was written since is copied.
    ``cur:!:mover``        who is at it, or was: whatever one with a lower number does then is refused.
    ``cur:!:partitions=M``  the keys of M are to be taken away, for the records are elsewhere.

A place that records move from has the same but for how far it is: the permits ``m`` while they are copied,
by which each write marks its record in ``P/d``, and none once they move. One that they move to has
``e:!:filling=N@mover`` with the state pass, and one version may write there that nobody declares but this
mover. Of places that they have left the meta stays, with ``e:!:partitions=N``: it refuses who knows of
nothing. docs/storage.md tells why that is right.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from aioredisca.storage import versions
from aioredisca.storage.meta import (
    BARRED,
    COPYING,
    CURSOR,
    ENDED,
    FILLING,
    MARKS,
    MOVED,
    MOVING,
    OLD_SIGNATURE,
    OLD_UNBUILT,
    PARTITIONS,
    PASS,
    PERMIT,
    READY,
    SEEN,
    SIGNATURE,
    STATE,
    VER,
    WRITES,
    Edit,
    Meta,
    word,
)
from aioredisca.storage.schema import Schema

ONCE = b"="
"""The cursor where all records were copied once."""

COPIED = b"$"
"""What the cursor begins with where all records are in their new places; then who has copied them."""

_Fields = dict[str, str | bytes]


MOVER = f"{BARRED}mover"
"""What the cursor is called that says who is at it."""


def filling(count: int, mover: bytes) -> str:
    """The entry of places that *mover* copies to."""
    return f"{FILLING}{count}@{mover.decode()}"


def kept_in(count: int) -> str:
    """The entry that says in how many the records are."""
    return f"{PARTITIONS}{count}"


def cursor_of(meta: Meta) -> bytes:
    """How far the move is that *meta* tells of."""
    return meta.cursors.get(f"{COPYING}{versions.under_way(meta.states)}", b"")


def number_of(mover: bytes) -> int:
    """The how manieth it is who is at the moves of a class: each has a number more than who was before."""
    return int(mover.partition(b"-")[0] or 0)


def copied_by(meta: Meta) -> bytes:
    """Who has copied all records to their new places; empty where they are not there yet."""
    cursor = cursor_of(meta)
    return cursor.removeprefix(COPIED) if cursor.startswith(COPIED) else b""


def mover_of(meta: Meta) -> bytes:
    """Who is at the move that *meta* tells of."""
    return meta.cursors.get(MOVER, b"")


def to_purge(meta: Meta) -> int:
    """In how many the records were whose keys are to be taken away; 0 where there are none."""
    found = [entry for entry in meta.cursors if entry.startswith(PARTITIONS)]
    return int(found[0].removeprefix(PARTITIONS)) if found else 0


def copied(meta: Meta, count: int, mover: bytes) -> Edit:
    """*mover* copies what is here, and who writes here writes on and marks it; nobody does if it moves."""
    if versions.moving(meta.states):
        return named(meta, mover)
    sets: _Fields = {CURSOR + MOVER: mover, VER: word()}
    sets |= {f"{STATE}{COPYING}{count}": READY, OLD_SIGNATURE: MOVED}
    sets |= {PERMIT + name: MARKS for name in _writers(meta)}
    drops = [SEEN + name for name in meta.seen]  # they leave no time any more
    return Edit(_as_it_is(meta), sets, (*drops, OLD_UNBUILT))


def named(meta: Meta, mover: bytes) -> Edit:
    """*mover* is at it."""
    return Edit(_as_it_is(meta), {CURSOR + MOVER: mover, VER: word()})


def barred(meta: Meta, count: int) -> Edit | None:
    """Nobody writes here from now on. None where that is so."""
    if versions.moving(meta.states):
        return None
    sets: _Fields = {f"{STATE}{MOVING}{count}": READY, VER: word()}
    drops = _of_versions(_writers(meta))
    return Edit(_as_it_is(meta), sets, (f"{STATE}{COPYING}{count}", *drops))


def _writers(meta: Meta) -> list[str]:
    """The versions that may write the records here; none where they come to, for there it is the mover."""
    may = [name for name, permit in meta.permits.items() if permit != ENDED]
    return [] if versions.filled(meta.states) else may


def freed(meta: Meta, schema: Schema) -> Edit | None:
    """Who keeps what is kept here may declare that and write again. None where that is so."""
    if not versions.under_way(meta.states):
        return None
    marks = (schema.keys.dirty.encode("utf-8", "surrogateescape"),)
    drops = (*_of_move(meta), CURSOR + MOVER)
    return Edit(_as_it_is(meta), {VER: word()}, drops, unlink=marks)


def _permits(meta: Meta) -> list[str]:
    """What there is of the versions that may write."""
    return _of_versions([name for name, permit in meta.permits.items() if permit != ENDED])


def _of_versions(names: Collection[str]) -> list[str]:
    return [kind + name for kind in (PERMIT, SIGNATURE, SEEN) for name in names]


def prepared(meta: Meta, schema: Schema) -> Edit | None:
    """The version that moves the records may write where *schema* has them, and no other.

    Whoever moved them before may not any more. None where that is so.
    """
    if meta.permits.get(schema.version) == WRITES:
        return None
    own = schema.entries - {schema.moving}
    sets: _Fields = {STATE + entry: READY for entry in own}
    sets |= {STATE + schema.moving: PASS, OLD_SIGNATURE: MOVED, VER: word()}
    sets |= {PERMIT + schema.version: WRITES, SIGNATURE + schema.version: schema.signature}
    left = [STATE + entry for entry in meta.states.keys() - schema.entries if not _of_now(entry, schema)]
    drops = [kind + name for kind in (PERMIT, SIGNATURE, SEEN) for name in meta.permits]
    empty = () if versions.filled(meta.states) else (schema.keys.ids,)
    return Edit(_as_it_is(meta), sets, (*left, *drops), empty)


def is_free(meta: Meta) -> bool:
    """Whether records may come to a place: nobody was ever there, or they have left it, or come already."""
    return not meta.known or versions.filled(meta.states) or bool(versions.partitions(meta.states))


def taken_back(meta: Meta, schema: Schema) -> Edit | None:
    """Nobody but who gives the move up may write where records came to. None where none are on their way."""
    return prepared(meta, schema) if versions.filled(meta.states) else None


def _of_now(entry: str, schema: Schema) -> bool:
    """Whether it says where the records are until they are here: it stands in the meta of the whole class."""
    return schema.part is None and entry.startswith((PARTITIONS, COPYING, MOVING))


def opened(meta: Meta) -> Edit | None:
    """Whoever declares the class may write where records came to. None where that is so."""
    if not versions.filled(meta.states):
        return None
    return Edit(_as_it_is(meta), {VER: word()}, (*_filling(meta), *_permits(meta)))


def _filling(meta: Meta) -> list[str]:
    return [STATE + entry for entry in meta.states if entry.startswith(FILLING)]


def gone_on(meta: Meta, mover: bytes, cursor: bytes) -> Edit | None:
    """The move of *mover* is so far. None where it is another's."""
    if mover_of(meta) != mover:
        return None
    entry = f"{CURSOR}{COPYING}{versions.under_way(meta.states)}"
    return Edit({VER: meta.ver, CURSOR + MOVER: mover}, {entry: cursor})


def flipped(meta: Meta, before: int, now: int) -> Edit | None:
    """The records are in *now* places, and what is left in those *before* is to be taken away.

    None where that is so.
    """
    if not versions.under_way(meta.states):
        return None
    drops, sets = [*_of_move(meta), *_filling(meta), *_permits(meta)], _Fields({VER: word()})
    if before > 1 and before != now:
        drops.append(STATE + kept_in(before))
    if now > 1:
        sets[STATE + kept_in(now)] = READY
    return Edit(_as_it_is(meta), {**sets, CURSOR + kept_in(before): b"="}, tuple(drops))


def given_up(meta: Meta, schema: Schema, count: int) -> Edit | None:
    """The records stay where they are; what came to the *count* places where they were to be goes."""
    change = freed(meta, schema)
    sets: _Fields = {VER: word(), CURSOR + kept_in(count): b"="}
    return change and replace(change, sets=sets, drops=tuple(_of_move(meta)))  # the mover's number stays


def _of_move(meta: Meta) -> list[str]:
    """What the meta of the whole class holds of a move while it goes on."""
    count = versions.under_way(meta.states)
    own = [f"{STATE}{COPYING}{count}", f"{STATE}{MOVING}{count}", f"{CURSOR}{COPYING}{count}"]
    return [*own, *_of_versions(_writers(meta))]


def is_left(meta: Meta, filling: str) -> bool:
    """Whether what stands in a place is nobody's: its records have moved, or came by this *filling* alone."""
    if versions.filled(meta.states):
        return filling in meta.states
    return bool(versions.moving(meta.states) or versions.partitions(meta.states))


def left(meta: Meta, filling: str, now: int, *, whole: bool) -> Edit | None:
    """What the meta of a place says that the records have left: of the *whole* class, or of a partition.

    None where it is not so, by this *filling*.
    """
    if not is_left(meta, filling):
        return None
    stays = {STATE + kept_in(now), CURSOR + MOVER}
    drops = {STATE + entry for entry in meta.states} | {CURSOR + entry for entry in meta.cursors}
    drops |= {kind + name for kind in (PERMIT, SIGNATURE, SEEN) for name in meta.permits}
    sets: _Fields = {VER: word(), OLD_SIGNATURE: MOVED}
    if not whole or now > 1:
        sets[STATE + kept_in(now)] = READY
    return Edit(_as_it_is(meta), sets, tuple(drops - stays))


def done(meta: Meta, before: int) -> Edit:
    """Nothing is left in the places *before*, which are partitions."""
    return Edit(_as_it_is(meta), {VER: word()}, (CURSOR + kept_in(before),))


def _as_it_is(meta: Meta) -> dict[str, str | bytes]:
    return {VER: meta.ver, OLD_SIGNATURE: meta.old}
