"""Collections that live and die with their record: lists, sets, sorted sets, hashes, counters in own keys.

Declared in the class body beside the fields. Read from an instance they give a handle
(persistence/collections/), whose verbs work on the stored collection at once: nothing of it is kept in
memory, and ``save()`` has no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, Self, overload

from typing_extensions import TypeVar

from aioredisca.errors import UsageError
from aioredisca.fields.base import Field
from aioredisca.storage.codecs import plain, whole_in

if TYPE_CHECKING:
    from aioredisca import sync
    from aioredisca.model.model import Model
    from aioredisca.persistence import collections as handles
    from aioredisca.sync import collections as sync_handles

V = TypeVar("V")

LONGEST = 2**32 - 1
"""Values that a list can hold."""


class Collection:
    """Base of the collections.

    ``field``  what its keys are called by; the attribute's name by default.
    """

    __kind__: ClassVar[str]
    """What its handles are called by in each colour."""

    name: str = ""
    """The attribute's name."""

    def __init__(self, *, field: str | None = None) -> None:
        self.__key = plain(field)

    @property
    def key(self) -> str:
        """What the keys of this collection are called by."""
        key: str = self.__key or self.name
        return key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or 'of no model'}>"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or plain(name)

    def __get__(self, obj: Any, owner: Any) -> Any:
        return self if obj is None else obj.__mapper__.colour.handles[self.__kind__](self, obj)

    def __set__(self, obj: Any, value: Never) -> None:
        raise UsageError(f"{type(obj).__name__}.{self.name} is a collection: change it by its own verbs")

    def __delete__(self, obj: Any) -> None:
        raise AttributeError(f"{type(obj).__name__}.{self.name} is a collection: clear() empties it")


class _Of(Collection, Generic[V]):
    """A collection of values, which *of* reads, checks and writes as it would those of a field."""

    __distinct__: ClassVar[bool] = False
    """Whether it holds each value once."""

    def __init__(self, of: Field[V | None], *, field: str | None = None) -> None:
        super().__init__(field=field)
        if not isinstance(of, Field):  # pyright: ignore[reportUnnecessaryIsInstance]
            shown = of.__name__ if isinstance(of, type) else type(of).__name__
            raise UsageError(
                f"a collection takes a field for its values, as in ListOf(String()); not {shown}"
            )
        if of.__codec__.indexed:
            raise UsageError("the values of a collection have no index")
        if of.ttl is not None:
            raise UsageError("the values of a collection do not end one by one: leave out ttl=")
        if getattr(of, "__checks__", False):
            raise UsageError("the values of a collection are not checked: leave out check=")
        if self.__distinct__ and of.mutable:
            raise UsageError(f"{type(of).__name__} values can change in place, so no set holds them")
        self.of: Field[Any] = of

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self.of.name = self.name  # errors of a value name the collection
        self.of.__codec__.settle()


class ListOf(_Of[V]):
    """A list of values, in the order they were added: ``log = ListOf(String(), maxlen=100)``.

    ``maxlen``  how many it holds at most: whatever adds to it drops what is too much.
    """

    __kind__ = "list"
    __maxlen__: int | None

    def __init__(self, of: Field[V | None], *, maxlen: int | None = None, field: str | None = None) -> None:
        super().__init__(of, field=field)
        self.__maxlen__ = None if maxlen is None else whole_in(maxlen, 1, LONGEST)
        if self.__maxlen__ is None and maxlen is not None:
            raise UsageError(f"ListOf(maxlen={maxlen!r}): is a whole number from 1 to {LONGEST:,}")

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Model, owner: type) -> handles.ListHandle[V]: ...
    @overload
    def __get__(self, obj: sync.Model, owner: type) -> sync_handles.ListHandle[V]: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return super().__get__(obj, owner)


class SetOf(_Of[V]):
    """A set of values: ``likes = SetOf(Reference(User))``."""

    __kind__ = "set"
    __distinct__ = True

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Model, owner: type) -> handles.SetHandle[V]: ...
    @overload
    def __get__(self, obj: sync.Model, owner: type) -> sync_handles.SetHandle[V]: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return super().__get__(obj, owner)


class SortedSet(_Of[V]):
    """Values with a score each, a finite float, in its order: ``scores = SortedSet(String())``."""

    __kind__ = "sorted"
    __distinct__ = True

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Model, owner: type) -> handles.SortedHandle[V]: ...
    @overload
    def __get__(self, obj: sync.Model, owner: type) -> sync_handles.SortedHandle[V]: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return super().__get__(obj, owner)


class HashOf(_Of[V]):
    """Values by name, which is any text: ``prices = HashOf(Decimal(places=2))``."""

    __kind__ = "hash"

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Model, owner: type) -> handles.HashHandle[V]: ...
    @overload
    def __get__(self, obj: sync.Model, owner: type) -> sync_handles.HashHandle[V]: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return super().__get__(obj, owner)


class Counter(Collection):
    """A whole number of 64 bits, from 0: ``visits = Counter()``."""

    __kind__ = "counter"

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Model, owner: type) -> handles.CounterHandle: ...
    @overload
    def __get__(self, obj: sync.Model, owner: type) -> sync_handles.CounterHandle: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return super().__get__(obj, owner)
