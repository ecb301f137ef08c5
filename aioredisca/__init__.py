"""aioredisca: an asyncio-native ORM for Redis and Valkey, on plain hashes, sets and sorted sets.

Declare a class, ``await`` it. A write is one atomic round trip, indexes and unique claims included; a
query is one round trip per thousand rows. The blocking face is :mod:`aioredisca.sync`.
"""

from .codecs import utcnow
from .columns import Column
from .config import conf
from .database import Database
from .descriptors import Field
from .errors import (
    AlreadyExists,
    BulkError,
    Conflict,
    CorruptRecord,
    DriverMisuse,
    FieldUnset,
    Gone,
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
    TooManyRows,
    Unavailable,
    UniqueViolation,
    UsageError,
    ValidationError,
)
from .expressions import exclusive
from .fields import UUID, Bool, Bytes, Email, Enum, Json, MD5Pass, String
from .figures import Aggregate, Explanation
from .ids import hexid, intid
from .model import Model
from .modeltype import ModelType
from .ordered import Date, DateTime, Decimal, Float, Integer
from .pages import Page
from .passwords import Hash, Password
from .query import Query
from .reference import Reference
from .reindex import Reindexed, reindex
from .session import Session, session
from .tags import Tags

__version__ = "0.1.0"

__all__ = (
    "UUID",
    "Aggregate",
    "AlreadyExists",
    "Bool",
    "BulkError",
    "Bytes",
    "Column",
    "Conflict",
    "CorruptRecord",
    "Database",
    "Date",
    "DateTime",
    "Decimal",
    "DriverMisuse",
    "Email",
    "Enum",
    "Explanation",
    "Field",
    "FieldUnset",
    "Float",
    "Gone",
    "Hash",
    "Integer",
    "Json",
    "MD5Pass",
    "Model",
    "ModelType",
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
    "Reindexed",
    "SchemaMismatch",
    "Session",
    "SessionClosed",
    "StaleWrite",
    "StoreError",
    "String",
    "Tags",
    "TooManyRows",
    "Unavailable",
    "UniqueViolation",
    "UsageError",
    "ValidationError",
    "conf",
    "exclusive",
    "hexid",
    "intid",
    "reindex",
    "session",
    "utcnow",
)
