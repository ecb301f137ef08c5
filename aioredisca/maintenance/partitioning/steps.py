"""How meta changes while records move into another number of partitions: what is in :class:`Meta` -> what is
to be.

Pure. The meta of the whole class says what goes on, so that whoever comes next goes on there:

    ``e:!:moving=N``      the records move into N; who writes is refused. ``cur:`` of it: how far they are.
    ``cur:!:partitions=M``  the keys of M are to be taken away, for the records are elsewhere.

A place that records move from has ``e:!:moving=N`` with the state ready: nobody writes there, and who reads
goes on. One that they move to has it with the state pass, and one version may write there that nobody
declares but who moves them. Of places that they have left the meta stays, with ``e:!:partitions=N``: it
refuses who knows of nothing.
"""

from __future__ import annotations

from aioredisca.storage import versions
from aioredisca.storage.meta import (
    CURSOR,
    ENDED,
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

COPIED = b"$"
"""The cursor where all records are in their new places."""

_Fields = dict[str, str | bytes]


def moving(count: int) -> str:
    """The entry of a move into so many."""
    return f"{MOVING}{count}"


def kept_in(count: int) -> str:
    """The entry that says in how many the records are."""
    return f"{PARTITIONS}{count}"


def cursor_of(meta: Meta) -> bytes:
    """How far the move is that *meta* tells of."""
    return meta.cursors.get(moving(versions.moving(meta.states)), b"")


def to_purge(meta: Meta) -> int:
    """In how many the records were whose keys are to be taken away; 0 where there are none."""
    found = [entry for entry in meta.cursors if entry.startswith(PARTITIONS)]
    return int(found[0].removeprefix(PARTITIONS)) if found else 0


def barred(meta: Meta, count: int) -> Edit | None:
    """Nobody writes here from now on. None where that is so."""
    if versions.moving(meta.states):
        return None
    ended = [name for name, permit in meta.permits.items() if permit != ENDED]
    drops = [kind + name for kind in (PERMIT, SIGNATURE, SEEN) for name in ended]
    sets: _Fields = {STATE + moving(count): READY, OLD_SIGNATURE: MOVED, VER: word()}
    return Edit(_as_it_is(meta), sets, (*drops, OLD_UNBUILT))


def freed(meta: Meta) -> Edit | None:
    """Who keeps what is kept here may write again. None where that is so."""
    if not (count := versions.moving(meta.states)):
        return None
    return Edit(_as_it_is(meta), {VER: word()}, (STATE + moving(count),))


def prepared(meta: Meta, schema: Schema) -> Edit | None:
    """The version that moves the records may write where *schema* has them, and no other.

    None where that is so.
    """
    if meta.permits.get(schema.version) == WRITES:
        return None
    own = schema.entries - {schema.moving}
    sets: _Fields = {STATE + entry: READY for entry in own}
    sets |= {STATE + schema.moving: PASS, OLD_SIGNATURE: MOVED, VER: word()}
    sets |= {PERMIT + schema.version: WRITES, SIGNATURE + schema.version: schema.signature}
    left = [STATE + entry for entry in meta.states.keys() - schema.entries if not _of_now(entry, schema)]
    drops = [kind + name for kind in (PERMIT, SIGNATURE, SEEN) for name in meta.permits]
    return Edit(_as_it_is(meta), sets, (*left, *drops), (schema.keys.ids,))


def _of_now(entry: str, schema: Schema) -> bool:
    """Whether it says where the records are until they are here: it stands in the meta of the whole class."""
    return schema.part is None and entry.startswith(PARTITIONS)


def opened(meta: Meta, schema: Schema) -> Edit | None:
    """Whoever declares the class may write where *schema* has its records. None where that is so."""
    if schema.moving not in meta.states:
        return None
    own = (PERMIT + schema.version, SIGNATURE + schema.version)
    return Edit(_as_it_is(meta), {VER: word()}, (STATE + schema.moving, *own))


def gone_on(meta: Meta, cursor: bytes) -> Edit:
    """The move is so far."""
    entry = moving(versions.moving(meta.states))
    return Edit({VER: meta.ver, CURSOR + entry: cursor_of(meta)}, {CURSOR + entry: cursor})


def flipped(meta: Meta, schema: Schema, before: int, now: int) -> Edit | None:
    """The records are in *now* places, and what is left in those *before* is to be taken away.

    None where that is so.
    """
    if not (count := versions.moving(meta.states)):
        return None
    drops, sets = _of_move(schema, count), _Fields({VER: word()})
    if before > 1 and before != now:
        drops.append(STATE + kept_in(before))
    if now > 1:
        sets[STATE + kept_in(now)] = READY
    return Edit(_as_it_is(meta), {**sets, CURSOR + kept_in(before): b"="}, tuple(drops))


def given_up(meta: Meta, schema: Schema, count: int) -> Edit:
    """The records stay where they are; what came to the *count* places where they were to be goes."""
    drops = _of_move(schema, count)
    return Edit(_as_it_is(meta), {VER: word(), CURSOR + kept_in(count): b"="}, tuple(drops))


def _of_move(schema: Schema, count: int) -> list[str]:
    """What the meta of the whole class holds of a move into so many while it goes on."""
    own = [PERMIT + schema.version, SIGNATURE + schema.version]
    return [STATE + moving(count), CURSOR + moving(count), *own]


def left(meta: Meta, now: int, *, whole: bool) -> Edit:
    """What the meta of a place says that the records have left: of the *whole* class, or of a partition."""
    stays = {STATE + kept_in(now)}
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
