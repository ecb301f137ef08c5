"""``Password``: a field that holds a hash, and the column whose verbs make and check it.

The verbs belong to the column, not to the record: no model loses a name to them, a class may have several
password fields, and ``verify`` can be asked about a user that does not exist, in the same time.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Never, Self, TypeVar, cast, overload

from typing_extensions import Unpack

from aioredisca.errors import UsageError, ValidationError
from aioredisca.fields import hashing
from aioredisca.fields.base import Field, Opt, Options, ordered_limits
from aioredisca.fields.scalars import String
from aioredisca.storage.codecs import kind
from aioredisca.storage.schema import IndexKind
from aioredisca.types import Transport

if TYPE_CHECKING:
    from aioredisca import sync
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
    (see hashing.py for the forms; ValueError for any other).
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
        """argon2id, scrypt, md5, md5+argon2id or md5+scrypt."""
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


class Password(Field[Hash | Opt], Generic[Opt]):
    """A password, stored as a salted hash: argon2id with the extra ``password``, else scrypt.

    Takes what ``hash`` made: ``user.password = await User.password.hash("plain text")``. Blocking models
    take the plain text too. Reads the MD5 that redisca stored. It is always ``secret``, unless
    ``secret=False``, and has no index.

    ``minlen`` ``maxlen``  limits of the plain text, in characters; at most 1,024 by default.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ()

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
        self._plain = String(minlen=minlen, maxlen=maxlen, normalize="NFC")

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
            return obj._value(self)
        column = getattr(owner, "_password_type", None)
        return self if column is None else column(self, owner)

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

    def coerce_for(self, value: Any, owner: type[Any]) -> Hash:
        if not isinstance(value, str):
            return self.coerce(value)
        if owner._password_type.inline:
            return Hash(hashing.make(self.plain(value)))
        raise ValueError(
            f"takes a hash, not plain text: {self.name} = await {owner.__name__}.{self.name}.hash(...)"
        )

    def plain(self, value: object) -> str:
        """A plain text that the field's limits let pass. ValueError says why not."""
        if not isinstance(value, str):
            raise ValueError(f"takes a string, not {kind(value)}")
        text = self._plain.coerce(value)
        self._plain.check(text)
        return text

    def to_db(self, value: Hash) -> str:
        return value.encoded

    def from_db(self, text: str) -> Hash:
        return Hash(text)

    # -- the verbs, without colour -----------------------------------------------------------------

    async def _hash(self, owner: type[Any], plain: str) -> Hash:
        try:
            text = self.plain(plain)
        except ValueError as error:
            raise ValidationError(owner.__name__, self.name, str(error)) from None
        return Hash(await _transport(owner, None).offload(hashing.make, text))

    async def _verify(self, owner: type[Any], record: Any, plain: object) -> bool:
        stored = self._stored(owner, record)
        if not isinstance(plain, str):
            raise ValidationError(owner.__name__, self.name, f"takes a string, not {kind(plain)}")
        if not _writable(plain) or len(plain) > max(self._plain.maxlen or 0, MAX_LENGTH):
            return False
        transport = _transport(owner, record)
        if stored is None:
            await transport.offload(hashing.make, plain)  # as slow as a wrong password
            return False
        right, better = await transport.offload(hashing.check, plain, stored.encoded)
        if better is not None and self._stored(owner, record) == stored:
            setattr(record, self.name, Hash(better))
        return right

    async def _upgrade(self, owner: type[Any], record: Any) -> bool:
        stored = self._stored(owner, record)
        if stored is None or stored.scheme != "md5":
            return False
        over = await _transport(owner, record).offload(hashing.over_md5, stored.encoded)
        if self._stored(owner, record) == stored:
            setattr(record, self.name, Hash(over))
        return True

    def _stored(self, owner: type[Any], record: Any) -> Hash | None:
        if record is None:
            return None
        if not isinstance(record, owner):
            raise UsageError(
                f"{owner.__name__}.{self.name} verifies records of {owner.__name__}, not {kind(record)}"
            )
        return cast("Hash | None", getattr(record, self.name)) if record else None


def _transport(owner: type[Any], record: Any) -> Transport:
    home = owner._store() if record is None else record._home()
    return cast("Transport", home.transport())


def _writable(plain: str) -> bool:
    try:
        plain.encode()
    except UnicodeEncodeError:
        return False
    return True
