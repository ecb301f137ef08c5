"""Where searches begin, what must hold in every state, and the controls: the same without a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

from ..world import Violation
from .store import ABSENT, ENDS, LIVE, Key, Record, Request, Rules, Shape, Store, World
from .writers import Doctor, Drainer, Fate, Save, Toucher, Writer

Claims = dict[Key, tuple[int, int]]

EVERY = frozenset("claim verify write abort sweep waiting".split())
"""The scripts behind which a replica is waited for, where that is asked for."""


@dataclass(frozen=True)
class Start:
    """What stands in the store at the beginning. Claims are those of the records, unless others are given."""

    records: tuple[Record, ...] = ()
    claims: tuple[tuple[Key, tuple[int, int]], ...] | None = None
    epochs: tuple[int, ...] = ()
    owed: tuple[tuple[Key, int], ...] = ()
    """Of the first partition."""


SHAPE, RULES = Shape(), Rules()


@dataclass(frozen=True)
class Scenario:
    """``leaks``: whether a claim that nobody will release is a violation. ``cold``: whether no epoch is known.
    ``lost``: whether a request may arrive once more. ``fails``: whether a node may fall back; ``waited`` are
    the scripts behind which a replica is waited for. ``mended``: whether a lost claim is, in the end."""

    name: str
    processes: tuple[Any, ...]
    start: Start = Start()
    shape: Shape = SHAPE
    ids: int = 2
    rules: Rules = RULES
    leaks: bool = True
    cold: bool = False
    lost: bool = False
    fails: bool = False
    waited: frozenset[str] = frozenset()
    tries: int = 2
    crashes: int = 0
    judge: Callable[[World], str] = field(default=lambda world: "")

    @cached_property
    def numbers(self) -> dict[Key, int]:
        return {key: number for number, key in enumerate(self.shape.keys)}

    @cached_property
    def _dead(self) -> Claims:
        """The claims of nobody that it begins with."""
        return dict(self.start.claims or ())

    def starts(self) -> Iterator[World]:
        shape, start = self.shape, self.start
        absent = Record(ABSENT, shape.nothing)
        records = (*start.records, *[absent] * (self.ids - len(start.records)))
        epochs = start.epochs or (1,) * (1 if shape.shared else self.ids)
        if start.claims is None:
            held = {key: (1, id) for id, record in enumerate(records) for key in shape.keys_of(record.values)}
        else:
            held = dict(start.claims)
        owed = (frozenset(start.owed), *[frozenset[Any]()] * (self.ids - 1))
        claims = tuple(held.get(key) for key in shape.keys)
        world = World(records, claims, epochs, owed, self.processes, crashes=self.crashes)
        if self.fails:
            nodes = len(records) + len(claims)
            world = world._replace(history=((),) * nodes, versions=(0,) * nodes)
        yield world

    def changed(
        self, world: World, store: Store, request: Request, writer: Writer
    ) -> tuple[Writer, dict[str, Any]]:
        """The world behind a script, and its writer, who may have to wait."""
        changes: dict[str, Any] = {"records": (*store.records,), "claims": (*store.claims,)}
        changes |= {"epochs": (*store.epochs,), "owed": (*store.owed,)}
        node = store.written
        if self.fails and node is not None and world.failed < 0:
            history, versions = [*world.history], [*world.versions]
            history[node] = (*history[node], self._state_of(world, node))
            versions[node] += 1
            changes |= {"history": (*history,), "versions": (*versions,)}
            if request[0] in self.waited:
                writer = writer._replace(waits=(node, versions[node]))
        return writer, changes

    def _state_of(self, world: World, node: int) -> Any:
        if node >= self.ids:
            return world.claims[node - self.ids]
        return world.records[node], world.epochs[self.shape.bucket(node)], world.owed[node]

    def fallen(self, world: World, node: int, state: Any) -> World:
        """When a node is what it was."""
        records, claims = [*world.records], [*world.claims]
        epochs, owed = [*world.epochs], [*world.owed]
        if node >= self.ids:
            claims[node - self.ids] = state
        else:
            records[node], epochs[self.shape.bucket(node)], owed[node] = state
        none = ((),) * len(world.history)
        return world._replace(
            records=(*records,),
            claims=(*claims,),
            epochs=(*epochs,),
            owed=(*owed,),
            failed=node,
            history=none,
        )

    def check(self, world: World) -> None:
        """A record that lives and holds a value has the claim on it: so no two hold one."""
        for id, record in enumerate(world.records):
            for key in self.shape.keys_of(record.values) if record.lives else ():
                held = world.claims[self.numbers[key]]
                if held is None or held[1] != id:
                    raise Violation(f"I {id} holds {key}, whose claim is {held}")

    def check_end(self, world: World) -> None:
        if wrong := self.judge(world):
            raise Violation(wrong)
        if not self.leaks or world.failed >= 0 or any(_may_leak(one) for one in world.processes):
            return
        for key, number in self.numbers.items():
            held = world.claims[number]
            if (
                held is None
                or held == self._dead.get(key)
                or key in self.shape.keys_of(world.records[held[1]].values)
            ):
                continue
            if not any(one == key and epoch > held[0] for one, epoch in world.owed[held[1]]):
                raise Violation(f"L {held[1]} claims {key} for ever")


def _may_leak(process: Any) -> bool:
    """Whether a writer was cut short before what it claimed was written or handed back."""
    one = process.writer if isinstance(process, Drainer) else process
    if not isinstance(one, Writer):
        return False
    return one.phase == "unknown" or (one.phase == "dead" and not one.later & {"release", "forget"})


# -- what is begun with, and who writes ------------------------------------------------------------


def live(*values: str | None) -> Record:
    return Record(LIVE, values)


def ending(*values: str | None) -> Record:
    return Record(ENDS, values)


def save(id: int, mode: str, *values: str | None, again: bool = False) -> Save:
    """- leaves a field as it is."""
    return Save(id, mode, tuple((n, value) for n, value in enumerate(values) if value != "-"), again)


def one(id: int, mode: str, *values: str | None) -> Writer:
    return Writer((save(id, mode, *values),))


def pairs(
    name: str,
    writers: Sequence[Any],
    starts: Sequence[Start],
    number: int = 2,
    fate: Fate | None = None,
    must: Callable[[Any], bool] = lambda process: True,
    **given: Any,
) -> Iterator[Scenario]:
    """Each choice of so many of the *writers*, in each start."""
    for place, start in enumerate(starts):
        for some in combinations_with_replacement(range(len(writers)), number):
            chosen = tuple(writers[n] for n in some)
            if any(map(must, chosen)):
                title = f"{name}: start {place}, writers {'-'.join(map(str, some))}"
                yield Scenario(title, (*chosen, *([fate] if fate else [])), start, **given)


DEAD_CLAIM = Start(claims=(((0, "a"), (1, 0)),))

SINGLE = [
    *(one(0, "create", "a"), one(0, "upsert", "a"), one(0, "update", "b"), one(1, "create", "a")),
    *(
        one(1, "update", "a"),
        one(0, "delete"),
        one(1, "delete"),
        one(1, "upsert", "b"),
        Drainer(0, sweeps=True),
    ),
]
SINGLE_STARTS = [
    *(Start(), Start((live("a"),)), Start((ending("a"), live("b"))), DEAD_CLAIM),
    Start((ending("a"),)),
]


def single(**given: Any) -> Iterator[Scenario]:
    for shared in (False, True):
        name = f"one unique{', one epoch' if shared else ''}{', nothing known' if given.get('cold') else ''}"
        yield from pairs(name, SINGLE, SINGLE_STARTS, fate=Fate(ends=1), shape=Shape(shared=shared), **given)


DOUBLE = [
    *(one(0, "create", "a", "a"), one(0, "upsert", "a", "b"), one(0, "update", "b", "-")),
    *(one(0, "update", "-", "b"), one(1, "create", "a", "b"), one(1, "update", "-", "a")),
    *(one(1, "update", "a", None), one(0, "delete"), one(1, "delete")),
]
DOUBLE_STARTS = [
    *(Start(), Start((live("a", "a"),)), Start((live("a", "b"), live("b", "a")))),
    Start((ending("a", "a"), live("b", "b"))),
]


def double(**given: Any) -> Iterator[Scenario]:
    yield from pairs("two uniques", DOUBLE, DOUBLE_STARTS, fate=Fate(ends=1), shape=Shape(2), **given)


TOGETHER = [
    *(one(0, "update", "b", "-"), one(0, "update", "-", "b"), one(0, "create", "a", "b")),
    *(one(1, "update", "-", "b"), one(1, "update", "b", "-"), one(1, "upsert", "b", "b"), one(0, "delete")),
]
TOGETHER_STARTS = [
    *(Start(), Start((live(None, None),)), Start((live("a", "a"),)), Start((live("a", "a"), live("b", "a")))),
    *(Start((live(None, "a"), live("b", None))), Start((ending("a", "a"), live("b", "a")))),
]


def together(**given: Any) -> Iterator[Scenario]:
    shape, fate = Shape(2, together=True), Fate(ends=1)
    yield from pairs("unique together", TOGETHER, TOGETHER_STARTS, fate=fate, shape=shape, **given)


BATCHES = [
    Writer((save(0, "create", "a"), save(1, "create", "b"))),
    Writer((save(1, "upsert", "b"), save(2, "upsert", "a"))),
    Writer((save(0, "update", "b"), save(1, "update", "a"))),
    Writer((save(0, "create", "a"), save(1, "create", "a"))),
    Writer((save(0, "delete"), save(1, "delete"))),
    *(one(2, "create", "a"), one(0, "delete"), one(0, "update", "b")),
]
BATCH_STARTS = [Start(), Start((live("a"),)), Start((live("a"), live(None))), Start((live("a"), live("b")))]


def batches(**given: Any) -> Iterator[Scenario]:
    """Records of several partitions in one attempt."""
    given = {"ids": 3, "tries": 1, **given}
    yield from pairs("batches", BATCHES, BATCH_STARTS, **given)


def _owes(process: Any) -> bool:
    return isinstance(process, Drainer)


def drains(**given: Any) -> Iterator[Scenario]:
    owing = Start((live("b"),), (((0, "a"), (1, 0)), ((0, "b"), (1, 0))), (2, 1), (((0, "a"), 2),))
    writers = [
        one(0, "update", "b"),
        Drainer(0),
        one(1, "create", "a"),
        one(0, "update", "a"),
        one(0, "delete"),
    ]
    starts, given = [Start((live("a"),)), owing, Start((ending("a"),))], {"tries": 1, "crashes": 1, **given}
    fate = Fate(ends=1)
    yield from pairs("released by others", writers, starts, 3, fate, _owes, **given)


def ends(number: int = 2, **given: Any) -> Iterator[Scenario]:
    writers = [
        *(Toucher(0), one(1, "create", "a"), Drainer(0, sweeps=True), one(0, "ending", "a")),
        *(one(0, "update", "b"), one(0, "delete"), one(0, "create", "a")),
    ]
    starts = [Start((ending("a"),)), Start((ending("a"), ending("b")))]
    given = {"tries": 1, **given}
    yield from pairs(
        "records that end, a clock that steps back", writers, starts, number, Fate(2, 1), **given
    )


def doctors(**given: Any) -> Iterator[Scenario]:
    writers = [Doctor((0, "a")), one(1, "create", "a"), one(0, "upsert", "a"), one(0, "delete")]
    starts = [Start(), DEAD_CLAIM, Start(claims=(((0, "a"), (5, 0)),)), Start((live("a"),))]
    is_doctor = lambda process: isinstance(process, Doctor)  # noqa: E731
    given = {"tries": 1, **given}
    yield from pairs("dead claims released beside writers", writers, starts, 3, None, is_doctor, **given)


def failing(waited: frozenset[str] = EVERY, **given: Any) -> Iterator[Scenario]:
    """A node falls back to what its replica had."""
    writers = [
        *(one(0, "create", "a"), one(0, "upsert", "a"), one(0, "update", "b"), one(1, "upsert", "a")),
        *(one(0, "delete"), Drainer(0), Drainer(0, sweeps=True)),
    ]
    owing = Start((live("b"),), (((0, "a"), (1, 0)), ((0, "b"), (1, 0))), (2, 1), (((0, "a"), 2),))
    starts = [Start(), Start((live("a"),)), Start((ending("a"),)), owing]
    given = {"tries": 1, "fails": True, "waited": waited, **given}
    yield from pairs("a replica takes over", writers, starts, fate=Fate(ends=1), **given)


def racers(**given: Any) -> Iterator[Scenario]:
    """Of those who create one value one wins, unless somebody gives up; never two."""

    def judge(world: World) -> str:
        outs = [out for process in world.processes if isinstance(process, Writer) for out in process.outcomes]
        wrong = outs.count("ok") != 1 and "gave up" not in outs
        return f"{outs} of racing creators" if wrong else ""

    two = (one(0, "create", "a"), one(1, "create", "a"))
    yield Scenario("two create one value", two, judge=judge, tries=4, **given)
    three = (*two, one(2, "create", "a"))
    yield Scenario("three create one value", three, ids=3, judge=judge, tries=2, **given)


def swaps() -> Iterator[Scenario]:
    """Two records swap their values: each alone, or in one batch. Never both have the same."""
    start = Start((live("a"), live("b")))
    yield Scenario("a swap, each alone", (one(0, "update", "b"), one(1, "update", "a")), start)
    batch = Writer((save(0, "update", "b"), save(1, "update", "a")))
    refused = lambda world: "" if world.processes[0].outcomes == ("taken", "taken") else "swapped"  # noqa: E731
    yield Scenario("a swap in one batch is refused", (batch,), start, judge=refused)


def full() -> Iterator[Scenario]:
    """Everything: minutes."""
    yield from single()
    yield from single(cold=True)
    yield from single(lost=True, leaks=False)
    yield from double()
    yield from double(lost=True, leaks=False)
    yield from together()
    yield from together(cold=True)
    yield from batches()
    yield from drains()
    yield from ends(3)
    yield from doctors()
    yield from failing()
    yield from racers()
    yield from swaps()


def small() -> Iterator[Scenario]:
    """Some of each, of those that are soon looked through."""
    for every, some in ((single, 15), (double, 45), (together, 30), (batches, 40), (doctors, 12), (ends, 9)):
        yield from [*every()][1::some]
    yield from [*failing()][::20]
    yield from swaps()
    yield next(racers())


@dataclass(frozen=True)
class Control:
    """Scenarios of which at least one must fail without a rule."""

    name: str
    make: Callable[..., Iterator[Scenario]]
    rules: Rules
    given: tuple[tuple[str, Any], ...] = ()

    def scenarios(self) -> Iterator[Scenario]:
        for scenario in self.make(**dict(self.given)):
            yield replace(scenario, rules=self.rules)


def controls() -> Iterator[Control]:
    single_rules = {
        "no epoch is compared in a write": Rules(compares_epoch=False),
        "a verify bumps nothing": Rules(verify_bumps=False),
        "a claim is taken without a look at its epoch": Rules(take_compares=False),
        "a claim is released without a look at its epoch": Rules(release_compares=False),
        "what gives a value up bumps nothing": Rules(giving_bumps=False),
        "what buries bumps nothing": Rules(burying_bumps=False),
        "nobody is asked who holds a claim": Rules(asks_holder=False),
    }
    for name, rules in single_rules.items():
        yield Control(name, single, rules)
    yield Control("one claim is sent again, not all", double, Rules(claims_all_again=False))
    yield Control("a refused write hands nothing back", double, Rules(hands_back=False))
    yield Control("values together are not compared in the write", together, Rules(compares_claims=False))
    yield Control("what was claimed in vain is not handed back", together, Rules(hands_rest_back=False))
    yield Control("a claim is forgotten, then released", drains, Rules(released_first=False))
    no = frozenset[str]
    yield Control("a verify buries nothing", ends, Rules(buries=no(["write", "abort"])))
    yield Control("a write buries nothing", ends, Rules(buries=no(["verify", "abort"])))
    yield Control("what hands back buries nothing", ends, Rules(buries=no(["verify", "write"])))
    for script in sorted(EVERY - {"sweep", "abort"}):
        yield Control(
            f"no replica is waited for behind {script}", failing, Rules(), (("waited", EVERY - {script}),)
        )
    yield Control("a claim that stands is not renewed", failing, Rules(renews=False))
    yield Control("no replica is waited for", failing, Rules(), (("waited", no()),))
