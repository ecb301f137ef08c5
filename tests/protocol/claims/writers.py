"""Who takes steps: writers of one or several records, sweepers, those who release what is owed, and fate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..world import Violation
from .store import ENDS, OVER, Key, Record, Request, Store, World

if TYPE_CHECKING:
    from .scenarios import Scenario

SPENT: tuple[Request, ...] = (("nothing",),)
"""A request has arrived once more, and no other will."""

Steps = Iterator[tuple[str, World]]


class Save(NamedTuple):
    """A record, and what is to become of it: create, update, upsert, ending (an upsert that ends), delete."""

    id: int
    mode: str
    sets: tuple[tuple[int, str | None], ...] = ()
    again: bool = False


class Part(NamedTuple):
    """How far the save of one record is: ``out`` is what came of it, empty until then."""

    epoch: int = 0
    wants: frozenset[Key] = frozenset()
    made: frozenset[Key] = frozenset()
    claimed: bool = False
    out: str = ""


def replaced(parts: tuple[Part, ...], at: int, **changes: Any) -> tuple[Part, ...]:
    return (*parts[:at], parts[at]._replace(**changes), *parts[at + 1 :])


class Writer(NamedTuple):
    """Saves records together, as persistence/claims.py does: in each phase, what is to do in any order."""

    saves: tuple[Save, ...]
    phase: str = "begin"
    parts: tuple[Part, ...] = ()
    todo: frozenset[Any] = frozenset()
    later: frozenset[Any] = frozenset()
    owed: frozenset[Any] = frozenset()
    tries: int = 0
    waits: tuple[int, int] | None = None
    """Until a replica has so much of a node."""

    @property
    def over(self) -> bool:
        return self.phase in ("end", "dead", "unknown")

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(part.out for part in self.parts)

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if self.over:
            return
        if self.waits is not None:
            yield self._answered(at, world)
            return
        if self.phase == "begin":
            parts = tuple(Part() for _ in self.saves)
            todo = frozenset(range(len(parts)))
            begun = self._replace(phase="look", parts=parts, todo=todo)
            if scenario.cold:
                begun = begun._replace(phase="known", todo=frozenset())
                for number, save in enumerate(self.saves):
                    begun = begun._wanting(number, 0, scenario.shape.nothing, save, scenario)
                begun = begun._advanced(scenario)
            yield "begins", world.after(at, begun)
            return
        if world.crashes and self.phase != "look":
            dead = self._replace(phase="dead", later=frozenset([self.phase]))
            yield "dies", world.after(at, dead, crashes=world.crashes - 1)
        for item in sorted(self.todo, key=repr):
            request = self._request(item)
            store = Store(world, scenario.numbers, scenario.rules, scenario.shape)
            reply = store.call(request)
            rest = self._replace(todo=self.todo - {item})
            after = rest._told(item, reply, world, scenario)._advanced(scenario)
            after, changes = scenario.changed(world, store, request, after)
            yield f"{request}", world.after(at, after, **changes)
            if scenario.lost and self.phase not in ("look", "begin") and not world.again:
                yield f"once more {request}", world._replace(again=(request,))

    def _answered(self, at: int, world: World) -> tuple[str, World]:
        assert self.waits is not None
        node, version = self.waits
        if world.failed == node:
            return "nobody knows", world.after(at, self._replace(phase="unknown", waits=None))
        goes = self._replace(waits=None)
        if world.failed >= 0:
            return "goes on", world.after(at, goes)
        keeps = world.versions[node] - version
        known = world.history[node][-keeps:] if keeps else ()
        history = (*world.history[:node], known, *world.history[node + 1 :])
        return "its replica has it", world.after(at, goes, history=history)

    def _request(self, item: Any) -> Request:
        match self.phase:
            case "look":
                return ("look", self.saves[item].id)
            case "claim":
                number, key, holder, before = item
                return ("claim", key, self.saves[number].id, self.parts[number].epoch, holder, before)
            case "verify":
                _, key, holder, since = item
                return ("verify", holder, key, since)
            case "write":
                save, part = self.saves[item], self.parts[item]
                return ("write", save.id, save.mode, save.sets, save.again, part.epoch, part.made)
            case "abort":
                return ("abort", self.saves[item].id, self.parts[item].made)
            case "release":
                id, key, epoch = item
                return ("release", key, id, epoch)
            case _:
                return ("forget", *item)

    def _told(self, item: Any, reply: Any, world: World, scenario: Scenario) -> Writer:
        """What it does with a reply."""
        match self.phase:
            case "look":
                epoch, values = reply
                return self._wanting(item, epoch, values, self.saves[item], scenario)
            case "claim":
                number, key, *_ = item
                if reply is None:
                    made = self.parts[number].made | {key}
                    return self._replace(parts=replaced(self.parts, number, made=made, claimed=True))
                if not scenario.rules.asks_holder:
                    if not scenario.shape.holds(world.records[reply[1]], key):
                        raise Violation(f"V {key} is said to be taken by {reply[1]}, and is not")
                    return self._ends(number, "taken")
                return self._replace(later=self.later | {(number, key, reply[1], reply[0])})
            case "verify":
                number, key, holder, _ = item
                if not reply:
                    return self._ends(number, "taken")
                return self._replace(later=self.later | {(number, key, holder, reply)})
            case "write":
                return self._written(item, reply, scenario)
            case "abort":
                return self._owes(self.saves[item].id, reply)
        return self

    def _wanting(self, number: int, epoch: int, values: Any, save: Save, scenario: Scenario) -> Writer:
        changes = dict(save.sets)
        after = tuple(changes.get(field, value) for field, value in enumerate(values))
        named = {key for key in scenario.shape.keys_of(after) if scenario.shape.together or key[0] in changes}
        wants = frozenset(named if changes else ())
        return self._replace(parts=replaced(self.parts, number, epoch=epoch, wants=wants))

    def _written(self, number: int, reply: Any, scenario: Scenario) -> Writer:
        if reply[0] == "claim":
            _, epoch, wants = reply
            claimed = False
            if not scenario.rules.claims_all_again:  # one of them only
                first = min(wants, key=repr)
                return self._replace(
                    parts=replaced(self.parts, number, epoch=epoch, wants=frozenset([first]), claimed=False)
                )
            return self._replace(
                parts=replaced(self.parts, number, epoch=epoch, wants=wants, claimed=claimed)
            )
        if reply[0] == "ok":
            return self._ends(number, "ok")._owes(self.saves[number].id, reply[1])
        return self._ends(number, reply[0])

    def _ends(self, number: int, out: str) -> Writer:
        return self._replace(parts=replaced(self.parts, number, out=out))

    def _owes(self, id: int, entries: Iterable[tuple[Key, int]]) -> Writer:
        return self._replace(owed=self.owed | {(id, key, epoch) for key, epoch in entries})

    def _open(self, items: Iterable[Any]) -> frozenset[Any]:
        return frozenset(item for item in items if not self.parts[item[0]].out)

    def _advanced(self, scenario: Scenario) -> Writer:
        """The next phase in which there is something to do."""
        one = self
        while not one.todo and not one.over:
            one = one._next(scenario)
        return one

    def _next(self, scenario: Scenario) -> Writer:
        match self.phase:
            case "look" | "known":
                return self._without_twins()._claiming()
            case "claim":
                if held := self._open(self.later):
                    return self._replace(phase="verify", todo=held, later=frozenset())
                return self._writing()
            case "verify":
                free = self._open(self.later)
                if not free:
                    return self._replace(later=frozenset())._writing()
                if self.tries >= scenario.tries:
                    given = self._replace(later=frozenset())
                    for number in {item[0] for item in free}:
                        given = given._ends(number, "gave up")
                    return given._writing()
                return self._replace(phase="claim", todo=free, later=frozenset(), tries=self.tries + 1)
            case "write":
                left = [number for number, part in enumerate(self.parts) if not part.out]
                if left and self.tries > scenario.tries:
                    given = self
                    for number in left:
                        given = given._ends(number, "gave up")
                    return given._aborting(scenario)
                return self._replace(tries=self.tries + 1)._claiming() if left else self._aborting(scenario)
            case "abort":
                first = "release" if scenario.rules.released_first else "forget"
                return self._replace(phase=first, todo=self.owed)
            case "release" | "forget" as phase:
                first = "release" if scenario.rules.released_first else "forget"
                second = "forget" if scenario.rules.released_first else "release"
                return self._replace(phase=second, todo=self.owed) if phase == first else self._ended()
        raise AssertionError(self.phase)

    def _ended(self) -> Writer:
        return Writer(self.saves, "end", tuple(Part(out=part.out) for part in self.parts))

    def _without_twins(self) -> Writer:
        one, seen = self, set[Key]()
        for number, part in enumerate(self.parts):
            if part.wants & seen:
                one = one._ends(number, "twin")
            seen |= part.wants
        return one

    def _claiming(self) -> Writer:
        todo = frozenset(
            (number, key, -1, 0)
            for number, part in enumerate(self.parts)
            if not part.out and not part.claimed
            for key in part.wants
        )
        return self._replace(phase="claim", todo=todo, later=frozenset())

    def _writing(self) -> Writer:
        todo = frozenset(number for number, part in enumerate(self.parts) if not part.out)
        return self._replace(phase="write", todo=todo)

    def _aborting(self, scenario: Scenario) -> Writer:
        refused = [number for number, part in enumerate(self.parts) if part.out != "ok" and part.made]
        return self._replace(phase="abort", todo=frozenset(refused if scenario.rules.hands_back else ()))


class Drainer(NamedTuple):
    """Releases what is owed in a partition, after it has swept there what is over, if it *sweeps*."""

    id: int
    sweeps: bool = False
    begun: bool = False
    writer: Writer = Writer(())

    @property
    def over(self) -> bool:
        return self.begun and self.writer.over

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if not self.begun:
            store = Store(world, scenario.numbers, scenario.rules, scenario.shape)
            request: Request = ("sweep" if self.sweeps else "waiting", self.id)
            goes = Writer((), "abort")._owes(self.id, store.call(request))._advanced(scenario)
            after, changes = scenario.changed(world, store, request, goes)
            yield f"{request}", world.after(at, self._replace(begun=True, writer=after), **changes)
            return
        for label, later in self.writer.steps(at, world, scenario):
            mine = later.processes[at]
            if isinstance(mine, Writer):
                later = later.after(at, self._replace(writer=mine))
            yield label, later


class Toucher(NamedTuple):
    """Lets a record end later."""

    id: int
    over: bool = False

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if not self.over:
            store = Store(world, scenario.numbers, scenario.rules, scenario.shape)
            store.touch(self.id)
            yield "touch", world.after(at, self._replace(over=True), records=(*store.records,))


class Doctor(NamedTuple):
    """Releases the claim on a value, if its record does not hold that."""

    key: Key
    held: tuple[int, int] | None = None
    epoch: int = 0
    over: bool = False

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        if self.over:
            return
        store = Store(world, scenario.numbers, scenario.rules, scenario.shape)
        if self.held is None:
            held = store.holder(self.key)
            after = self._replace(held=held, over=held is None)
        elif not self.epoch:
            epoch = store.verify(self.held[1], self.key, self.held[0])
            after = self._replace(epoch=epoch, over=not epoch)
        else:
            store.release(self.key, self.held[1], self.epoch)
            after = self._replace(over=True)
        changes: dict[str, Any] = {"records": (*store.records,), "claims": (*store.claims,)}
        changes |= {"epochs": (*store.epochs,), "owed": (*store.owed,)}
        yield f"doctor {after}", world.after(at, after, **changes)


class Fate(NamedTuple):
    """Records end, clocks step back, requests arrive once more, a node falls back: as often as is said."""

    ends: int = 0
    back: int = 0

    @property
    def over(self) -> bool:
        return True

    def steps(self, at: int, world: World, scenario: Scenario) -> Steps:
        for id, record in enumerate(world.records):
            for number, life, other, rest in (
                (self.ends, ENDS, OVER, self._replace(ends=self.ends - 1)),
                (self.back, OVER, ENDS, self._replace(back=self.back - 1)),
            ):
                if number and record.life == life:
                    records = (*world.records[:id], Record(other, record.values), *world.records[id + 1 :])
                    yield f"{id} is {other}", world.after(at, rest, records=records)
        for request in world.again if world.again != SPENT else ():
            store = Store(world, scenario.numbers, scenario.rules, scenario.shape)
            store.call(request)
            _, changes = scenario.changed(world, store, request, Writer(()))
            yield f"arrives {request}", world._replace(**changes, again=SPENT)
        if scenario.fails and world.failed < 0:
            for node, states in enumerate(world.history):
                for state in {*states}:
                    yield f"node {node} falls back", scenario.fallen(world, node, state)
