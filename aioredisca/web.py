"""What the faces of all web frameworks share: which answers save, and what a client may learn of an error.

An answer never carries a value, an id, a key or the holder of a unique value: names of fields only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import redis

from aioredisca.drivers.database import Database, open_database
from aioredisca.errors import (
    AlreadyExists,
    Conflict,
    Gone,
    NotFound,
    OutcomeUnknown,
    RediscaError,
    StaleWrite,
    Unavailable,
    UniqueViolation,
    ValidationError,
)

log = logging.getLogger("aioredisca.web")

STATUS: dict[type[RediscaError], int] = {
    ValidationError: 422,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    OutcomeUnknown: 503,
}
"""The errors that are an answer to a client, by HTTP status. All others are the server's own: 500."""

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


def detail_of(error: RediscaError) -> str | list[dict[str, Any]]:
    """What a client may know: a phrase, or a list of ``{"type", "loc", "msg"}`` as FastAPI gives it."""
    if isinstance(error, ValidationError):
        return [_item("value_error", error.field, error.reason)]
    if isinstance(error, UniqueViolation):
        return [_item("unique_violation", name, "is taken already") for name in error.fields]
    if isinstance(error, StaleWrite):
        return [_item("stale_write", name, "was changed by somebody else") for name in error.fields]
    if isinstance(error, AlreadyExists):
        return [_item("already_exists", "id", "exists already")]
    if isinstance(error, Gone):
        return [_item("gone", "id", "does not exist")]
    return _PHRASES.get(status_of(error), "Internal Server Error")


_PHRASES = {404: "Not Found", 409: "Conflict", 503: "Service Unavailable"}


def _item(kind: str, field: str, reason: str) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", field], "msg": reason}


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
