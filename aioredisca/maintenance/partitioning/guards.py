"""Who stood still while others went on, and wakes, changes nothing: what each change of meta must find."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from aioredisca.errors import StoreError
from aioredisca.maintenance.partitioning import steps
from aioredisca.storage import versions
from aioredisca.storage.meta import Edit, Meta

Plan: TypeAlias = Callable[[Meta], "Edit | None"]
"""What is to be of what meta is; None where that is so already."""


def overtaken(model: str) -> StoreError:
    """Why a mover does not go on: another one does."""
    return StoreError(f"another process went on with {model}: run it again")


def mine(model: str, mover: bytes, plan: Plan) -> Plan:
    """*plan*, unless another than *mover* is at it by now: then StoreError."""

    def planned(meta: Meta) -> Edit | None:
        if steps.mover_of(meta) != mover:
            raise overtaken(model)
        return plan(meta)

    return planned


def newest(model: str, mover: bytes, plan: Plan) -> Plan:
    """*plan*, unless one that began after *mover* is at it by now: then StoreError."""

    def planned(meta: Meta) -> Edit | None:
        if steps.number_of(steps.mover_of(meta)) > steps.number_of(mover):
            raise overtaken(model)
        return plan(meta)

    return planned


def only(model: str, filling: Collection[str], plan: Plan) -> Plan:
    """*plan*, unless records come to a place by another than one *filling*: then StoreError."""

    def planned(meta: Meta) -> Edit | None:
        if versions.filled(meta.states) and meta.states.keys().isdisjoint(filling):
            raise overtaken(model)
        return plan(meta)

    return planned


def free(model: str, plan: Plan) -> Plan:
    """*plan*, unless a place has records of its own: then StoreError."""

    def planned(meta: Meta) -> Edit | None:
        if not steps.is_free(meta):
            raise overtaken(model)
        return plan(meta)

    return planned
