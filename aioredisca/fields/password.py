"""``Password``: a field that holds a hash, and the verbs that make and check it. MD5Pass is for old data.

The verbs belong to the column, not to the record: no model loses a name to them, a class may have several
password fields, and ``verify`` can be asked about a user that does not exist, in the same time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Never, Self, TypeVar, cast, overload

from typing_extensions import Unpack

from aioredisca.errors import UsageError, ValidationError
from aioredisca.fields import hashing
from aioredisca.fields.access import value_of
from aioredisca.fields.base import Field, Opt, Options, ordered_limits
from aioredisca.fields.codec import Codec
from aioredisca.fields.text import String
from aioredisca.frames import hide_values
from aioredisca.storage.codecs import kind
from aioredisca.storage.schema import IndexKind
from aioredisca.types import Transport

if TYPE_CHECKING:
    from aioredisca import sync
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.model import Model
    from aioredisca.query.columns import PasswordColumn

T = TypeVar("T")
M = TypeVar("M", bound="Model")
B = TypeVar("B", bound="sync.Model")

MAX_LENGTH = 1024
"""Characters of a password, unless ``maxlen`` says otherwise."""


class Hash:
    """What a Password field holds: a salted hash that shows itself nowhere. ``encoded`` is its text.

    Make one by ``await User.password.hash("plain text")``; ``Hash(text)`` takes one over from elsewhere
    (see hashing.py and foreign_hashes.py for the forms; ValueError for any other).
    """

    __slots__ = ("_encoded", "_scheme")

    def __init__(self, encoded: str) -> None:
        self._scheme = hashing.scheme(encoded)
        self._encoded = encoded

    @property
    def encoded(self) -> str:
        """The text that is stored. Whoever reads it can try passwords on it."""
        return self._encoded

    @property
    def scheme(self) -> str:
        """argon2id, scrypt, md5, md5+argon2id or md5+scrypt; bcrypt, pbkdf2_sha256 and others too."""
        return self._scheme

    def __repr__(self) -> str:
        return f"<Hash {self._scheme}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hash):
            return NotImplemented
        return hmac.compare_digest(self._encoded, other._encoded)

    def __hash__(self) -> int:
        return hash(self._encoded)

    def __reduce__(self) -> Any:
        return Hash, (self._encoded,)


class PasswordCodec(Codec):
    """Of passwords: blocking models take plain text too, for to hash it there stalls no event loop."""

    __slots__ = ()

    def coerce(self, value: Any, mapper: Mapper) -> Hash:
        if not isinstance(value, str):
            return cast("Hash", self.field.coerce(value))
        if mapper.colour.hashes_inline:
            return Hash(hashing.make(plain_text(self.field, value)))
        name = self.field.name
        raise ValueError(f"takes a hash, not plain text: {name} = await {mapper.name}.{name}.hash(...)")


class Password(Field[Hash | Opt], Generic[Opt]):
    """A password, stored as a salted hash: argon2id with the extra ``password``, else scrypt.

    Takes what ``hash`` made: ``user.password = await User.password.hash("plain text")``. Blocking models
    take the plain text too. Reads the MD5 that redisca stored, and hashes of bcrypt, Werkzeug and Django, and
    replaces them when the password is verified. It is always ``secret``, unless
    ``secret=False``, and has no index.

    ``minlen`` ``maxlen``  limits of the plain text, in characters; at most 1,024 by default.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ()
    __codec_type__ = PasswordCodec

    @overload
    def __init__(
        self: Password[None],
        *,
        minlen: int | None = ...,
        maxlen: int = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Password[Never],
        *,
        minlen: int | None = ...,
        maxlen: int = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        minlen: int | None = None,
        maxlen: int = MAX_LENGTH,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        options.setdefault("secret", True)
        super().__init__(required=required, **options)
        ordered_limits(minlen, maxlen, "minlen, maxlen")
        self.__plain = String(minlen=minlen, maxlen=maxlen, normalize="NFC")

    # -- the descriptor ----------------------------------------------------------------------------

    @overload
    def __get__(self, obj: None, owner: type[M]) -> PasswordColumn[M, Hash | Opt]: ...
    @overload
    def __get__(self, obj: None, owner: type[B]) -> sync.PasswordColumn[B, Hash | Opt]: ...
    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: object, owner: type) -> Hash | Opt: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        if obj is not None:
            return value_of(obj, self)
        mapper = getattr(owner, "__mapper__", None)
        return self if mapper is None else mapper.colour.password_column(self, owner)

    if TYPE_CHECKING:

        @overload
        def __set__(self, obj: sync.Model, value: Hash | str | Opt) -> None: ...
        @overload
        def __set__(self, obj: object, value: Hash | Opt) -> None: ...
        def __set__(self, obj: Any, value: Any) -> None: ...

    # -- values ------------------------------------------------------------------------------------

    def coerce(self, value: Any) -> Hash:
        if isinstance(value, Hash):
            return value
        raise ValueError(f"takes a hash, not {kind(value)}")

    def to_db(self, value: Hash) -> str:
        return value.encoded

    def from_db(self, text: str) -> Hash:
        return Hash(text)

    @property
    def __limits__(self) -> Any:
        """The field that the plain text would be, with its limits."""
        return self.__plain


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
        self.__plain = String(minlen=minlen, maxlen=maxlen)

    def coerce(self, value: Any) -> str:
        plain = self.__plain.coerce(value)
        self.__plain.check(plain)
        return hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()

    @property
    def __limits__(self) -> Any:
        """The field that the plain text would be, with its limits."""
        return self.__plain

    def coerce_stored(self, text: str) -> str:
        return text  # the dict API writes the digest itself


