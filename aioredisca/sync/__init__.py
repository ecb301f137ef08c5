"""The blocking face: the same words without ``await``, for Flask, Celery and scripts.

``from aioredisca.sync import Model, String`` as in redisca: reading an attribute of a record that is not
loaded loads it. For one code base in both colours, use the asyncio models with :func:`run` instead.
"""

from ..blocking import allow_blocking, iterate, run
from ..codecs import utcnow
from ..collections import Counter, ListOf, SetOf, SortedSet
from ..config import conf
from ..database import Database
from ..descriptors import Field
from ..errors import (
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
from ..expressions import exclusive
from ..fields import UUID, Bool, Bytes, Email, Enum, Json, MD5Pass, String
from ..figures import Aggregate, Explanation
from ..ids import hexid, intid
from ..modeltype import ModelType
from ..ordered import Date, DateTime, Decimal, Float, Integer
from ..pages import Page
from ..passwords import Hash, Password
from ..reference import Reference
from ..tags import Tags
from .models import Model
from .queries import Column, Query
from .queries import PasswordColumn as PasswordColumn
from .sessions import Session, session

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
    "FieldUnset",
    "Float",
    "Gone",
    "Hash",
    "Integer",
    "Json",
    "ListOf",
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
    "SchemaMismatch",
    "Session",
    "SessionClosed",
    "SetOf",
    "SortedSet",
    "StaleWrite",
    "StoreError",
    "String",
    "Tags",
    "TooManyRows",
    "Unavailable",
    "UniqueViolation",
    "UsageError",
    "ValidationError",
    "allow_blocking",
    "conf",
    "exclusive",
    "hexid",
    "intid",
    "iterate",
    "run",
    "session",
    "utcnow",
)
