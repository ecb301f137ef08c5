"""A process of one version: ``python -m tests.scenarios.rolling.worker ROLE URL ...``.

    fill MORE                                   writes the records that stand still, and more, and ends
    work NAME WRITERS READERS MOVING CONTEND    writes and asks until it is told to end by SIGTERM
    drift                                       says what is wrong with the store

What it did is lines of JSON, the last of which counts.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from aioredisca import (
    BulkError,
    Conflict,
    Database,
    NotIndexed,
    OutcomeUnknown,
    RediscaError,
    Unavailable,
    UniqueViolation,
    conf,
)

from ...support.drift import drift
from .deployed import NONES, VERSION, Item
from .questions import OF_EACH, Values, questions, still, values

MOST_NAMED = 5

PACE = 0.05
"""Seconds between two calls of one task: what is tried is how they fall together, not how many there are."""

MOST_WRITERS = 20
"""Of all processes."""

MORE = {"group": "more", "name": "m", "labels": set[str]()}
"""What keeps records out of all answers."""


class Board:
    """What processes tell each other, in another database of the same server: which records are settled."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(url.replace("/0?", "/1?"))
        self._known = dict[str, Values]()

    async def tell(self, id: str) -> None:
        await self._insist("SADD", "settled", id)

    async def settled(self) -> dict[str, Values]:
        """The settled records as they stand there."""
        for id in await self._insist("SMEMBERS", "settled"):
            if id.decode() not in self._known:
                self._known[id.decode()] = values(id.decode(), 0, nones=NONES)
        return dict(self._known)

    async def _insist(self, *command: str) -> Any:
        while True:
            try:
                return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
            except (redis.ConnectionError, redis.TimeoutError):  # the server starts again
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self._client.aclose()


