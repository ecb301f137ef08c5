"""aioredisca: an asyncio-native ORM for Redis and Valkey, on plain hashes, sets and sorted sets.

Declare a class, ``await`` it. A write is one atomic round trip, indexes and unique claims included; a
query is one round trip per thousand rows. The blocking face is :mod:`aioredisca.sync`.
"""

from importlib import import_module
from typing import Any

from aioredisca.compiler.conditions import exclusive
from aioredisca.config import conf, hooks
from aioredisca.drivers.database import Database, open_database
from aioredisca.errors import (
    AlreadyExists,
    AlreadyRunning,
    BadLine,
    BulkError,
    Conflict,
    CorruptRecord,
    DriverMisuse,
    EvictionWarning,
    FieldUnset,
    Gone,
    IncompatibleServer,
    MigrationError,
    MultipleFound,
    NotFound,
    NotIndexed,
    NotLoaded,
    OutcomeUnknown,
    OutOfBounds,
    PermissionDenied,
    RediscaError,
    Restricted,
    SchemaMismatch,
    SessionClosed,
    StaleWrite,
    StoreError,
    TooManyArguments,
    TooManyRows,
    Unavailable,
    UniqueViolation,
    Unsupported,
    UsageError,
    ValidationError,
    WrongType,
)
from aioredisca.fields.base import Field
from aioredisca.fields.collections import Counter, HashOf, ListOf, SetOf, SortedSet
from aioredisca.fields.numbers import Decimal, Float, Integer
from aioredisca.fields.password import Hash, MD5Pass, Password
from aioredisca.fields.reference import Reference
from aioredisca.fields.scalars import UUID, Bool, Enum, Json
from aioredisca.fields.tags import Tags
from aioredisca.fields.text import Bytes, Email, String
from aioredisca.fields.times import Date, DateTime
from aioredisca.maintenance.adopting.sampling import Proposal, adopt
from aioredisca.maintenance.checking.faults import Checked, Finding, Repaired
from aioredisca.maintenance.checking.repairing import repair
from aioredisca.maintenance.checking.survey import check
from aioredisca.maintenance.dumping import export_records
from aioredisca.maintenance.importing import Imported, import_records
from aioredisca.maintenance.indexing import Reindexed
from aioredisca.maintenance.partitioning.moving import Partitioned, partition
from aioredisca.maintenance.reindexing import reindex
from aioredisca.maintenance.small import build_indexes
from aioredisca.model.metaclass import ModelType
from aioredisca.model.model import Model
from aioredisca.model.record import Record
from aioredisca.model.sessions import Session, retry_on_conflict, session
from aioredisca.persistence.expiry import sweep
from aioredisca.query.aggregates import Aggregate
from aioredisca.query.columns import Column
from aioredisca.query.explain import Explanation
from aioredisca.query.feeds.change import Change, FeedGap
from aioredisca.query.feeds.changes import Changes, Watch
from aioredisca.query.feeds.watching import Watched
from aioredisca.query.paging import Page
from aioredisca.query.query import Query
from aioredisca.storage.codecs import utcnow
from aioredisca.storage.ids import hexid, intid

__version__ = "0.1.0"

__all__ = (
    "UUID",
    "Aggregate",
    "AlreadyExists",
    "AlreadyRunning",
    "BadLine",
    "Bool",
    "BulkError",
    "Bytes",
    "Change",
    "Changes",
    "Checked",
    "Column",
    "Conflict",
    "CorruptRecord",
    "Counter",
    "Database",
    "Date",
    "DateTime",
    "Decimal",
    "DriverMisuse",
    "Email",
    "Enum",
    "Explanation",
    "Field",
    "EvictionWarning",
    "FeedGap",
    "FieldUnset",
    "Finding",
    "Float",
    "Gone",
    "Hash",
    "HashOf",
    "Imported",
    "IncompatibleServer",
    "Integer",
    "Json",
    "ListOf",
    "MD5Pass",
    "Model",
    "ModelType",
    "MigrationError",
    "MultipleFound",
    "NotFound",
    "NotIndexed",
    "NotLoaded",
    "OutOfBounds",
    "OutcomeUnknown",
    "Page",
    "Partitioned",
    "Password",
    "PermissionDenied",
    "Proposal",
    "Query",
    "RediscaError",
    "Reference",
    "Reindexed",
    "Repaired",
    "Restricted",
    "SchemaMismatch",
    "Session",
    "SessionClosed",
    "SetOf",
    "SortedSet",
    "StaleWrite",
    "StoreError",
    "String",
    "Tags",
    "TooManyArguments",
    "TooManyRows",
    "Unavailable",
    "UniqueViolation",
    "Unsupported",
    "UsageError",
    "ValidationError",
    "Watch",
    "Watched",
    "WrongType",
    "adopt",
    "check",
    "conf",
    "exclusive",
    "export_records",
    "hexid",
    "import_records",
    "intid",
    "partition",
    "reindex",
    "repair",
    "retry_on_conflict",
    "session",
    "sweep",
    "utcnow",
)


# What lower floors have done by those above. A face is imported when it is asked for: it needs its extra.


def _pydantic_schema(model: Any, handler: Any) -> Any:
    from aioredisca.pydantic import record_schema

    return record_schema(model, handler)


def _fastapi_loader(model: Any, parameter: str) -> Any:
    from aioredisca.fastapi import loader

    return loader(model, parameter)


def _fastapi_encoder() -> None:
    encoders = import_module("fastapi.encoders")
    encoders.encoders_by_class_tuples[_as_json] = (Record,)


def _as_json(record: Record) -> Any:
    from aioredisca.pydantic import as_json

    return as_json(record)


hooks.open_database = open_database
hooks.build_indexes = build_indexes
hooks.pydantic_schema = _pydantic_schema
hooks.fastapi_loader = _fastapi_loader
hooks.fastapi_encoder = _fastapi_encoder


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
