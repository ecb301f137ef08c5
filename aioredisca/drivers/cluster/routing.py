"""Each call to the node that serves its slot, and on to another when that says so. For both colours.

What a node refuses with MOVED, ASK or TRYAGAIN did not run, so it is sent again: at once where it is told, or
until the slot has come to rest. Unavailable means the same, so what meets a node that is gone is sent again
if the cluster names another by now. OutcomeUnknown is for the caller.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from aioredisca.drivers import wire
from aioredisca.drivers.address import Address, Node
from aioredisca.drivers.cluster.slots import guarded, is_plain, parts_of, slot_of
from aioredisca.drivers.cluster.topology import FRESH, Topology
from aioredisca.drivers.limits import pause
from aioredisca.drivers.translate import Elsewhere, Moving
from aioredisca.drivers.walks import bound, marked, place_of
from aioredisca.errors import OutcomeUnknown, RediscaError, StoreError, Unavailable, UsageError
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Overlap, Reply

PAUSE = 0.005
"""Seconds, on average, after which a node is asked again that has not taken a call."""

QUIET = 30.0
"""Seconds for which a replica that gave no answer is not asked again."""

_ASKING = Call(("ASKING",))

Hindrance = Elsewhere | Unavailable
"""What a node answers, or comes of it, that took no call."""

Part = Callable[[], Coroutine[Any, Any, list[Reply]]]


class NodeTransport(Protocol):
    """What carries calls to one node."""

    def send(self, call: Call, overlap: Overlap | None = None) -> Any: ...
    def send_all(self, calls: Sequence[Call]) -> Any: ...


N = TypeVar("N", bound=NodeTransport)


class Item(NamedTuple):
    """A call on its way: its place among those sent together, its slot, and what is sent."""

    place: int
    slot: int | None
    call: Call


class Router(ABC, Generic[N]):
    """Carries calls to one cluster, by a transport per node.

    ``by_node``  the transports to nodes as primaries.
    """

    facts: StoreFacts
    by_node: dict[Node, N]
    _replicas: dict[Node, N]
    _left_out: dict[Node, float]
    """Replicas that gave no answer, and until when they are not asked."""

    def _begin(self, address: Address) -> None:
        """Begin without connections."""
        self._address, self.by_node, self._replicas, self._left_out = address, {}, {}, {}
        self._topology: Topology | None = None
        self._looked, self._failures = 0.0, 0

    # -- what each colour does ---------------------------------------------------------------------

    @abstractmethod
    def _new_transport(self, address: Address) -> N:
        """A transport to one node."""

    @abstractmethod
    async def _ask_topology(self) -> Topology:
        """Ask the cluster who serves what; who comes meanwhile waits for the same answer."""

    @abstractmethod
    async def _sleep(self, seconds: float) -> None: ...

    @abstractmethod
    async def _together(self, parts: Sequence[Part]) -> list[list[Reply] | StoreError]:
        """What comes of all *parts*, side by side if that can be."""

    # -- sending -----------------------------------------------------------------------------------

    async def send(self, call: Call, overlap: Overlap | None = None) -> Reply:
        """See :class:`~aioredisca.types.Transport`."""
        if call.args[:1] == ("SCAN",):
            return await self._scan(call)
        if call.cursor is not None:
            return _raised((await self.send_all((call,)))[0])
        slot, call = slot_of(call), guarded(call)
        node = await self._serving(slot)
        if (replica := self._replica_for(slot, (call,))) is not None:
            with self._spared(replica):
                return await self._replica(replica).send(call, overlap)
        try:
            return await self._transport(node).send(call, overlap)
        except (Elsewhere, Unavailable) as error:
            hindrance: Hindrance = error
        except OutcomeUnknown:
            self._look_aside()  # the next call is to know where to go
            raise
        end = monotonic() + self._address.timeout
        return _raised(await self._carry(slot, call, node, hindrance, end))

    async def send_all(self, calls: Sequence[Call]) -> list[Reply]:
        """See :class:`~aioredisca.types.Transport`. What goes to several nodes goes side by side."""
        slots = [slot_of(call) for call in calls]
        first = next((slot for slot in slots if slot is not None), None)  # others go along with it
        items = [
            Item(place, first if slot is None else slot, guarded(call))
            for place, (slot, call) in enumerate(zip(slots, calls, strict=True))
        ]
        return await self._send_items(items, monotonic() + self._address.timeout)

    async def _send_items(self, items: Sequence[Item], end: float) -> list[Reply]:
        by_node = dict[Node, list[Item]]()
        for item in items:
            by_node.setdefault(await self._serving(item.slot), []).append(item)
        if len(by_node) == 1:
            return await self._send_to(*by_node.popitem(), end)
        for item in items:  # what is sent to one node is not to be refused by this side at the next
            wire.check_arguments(item.call, self.facts)
        found = await self._together([partial(self._send_to, *part, end) for part in by_node.items()])
        if failed := [one for one in found if isinstance(one, StoreError)]:
            raise _worst(failed, list(by_node.values()), found)
        replies = dict[int, Reply]()
        for part, some in zip(by_node.values(), found, strict=True):
            if isinstance(some, list):
                replies.update(zip([item.place for item in part], some, strict=True))
        return [replies[item.place] for item in items]

    async def _send_to(self, node: Node, items: Sequence[Item], end: float) -> list[Reply]:
        """The replies to *items*, which *node* serves, as far as is known."""
        calls = [item.call for item in items]
        if (replica := self._replica_for(items[0].slot, calls)) is not None:
            with self._spared(replica):
                return _unhindered(await self._ask(replica, self._replica(replica), calls))
        try:
            replies = await self._ask(node, self._transport(node), calls)
        except OutcomeUnknown:
            self._look_aside()
            raise
        except Unavailable as error:  # none of it ran
            topology = await self._look()
            if monotonic() > end or all(topology.of(item.slot) == node for item in items):
                raise error from None
            return await self._send_items(items, end)
        behind = False
        for number, (item, reply) in enumerate(zip(items, replies, strict=True)):
            hindrance = reply if isinstance(reply, Hindrance) else None
            if hindrance or (behind and not item.call.writes):  # else read before what is written now
                replies[number] = await self._carry(item.slot, item.call, node, hindrance, end)
                behind = behind or item.call.writes
        return replies

    async def _carry(
        self, slot: int | None, call: Call, node: Node, hindrance: Hindrance | None, end: float
    ) -> Reply:
        """The reply to one *call* that *node* did not take, or the error that it comes to."""
        asking = False
        refused_by = set[Node]()
        while True:
            if hindrance is not None:
                if monotonic() > end:
                    return _given_up(hindrance)
                if call.commands > 1 and _on_its_way(hindrance):
                    return await self._carry_parts(slot, call, node, end)
                refused_by.add(node)
                try:
                    node, asking = await self._next(slot, call, node, hindrance)
                except StoreError as error:
                    return error
                if node in refused_by:  # the slot is on its way, or they do not agree yet
                    await self._sleep(random.uniform(0, 2 * PAUSE))
            try:
                reply = await self._ask_again(call, node, asking=asking)
            except StoreError as error:
                reply = error
            if not isinstance(reply, Hindrance):
                return reply
            hindrance = reply

    async def _carry_parts(self, slot: int | None, call: Call, node: Node, end: float) -> Reply:
        """The same for a call of several commands, whose keys are on two nodes now."""
        items = [Item(place, slot, part) for place, part in enumerate(parts_of(call))]
        try:
            replies = await self._send_to(node, items, end)
        except StoreError as error:
            return error
        return next((reply for reply in replies if isinstance(reply, RediscaError)), replies)

    async def _ask_again(self, call: Call, node: Node, *, asking: bool) -> Reply:
        if asking:
            return (await self._transport(node).send_all([_ASKING, call]))[1]
        if call.cursor is None:
            return await self._transport(node).send(call)
        return (await self._ask(node, self._transport(node), [call]))[0]

    async def _ask(self, node: Node, transport: N, calls: Sequence[Call]) -> list[Reply]:
        """The replies of *node* to *calls*, of which a walk goes on where it has begun only."""
        if all(call.cursor is None for call in calls):
            replies: list[Reply] = await transport.send_all(calls)
            return replies
        sent = [bound(call, _name(node)) for call in calls]
        going = [call for call in sent if isinstance(call, Call)]
        found = iter(marked(going, await transport.send_all(going), _name(node)))
        return [next(found) if isinstance(call, Call) else call for call in sent]

    async def _next(
        self, slot: int | None, call: Call, node: Node, hindrance: Hindrance
    ) -> tuple[Node, bool]:
        """Where to send *call* now, and whether only it is to go there. Raises what cannot be helped."""
        if isinstance(hindrance, Elsewhere) and (not hindrance.asking or is_plain(call)):
            target = self._named(hindrance, node)
            if not hindrance.asking and self._topology is not None:
                self._topology.move(hindrance.slot, target)
                self._look_aside()
            return target, hindrance.asking
        if _on_its_way(hindrance):
            return await self._serving(slot), False
        there = (await self._look()).of(slot)
        if there == node or slot is None:
            raise hindrance
        return there, False

    def _named(self, elsewhere: Elsewhere, node: Node) -> Node:
        """The node that another, *node*, names."""
        target = (elsewhere.host or node[0], elsewhere.port)
        return self._address.remap(target) if self._address.remap else target

    async def _scan(self, call: Call) -> Reply:
        """A page of the keys of all nodes, one node after the other: the cursor says how far that is."""
        nodes = (self._topology or await self._look()).primaries
        cursor, _, place = _text(call.args[1]).partition("@")
        number = next((n for n, node in enumerate(nodes) if _name(node) == place), 0 if not place else None)
        if number is None:
            raise Unavailable("a node has left the cluster while its keys were walked through: begin again")
        asked = Call((call.args[0], cursor, *call.args[2:]))
        following, *page = await self._transport(nodes[number]).send(asked)
        if following == b"0":
            number += 1
        last = number == len(nodes)
        return [b"0" if last else b"%b@%b" % (following, _name(nodes[number]).encode()), *page]

    # -- nodes -------------------------------------------------------------------------------------

    async def _serving(self, slot: int | None) -> Node:
        """The node that serves *slot*, as far as is known; any for none."""
        return (self._topology or await self._look()).of(slot)

    async def nodes(self) -> dict[str, N]:
        """What carries calls to each node that serves slots, by its place."""
        return {_name(node): self._transport(node) for node in (await self._look()).primaries}

    def _transport(self, node: Node) -> N:
        found = self.by_node.get(node)
        if found is None:
            found = self.by_node.setdefault(node, self._new_transport(self._address.at(node)))
        return found

    # -- replicas ----------------------------------------------------------------------------------

    def _replica_for(self, slot: int | None, calls: Sequence[Call]) -> Node | None:
        """Any replica that may answer all of *calls* and is not left out; for a walk, that where it began."""
        if self._topology is None or not all(map(self._may_lag, calls)):
            return None
        now, begun = monotonic(), {place_of(call) for call in calls} - {""}
        found = [
            node
            for node in self._topology.replicas_of(slot)
            if self._left_out.get(node, 0.0) <= now and begun <= {_name(node)}
        ]
        return random.choice(found) if found else None

    def _may_lag(self, call: Call) -> bool:
        return (call.read_from or self._address.read_from) == "replica"

    def _replica(self, node: Node) -> N:
        found = self._replicas.get(node)
        if found is None:
            new = self._new_transport(self._address.at(node, replica=True))
            found = self._replicas.setdefault(node, new)
        return found

    @contextmanager
    def _spared(self, replica: Node) -> Generator[None]:
        """Go on where *replica* does not answer: its primary does. It is left out for a while then."""
        try:
            yield
        except (Elsewhere, Moving):
            pass
        except Unavailable:
            self._left_out[replica] = monotonic() + QUIET
            self._look_aside()

    # -- who serves what ---------------------------------------------------------------------------

    async def _look(self) -> Topology:
        """Who serves what, as the cluster says now or has just said. Unavailable if no node tells."""
        if self._topology is not None and self._is_fresh():
            return self._topology
        return await self._ask_topology()

    def _known(self) -> Collection[Node]:
        """The nodes that the cluster has named, each of which can tell of the others."""
        return () if self._topology is None else self._topology.nodes

    def _is_fresh(self) -> bool:
        return monotonic() - self._looked < FRESH

    @abstractmethod
    def _look_aside(self) -> None:
        """The same beside what goes on, which knows already where to go, and whatever comes of it."""

    def _take(self, topology: Topology) -> Topology:
        """This is what the cluster says now."""
        self._topology, self._looked, self._failures = topology, monotonic(), 0
        for transports in (self.by_node, self._replicas, self._left_out):
            for node in transports.keys() - topology.nodes:
                transports.pop(node, None)  # what is on its way there keeps it until it is answered
        return topology

    def _let_go(self) -> list[N]:
        """All transports: there are none from here on."""
        found = [*self.by_node.values(), *self._replicas.values()]
        self.by_node, self._replicas = {}, {}
        return found

    def _failed(self, error: Exception) -> Exception:
        """No node told: not to be asked again at once. One that is in use was no mistake: it is away."""
        self._looked, self._failures = monotonic(), self._failures + 1
        return Unavailable(str(error)) if self._topology and isinstance(error, UsageError) else error

    def _pause(self) -> float:
        """Seconds before the cluster is asked."""
        return pause(self._failures) if self._failures else 0


def _raised(reply: Reply) -> Reply:
    if isinstance(reply, RediscaError):
        raise reply
    return reply


def _on_its_way(hindrance: Hindrance) -> bool:
    """Whether the slot is being moved now."""
    return isinstance(hindrance, Moving) or (isinstance(hindrance, Elsewhere) and hindrance.asking)


def _unhindered(replies: list[Reply]) -> list[Reply]:
    """The *replies*, if the node took all of the calls; else what it said instead is raised."""
    for reply in replies:
        if isinstance(reply, Hindrance):
            raise reply
    return replies


def _given_up(hindrance: Hindrance) -> Unavailable:
    """The time is up."""
    if isinstance(hindrance, Elsewhere | Moving):
        return Unavailable(
            "the cluster was moving the slot of this key for longer than the timeout of the Database: "
            "nothing was done, try again"
        )
    return hindrance


def _worst(
    failed: Sequence[StoreError], parts: Sequence[Sequence[Item]], found: Sequence[list[Reply] | StoreError]
) -> StoreError:
    """What is told of calls to several nodes of which some failed."""
    unknown = next((error for error in failed if not isinstance(error, Unavailable)), None)
    if unknown is not None:
        return unknown
    written = any(
        isinstance(one, list) and any(item.call.writes for item in part)
        for part, one in zip(parts, found, strict=True)
    )
    if not written:
        return failed[0]
    return OutcomeUnknown(f"some nodes of the cluster have written their part, another has not: {failed[0]}")


def _text(cursor: object) -> str:
    return cursor.decode() if isinstance(cursor, bytes) else str(cursor)


def _name(node: Node) -> str:
    return f"{node[0]}:{node[1]}"