class Work:
    """Writers and readers of one process, and what became of what they did.

    ``contend``  whether writers want codes that others have, too: who comes late is refused.
    ``records``  the stamp of each record that moves, or None where it was deleted: as the store must have it.
    """

    def __init__(self, name: str, board: Board, moving: int, contend: bool) -> None:
        self.board = board
        self.name, self.moving, self.contend = name, moving, contend
        self.stopped = asyncio.Event()
        self.settled = 0
        self.writes = 0
        self.records = dict[str, int | None]()
        self.refused, self.answers, self.unanswered = Counter[str](), Counter[str](), Counter[str]()
        self.wrong = list[str]()

    def told(self, **more: object) -> str:
        """What it did so far."""
        counts = {"refused": self.refused, "answers": self.answers, "unanswered": self.unanswered}
        return json.dumps({"writes": self.writes, **counts, "wrong": self.wrong[:MOST_NAMED], **more})

    # -- writers --------------------------------------------------------------------------------------

    async def write(self, number: int) -> None:
        """Change records of its own, one write after another, each until it is settled."""
        dice = random.Random(f"{self.name}/{number}")
        stamp = 0
        while not self.stopped.is_set():
            id, stamp = f"{self.name}-{number}-{dice.randrange(OF_EACH)}", stamp + 1
            verb = dice.choice((self._save, self._settle, self._change, self._many, self._delete))
            if not await self._settled(lambda verb=verb, id=id, stamp=stamp: verb(id, stamp)):  # type: ignore[misc]
                await asyncio.sleep(0.05)
            await asyncio.sleep(PACE)

    async def _settled(self, verb: Callable[[], Awaitable[dict[str, int | None]]]) -> bool:
        """Whether it was done. A server that is away is waited for, and nothing else is."""
        while True:
            try:
                done = await verb()
            except (Unavailable, OutcomeUnknown):
                await asyncio.sleep(0.05)
            except (RediscaError, Conflict) as error:
                cause = error.cause if isinstance(error, BulkError) else error
                if isinstance(cause, (Unavailable, OutcomeUnknown)):
                    continue
                if isinstance(cause, UniqueViolation) and self.contend:
                    return True
                self.refused[f"{type(error).__name__}: {error}"[:200]] += 1
                return False
            else:
                self.records |= done
                self.writes += 1
                return True

    def _values(self, id: str, stamp: int) -> Values:
        wanted = values(id, stamp, nones=VERSION.nones)
        if self.contend and stamp % 3 == 0:
            wanted["code"] = f"wanted by many {stamp % 7}"
        return wanted

    def _new(self, id: str, stamp: int) -> Any:
        return Item.new(id, **self._values(id, stamp))

    def _set(self, item: Any, stamp: int) -> None:
        """Some fields of a record that is there."""
        wanted = self._values(item.id, stamp)
        for name in ("name", "code", "size", "labels", "stamp"):
            setattr(item, name, wanted[name])

    async def _save(self, id: str, stamp: int) -> dict[str, int | None]:
        await self._new(id, stamp).save(mode="upsert")
        return {id: stamp}

    async def _change(self, id: str, stamp: int) -> dict[str, int | None]:
        """Some fields of a record that stands there."""
        if self.records.get(id) is None:
            return await self._save(id, stamp)
        item = await Item.get(id)
        self._set(item, stamp)
        await item.save()
        return {id: stamp}

    async def _many(self, id: str, stamp: int) -> dict[str, int | None]:
        ids = [f"{id.rpartition('-')[0]}-{n}" for n in range(OF_EACH)]
        found = await Item.get_many(ids)
        for one in [item for item in found if item is not None]:
            self._set(one, stamp)
        await Item.save_many([item or self._new(one, stamp) for one, item in zip(ids, found, strict=True)])
        return dict.fromkeys(ids, stamp)

    async def _settle(self, id: str, stamp: int) -> dict[str, int | None]:
        """A record that nobody changes from now on."""
        self.settled += 1
        id = f"settled-{self.name}-{self.settled}"
        await Item.new(id, **values(id, 0, nones=NONES)).save(mode="upsert")
        await self.board.tell(id)
        return {id: 0}

    async def _delete(self, id: str, stamp: int) -> dict[str, int | None]:
        await Item.delete_many([id])
        return {id: None}

    # -- readers --------------------------------------------------------------------------------------

    async def read(self, number: int) -> None:
        """Ask everything that the class can be asked, in turn."""
        asked = [*questions(VERSION).items()]
        kept = still(nones=NONES)
        turn = number
        while not self.stopped.is_set():
            turn += 1
            name, question = asked[turn % len(asked)]
            before = await self.board.settled()
            try:
                if turn // len(asked) % 2:
                    count = await question.query(Item).count()
                    new = len(await self.board.settled()) - len(before)
                    others = self.moving + new + MOST_WRITERS  # who has written, and not told it yet
                    wrong = question.wrong_count(kept | before, count, others)
                else:
                    wrong = question.wrong(kept | before, await question.query(Item))
            except NotIndexed:
                self.unanswered[name] += 1
            except (Unavailable, OutcomeUnknown):
                await asyncio.sleep(0.05)
            except RediscaError as error:
                self.wrong.append(f"{name}: {type(error).__name__}: {error}"[:200])
            else:
                self.answers[name] += 1
                if wrong:
                    self.wrong.append(f"{name}: {wrong}"[:400])
            await asyncio.sleep(PACE)

    async def note(self) -> None:
        """Say what is done, a few times a second."""
        while not self.stopped.is_set():
            say(self.told())
            await asyncio.sleep(0.2)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def fill(more: int) -> None:
    """The records that stand still, and *more* that nobody asks for."""
    kept = still(nones=NONES)
    kept |= {f"more-{n}": {**values(f"more-{n}", 0, nones=NONES), **MORE} for n in range(more)}
    await Item.save_many([Item.new(id, **one) for id, one in kept.items()])


async def work(url: str, name: str, writers: int, readers: int, moving: int, contend: int) -> None:
    board = Board(url)
    todo = Work(name, board, moving, bool(contend))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, todo.stopped.set)
    async with asyncio.TaskGroup() as group:
        for number in range(writers):
            group.create_task(todo.write(number))
        for number in range(readers):
            group.create_task(todo.read(number))
        group.create_task(todo.note())
    say(todo.told(records=todo.records))
    await board.close()


def main() -> None:
    """Play one role."""
    role, url, *words = sys.argv[1:]
    database = conf.db = Database(url)
    if role == "fill":
        asyncio.run(fill(*map(int, words)))
    elif role == "work":
        name, *numbers = words
        asyncio.run(work(url, name, *map(int, numbers)))
    else:
        say(json.dumps(drift(database.sync_client, [Item])))


if __name__ == "__main__":
    main()
