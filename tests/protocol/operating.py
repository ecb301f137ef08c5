"""The operator: prepares a roll-out, flips, builds and drops; looks through what is ready. One run at a time or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .kinds import IDS, put
from .processes import REFUSED
from .world import (
    ABSENT,
    ACCEPTED,
    ACTIVE,
    ANNOUNCED,
    ENDED,
    LATELY,
    PASS,
    READY,
    RETIRING,
    STAMPED,
    WIPE,
    Meta,
    Scenario,
    Violation,
    World,
)

Steps = Iterator[tuple[str, World]]

END = len(IDS)
"""The cursor of a pass that has seen all records."""

PARKED = END + 1
"""The cursor of an entry that waits for the next run, because records were left out."""

DROPPING = 10
"""What cursors of a drop begin with."""


class Operator(NamedTuple):
    """A run of ``reindex`` by the code of *version*.

    ``work``     reindex, before, verify, or distrust: rebuild what was ready.
    ``crashes``  how often it may be killed and started again.
    ``word``     the word that its next step compares.
    ``aux``      where its task stands: what was loaded, or which key is next.
    ``flipped``  whether this run has flipped, or found nothing to flip.
    """

    version: int
    work: str = "reindex"
    crashes: int = 1
    at: str = "look"
    word: int = 0
    aux: Any = 0
    flipped: bool = False
    waits: int | None = None
    leased: bool = False
    """Whether this run took the lease."""

    @property
    def over(self) -> bool:
        return self.at in ("done", "superseded")

    # -- what comes next -------------------------------------------------------------------------------

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if self.over or (self.waits is not None and not world.processes[self.waits].over):
            return
        if self.at == "let go":
            mine = scenario.rules.lease == "deleted" or world.lease == at
            ended = world.after(at, self._to("done"), holder=-1 if world.holder == at else world.holder)
            yield "lease ends", ended._replace(lease=-1 if mine else world.lease)
            return
        if self.crashes and self.at != "look":
            killed = self._replace(
                crashes=self.crashes - 1, at="look", word=0, aux=0, flipped=False, leased=False
            )
            yield "killed", world.after(at, killed)
        if self.at == "look":
            yield from self._look(at, world, scenario)
        elif not self._fenced(world, scenario) and self.at != "load":
            yield "fence", world.after(at, self._to("look"))
        else:
            yield from getattr(self, f"_{self.at}")(at, world, scenario)

    def _to(self, at: str, **changes: Any) -> Operator:
        return self._replace(at=at, aux=changes.pop("aux", 0), **changes)

    def _fenced(self, world: World, scenario: Scenario) -> bool:
        return world.meta.ver == self.word or (not scenario.rules.fenced and self.flipped)

    def _cursor_is(self, meta: Meta, entry: int, cursor: int, scenario: Scenario) -> bool:
        """Whether this operator and nobody else brought *entry* to where it is."""
        return meta.cursors[entry] == cursor or not scenario.rules.compares_cursor

    def _look(self, at: int, world: World, scenario: Scenario) -> Steps:
        meta = world.meta
        if scenario.rules.lease != "none" and not self.leased:
            yield self._take(at, world)
            return
        if self.work == "reindex":
            task = self._task(meta, scenario, self.flipped)
        elif self.work == "verify":
            task = "load_to_verify" if meta.states[0] == READY else "done"
        else:
            task = self.work
        aux = meta.seen if task == "flip" and scenario.rules.polite else 0
        yield "look", world.after(at, self._to(task, word=meta.ver, aux=aux))

    def _take(self, at: int, world: World) -> tuple[str, World]:
        """The lease, unless another run holds it."""
        if world.lease >= 0:
            return "told", world
        if world.holder >= 0:
            raise Violation("I8 two operators hold the lease")
        return "lease", world.after(at, self._replace(leased=True), lease=at, holder=at)

    def _task(self, meta: Meta, scenario: Scenario, flipped: bool) -> str:
        """The first that applies."""
        planned = self._plan(meta, scenario, fresh=not flipped)
        if planned != meta:
            return "superseded" if flipped else "flip"
        if WIPE in meta.states:
            return "wipe"
        if any(
            state == PASS and cursor != PARKED
            for state, cursor in zip(meta.states, meta.cursors, strict=True)
        ):
            return "pass"
        if RETIRING in meta.states:
            return "drop"
        return "let go" if scenario.rules.lease != "none" else "done"

    def _go_on(self, meta: Meta, scenario: Scenario) -> Operator:
        return self._to(self._task(meta, scenario, True), word=meta.ver, flipped=True)

    # -- before a roll-out, and the flip -----------------------------------------------------------------

    def _before(self, at: int, world: World, scenario: Scenario) -> Steps:
        meta = world.meta
        states = scenario.announced(self.version, meta.states)
        if states == meta.states and meta.permits[self.version] == ACCEPTED:
            yield "nothing to prepare", world.after(at, self._to("done"))
            return
        if scenario.ends_differ(self.version, meta):
            yield "refused: ends differ", world.after(at, self._to("done"))
            return
        permits, seen = scenario.stamped(self.version, meta)
        ver, drawn = scenario.draw(world)
        changed = meta._replace(ver=ver, permits=permits, states=states, seen=seen)
        yield "before", world.after(at, self._to("done"), meta=changed, drawn=drawn)

    def _plan(self, meta: Meta, scenario: Scenario, *, fresh: bool) -> Meta:
        """The meta after the flip. A *fresh* run tries again what was parked."""
        mine = scenario.versions[self.version]
        states, cursors, bad = [*meta.states], [*meta.cursors], [*meta.bad]
        for entry, state in enumerate(meta.states):
            if entry not in mine:
                states[entry] = RETIRING if state in ACTIVE else state
            elif state in (ABSENT, ANNOUNCED, RETIRING) and entry == scenario.ends:
                states[entry] = READY
            elif state in (ABSENT, ANNOUNCED, RETIRING):
                states[entry], cursors[entry], bad[entry] = WIPE, 0, 0
            elif state == PASS and cursors[entry] == PARKED and fresh:
                cursors[entry] = END
        permits = tuple(
            self._permit(version, permit, states, scenario) for version, permit in enumerate(meta.permits)
        )
        kept = frozenset[int]().union(
            *(
                scenario.versions[version]
                for version, permit in enumerate(permits)
                if permit in (ACCEPTED, STAMPED)
            )
        )
        for entry, state in enumerate(states):  # whoever announced it was ended
            if state == ANNOUNCED and entry not in kept:
                states[entry] = RETIRING
        return meta._replace(
            permits=permits,
            states=tuple(states),
            cursors=tuple(cursors),
            bad=tuple(bad),
            moved=meta.moved or bool(scenario.layout1),
        )

    def _permit(self, version: int, permit: str, states: list[str], scenario: Scenario) -> str:
        if version == self.version:
            return permit if permit == STAMPED else ACCEPTED
        retired = any(states[entry] == RETIRING for entry in scenario.versions[version])
        stays = scenario.keeps_all(version, states) and not retired
        if permit in (ACCEPTED, STAMPED, REFUSED) and not stays and scenario.rules.ends_old:
            return ENDED
        return permit

    def _flip(self, at: int, world: World, scenario: Scenario) -> Steps:
        planned = self._plan(world.meta, scenario, fresh=True)
        if scenario.rules.polite:
            ended = [
                version
                for version, permit in enumerate(planned.permits)
                if permit == ENDED != world.meta.permits[version]
            ]
            unseen = [version for version in ended if world.meta.permits[version] == ACCEPTED]
            if unseen and scenario.rules.demotes_first:
                yield "demote", self._demoted(world, scenario).after(at, self._to("look"))
                return
            known = world.meta.seen if scenario.rules.seen_in_script else self.aux
            if any(known[version] == LATELY for version in ended):
                yield "refused: that version writes", world.after(at, self._to("look"))
                return
            if any(world.wrote[version] == LATELY for version in ended):
                raise Violation("I7 a version was ended that wrote within ten minutes")
        ver, drawn = scenario.draw(world)
        planned = planned._replace(ver=ver)
        yield "flip", world.after(at, self._go_on(planned, scenario), meta=planned, drawn=drawn)

    def _demoted(self, world: World, scenario: Scenario) -> World:
        """The world where writes of all others leave their moment."""
        permits, seen = scenario.stamped(self.version, world.meta)
        ver, drawn = scenario.draw(world)
        return world._replace(meta=world.meta._replace(ver=ver, permits=permits, seen=seen), drawn=drawn)

    # -- building ----------------------------------------------------------------------------------------

    def _distrust(self, at: int, world: World, scenario: Scenario) -> Steps:
        """What is ready is said to be none, and then built as any other."""
        kept = scenario.rules.wipes_when_said
        indexes = world.indexes if kept else tuple((0,) * len(index) for index in world.indexes)
        meta = world.meta
        if kept:
            states = tuple(WIPE if state == READY else state for state in meta.states)
            ver, drawn = scenario.draw(world)
            meta = meta._replace(ver=ver, states=states, cursors=(0,) * len(states))
            yield "distrust", world.after(at, self._to("done"), meta=meta, drawn=drawn)
        else:
            yield "wipe what is ready", world.after(at, self._to("done"), indexes=indexes)

    def _wipe(self, at: int, world: World, scenario: Scenario) -> Steps:
        meta = world.meta
        if WIPE not in meta.states:
            yield "fence", world.after(at, self._to("look"))
            return
        entry = meta.states.index(WIPE)
        step = self.aux  # a run that begins here begins at the first key
        if step and not self._cursor_is(meta, entry, step, scenario):
            yield "fence", world.after(at, self._to("look"))
            return
        index = scenario.kinds[entry].wipe(world.indexes[entry], world.records, step)
        if index is None:
            states = (*meta.states[:entry], PASS, *meta.states[entry + 1 :])
            ver, drawn = scenario.draw(world)
            cursors, bad = put(meta.cursors, entry, 0), put(meta.bad, entry, 0)
            meta = meta._replace(ver=ver, states=states, cursors=cursors, bad=bad)
            yield "to pass", world.after(at, self._go_on(meta, scenario), meta=meta, drawn=drawn)
            return
        meta = meta._replace(cursors=put(meta.cursors, entry, step + 1))
        indexes = (*world.indexes[:entry], index, *world.indexes[entry + 1 :])
        yield "wipe", world.after(at, self._to("wipe", aux=step + 1), meta=meta, indexes=indexes)

    def _pass(self, at: int, world: World, scenario: Scenario) -> Steps:
        meta = world.meta
        open_ = [
            entry
            for entry, (state, cursor) in enumerate(zip(meta.states, meta.cursors, strict=True))
            if state == PASS and cursor != PARKED
        ]
        if not open_:
            yield "fence", world.after(at, self._to("look"))
            return
        entry = open_[0]
        cursor, bad = meta.cursors[entry], meta.bad[entry]
        kind = scenario.kinds[entry]
        if cursor < END:
            yield "load", world.after(at, self._loaded(world, scenario, entry, cursor))
        elif bad and self.aux != "retried" and not (scenario.rules.leaves_out and not kind.unique):
            id = 0 if bad & 1 else 1
            yield "load what was left out", world.after(at, self._loaded(world, scenario, entry, id))
        elif bad and (kind.unique or not scenario.rules.leaves_out):
            meta = meta._replace(cursors=put(meta.cursors, entry, PARKED))
            yield "park", world.after(at, self._go_on(meta, scenario), meta=meta)
        else:
            states = (*meta.states[:entry], READY, *meta.states[entry + 1 :])
            ver, drawn = scenario.draw(world)
            meta = meta._replace(ver=ver, states=states)
            yield "ready", world.after(at, self._go_on(meta, scenario), meta=meta, drawn=drawn)

    def _loaded(self, world: World, scenario: Scenario, entry: int, id: int) -> Operator:
        """With a record in hand. Which there are, the set of ids tells, once it is built."""
        content = world.records[id]
        if scenario.ids is not None and entry != scenario.ids:
            known = scenario.kinds[scenario.ids].right(world.records)[id] == world.indexes[scenario.ids][id]
            content = content if known else 0
        return self._to("index", aux=(entry, id, content))

    def _index(self, at: int, world: World, scenario: Scenario) -> Steps:
        entry, id, content = self.aux
        meta, kind = world.meta, scenario.kinds[entry]
        known = meta.cursors[entry] == id or (meta.cursors[entry] == END and meta.bad[entry] >> id & 1)
        if not known and scenario.rules.compares_cursor and scenario.rules.fenced:
            yield "fence", world.after(at, self._to("look"))
            return
        if world.records[id] != content:
            yield "changed meanwhile", world.after(at, self._to("pass"))
            return
        again = meta.cursors[entry] == END and scenario.rules.fenced
        cursors = meta.cursors if again else put(meta.cursors, entry, id + 1)
        if content in kind.bad or kind.taken(world.indexes[entry], world.records, id, content):
            bad = meta.bad
            if scenario.rules.keeps_bad:
                bad = put(bad, entry, bad[entry] | 1 << id)
            after = self._to("pass", aux="retried" if again else 0)
            if not scenario.rules.keeps_bad:
                after = self._to("done")
            yield "left out", world.after(at, after, meta=meta._replace(cursors=cursors, bad=bad))
            return
        bad = put(meta.bad, entry, meta.bad[entry] & ~(1 << id))
        index = kind.add(world.indexes[entry], id, content)
        indexes = (*world.indexes[:entry], index, *world.indexes[entry + 1 :])
        meta = meta._replace(cursors=cursors, bad=bad)
        yield "index", world.after(at, self._to("pass"), meta=meta, indexes=indexes)

    def _drop(self, at: int, world: World, scenario: Scenario) -> Steps:
        meta = world.meta
        if RETIRING not in meta.states:
            yield "fence", world.after(at, self._to("look"))
            return
        entry = meta.states.index(RETIRING)
        step = self.aux
        if step and not self._cursor_is(meta, entry, DROPPING + step, scenario):
            yield "fence", world.after(at, self._to("look"))
            return
        index = scenario.kinds[entry].unlink(world.indexes[entry], step)
        if index is None:
            states = (*meta.states[:entry], ABSENT, *meta.states[entry + 1 :])
            ver, drawn = scenario.draw(world)
            cursors, bad = put(meta.cursors, entry, 0), put(meta.bad, entry, 0)
            meta = meta._replace(ver=ver, states=states, cursors=cursors, bad=bad)
            yield "absent", world.after(at, self._go_on(meta, scenario), meta=meta, drawn=drawn)
            return
        meta = meta._replace(cursors=put(meta.cursors, entry, DROPPING + 1 + step))
        indexes = (*world.indexes[:entry], index, *world.indexes[entry + 1 :])
        yield "unlink", world.after(at, self._to("drop", aux=step + 1), meta=meta, indexes=indexes)

    # -- looking through what is ready ---------------------------------------------------------------------

    def _load_to_verify(self, at: int, world: World, scenario: Scenario) -> Steps:
        id = self.aux
        yield "load", world.after(at, self._to("verify", aux=(id, world.records[id])))

    def _verify(self, at: int, world: World, scenario: Scenario) -> Steps:
        id, content = self.aux
        if world.records[id] != content:
            yield "changed meanwhile", world.after(at, self._to("load_to_verify", aux=id))
            return
        after = self._to("load_to_verify", aux=id + 1) if id + 1 < len(IDS) else self._to("sweep")
        kind, meta = scenario.kinds[0], world.meta
        if kind.taken(world.indexes[0], world.records, id, content):
            bad = put(meta.bad, 0, meta.bad[0] | 1 << id)
            yield "left out", world.after(at, after, meta=meta._replace(bad=bad))
            return
        indexes = (kind.add(world.indexes[0], id, content), *world.indexes[1:])
        yield "index", world.after(at, after, indexes=indexes)

    def _sweep(self, at: int, world: World, scenario: Scenario) -> Steps:
        kind, place = scenario.kinds[0], self.aux
        indexes = (kind.deny(world.indexes[0], world.records, place), *world.indexes[1:])
        after = self._to("sweep", aux=place + 1) if place + 1 < kind.size else self._to("done")
        yield "sweep", world.after(at, after, indexes=indexes)
