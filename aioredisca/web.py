"""What the faces of all web frameworks share: which answers save, and what a client may learn of an error.

An answer never carries a value, an id, a key or the holder of a unique value: names of fields only.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import redis

from aioredisca.drivers.database import Database, open_database
from aioredisca.errors import (
    AlreadyExists,
    Conflict,
    Gone,
    NotFound,
    NotLoaded,
    OutcomeUnknown,
    RediscaError,
    StaleWrite,
    Unavailable,
    UniqueViolation,
    ValidationError,
)
from aioredisca.frames import hiding
from aioredisca.model.record import Record

log = logging.getLogger("aioredisca.web")

STATUS: dict[type[RediscaError], int] = {
    ValidationError: 422,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    OutcomeUnknown: 503,
}
"""The errors that are an answer to a client, by HTTP status. All others are the server's own: 500."""

_NOTHING: Mapping[str, Mapping[str, Any]] = {}

RETRY_AFTER = 1
"""Seconds after which a client may try again when the database could not be reached."""


def succeeded(status: int) -> bool:
    """Whether an answer of this HTTP status saves: all below 400, redirects too."""
    return status < 400


def status_of(error: RediscaError) -> int:
    """The HTTP status that *error* means."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def headers_of(error: RediscaError) -> dict[str, str]:
    """``Retry-After`` where nothing ran and trying again is safe."""
    return {"Retry-After": str(RETRY_AFTER)} if isinstance(error, Unavailable) else {}


def etag_of(record: Record) -> str:
    """The ETag of what was loaded of *record*, or written since: another for other values. No I/O.

    Of all declared fields but secret ones. NotLoaded where they are not known.
    """
    mapper, layers = record.__mapper__, record.__state__.layers
    told = hashlib.sha256()
    for key, field in sorted(mapper.by_key.items()):
        if not field.secret:
            raw = layers.raw.get(key)
            if raw is None and not layers.known():
                raise NotLoaded(mapper.name, record.__state__.id, field.name)
            for part in (key.encode("utf-8", "surrogateescape"), b"" if raw is None else b"=" + raw):
                told.update(b"%d:%b" % (len(part), part))
    return f'"{told.hexdigest()[:32]}"'


def matches(record: Record, if_match: str) -> bool:
    """Whether an ``If-Match`` header names what was loaded of *record*, or is ``*``. Weak tags do not."""
    given = [tag.strip() for tag in if_match.split(",")]
    return given == ["*"] or etag_of(record) in given


Sent: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What came with a request, by place and name: ``{"path": {"id": "7"}, "query": {"after": "..."}}``."""


def detail_of(error: RediscaError, sent: Sent = _NOTHING) -> str | list[dict[str, Any]]:
    """What a client may know: a phrase, or a list of ``{"type", "loc", "msg"}`` as FastAPI gives it.

    ``loc`` is the place and the name under which *sent* holds what is refused; else ``body`` and the field.
    """
    if isinstance(error, ValidationError):
        return [_item("value_error", place_of(error.field, error.value, sent), error.reason)]
    if isinstance(error, UniqueViolation):
        taken = [place_of(name, None, sent) for name in error.fields]
        return [_item("unique_violation", place, "is taken already") for place in taken]
    if isinstance(error, StaleWrite):
        stale = [place_of(name, None, sent) for name in error.fields]
        return [_item("stale_write", place, "was changed by somebody else") for place in stale]
    if isinstance(error, AlreadyExists):
        return [_item("already_exists", place_of("id", error.id, sent), "exists already")]
    if isinstance(error, Gone):
        return [_item("gone", place_of("id", error.id, sent), "does not exist")]
    return _PHRASES.get(status_of(error), "Internal Server Error")


_PHRASES = {404: "Not Found", 409: "Conflict", 503: "Service Unavailable"}


def _item(kind: str, place: Sequence[str], reason: str) -> dict[str, Any]:
    return {"type": kind, "loc": [writable(part) for part in place], "msg": writable(reason)}


def place_of(field: str, value: object, sent: Sent) -> tuple[str, str]:
    """Where a client gave the *value* of a field: under its name, or a text under any other.

    None is a value that nobody may know: then the name decides. A record was given by its id.
    """
    if isinstance(value, Record):
        value = value.__state__.id
    for place, given in sent.items():
        if field in given and (value is None or str(given[field]) == str(value)):
            return place, field
    if isinstance(value, str):
        for place, given in sent.items():
            for name, text in given.items():
                if text == value:
                    return place, name
    return "body", field


def sent_in(request: Any) -> Sent:
    """What came with a request of Starlette, FastAPI or Litestar, its body left out."""
    return {
        "path": request.path_params,
        "query": request.query_params,
        "cookie": request.cookies,
        "header": dict(request.headers),  # itself it refuses to look for names in other letters
    }


def writable(text: str) -> str:
    """*text* as UTF-8 can write it: of half a character its number."""
    return text.encode("utf-8", "backslashreplace").decode()


@hiding
def database_of(source: Any) -> Database | None:
    """The database that the settings of an app name: as for conf.db, or arguments of ``redis.Redis``."""
    if source is None:
        return None
    client: Any = redis.Redis
    return open_database(client(**source) if isinstance(source, dict) else source)


def warn_of_lost(records: Sequence[object], reason: str) -> None:
    """Say in the log that changes were dropped, by class only."""
    names = ", ".join(sorted({type(record).__name__ for record in records}))
    log.warning("changes of %d records (%s) are dropped: %s", len(records), names, reason)
