"""``Lifetime``: when the records of a class end, by ``conf(ttl=, sliding=)`` and what a verb says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioredisca.errors import UsageError
from aioredisca.storage.moments import AS_IT_WAS, NEVER, Duration, lasting, lasting_if_new
from aioredisca.types import MISSING, Missing

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.mapper import Mapper


class Lifetime:
    """Of one class. Ends are told as ``ends.lua`` reads them."""

    __slots__ = ("_mapper",)

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    @property
    def limited(self) -> bool:
        """Whether records may end by themselves."""
        return self._mapper.setting("ttl") is not None

    def check(self) -> None:
        """UsageError for a class that slides and has nothing that could."""
        if self._mapper.setting("sliding") and not self.limited:
            slides = f"conf(sliding={self._mapper.setting('sliding')!r})"
            raise UsageError(
                f"{self._mapper.name}: {slides} prolongs records that end, and these never do: give ttl= too"
            )

    def need_limit(self) -> None:
        """UsageError for a class whose records never end by themselves."""
        if not self.limited:
            raise UsageError(
                f"records of {self._mapper.name} do not end by themselves: declare the class with "
                f"@conf(ttl=...), or with @conf(ttl=None) if each is to live until it is told otherwise"
            )

    def need_field_limit(self, field: Field[Any]) -> None:
        """UsageError for a field whose values never end by themselves."""
        if field.ttl is None:
            where = f"{self._mapper.name}.{field.name}"
            if field.__codec__.indexed or field.required:
                raise UsageError(f"{where} cannot end by itself: an index knows it, or it is required")
            raise UsageError(
                f"{where} does not end by itself: declare it with ttl=..., or with ttl=None if a value is to "
                f"stay until it is told otherwise"
            )

    def of_save(self, given: Duration | Missing | None = MISSING) -> str:
        """When a record that is saved ends, *given* what the verb says. UsageError where none ever does."""
        if given is not MISSING:
            self.need_limit()
            return NEVER if given is None else lasting(given, "ttl")
        ttl = self._mapper.setting("ttl")
        if not ttl:
            return AS_IT_WAS
        return f"r{ttl}" if self._mapper.setting("sliding") else lasting_if_new(ttl)

    def of_load(self) -> str:
        """When a record that is loaded ends."""
        return self.of_save() if self._mapper.setting("sliding") == "load" else AS_IT_WAS

    def of_touch(self) -> str:
        """When a record that is touched ends. UsageError where the class does not tell."""
        self.need_limit()
        ttl = self._mapper.setting("ttl")
        if not ttl:
            raise UsageError(
                f"{self._mapper.name}: conf(ttl=None) says of no time to prolong a record by: expire() it"
            )
        return f"r{ttl}"
