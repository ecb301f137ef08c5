"""The blocking face: the same words without ``await``, for Flask, Celery and scripts.

``from aioredisca.sync import Model, String`` as in redisca: reading an attribute of a record that is not
loaded loads it. For one code base in both colours, use the asyncio models with :func:`run` instead.
"""

from aioredisca.compiler.conditions import exclusive
from aioredisca.config import conf
from aioredisca.drivers.database import Database
from aioredisca.drivers.run import allow_blocking, iterate, run
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
from aioredisca.model.metaclass import ModelType
from aioredisca.query.aggregates import Aggregate
from aioredisca.query.explain import Explanation
from aioredisca.query.feeds.change import Change, FeedGap
from aioredisca.query.feeds.watching import Watched
from aioredisca.query.paging import Page
from aioredisca.storage.codecs import utcnow
from aioredisca.storage.ids import hexid, intid
from aioredisca.sync.feeds import Changes, Watch
from aioredisca.sync.models import Model
from aioredisca.sync.queries import Column, Query
from aioredisca.sync.queries import PasswordColumn as PasswordColumn
from aioredisca.sync.sessions import Session, retry_on_conflict, session

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
    "FeedGap",
    "Field",
    "EvictionWarning",
    "FieldUnset",
    "Float",
    "Gone",
    "Hash",
    "HashOf",
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
    "Password",
    "PermissionDenied",
    "Query",
    "RediscaError",
    "Reference",
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
    "allow_blocking",
    "conf",
    "exclusive",
    "hexid",
    "intid",
    "iterate",
    "run",
    "retry_on_conflict",
    "session",
    "utcnow",
)
