"""Operations: what a step does, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioredisca.errors import MigrationError, UsageError
from aioredisca.maintenance.migrations.records import each
from aioredisca.maintenance.migrations.walking import Step
from aioredisca.maintenance.reindexing import reindex

if TYPE_CHECKING:
    from aioredisca.model.record import Record
    from aioredisca.types import Store


class Operation:
    """One thing that a step does.

    ``title``       what that is. ``reversible``: whether :meth:`down` undoes it.
    """

    title: str = ""
    reversible: bool = True

    def check(self, store: Store) -> None:
        """MigrationError where it cannot be done or undone in *store*. No I/O."""

    async def up(self, step: Step) -> None:
        """Do it, or count what it would do."""
        raise NotImplementedError

    async def down(self, step: Step) -> None:
        """Undo it, or count what that would do."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}>"


class Fill(Operation):
    """Give a field of every record a value that has none. A function is called for each record, with the
    record.

    It keeps the indexes of the class. It cannot be undone: nobody knows afterwards which records had none.
    """

    reversible = False

    def __init__(self, model: type[Record], attribute: str, value: Any) -> None:
        self.model, self.attribute, self.value = _model(model), attribute, value
        self.key = self.model.__mapper__.field(attribute).key
        self.title = f"fill {self.model.__name__}.{attribute}"

    async def up(self, step: Step) -> None:
        await each(step, self.model, self._fill, self.title)

    def _fill(self, record: Any) -> None:
        if record[self.key] is None:
            setattr(record, self.attribute, self.value(record) if callable(self.value) else self.value)


class Reindex(Operation):
    """Build the indexes that the class declares and the store has not, and drop those that it no longer has.

    ``everything`` and ``force`` are those of :func:`aioredisca.reindex`; docs/deploy.md tells when to run it.
    To undo it there is nothing to do: the code that has other indexes builds its own.
    """

    def __init__(self, model: type[Record], *, everything: bool = False, force: bool = False) -> None:
        self.model, self.everything, self.force = _model(model), everything, force
        self.title = f"reindex {self.model.__name__}"

    async def up(self, step: Step) -> None:
        if step.dry_run:
            return step.note(self.title)
        await step.hold()
        done = await reindex(self.model, everything=self.everything, force=self.force)
        step.note(self.title, done.records, done.records)
        if done.left_out:
            named = ", ".join(repr(id) for id, _ in done.problems[:10])
            raise MigrationError("", f"{self.title}: {done.left_out:,} records cannot be indexed ({named})")
        return None

    async def down(self, step: Step) -> None:
        step.note(f"{self.title}: nothing to undo")


def _model(given: Any) -> Any:
    if isinstance(given, type) and hasattr(given, "__mapper__"):
        return given
    raise UsageError(f"takes a model class, not {given!r}")
