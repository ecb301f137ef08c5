"""Sentinels: whom they name as the primary of a service, and what this process believes of it.

Whoever opens a connection asks all of them, and the newest word counts: a sentinel that was cut off or
stopped still names the primary of before when it comes back. Then the server itself says which role it has.
While connections are in use the sentinels are asked every so often. Once they name another server, or the
server says that it is no primary, all that is open to it is closed.

To ask has a colour (aio/primary.py, blocking/primary.py), and redis-py does it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias
from weakref import WeakSet

import redis.exceptions as client

from aioredisca.drivers import translate
from aioredisca.drivers.fence import Talk
from aioredisca.drivers.urls import place_text
from aioredisca.errors import RediscaError, StoreError, Unavailable
from aioredisca.storage.replies import strange
from aioredisca.types import Reply

Node: TypeAlias = tuple[str, int]
"""Host and port of a server."""

State: TypeAlias = Mapping[str, Any]
"""What a sentinel says of a service, as redis-py tells it."""

Answer: TypeAlias = Mapping[str, State] | Exception
"""The services that a sentinel watches, by name; or why it told nothing."""

CHECK = 0.5
"""Seconds after which the sentinels are asked again, while connections are in use."""

QUIET = 30.0
"""Seconds for which a sentinel that gave no answer is left out, as long as others give one."""


class Line(Protocol):
    """What is open to a server, for :class:`Sentinels` to close."""

    def leave(self, node: Node) -> None:
        """*node* is no primary: close what is open to it. Called in any thread."""


class Sentinels:
    """Those that watch one service, and the primary that this process believes in.

    ``hosts``    where they are.
    ``service``  what they call it.
    ``options``  of connections to them, as redis-py knows them.
    ``others``   how many others a sentinel must see for its word to count.
    ``primary``  whom the sentinels named, and who has said itself that it is one; None while there is nobody.
    """

    def __init__(
        self, hosts: Iterable[Node], service: str, options: Mapping[str, Any], others: int = 0
    ) -> None:
        self.hosts, self.service, self.options, self.others = tuple(hosts), service, options, others
        self.primary: Node | None = None
        self._quiet, self._epoch = dict[Node, float](), 0
        self.start()

    def start(self) -> None:
        """Start with nothing open, as in a child process: what is open belongs to its parent."""
        self._lock = threading.Lock()
        self._lines = WeakSet[Line]()
        self._due = 0.0

    @property
    def place(self) -> str:
        """Where they are, for people."""
        return f"{self._at}/{self.service}"

    @property
    def _at(self) -> str:
        return ",".join(map(place_text, self.hosts))

    # -- their words -------------------------------------------------------------------------------

    def asked(self) -> Sequence[Node]:
        """Which of the hosts to ask now."""
        now = time.monotonic()
        return [host for host in self.hosts if self._quiet.get(host, 0.0) <= now] or self.hosts

    def choose(self, answers: Mapping[Node, Answer], fits: Callable[[State, str], bool]) -> Node:
        """The primary, by the newest word among *answers* that *fits*. Unavailable if there is none."""
        answers = {host: self._judged(answer) for host, answer in answers.items()}
        until = time.monotonic() + QUIET
        self._quiet.update({host: until for host, answer in answers.items() if _is_silence(answer)})
        told = [answer for answer in answers.values() if not isinstance(answer, Exception)]
        states = [services[self.service] for services in told if self.service in services]
        fitting = [state for state in self._newest(states) if fits(state, self.service)]
        named = [(str(state["ip"]), int(state["port"])) for state in fitting]
        if self.primary in named:  # two sentinels may have two names for it
            return self.primary
        if named:
            return named[0]
        self._quiet.clear()
        if states:
            raise Unavailable(f"the sentinels at {self.place} {_KNOW_NONE}")
        raise self._unknown(told) if told else self._unasked(answers)

    def _judged(self, answer: Answer) -> Answer:
        """*answer*, or the error that it is where it has another form than those of sentinels."""
        state = None if isinstance(answer, Exception) else answer.get(self.service)
        if state is not None:
            numbers = (state.get(name) for name in ("port", "config-epoch", "num-other-sentinels"))
            if not all(isinstance(number, int) for number in numbers) or not isinstance(state.get("ip"), str):
                return strange()
        return answer

    def _newest(self, states: Sequence[State]) -> list[State]:
        """The newest of *states*; none if newer was heard before, and only a few sentinels deny it now."""
        epoch = max((state["config-epoch"] for state in states), default=0)
        newest = [state for state in states if state["config-epoch"] == epoch]
        if epoch < self._epoch and 2 * len(newest) <= len(self.hosts):
            return []
        self._epoch = epoch
        # The one that leads a fail-over names the old primary until all is done, as of the new epoch.
        return [state for state in newest if "failover_in_progress" not in state["flags"]] or newest

    def _unknown(self, told: Sequence[Mapping[str, State]]) -> RediscaError:
        watched = sorted({name for services in told for name in services})
        example = f"redis+sentinel://{place_text(self.hosts[0])}/{watched[0] if watched else 'mymaster'}/0"
        return Unavailable(
            f"the sentinels at {self._at} watch no service called {self.service!r}, but "
            f"{', '.join(watched) or 'none'}: name one of theirs, as in {example}"
        )

    def _unasked(self, answers: Mapping[Node, Answer]) -> RediscaError:
        refusals = [error for error in answers.values() if not _is_silence(error)]
        others = [host for host, error in answers.items() if "unknown command" in str(error).lower()]
        if others and len(others) == len(refusals):
            return self._met(others)
        if refusals:
            return self._refused(refusals[0])
        reasons = ", ".join(f"{place_text(host)}: {_reason(error)}" for host, error in answers.items())
        cure = translate.tls_cure(reasons) or (
            "start one there, or name in the URL where yours are; they listen on port 26379 as a rule"
        )
        return Unavailable(f"no sentinel answers ({reasons}): {cure}")

    def _met(self, others: Sequence[Node]) -> RediscaError:
        """Who is asked and is no sentinel never will be; one that is silent may be a sentinel."""
        error = StoreError if len(others) == len(self.hosts) else Unavailable
        return error(
            f"at {','.join(map(place_text, others))} is no sentinel, but another server: name sentinels, "
            f"whose port is 26379 as a rule, or write redis:// for one server"
        )

    def _refused(self, error: Answer) -> RediscaError:
        if isinstance(error, client.NoPermissionError):
            return translate.refusal(error)
        return Unavailable(
            f"the sentinels at {self._at} refuse the login: see sentinel_username= and sentinel_password= in "
            f"the URL"
        )

    def told(self, answers: Mapping[Node, Answer]) -> dict[str, State | str]:
        """What each has said of the service, by its place; a text where it said nothing of it."""
        return {place_text(host): self._told(answer) for host, answer in answers.items()}

    def _told(self, answer: Answer) -> State | str:
        if isinstance(answer, Exception):
            return _reason(answer)
        return answer.get(self.service) or f"watches no service called {self.service!r}"

    # -- what is believed --------------------------------------------------------------------------

    def verified(self, node: Node) -> Talk:
        """A talk with *node*, which was named as the primary: Unavailable unless it says so itself."""
        role: Reply = yield ("ROLE",)
        if isinstance(role, Exception):
            raise translate.refusal(role)
        if role[0] != b"master":
            self.left(node)
            raise Unavailable(
                f"{place_text(node)} says that it is no primary, as which the sentinels at {self.place} name "
                f"it: a fail-over may be under way, try again"
            )
        before, self.primary = self.primary, node
        if before is not None and before != node:
            self._tell(before)
        return None

    def unreachable(self, node: Node, error: Exception) -> Exception:
        """The error of ours where no connection to *node* could be made, which was named as the primary."""
        if isinstance(error, translate.NO_LOGIN) or not isinstance(error, translate.BROKEN):
            return translate.no_entry(place_text(node), error)
        return Unavailable(
            f"cannot connect to {place_text(node)} ({_reason(error)}), which the sentinels at {self.place} "
            f"name as the primary: a fail-over may be about to begin, try again; if not, have them announce "
            f"an address that can be reached from here"
        )

    def due(self) -> bool:
        """Whether it is time to ask again; whoever is told so does."""
        now = time.monotonic()
        with self._lock:
            due = now >= self._due
            if due:
                self._due = now + CHECK
        return due

    def heard(self, node: Node) -> None:
        """The sentinels name *node* now."""
        if self.primary != node:
            self.left(self.primary)

    def left(self, node: Node | None) -> None:
        """*node* is no primary: what is open to it is closed, and the next connection asks."""
        if self.primary == node:
            self.primary = None
        if node is not None:
            self._tell(node)

    def opened(self, line: Line) -> None:
        """*line* wants to be told whom to leave, until nobody refers to it."""
        with self._lock:
            self._lines.add(line)

    def closed(self, line: Line) -> None:
        """*line* need not be told any more."""
        with self._lock:
            self._lines.discard(line)

    def _tell(self, node: Node) -> None:
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.leave(node)


_KNOW_NONE = "know no primary that works now: a fail-over may be under way, try again"


def _is_silence(answer: Answer) -> bool:
    return isinstance(answer, Exception) and not isinstance(answer, translate.NO_LOGIN)


def _reason(error: Answer) -> str:
    return str(error).rstrip(".") or "no answer in time"
