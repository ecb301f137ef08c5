"""Slots: how many connections there may be, each slot given to whoever has waited longest.

An exception can leave a thread at any line, as that of a signal does. So nobody has to give anything back for
the slots to stay whole: one that nobody refers to any more is free, and nobody who is gone is waited upon.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TypeAlias
from weakref import ref

Waiter: TypeAlias = "queue.SimpleQueue[Slot]"


class Slot:
    """Room for one connection."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Slots) -> None:
        self._slots = ref(slots)

    def __del__(self) -> None:
        if slots := self._slots():  # it got lost
            slots.give(Slot(slots))


class Slots:
    """A *number* of slots."""

    def __init__(self, number: int) -> None:
        self._free = deque(Slot(self) for _ in range(number))
        self._waiting = deque[ref[Waiter]]()
        self._lock = threading.RLock()  # a slot may get lost while others are handed out

    def take(self, seconds: float) -> Slot | None:
        """A slot, waited for up to *seconds*, behind those that wait already; None if there is none then."""
        if not self._waiting:
            try:
                return self._free.pop()
            except IndexError:
                pass
        if not seconds:
            return None
        waiter: Waiter = queue.SimpleQueue()
        self._waiting.append(ref(waiter))
        self._hand_out()
        try:
            return waiter.get(timeout=seconds)
        except queue.Empty:
            return None

    def give(self, slot: Slot) -> None:
        """Give *slot* back."""
        self._free.append(slot)
        if self._waiting:
            self._hand_out()

    def _hand_out(self) -> None:
        """Give what is free to those who wait, the first first."""
        with self._lock:
            while self._waiting:
                waiter = self._waiting[0]()
                if waiter is not None:
                    try:
                        slot = self._free.pop()
                    except IndexError:
                        return
                    waiter.put(slot)
                self._waiting.popleft()
