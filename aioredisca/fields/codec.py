"""``Codec``: what the library does with one declared field. Values <-> stored bytes, checked on both ways.

A field (base.py) is a declaration that belongs to its author: options, and a few documented hooks. All else
that a field can do is here, at ``field.__codec__``, so that a field of one's own may use any other name.
Methods take the mapper of the class that has the field: what a Reference means depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.conditions import Bound
from aioredisca.errors import ValidationError
from aioredisca.storage.keys import LONG_VALUE
from aioredisca.storage.schema import FieldSpec

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.mapper import Mapper

MAX_BYTES = 1 << 20
"""Bytes that one stored value may have, unless ``maxbytes`` says otherwise."""

_HOOKS_OF_ACCEPTING = ("coerce", "check", "to_db", "score")
_HOOKS_OF_DECODING = ("from_db",)
_HOOKS_OF_SCORES = ("from_db", "score")
"""What a fast path leaves out. A field that overrides one of these goes without it."""

FastAccept = Callable[[Any], "tuple[Any, bytes] | None"]
FastDecode = Callable[[bytes], Any]
Access = tuple[str, str, "FastDecode | None"]


class Codec:
    """The machinery of one field.

    ``accept_fast``        what :meth:`accept` answers for a common value that needs no more, else None. The
                           bytes are no more than LONG_VALUE, which every index holds. It makes ``new()``
                           2.0 times as fast, assigning 1.7 times (benchmarks/fast_paths.py).
    ``decode_fast``        what :meth:`read` does, in one step, for most stored values; ValueError for others.
                           It makes reading 2.7 times as fast.
    ``digits_are_scores``  a value that is stored as up to 15 digits has that number as its score.
    ``spells_score``       the number that a stored value spells is its score, if the field can hold it.
    ``sets_plainly``       an assignment does nothing but accept the value and keep it.
    """

    __slots__ = ("accept_fast", "decode_fast", "digits_are_scores", "field", "sets_plainly", "spells_score")

    field: Any
    """The field, of which a checker would make the value of an attribute."""

    def __init__(self, field: Field[Any]) -> None:
        self.field = field
        self.accept_fast: FastAccept = _never
        self.decode_fast: FastDecode | None = None
        self.digits_are_scores = self.spells_score = self.sets_plainly = False

    def settle(self) -> None:
        """Look at the field once, now that it is complete and its name is known: a class has it."""
        field = self.field
        accepts, decodes = self._fast_accept(), self._fast_decode()
        self.accept_fast = accepts if accepts and self.keeps(*_HOOKS_OF_ACCEPTING) else _never
        self.decode_fast = decodes if decodes and self.keeps(*_HOOKS_OF_DECODING) else None
        scores = self.keeps(*_HOOKS_OF_SCORES)
        self.digits_are_scores = scores and self._digits_are_scores()
        self.spells_score = scores and self._spells_score()
        self.sets_plainly = self.keeps("__set__")
        field.__access__ = (field.name, field.key, self.decode_fast)  # a look at one object the less

    def keeps(self, *hooks: str) -> bool:
        """Whether these methods are the library's own, overridden by no subclass and on no instance."""
        field: object = self.field
        kind: Any = type(field)
        own: dict[str, Any] = field.__dict__
        ours: Any = next(base for base in kind.__mro__ if base.__module__.partition(".")[0] == "aioredisca")
        return all(getattr(kind, hook) is getattr(ours, hook) and hook not in own for hook in hooks)

    # -- what a kind has a way of its own for ------------------------------------------------------

    def _fast_accept(self) -> FastAccept | None:
        return None

    def _fast_decode(self) -> FastDecode | None:
        return None

    def _digits_are_scores(self) -> bool:
        return False

    def _spells_score(self) -> bool:
        return self._digits_are_scores()

    def coerce(self, value: Any, mapper: Mapper) -> Any:
        """A given value as the type of the field. ValueError says why not."""
        return self.field.coerce(value)

    def coerce_stored(self, text: Any, mapper: Mapper) -> Any:
        """The value of a raw *text* that the dict API was given. ValueError says why not."""
        return self.field.coerce_stored(text)

    def decode(self, raw: bytes) -> Any:
        """The value of stored bytes. ValueError where they cannot be read."""
        return self.field.from_db(raw.decode())

    def read(self, raw: bytes, mapper: Mapper) -> Any:
        """The value of stored bytes in a record of the class. ValueError where they cannot be read."""
        return self.decode(raw)

    def raw_score(self, raw: bytes) -> str:
        """The score of stored bytes, as text."""
        score: str = self.field.score(self.decode(raw))
        return score

    def bound(self, value: Any, inclusive: bool, side: int) -> Bound:
        """The lower (*side* -1) or upper (1) end of a range in an index. ValueError if it holds none such."""
        return Bound(self.field.score(value), inclusive)

    def beyond(self, value: Any) -> int:
        """On which side of all that a range index holds *value* lies, which it does not: -1 or 1.

        0 where nobody knows, as for scores of a field of one's own.
        """
        return 0

    def measure(self, value: Any) -> str:
        """The decimal number that orders *value* among all others, whether an index could hold it or not."""
        score: str = self.field.score(value)
        return score

    def spec(self) -> FieldSpec:
        """What the storage knows of this field."""
        field = self.field
        score = self.raw_score if field.index == "range" else None
        indexable = bool(field.index_kinds)
        return FieldSpec(
            *(field.key, field.unique, field.index, field.required, score),
            indexable=indexable,
            ttl=field.ttl,
            secret=field.secret,
            also=field.also,
        )

    # -- ways in and out ---------------------------------------------------------------------------

    def accept(self, value: Any, mapper: Mapper) -> tuple[Any, bytes | None]:
        """A value given by a program, coerced and checked, and the bytes that store it."""
        return self.accept_fast(value) or self._accept(self.coerce, value, mapper)

    def accept_stored(self, text: Any, mapper: Mapper) -> tuple[Any, bytes | None]:
        """The same for the text of a raw write."""
        try:
            return self._accept(self.coerce_stored, text, mapper)
        except (TypeError, AttributeError):
            if not isinstance(text, bytes):
                raise
        raise self.refused(mapper, "is no text in UTF-8", text)

    def _accept(
        self, coerce: Callable[[Any, Mapper], Any], value: Any, mapper: Mapper
    ) -> tuple[Any, bytes | None]:
        if value is None:
            if self.field.required:
                raise self.refused(mapper, "is required and cannot be None", None)
            return None, None
        try:
            coerced = coerce(value, mapper)
            self.field.check(coerced)
            raw = self.encode(coerced)
            self._check_stored(coerced, raw, mapper)
        except ValueError as error:
            raise self.refused(mapper, str(error), value) from None
        return coerced, raw

    def _check_stored(self, value: Any, raw: bytes, mapper: Mapper) -> None:
        limit = self._maxbytes()
        if mapper.keeps_short(self.field):
            limit = min(limit, LONG_VALUE)
        if len(raw) > limit:
            raise ValueError(f"has {len(raw):,} bytes, at most {limit:,} are allowed")
        if self.field.index == "range":
            self.field.score(value)

    def _maxbytes(self) -> int:
        return MAX_BYTES

    def encode(self, value: Any) -> bytes:
        """A coerced value as stored bytes."""
        stored = self.field.to_db(value)
        return stored.encode() if isinstance(stored, str) else stored

    def operand(self, value: Any, mapper: Mapper) -> Any:
        """The operand of a condition, coerced as in an assignment. ValidationError says why not."""
        try:
            return self.coerce(value, mapper)
        except ValueError as error:
            raise self.refused(mapper, str(error), value) from None

    def prefix(self, text: str) -> str:
        """The beginning of stored values that *text* means: in their form, as a whole value would be.

        A ``coerce`` of one's own has its say where it goes letter by letter: what refuses a part of a value,
        or strips or fills it up, says nothing of beginnings.
        """
        plain = self._plain_prefix(text)
        if self.keeps("coerce"):
            return plain
        try:
            own = self.field.coerce(text)
        except ValueError:
            return plain
        return own if isinstance(own, str) and len(own) in (len(text), len(plain)) else plain

    def _plain_prefix(self, text: str) -> str:
        return text

    def rank(self, raw: bytes) -> Any:
        """What orders a stored value among others; ValueError where it cannot be read."""
        return self.decode(raw) if "range" in self.field.index_kinds else raw

    def default(self) -> Any:
        """The value in ``Model.new()``."""
        new = self.field.new
        return new() if callable(new) else new

    def refused(self, mapper: Mapper, reason: str, value: object) -> ValidationError:
        """The error that says why *value* is none of this field."""
        return ValidationError(mapper.name, self.field.name, reason, None if self.field.secret else value)

    # -- what it is --------------------------------------------------------------------------------

    @property
    def indexed(self) -> bool:
        """Whether its values stand in an index, a unique one or another."""
        return self.field.unique or self.field.index is not None

    @property
    def comparable(self) -> bool:
        """Whether a value as a whole can stand in an index, and so be unique."""
        return any(kind != "tags" for kind in self.field.index_kinds)


def _never(value: Any) -> None:
    """No value takes the fast path."""


class LimitedCodec(Codec):
    """Of a kind whose declaration says how many bytes a value may have, by ``maxbytes``."""

    __slots__ = ()

    def _maxbytes(self) -> int:
        limit: int = self.field.maxbytes
        return limit
