"""What core and drivers agree on: Call, Script, Transport, Store, Lock, and the types of stored values."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeVar, get_args

from aioredisca.errors import RediscaError

if TYPE_CHECKING:
    from aioredisca.storage.facts import StoreFacts

T = TypeVar("T")

Overlap = Callable[[], None]
"""What can be done while a call is on its way."""

ReadFrom = Literal["primary", "replica"]
"""Who answers reads of a cluster."""

READ_FROM: Final = get_args(ReadFrom)

WAIT: Final = 5.0
"""Seconds that a call may stand on the server which :meth:`Store.waiting` carries, before it answers."""

Arg = str | bytes | int
Reply = Any
"""What a server answers, as RESP2 shapes: bytes, int, None, or a list of these."""

Raw = dict[str, bytes | None]
"""Hash fields by name as they are stored; None is a field known to be absent."""


Stored = Sequence[bytes | None]
"""The same without the names, in an order that its user knows."""


class Missing(enum.Enum):
    """The type of :data:`MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""Stands for "not given" or "not known" where None is a value."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the SHA-1 that EVALSHA calls it by."""

    text: str
    sha: str


@dataclass(frozen=True, slots=True, eq=False)
class CacheRegion:
    """Where a transport may remember the replies to reads of one kind, and how many of them; itself a key."""

    name: str
    size: int


class Proof(NamedTuple):
    """What a read believes of its model: the key of the meta hash, and the word ``ver`` that was read there.

    The word is nothing where there was none. It is new with every change of what the store says of indexes.
    """

    meta: str
    ver: bytes


class Changed(RediscaError):
    """What a read was made by is not so any more, so its answer counts for nothing. No user sees this."""


class Astray(Changed):
    """A walk cannot go on: the server that gave its cursor does not serve it any more."""


@dataclass(slots=True)
class Call:
    """One command, or one script call, as data that nobody changes (to freeze it costs more than to send it).

    ``writes`` decides what a lost answer means. A read is sent once more, then it is Unavailable; a write is
    never sent twice and is OutcomeUnknown. A read of one key, its first argument, may be remembered in a
    ``cache_region`` until that key changes. A write that may change records which only the server finds
    ``reaches`` the regions where these are remembered. The answer to a read with a ``proof`` is Changed
    unless the word is still the same behind it, on the same connection. Its repr shows no values.

    All ``keys`` of a call are in one slot. A command without a script has some only where its first argument
    is no key (SCAN, TIME, MEMORY USAGE): they are not sent, and tell which node of a cluster is meant.
    """

    args: tuple[Arg, ...] = field(repr=False)
    script: Script | None = field(default=None, repr=False)
    keys: tuple[Arg, ...] = field(default=(), repr=False)
    writes: bool = False
    cache_region: CacheRegion | None = None
    packed: bytes = field(default=b"", repr=False)
    """The call as it goes over the wire, where whoever made it knew a shorter way to that.

    There are no ``args`` then. A script is called by its name, and the ``keys`` are those of records.
    """
    commands: int = 0
    """How many commands that only read are ``packed``: their replies are one list, or the first refusal."""
    reaches: tuple[str, ...] = ()
    proof: Proof | None = None
    read_from: ReadFrom | None = "primary"
    """Who is to answer, in a cluster; None: whom the Database reads from. A replica lags."""
    cursor: int | None = None
    """The place among ``args`` of a cursor as SCAN has it: it means something only to whom it is from.

    The reply begins with the next one. Where another server is to go on, a command begins anew, for it may
    name things twice in any case; a script is :class:`Astray`.
    """


class Lock(Protocol):
    """Is held by one task or thread at a time, in the order in which they came."""

    async def acquire(self) -> Any: ...
    def release(self) -> None: ...


class Transport(Protocol):
    """Carries calls to one database, under asyncio or blocking. The only thing the core ever awaits."""

    def send(self, call: Call, overlap: Overlap | None = None) -> Awaitable[Reply]:
        """The reply to one call, as :meth:`send_all` sends it. A refusal is raised.

        *overlap*, which raises nothing, is called while the server is at work, if it is called at all. In
        blocking code a connection is held as long as it runs.
        """
        ...

    def send_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        """Send all *calls* in one round trip: their replies in order.

        They are sent when this is called, or when it is awaited, and stay together and in order, so that
        MULTI ... EXEC is a list of its own. None may block on the server, or change the connection (SELECT,
        WATCH, SUBSCRIBE): others share it. A call that the server refused stands in the list as the
        exception it means. Whatever hits the whole trip is raised: Unavailable when nothing ran,
        OutcomeUnknown when a write may have. A script that the server does not know is sent again in full
        (one more trip, nothing ran).
        """
        ...

    def cached(self, region: CacheRegion, key: str) -> Reply:
        """The reply to a load of *key* if this process holds it and it is not known to be out of date."""
        ...

    def lock(self) -> Lock:
        """A new lock that orders the tasks or threads which share this transport."""
        ...

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        """What ``function(*args)`` returns, computed where it stalls no event loop: for slow pure work."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, and let others of the event loop go on."""
        ...


class Store(Protocol):
    """A database: knows no colour, hands out the transport of the running loop or of blocking code."""

    @property
    def namespace(self) -> str: ...
    @property
    def eviction(self) -> Literal["warn", "refuse", "allow"]: ...
    @property
    def clustered(self) -> bool:
        """Whether keys lie in slots of several nodes, so that one call may touch one slot only."""
        ...

    @property
    def read_from(self) -> ReadFrom:
        """Who answers loads and queries that say nothing else."""
        ...

    @property
    def facts(self) -> StoreFacts:
        """What this process learned of the database."""
        ...

    def transport(self) -> Transport: ...
    def waiting(self) -> Transport:
        """The same for calls that may stand on the server for :data:`WAIT`, each over a connection."""
        ...

    def sentinels(self) -> Awaitable[Mapping[str, Mapping[str, Any] | str]]:
        """What each sentinel says of the service, or why it says nothing; nothing where there are none."""
        ...

    def nodes(self) -> Awaitable[Mapping[str, Transport]]:
        """The way to each node of a cluster that serves slots, by its place; nothing where there is none."""
        ...
