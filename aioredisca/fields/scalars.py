"""The fields of truth values, UUIDs, enumerations and JSON. Each coerces, checks and encodes one type."""

from __future__ import annotations

import enum
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.errors import UsageError
from aioredisca.fields.base import Field, Opt, Options
from aioredisca.fields.codec import MAX_BYTES, Codec, FastAccept, FastDecode, LimitedCodec
from aioredisca.storage import codecs
from aioredisca.storage.schema import IndexKind

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper

MAX_DEPTH = 100
"""How deep JSON may be nested, unless ``maxdepth`` says otherwise."""

MOST_DEPTH = 190
"""pydantic reads bodies that are 200 deep and writes what is 255 deep, with all that the value stands in."""

V = TypeVar("V")
E = TypeVar("E", bound=enum.Enum)


class BoolCodec(Codec):
    """Of truth values."""

    __slots__ = ()

    def _fast_accept(self) -> FastAccept:
        def accept(value: Any) -> tuple[Any, bytes] | None:
            if type(value) is bool:
                return value, b"1" if value else b"0"
            return None

        return accept

    def _fast_decode(self) -> FastDecode:
        return codecs.plain_bool


class Bool(Field[bool | Opt], Generic[Opt]):
    """True or False. Takes 1, 0 and the texts "1", "0", "true" and "false" (in any case) too.

    Anything else is refused rather than guessed at.
    """

    __codec_type__ = BoolCodec

    @overload
    def __init__(self: Bool[None], *, required: Literal[False] = ..., **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(self: Bool[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def coerce(self, value: Any) -> bool:
        return codecs.read_bool(value)

    def to_db(self, value: bool) -> str:
        return codecs.bool_text(value)

    def from_db(self, text: str) -> bool:
        return codecs.text_bool(text)

    def view(self, raw: bytes) -> str | bytes | int:
        return int(raw) if raw in (b"0", b"1") else super().view(raw)


class UUID(Field[uuid.UUID | Opt], Generic[Opt]):
    """A UUID, stored as 32 hex digits. Takes a UUID or its text in any usual form."""

    @overload
    def __init__(self: UUID[None], *, required: Literal[False] = ..., **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(self: UUID[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def coerce(self, value: Any) -> uuid.UUID:
        return codecs.read_uuid(value)

    def to_db(self, value: uuid.UUID) -> str:
        return value.hex

    def from_db(self, text: str) -> uuid.UUID:
        return codecs.text_uuid(text)


class Enum(Field[V | Opt], Generic[V, Opt]):
    """A member of an enumeration whose values are strings or integers. Takes a member or its value.

    Of a ``Flag``, members may be combined, as in ``Right.READ | Right.WRITE``.
    """

    @overload
    def __init__(
        self: Enum[E, None], of: type[E], *, required: Literal[False] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(
        self: Enum[E, Never], of: type[E], *, required: Literal[True], **options: Unpack[Options]
    ) -> None: ...
    def __init__(self, of: type[enum.Enum], *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)
        self.of = of
        self.__by_text: dict[str, enum.Enum] = {str(codecs.plain(m.value)): m for m in of}
        values = [member.value for member in of]
        if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
            raise UsageError(f"the values of {of.__name__} must be strings or integers to be stored")
        if len(self.__by_text) < len(values):
            raise UsageError(f"two values of {of.__name__} have the same text")

    def coerce(self, value: Any) -> enum.Enum:
        with suppress(ValueError):
            member = self.of(value)
            # `_missing_` may make what no text stands for, and a Flag a number
            if isinstance(member, self.of) and self.from_db(self.to_db(member)) == member:
                return member
        raise ValueError(f"is no {self.of.__name__}")

    def to_db(self, value: enum.Enum) -> str:
        return str(codecs.plain(value.value))

    def from_db(self, text: str) -> enum.Enum:
        if text in self.__by_text:
            return self.__by_text[text]
        if issubclass(self.of, enum.Flag):  # several of its members, or none
            with suppress(ValueError):
                member = self.of(codecs.text_integer(text))
                if isinstance(member, self.of):
                    return member
        raise ValueError(f"is no {self.of.__name__}")


class JsonCodec(LimitedCodec):
    """Of JSON."""

    __slots__ = ()

    def _check_stored(self, value: Any, raw: bytes, mapper: Mapper) -> None:
        super()._check_stored(value, raw, mapper)
        most: int = self.field.maxdepth
        # Hardly a value has as many brackets.
        if raw.count(b"[") + raw.count(b"{") > most and codecs.json_depth(raw.decode()) > most:
            raise ValueError(f"has lists and objects more than {most} deep")


class Json(Field[V | Opt], Generic[V, Opt]):
    """Whatever JSON can hold, as canonical text.

    ``maxbytes``  limit in bytes, 1 MiB by default.
    ``maxdepth``  how many lists and objects may lie in each other, 100 by default and 190 at most: what
                  lies deeper, readers of JSON refuse.

    ``Json[dict[str, int]]()`` types it for checkers, ``Json[dict[str, int], Never](required=True)`` where
    it is never None. The value can be changed in place: once read, it is compared again at every save.
    It has no index.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ()
    mutable: ClassVar[bool] = True
    __codec_type__ = JsonCodec

    def __init__(
        self,
        *,
        maxbytes: int = MAX_BYTES,
        maxdepth: int = MAX_DEPTH,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        if codecs.whole_in(maxdepth, 1, MOST_DEPTH) is None:
            raise UsageError(f"maxdepth={maxdepth!r}: is a number from 1 to {MOST_DEPTH}")
        self.maxbytes, self.maxdepth = maxbytes, maxdepth

    def to_db(self, value: Any) -> str:
        return codecs.json_text(value)

    def from_db(self, text: str) -> Any:
        return codecs.text_json(text)
