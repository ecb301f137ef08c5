"""The fields of truth values, UUIDs, enumerations and JSON. Each coerces, checks and encodes one type."""

from __future__ import annotations

import enum
import uuid
from typing import Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.errors import UsageError
from aioredisca.fields.base import Field, Opt, Options
from aioredisca.fields.codec import MAX_BYTES, Codec, FastAccept, FastDecode, LimitedCodec
from aioredisca.storage import codecs
from aioredisca.storage.schema import IndexKind

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
    """A member of an enumeration whose values are strings or integers. Takes a member or its value."""

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
        self.__by_text: dict[str, enum.Enum] = {str(member.value): member for member in of}
        values = [member.value for member in of]
        if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
            raise UsageError(f"the values of {of.__name__} must be strings or integers to be stored")
        if len(self.__by_text) < len(values):
            raise UsageError(f"two values of {of.__name__} have the same text")

    def coerce(self, value: Any) -> enum.Enum:
        try:
            return self.of(value)
        except ValueError:
            raise ValueError(f"is no {self.of.__name__}") from None

    def to_db(self, value: enum.Enum) -> str:
        return str(value.value)

    def from_db(self, text: str) -> enum.Enum:
        if text not in self.__by_text:
            raise ValueError(f"is no {self.of.__name__}")
        return self.__by_text[text]


class Json(Field[V | Opt], Generic[V, Opt]):
    """Whatever JSON can hold, as canonical text.

    ``Json[dict[str, int]]()`` types it for checkers, ``Json[dict[str, int], Never](required=True)`` where
    it is never None. The value can be changed in place: once read, it is compared again at every save.
    It has no index.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ()
    mutable: ClassVar[bool] = True
    __codec_type__ = LimitedCodec

    def __init__(
        self, *, maxbytes: int = MAX_BYTES, required: bool = False, **options: Unpack[Options]
    ) -> None:
        super().__init__(required=required, **options)
        self.maxbytes = maxbytes

    def to_db(self, value: Any) -> str:
        return codecs.json_text(value)

    def from_db(self, text: str) -> Any:
        return codecs.text_json(text)
