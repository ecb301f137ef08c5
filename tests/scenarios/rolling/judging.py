"""What must not have been, of all that processes did."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from ...support.servers import Server


class Faults(list[str]):
    """What must not have been."""

    def of_worker(self, name: str, told: Any, unbuilt: Set[str] = frozenset()) -> None:
        """Refused writes, wrong answers, and NotIndexed for questions that are not *unbuilt* for a while."""
        self += [f"{name}: {text}, {count} times" for text, count in told["refused"].items()]
        self += [f"{name}: wrong answer: {text}" for text in told["wrong"]]
        self += [
            f"{name}: NotIndexed for {question}, {count} times"
            for question, count in told["unanswered"].items()
            if question not in unbuilt
        ]

    def of_records(self, server: Server, told: dict[str, int | None]) -> None:
        """Writes that were acknowledged and are not there."""
        with server.client() as raw:
            for id, stamp in told.items():
                stored = raw.hget(f"item:{id}", "stamp")
                if stored != (None if stamp is None else b"%d" % stamp):
                    self.append(f"{id} was written with {stamp} and holds {stored!r}")
