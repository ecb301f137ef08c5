"""The fields of moments and days, and the moment at which a record ends."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import Unpack

from aioredisca.compiler.conditions import Bound
from aioredisca.errors import UsageError
from aioredisca.fields.base import Field, Opt, Options
from aioredisca.fields.codec import Codec, FastDecode
from aioredisca.storage import codecs, moments
from aioredisca.storage.keys import MOMENT
from aioredisca.storage.schema import IndexKind

ORDERED: tuple[IndexKind, ...] = ("range", "exact")


class DateTimeCodec(Codec):
    """Of moments."""

    __slots__ = ()

    def _fast_decode(self) -> FastDecode | None:
        return codecs.plain_datetime

    def _spells_score(self) -> bool:
        return True

    def beyond(self, value: Any) -> int:
        return (1 if value.year > 2112 else -1) if self.keeps("score") else 0

    def measure(self, value: Any) -> str:
        return codecs.datetime_text(value)


class DateTime(Field[dt.datetime | Opt], Generic[Opt]):
    """A moment, to the microsecond, always aware and in UTC.

    Takes aware datetimes of any zone, naive ones as UTC, numbers as seconds since 1970 (what redisca
    stored), and ISO text such as "2024-02-29T12:30:00Z", without a zone in UTC. A range index holds the
    years 1900 to 2112, exact to the microsecond.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ORDERED
    __codec_type__ = DateTimeCodec

    @overload
    def __init__(
        self: DateTime[None], *, required: Literal[False] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self: DateTime[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def coerce(self, value: Any) -> dt.datetime:
        return codecs.read_datetime(value)

    def to_db(self, value: dt.datetime) -> str:
        return codecs.datetime_text(value)

    def from_db(self, text: str) -> dt.datetime:
        return codecs.text_datetime(text)

    def view(self, raw: bytes) -> str | bytes | int:
        text = super().view(raw)
        return int(text) if isinstance(text, str) and text.removeprefix("-").isdecimal() else text

    def score(self, value: dt.datetime) -> str:
        if not 1900 <= value.year <= 2112:
            raise ValueError("lies outside the years 1900 to 2112, where a range index is not exact")
        return codecs.datetime_text(value)


class Date(Field[dt.date | Opt], Generic[Opt]):
    """A calendar day. Takes a date or text of the form YYYY-MM-DD."""

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ORDERED

    @overload
    def __init__(self: Date[None], *, required: Literal[False] = ..., **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(self: Date[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def coerce(self, value: Any) -> dt.date:
        return codecs.read_date(value)

    def to_db(self, value: dt.date) -> str:
        return value.isoformat()

    def from_db(self, text: str) -> dt.date:
        return codecs.text_date(text)

    def score(self, value: dt.date) -> str:
        return str(value.toordinal())


class ExpiresAtCodec(Codec):
    """Of the moment at which a record ends: whole milliseconds since 1970."""

    __slots__ = ()

    def _digits_are_scores(self) -> bool:
        return True

    def decode(self, raw: bytes) -> dt.datetime:
        return moments.moment(self.rank(raw))

    def raw_score(self, raw: bytes) -> str:
        return moments.score(raw)

    def bound(self, value: Any, inclusive: bool, side: int) -> Bound:
        whole, rest = moments.since_1970(value)
        # no record ends between two milliseconds: the bound is one of the first of them, then
        return Bound(str(whole), side > 0 if rest else inclusive)

    def rank(self, raw: bytes) -> int:
        return int(moments.score(raw))


class ExpiresAt(Field[dt.datetime | None]):
    """The moment at which a record ends, None for never: what ``Login.expires_at`` is the column of.

    No hash holds it and no class declares it, so nothing of it is loaded or written.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ("range",)
    __codec_type__ = ExpiresAtCodec

    def __init__(self) -> None:
        super().__init__(index=True)
        self.name, self.key = "expires_at", MOMENT
        self.__codec__.settle()

    def coerce(self, value: Any) -> dt.datetime:
        if not isinstance(value, dt.datetime):
            raise ValueError(f"takes a datetime, not {type(value).__name__}")
        if value.utcoffset() is None:
            raise ValueError("takes a moment with a zone, as of datetime.now(UTC); this one has none")
        return value

    def to_db(self, value: dt.datetime) -> str:
        whole, rest = moments.since_1970(value)
        return f"{whole}.{rest.microseconds}" if rest else str(whole)


EXPIRES_AT = ExpiresAt()
"""The same for all classes."""


def refuse_moment(model: str, column: object) -> None:
    """UsageError for ``expires_at`` where a field is asked for: it is a column, and no field."""
    if getattr(column, "field", None) is EXPIRES_AT:
        cure = "values() reads it, expire() and save(ttl=) set it"
        raise UsageError(f"{model}.expires_at is no field that is loaded or counted in: {cure}")
