"""``Field``: what a class body holds. It reads, checks and writes one value of a record.

A field is shared by all classes that inherit it and knows none of them. Read from a class it gives a
column (columns.py), read from a plain mixin itself, read from an instance the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypedDict, cast, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.compiler.conditions import (
    AnyOf,
    Between,
    Bound,
    Condition,
    Edge,
    Equals,
    Has,
    IsNone,
    Or,
    StartsWith,
    TextBetween,
    exclusive,
)
from aioredisca.errors import NotIndexed, UsageError, ValidationError
from aioredisca.storage.keys import LONG_VALUE, bad_field
from aioredisca.storage.schema import FieldSpec, IndexKind

if TYPE_CHECKING:
    from aioredisca import sync
    from aioredisca.model.model import Model
    from aioredisca.query.columns import Column

T = TypeVar("T")
M = TypeVar("M", bound="Model")
B = TypeVar("B", bound="sync.Model")
Opt = TypeVar("Opt", default=None)
"""None, or Never where the field is declared with ``required=True``."""

MAX_VALUES = 1000
"""Values that one in_() may list."""

MAX_BYTES = 1 << 20
"""Bytes that one stored value may have, unless ``maxbytes`` says otherwise."""


_ACCEPTING = ("_check_stored", "accept", "check", "coerce", "coerce_for", "encode", "score", "to_db")
_SHORT_CUTS = {
    "short": _ACCEPTING,
    "quick": ("decode", "from_db", "read"),
    "_raw_score": ("decode", "from_db", "score"),
    "digits_are_scores": ("decode", "from_db", "score"),
}
"""What some kinds of fields have to do most values in one step, and the methods that this spares."""


class Options(TypedDict, total=False):
    """Options that every field takes; see :class:`Field`."""

    field: str
    index: bool | IndexKind
    unique: bool
    new: Any
    secret: bool
    readonly: bool


class Field(Generic[T]):
    """Base of all fields, and of your own.

    ``field``     the hash field it is stored in; the attribute's name by default.
    ``index``     keep an index, so that the field can be queried: True for the kind that suits it, or
                  ``"exact"`` / ``"range"`` / ``"sorted"``.
    ``unique``    no two records of the class hold the same value. None may repeat.
    ``new``       the value in ``Model.new()``: a value, or a function that is called for each.
    ``required``  always holds a value: a record is not created without it and reading never gives None.
    ``secret``    never shown: not in repr, export, errors or logs.
    ``readonly``  left out of generated input models; code may assign it.

    A field of your own overrides :meth:`coerce` (any value to the field's type, ValueError with the
    reason), :meth:`check` (limits), :meth:`to_db` and :meth:`from_db` (value <-> text); for a range index
    :meth:`score` too. Most extend an existing field and override one.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ("exact",)
    """The indexes this kind of field can have; the first is what ``index=True`` means."""

    mutable: ClassVar[bool] = False
    """Whether values can change in place: they are compared again at every save, once read."""

    quick: Any = None
    """What :meth:`read` does, in one step, for most stored values; ValueError for others."""

    digits_are_scores: ClassVar[bool] = False
    """Whether a value that is stored as up to 15 digits has that number as its score."""

    sets_plainly: ClassVar[bool] = True
    """Whether an assignment does nothing but :meth:`accept` the value and keep it."""

    name: str = ""
    """The attribute's name."""

    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        self.required = required
        self.unique = options.get("unique", False)
        self.index: IndexKind | None = self._index_kind(options.get("index", False))
        self.new = options.get("new")
        self.secret = options.get("secret", False)
        self.readonly = options.get("readonly", False)
        self.key = options.get("field", "")
        """The hash field that stores the value; the attribute's name by default."""
        if unknown := options.keys() - Options.__annotations__.keys():
            raise TypeError(f"{type(self).__name__}() got unknown options: {', '.join(sorted(unknown))}")
        if self.unique and not self.comparable:
            raise UsageError(f"a {type(self).__name__} field cannot be unique")
        if "field" in options and (reason := bad_field(self.key, indexed=self.indexed)):
            raise UsageError(f"field={self.key!r}: {reason}")

    def _index_kind(self, index: bool | str) -> IndexKind | None:
        if index is False:
            return None
        if index is True and self.index_kinds:
            return self.index_kinds[0]
        for kind in self.index_kinds:
            if index == kind:
                return kind
        kinds = " or ".join(map(repr, self.index_kinds)) or "none at all"
        raise UsageError(f"index={index!r}: a {type(self).__name__} field can have the index {kinds}")

    @property
    def indexed(self) -> bool:
        """Whether its values stand in an index, a unique one or another."""
        return self.unique or self.index is not None

    @property
    def comparable(self) -> bool:
        """Whether a value as a whole can stand in an index, and so be unique."""
        return any(kind != "tags" for kind in self.index_kinds)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name  # under a second name it is refused, when the class is complete
        self.key = self.key or self.name

    def settle(self) -> None:
        """Name and hash field are what they will be: a class has it."""
        # Together, because every look at an attribute of one of many classes takes as long as a dict.
        self._way = (self.name, self.key, self.quick)

    # -- the descriptor ----------------------------------------------------------------------------

    @overload
    def __get__(self, obj: None, owner: type[M]) -> Column[M, T]: ...
    @overload
    def __get__(self, obj: None, owner: type[B]) -> sync.Column[B, T]: ...
    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: object, owner: type) -> T: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        if obj is not None:
            name, key, quick = self._way
            values = obj._values
            if name in values:
                return values[name]
            if quick is not None and (row := obj._row) is not None:
                try:
                    if (raw := row[obj._places[key]]) is not None:
                        value = values[name] = quick(raw)
                        return value
                except (KeyError, ValueError):
                    pass  # what is wrong is told below
            return obj._value(self)
        column = getattr(owner, "_column_type", None)
        return self if column is None else column(self, owner)

    def __set__(self, obj: Any, value: T) -> None:
        obj._assign(self, *self.accept(value, obj.__class__))

    # -- what a kind of field overrides ------------------------------------------------------------

    def coerce(self, value: Any) -> Any:
        """*value* as the field's type, in its one canonical form. ValueError says why not."""
        return value

    def check(self, value: Any) -> None:
        """Refuse a coerced value that breaks the field's own limits, by ValueError."""

    def to_db(self, value: Any) -> str | bytes:
        """A coerced value as it is stored: equal values must give equal text."""
        return str(value)

    def from_db(self, text: str) -> Any:
        """The value of stored *text*. ValueError where it cannot be read."""
        return text

    def score(self, value: Any) -> str:
        """The number that a range index orders *value* by, as text; ValueError where it is not exact."""
        raise UsageError(f"{type(self).__name__} fields have no range index")

    def coerce_stored(self, text: Any) -> Any:
        """The value that raw *text* means when it is written by the dict API."""
        return self.coerce(self.from_db(text))

    # -- the same for a field of *owner*: what a Reference means depends on the class ----------------

    def coerce_for(self, value: Any, owner: type[Any]) -> Any:
        """``coerce`` for a field whose values depend on the class *owner* that has it."""
        return self.coerce(value)

    def coerce_stored_for(self, text: Any, owner: type[Any]) -> Any:
        """``coerce_stored`` for a field whose values depend on the class *owner* that has it."""
        return self.coerce_stored(text)

    def read(self, raw: bytes, owner: type[Any]) -> Any:
        """The value of stored bytes in a record of *owner*. ValueError where they cannot be read."""
        return self.decode(raw)

    def __init_subclass__(cls, **options: Any) -> None:
        """A kind of field that does in a way of its own what a short cut leaves out goes without that."""
        super().__init_subclass__(**options)
        cls.sets_plainly = cast("Any", cls).__set__ is cast("Any", Field).__set__
        for name, spared in _SHORT_CUTS.items():
            maker = next(base for base in cls.__mro__ if name in vars(base))
            if any(getattr(cls, one) is not getattr(maker, one) for one in spared):
                setattr(cls, name, getattr(Field, name))

    # -- checked ways in and out -------------------------------------------------------------------

    def encode(self, value: Any) -> bytes:
        """A coerced value as stored bytes."""
        stored = self.to_db(value)
        return stored.encode() if isinstance(stored, str) else stored

    def decode(self, raw: bytes) -> Any:
        """The value of stored bytes. ValueError where they cannot be read."""
        return self.from_db(raw.decode())

    def view(self, raw: bytes) -> str | bytes | int:
        """Stored bytes as the dict API shows them."""
        return as_text(raw)

    def accept(self, value: Any, owner: type[Any]) -> tuple[Any, bytes | None]:
        """A value given by a program, coerced and checked, and the bytes that store it."""
        return self.short(value) or self._accept(self.coerce_for, value, owner)

    def short(self, value: Any) -> tuple[Any, bytes] | None:
        """What :meth:`accept` answers, in one step, for a common value that needs no more.

        The bytes are no more than LONG_VALUE, which every index holds. None where it takes all steps.
        """
        return None

    def accept_stored(self, text: Any, owner: type[Any]) -> tuple[Any, bytes | None]:
        """The same for the text of a raw write."""
        return self._accept(self.coerce_stored_for, text, owner)

    def _accept(
        self, coerce: Callable[[Any, type[Any]], Any], value: Any, owner: type[Any]
    ) -> tuple[Any, bytes | None]:
        if value is None:
            if self.required:
                raise self._refuse(owner, "is required and cannot be None", None)
            return None, None
        try:
            coerced = coerce(value, owner)
            self.check(coerced)
            raw = self.encode(coerced)
            self._check_stored(coerced, raw, owner)
        except ValueError as error:
            raise self._refuse(owner, str(error), value) from None
        return coerced, raw

    def _check_stored(self, value: Any, raw: bytes, owner: type[Any]) -> None:
        limit: int = getattr(self, "maxbytes", MAX_BYTES)
        if owner._is_short(self):
            limit = min(limit, LONG_VALUE)
        if len(raw) > limit:
            raise ValueError(f"has {len(raw):,} bytes, at most {limit:,} are allowed")
        if self.index == "range":
            self.score(value)

    def _refuse(self, owner: type[Any], reason: str, value: object) -> ValidationError:
        return ValidationError(owner.__name__, self.name, reason, None if self.secret else value)

    def default(self) -> Any:
        """The value in ``Model.new()``."""
        return self.new() if callable(self.new) else self.new

    # -- conditions --------------------------------------------------------------------------------

    def equals(self, value: Any, owner: type[Any]) -> Equals | IsNone:
        """The condition that this field holds *value*, coerced as in an assignment."""
        if value is None:
            return IsNone(self.key)
        return Equals(self.key, self.encode(self._operand(value, owner)))

    def any_of(self, values: Iterable[Any], owner: type[Any]) -> Condition:
        """The condition that this field holds one of *values*, None among them too."""
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise UsageError(f"{owner.__name__}.{self.name}: in_() takes several values; ask == for one")
        given = list(values)
        known = [self.encode(self._operand(value, owner)) for value in given if value is not None]
        some = AnyOf(self.key, tuple(dict.fromkeys(known)))
        if len(some.values) > MAX_VALUES:
            raise UsageError(
                f"{owner.__name__}.{self.name}: in_() takes at most {MAX_VALUES:,} values, "
                f"not {len(some.values):,}"
            )
        return some if len(known) == len(given) else Or((some, IsNone(self.key)))

    def between(self, minval: Any, maxval: Any, owner: type[Any]) -> Condition:
        """The condition that this field lies within the bounds; None is an open end."""
        if "range" in self.index_kinds:
            low, high = self._bound(minval, owner), self._bound(maxval, owner)
            return Between(self.key, low, high, self._raw_score, self.digits_are_scores)
        if "sorted" in self.index_kinds:
            return TextBetween(self.key, self._edge(minval, owner), self._edge(maxval, owner))
        raise NotIndexed(owner.__name__, self.name, f"a {type(self).__name__} field has no order")

    def starts_with(self, prefix: Any, owner: type[Any]) -> StartsWith:
        """The condition that the text of this field begins with *prefix*."""
        if "sorted" not in self.index_kinds:
            raise NotIndexed(owner.__name__, self.name, f"a {type(self).__name__} field has no beginning")
        if not isinstance(prefix, str):
            raise self._refuse(owner, f"startswith takes a string, not {type(prefix).__name__}", prefix)
        return StartsWith(self.key, self._prefix(prefix, owner))

    def _prefix(self, prefix: str, owner: type[Any]) -> bytes:
        try:
            return prefix.encode()
        except UnicodeEncodeError:
            raise self._refuse(owner, "holds a lone surrogate, which UTF-8 cannot write", prefix) from None

    def has(self, element: Any, owner: type[Any]) -> Has:
        """The condition that the set in this field holds *element*."""
        raise NotIndexed(owner.__name__, self.name, f"a {type(self).__name__} field has no elements")

    def rank(self, raw: bytes) -> Any:
        """What orders a stored value among others; ValueError where it cannot be read."""
        return self.decode(raw) if "range" in self.index_kinds else raw

    def _operand(self, value: Any, owner: type[Any]) -> Any:
        try:
            return self.coerce_for(value, owner)
        except ValueError as error:
            raise self._refuse(owner, str(error), value) from None

    def _bound(self, value: Any, owner: type[Any]) -> Bound | None:
        if value is None:
            return None
        outside = isinstance(value, exclusive)
        operand = self._operand(cast("exclusive[Any]", value).value if outside else value, owner)
        try:
            return Bound(self.score(operand), inclusive=not outside)
        except ValueError as error:
            raise self._refuse(owner, str(error), value) from None

    def _edge(self, value: Any, owner: type[Any]) -> Edge | None:
        if value is None:
            return None
        outside = isinstance(value, exclusive)
        operand = self._operand(cast("exclusive[Any]", value).value if outside else value, owner)
        return Edge(self.encode(operand), inclusive=not outside)

    def _raw_score(self, raw: bytes) -> str:
        return self.score(self.decode(raw))

    def spec(self) -> FieldSpec:
        """What the storage knows of this field."""
        score = self._raw_score if self.index == "range" else None
        return FieldSpec(self.key, self.unique, self.index, self.required, score)


def as_text(raw: bytes) -> str | bytes:
    """Stored bytes as text, or as they are where they are no UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def ordered_limits(low: Any, high: Any, names: str) -> None:
    """UsageError where the lower limit in a declaration lies above the upper one."""
    if low is not None and high is not None and low > high:
        raise UsageError(f"{names}: {low} is more than {high}")
