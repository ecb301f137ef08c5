"""What ours.save() sends, sent by hand over the same transport: the least that a save can take."""

from typing import Any

import ours
from ours import close, open  # noqa: F401

from aioredisca.types import Call

NAME = "aioredisca's EVALSHA by hand"
PACKAGES: list[str] = []
NOTE = "sends the script calls that `save()` of aioredisca sends, made beforehand"

fill = ours.bulk
WRITTEN = [b"OK", 0]


async def change(number: int) -> list[Call]:
    """The calls of a save, which is answered without being sent."""
    held, caught = await ours.change(number), list[Call]()

    async def catch(call: Call) -> list[Any]:
        caught.append(call)
        return WRITTEN

    transport: Any = ours.conf.db.transport()
    transport.ask = catch
    try:
        await held.save()
    finally:
        del transport.ask
    return caught


async def save(changed: list[Call]) -> None:
    reply = await ours.conf.db.transport().send(changed[0])
    if reply[0] != b"OK":
        raise RuntimeError(f"not written: {reply}")
