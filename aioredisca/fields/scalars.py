"""The fields of text, bytes, truth values, enumerations and JSON. Each is a codec and its limits."""

from __future__ import annotations

import enum
import hashlib
import unicodedata
import uuid
from typing import Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.errors import UsageError
from aioredisca.fields.base import MAX_BYTES, Field, Opt, Options, ordered_limits
from aioredisca.storage import codecs
from aioredisca.storage.keys import LONG_VALUE
from aioredisca.storage.schema import IndexKind

V = TypeVar("V")
E = TypeVar("E", bound=enum.Enum)


TEXT: tuple[IndexKind, ...] = ("exact", "sorted")


class String(Field[str | Opt], Generic[Opt]):
    """Text. Takes str, and int, float and Decimal by ``str()``.

    ``minlen`` ``maxlen``  limits in characters.
    ``maxbytes``           limit in bytes of UTF-8, 1 MiB by default.
    ``normalize``          a Unicode form such as "NFC" to bring values into; as given by default.

    ``index="sorted"`` keeps the values in the order of their bytes (that of code points), for ranges and
    prefixes. Such values have at most 512 bytes.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = TEXT
    quick = staticmethod(bytes.decode)

    @overload
    def __init__(
        self: String[None],
        *,
        minlen: int | None = ...,
        maxlen: int | None = ...,
        maxbytes: int = ...,
        normalize: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: String[Never],
        *,
        minlen: int | None = ...,
        maxlen: int | None = ...,
        maxbytes: int = ...,
        normalize: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        minlen: int | None = None,
        maxlen: int | None = None,
        maxbytes: int = MAX_BYTES,
        normalize: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = None,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        ordered_limits(minlen, maxlen, "minlen, maxlen")
        self.minlen, self.maxlen, self.maxbytes = minlen, maxlen, maxbytes
        self.normalize: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = normalize

    def short(self, value: Any) -> tuple[Any, bytes] | None:
        least, most = self.minlen, self.maxlen
        if (
            type(value) is str
            and self.normalize is None
            and (least is None or least <= len(value))
            and (most is None or len(value) <= most)
        ):
            try:
                raw = value.encode()
            except UnicodeEncodeError:
                return None
            if len(raw) <= LONG_VALUE and len(raw) <= self.maxbytes:
                return value, raw
        return None

    def coerce(self, value: Any) -> str:
        text = codecs.read_string(value)
        return unicodedata.normalize(self.normalize, text) if self.normalize else text

    def check(self, value: str) -> None:
        if self.minlen is not None and len(value) < self.minlen:
            raise ValueError(f"has {len(value)} characters, at least {self.minlen} are needed")
        if self.maxlen is not None and len(value) > self.maxlen:
            raise ValueError(f"has {len(value)} characters, at most {self.maxlen} are allowed")


class Email(Field[str | Opt], Generic[Opt]):
    """An e-mail address, lower-cased and in NFC. Stored values are always readable, valid or not.

    ``index="sorted"`` as for :class:`String`.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = TEXT
    quick = staticmethod(bytes.decode)

    @overload
    def __init__(
        self: Email[None], *, required: Literal[False] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self: Email[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def short(self, value: Any) -> tuple[Any, bytes] | None:
        if type(value) is str and value.isascii() and codecs.is_email(value):
            return value, value.encode()
        return None

    def coerce(self, value: Any) -> str:
        return codecs.read_email(value)


class MD5Pass(Field[str | Opt], Generic[Opt]):
    """The MD5 of what is assigned, as redisca stored passwords. For old data only: MD5 protects nothing.

    ``minlen`` ``maxlen``  limits of the plain text, in characters.
    """

    @overload
    def __init__(
        self: MD5Pass[None],
        *,
        minlen: int | None = ...,
        maxlen: int | None = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: MD5Pass[Never],
        *,
        minlen: int | None = ...,
        maxlen: int | None = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        minlen: int | None = None,
        maxlen: int | None = None,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        options.setdefault("secret", True)
        super().__init__(required=required, **options)
        ordered_limits(minlen, maxlen, "minlen, maxlen")
        self._plain = String(minlen=minlen, maxlen=maxlen)

    def coerce(self, value: Any) -> str:
        plain = self._plain.coerce(value)
        self._plain.check(plain)
        return hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()

    def coerce_stored(self, text: str) -> str:
        return text  # the dict API writes the digest itself


class Bool(Field[bool | Opt], Generic[Opt]):
    """True or False. Takes 1, 0 and their texts too; anything else is refused rather than guessed at."""

    quick = staticmethod(codecs.plain_bool)

    @overload
    def __init__(self: Bool[None], *, required: Literal[False] = ..., **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(self: Bool[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def short(self, value: Any) -> tuple[Any, bytes] | None:
        if type(value) is bool:
            return value, b"1" if value else b"0"
        return None

    def coerce(self, value: Any) -> bool:
        return codecs.read_bool(value)

    def to_db(self, value: bool) -> str:
        return codecs.bool_text(value)

    def from_db(self, text: str) -> bool:
        return codecs.read_bool(text)

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
        self._by_text: dict[str, enum.Enum] = {str(member.value): member for member in of}
        values = [member.value for member in of]
        if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
            raise UsageError(f"the values of {of.__name__} must be strings or integers to be stored")
        if len(self._by_text) < len(values):
            raise UsageError(f"two values of {of.__name__} have the same text")

    def coerce(self, value: Any) -> enum.Enum:
        try:
            return self.of(value)
        except ValueError:
            raise ValueError(f"is no {self.of.__name__}") from None

    def to_db(self, value: enum.Enum) -> str:
        return str(value.value)

    def from_db(self, text: str) -> enum.Enum:
        if text not in self._by_text:
            raise ValueError(f"is no {self.of.__name__}")
        return self._by_text[text]


class Bytes(Field[bytes | Opt], Generic[Opt]):
    """Bytes as they are. ``maxbytes`` is 1 MiB by default."""

    @overload
    def __init__(
        self: Bytes[None], *, maxbytes: int = ..., required: Literal[False] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(
        self: Bytes[Never], *, maxbytes: int = ..., required: Literal[True], **options: Unpack[Options]
    ) -> None: ...
    def __init__(
        self, *, maxbytes: int = MAX_BYTES, required: bool = False, **options: Unpack[Options]
    ) -> None:
        super().__init__(required=required, **options)
        self.maxbytes = maxbytes

    def coerce(self, value: Any) -> bytes:
        return codecs.read_bytes(value)

    def coerce_stored(self, text: Any) -> bytes:
        return text.encode() if isinstance(text, str) else codecs.read_bytes(text)

    def to_db(self, value: bytes) -> bytes:
        return value

    def decode(self, raw: bytes) -> bytes:
        return raw


class Json(Field[V | Opt], Generic[V, Opt]):
    """Whatever JSON can hold, as canonical text.

    ``Json[dict[str, int]]()`` types it for checkers, ``Json[dict[str, int], Never](required=True)`` where
    it is never None. The value can be changed in place: once read, it is compared again at every save.
    It has no index.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ()
    mutable: ClassVar[bool] = True

    def __init__(
        self, *, maxbytes: int = MAX_BYTES, required: bool = False, **options: Unpack[Options]
    ) -> None:
        super().__init__(required=required, **options)
        self.maxbytes = maxbytes

    def to_db(self, value: Any) -> str:
        return codecs.json_text(value)

    def from_db(self, text: str) -> Any:
        return codecs.text_json(text)