# -- the verbs, without colour ---------------------------------------------------------------------


def plain_text(field: Password[Any], value: object) -> str:
    """A plain text that the limits of *field* let pass. ValueError says why not."""
    if not isinstance(value, str):
        raise ValueError(f"takes a string, not {kind(value)}")
    text: str = field.__limits__.coerce(value)
    field.__limits__.check(text)
    return text


async def _hidden(work: Coroutine[Any, Any, T]) -> T:
    """What *work* returns. No frame of an error holds the plain text that it was given."""
    try:
        return await work
    except Exception as error:
        hide_values(error)
        raise


def make_hash(field: Password[Any], mapper: Mapper, plain: str) -> Coroutine[Any, Any, Hash]:
    """The hash of *plain*, made where it stalls no event loop. ValidationError if the field refuses it."""
    return _hidden(_make_hash(field, mapper, plain))


async def _make_hash(field: Password[Any], mapper: Mapper, plain: str) -> Hash:
    try:
        text = plain_text(field, plain)
    except ValueError as error:
        raise ValidationError(mapper.name, field.name, str(error)) from None
    return Hash(await _transport(mapper, None).offload(hashing.make, text))


def verify(field: Password[Any], mapper: Mapper, record: Any, plain: object) -> Coroutine[Any, Any, bool]:
    """Whether *plain* is the password of *record*, in the same time if there is none."""
    return _hidden(_verify(field, mapper, record, plain))


async def _verify(field: Password[Any], mapper: Mapper, record: Any, plain: object) -> bool:
    stored = _stored(field, mapper, record)
    if not isinstance(plain, str):
        raise ValidationError(mapper.name, field.name, f"takes a string, not {kind(plain)}")
    if not _writable(plain) or len(plain) > max(field.__limits__.maxlen or 0, MAX_LENGTH):
        return False
    transport = _transport(mapper, record)
    if stored is None:
        await transport.offload(hashing.make, plain)  # as slow as a wrong password
        return False
    right, better = await transport.offload(hashing.check, plain, stored.encoded)
    if better is not None and _stored(field, mapper, record) == stored:
        setattr(record, field.name, Hash(better))
    return right


async def upgrade(field: Password[Any], mapper: Mapper, record: Any) -> bool:
    """Put a strong hash over a bare MD5; whether there was one."""
    stored = _stored(field, mapper, record)
    if stored is None or stored.scheme != "md5":
        return False
    over = await _transport(mapper, record).offload(hashing.over_md5, stored.encoded)
    if _stored(field, mapper, record) == stored:
        setattr(record, field.name, Hash(over))
    return True


def _stored(field: Password[Any], mapper: Mapper, record: Any) -> Hash | None:
    if record is None:
        return None
    if not isinstance(record, mapper.model):
        raise UsageError(f"{mapper.name}.{field.name} verifies records of {mapper.name}, not {kind(record)}")
    return cast("Hash | None", getattr(record, field.name)) if record else None


def _transport(mapper: Mapper, record: Any) -> Transport:
    return mapper.store(None if record is None else record.__state__.unit).transport()


def _writable(plain: str) -> bool:
    try:
        plain.encode()
    except UnicodeEncodeError:
        return False
    return True
