"""The fields of text and of bytes. Each coerces, checks and encodes one type."""

from __future__ import annotations

import unicodedata
from typing import Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import Unpack

from aioredisca.fields.base import Field, Opt, Options, ordered_limits
from aioredisca.fields.codec import MAX_BYTES, Codec, FastAccept, FastDecode, LimitedCodec
from aioredisca.storage import codecs, emails
from aioredisca.storage.keys import LONG_VALUE
from aioredisca.storage.schema import IndexKind

TEXT: tuple[IndexKind, ...] = ("exact", "sorted")


class StringCodec(LimitedCodec):
    """Of text."""

    __slots__ = ()

    def _fast_accept(self) -> FastAccept:
        field: String[Any] = self.field  # whose limits are read each time, for they may be changed

        def accept(value: Any) -> tuple[Any, bytes] | None:
            if type(value) is not str or field.normalize is not None:
                return None
            least, most = field.minlen, field.maxlen
            if (least is not None and len(value) < least) or (most is not None and len(value) > most):
                return None
            try:
                raw = value.encode()
            except UnicodeEncodeError:
                return None
            return (value, raw) if len(raw) <= LONG_VALUE and len(raw) <= field.maxbytes else None

        return accept

    def _fast_decode(self) -> FastDecode:
        return bytes.decode

    def _plain_prefix(self, text: str) -> str:
        form = self.field.normalize
        return unicodedata.normalize(form, text) if form else text


class EmailCodec(Codec):
    """Of e-mail addresses."""

    __slots__ = ()

    def _fast_accept(self) -> FastAccept:
        def accept(value: Any) -> tuple[Any, bytes] | None:
            if type(value) is str and value.isascii() and emails.is_email(value):
                return value, value.encode()
            return None

        return accept

    def _fast_decode(self) -> FastDecode:
        return bytes.decode

    def _plain_prefix(self, text: str) -> str:
        return emails.email_form(text)


class String(Field[str | Opt], Generic[Opt]):
    """Text. Takes str, and int, float and Decimal by ``str()``.

    ``minlen`` ``maxlen``  limits in characters.
    ``maxbytes``           limit in bytes of UTF-8, 1 MiB by default.
    ``normalize``          a Unicode form such as "NFC" to bring values into; as given by default.

    ``index="sorted"`` keeps the values in the order of their bytes (that of code points), for ranges and
    prefixes. Such values have at most 512 bytes.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = TEXT
    __codec_type__ = StringCodec

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
    __codec_type__ = EmailCodec

    @overload
    def __init__(
        self: Email[None], *, required: Literal[False] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self: Email[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def coerce(self, value: Any) -> str:
        return emails.read_email(value)


class BytesCodec(LimitedCodec):
    """Of bytes, which are no text: nothing is decoded."""

    __slots__ = ()

    def decode(self, raw: bytes) -> Any:
        return self.field.from_db(raw)


class Bytes(Field[bytes | Opt], Generic[Opt]):
    """Bytes as they are. ``maxbytes`` is 1 MiB by default."""

    __codec_type__ = BytesCodec

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

    def from_db(self, text: Any) -> bytes:
        return bytes(text)
