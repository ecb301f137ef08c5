"""``conf``: the settings of the process, and the decorator that sets those of one class."""

from __future__ import annotations

import math
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from aioredisca.errors import UsageError
from aioredisca.frames import hide_values, hiding
from aioredisca.storage.codecs import plain, whole_in
from aioredisca.storage.keys import Tag, bad_namespace, bad_prefix, bad_tag
from aioredisca.storage.moments import Duration, milliseconds
from aioredisca.storage.partitions import bad_partitions
from aioredisca.types import MISSING, Missing

if TYPE_CHECKING:
    from aioredisca.drivers.database import Database

C = TypeVar("C", bound=type)

Settings = dict[str, Any]

FEED = 100_000
"""Changes that ``conf(feed=True)`` keeps."""


class Hooks:
    """What floors above do for those below, which must not import them. ``aioredisca/__init__.py`` fills it.

    ``open_database``    a Database of whatever names one.
    ``pydantic_schema``  how pydantic shows and takes the records of a class.
    ``build_indexes``    build the indexes of a class in a store, and end its other versions; False if another
                         process is at it.
    ``fastapi_loader``   the dependency of FastAPI that loads a record of a class.
    ``fastapi_encoder``  tells FastAPI how to show a record where no annotation names its class.
    """

    open_database: Callable[[Any], Any]
    build_indexes: Callable[[Any, Any], Awaitable[bool]]
    pydantic_schema: Callable[[Any, Any], Any]
    fastapi_loader: Callable[[Any, str], Any]

    def __init__(self) -> None:
        self.fastapi_encoder: Callable[[], None] = lambda: None  # while the package is being imported


hooks = Hooks()


class Conf:
    """Settings of the process.

    ``db``              the database of every class that names none: a URL, a redis-py client of either
                        colour or a :class:`Database`; reads back as a Database. Without one:
                        ``$REDISCA_URL``, else ``redis://localhost:6379/0``. Nothing connects before the
                        first command.
    ``max_rows``        how many records one list of a query may hold (100,000); None for no limit.
    ``secret``          bytes that sign the cursors of pages, so that none can be forged; empty by default.
    ``allow_blocking``  let blocking models work inside a running task, whose loop they block.
    ``cheap_passwords`` hash new passwords at next to no cost, for tests: they are not protected by that, so
                        that setting it warns (RuntimeWarning). Stored hashes are verified as ever.

    As a decorator, ``@conf(prefix="usr")`` sets one class; see :meth:`__call__`.
    """

    max_rows: int | None = 100_000
    secret: bytes = b""
    allow_blocking: bool = False

    def __init__(self) -> None:
        self._db: Any = None
        self._cheap_passwords = False

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):
            if name[:1] != "_" and not hasattr(type(self), name):
                known = ", ".join(sorted(n for n in dir(type(self)) if n[:1] != "_"))
                raise AttributeError(f"conf has no setting {name!r}; there are {known}")
            try:
                object.__setattr__(self, name, value)
            except UsageError as error:
                hide_values(error)
                del value
                raise

    if TYPE_CHECKING:
        # Reads back as a Database; takes also what names one.
        @property
        def db(self) -> Database: ...
        @db.setter
        def db(self, value: object) -> None: ...
    else:

        @property
        def db(self):
            if self._db is None:
                self._db = hooks.open_database(None)
            return self._db

        @db.setter
        def db(self, value):
            self._db = None if value is None else hooks.open_database(value)

    @property
    def cheap_passwords(self) -> bool:
        return self._cheap_passwords

    @cheap_passwords.setter
    def cheap_passwords(self, value: bool) -> None:
        self._cheap_passwords = value
        if value:
            warnings.warn(
                "conf.cheap_passwords: new passwords are not protected by their hashes; for tests only",
                RuntimeWarning,
                stacklevel=3,  # the line that sets it: __setattr__ lies between
            )

    @hiding
    def __call__(
        self,
        *,
        prefix: str | None = None,
        db: object = None,
        id: Callable[[], str | int] | None = None,
        namespace: str | None = None,
        tag: Tag | None = None,
        partitions: int | None = None,
        unique: Sequence[Sequence[str]] | None = None,
        index: Sequence[tuple[str, str]] | None = None,
        cache: int | None = None,
        ttl: Duration | Missing | None = MISSING,
        sliding: Literal["save", "load"] | Missing | None = MISSING,
        auto_build: int | None = None,
        optimistic: bool | Literal["record"] | None = None,
        feed: bool | int | None = None,
    ) -> Callable[[C], C]:
        """Set up a model class.

        ``prefix``     what its keys start with; the lower-cased class name where it is not given. Not
                       inherited. No ``/ { } *`` and no white space.
        ``db``         its database, as for ``conf.db``.
        ``id``         makes the ids of ``new()``; :func:`hexid` by default.
        ``namespace``  goes before every key; that of the database by default.
        ``tag``        put the prefix in braces, so that Redis Cluster keeps the model in one slot: the
                       default there. A text stands in the braces before the prefix: models with the same
                       share a slot, so that a session writes them in one atomic call there, and references
                       between them keep ``on_delete=`` and ``check=``. No ``/ { } *`` and no white space.
        ``partitions`` spread the records over so many slots, a power of two up to 1,024, so that all nodes of
                       a cluster share one model; 1, the default, keeps them in one. What that gives and what
                       it takes: docs/partitions.md. For a model that has records it is changed by `aioredisca
                       partition` alone.
        ``unique``     attributes whose values no two records hold together:
                       ``unique=[("owner", "slug")]``. A record without one of the values claims nothing.
        ``index``      pairs of attributes for queries that hold the first equal and bound, order or count
                       the second: ``index=[("country", "elevation")]``. The second has a range index of
                       its own, values of the first have at most 512 bytes, and a record without one of
                       the two is not in it.

        ``cache``      how many loaded records an asyncio process holds for ``get``, ``get_many`` and awaited
                       handles. The server tells when one of them changes (CLIENT TRACKING, over one more
                       connection per event loop), so that they are right but for the moment that takes;
                       0, the default, holds none. Queries, ``reload`` and writes always ask the server.

        ``ttl``        how long a record lasts from its creation on, a timedelta or seconds; None: for ever,
                       unless ``save(ttl=)`` or ``expire()`` says otherwise. Where it is not given, records
                       never end by themselves. Changing it changes no record that is stored.
        ``sliding``    what makes a record last ``ttl`` anew: "save", each save; "load", each load of it by
                       its id as well; None, the default, nothing.

        ``auto_build`` for development: where there are at most so many records, indexes that were added are
                       built and others dropped by whatever process meets that first, as by `aioredisca
                       reindex --force`: other versions of the class may not write any more. Not given, the
                       default: only by that command.

        ``optimistic`` compare each save and each flush of a record with what was loaded of it, as by
                       ``save(if_unchanged=True)``, or "record" for all fields; StaleWrite. A save that says
                       ``if_unchanged=False`` is not compared.

        ``feed``       tell every change of a record in a stream, in the same atomic call, for
                       ``async for change in User.changes()``: docs/feeds.md. A number is how many changes are
                       kept at least, True is 100,000 (in each partition).

        ``unique`` and ``index`` of a subclass stand in the place of the inherited ones. The names are
        checked at the first I/O: UsageError.

        Everything but ``prefix`` is inherited. Settings are read at the first I/O of the class; changing
        them after that is a UsageError.
        """
        settings = {
            "prefix": prefix,
            "db": db,
            "id": id,
            "namespace": namespace,
            "tag": tag,
            "partitions": partitions,
            "unique": unique,
            "index": index,
            "cache": cache,
            "auto_build": auto_build,
            "optimistic": optimistic,
            "feed": feed,
        }
        given = {name: plain(value) for name, value in settings.items() if value is not None}
        if ttl is not MISSING:
            given["ttl"] = 0 if ttl is None else milliseconds(ttl, "conf(ttl)")
        if sliding is not MISSING:
            given["sliding"] = "" if sliding is None else sliding
        self._check(given)

        def decorate(model: C) -> C:
            if "__mapper__" not in vars(model):
                raise UsageError(f"conf(...) sets up a model class, and {model!r} is none")
            settings: Any = model
            settings.__mapper__.configure(given)
            return model

        return decorate

    def _check(self, given: Settings) -> None:
        if "prefix" in given and (reason := bad_prefix(given["prefix"])):
            raise UsageError(f"conf(prefix={given['prefix']!r}): {reason}")
        if "namespace" in given and (reason := bad_namespace(given["namespace"])):
            raise UsageError(f"conf(namespace={given['namespace']!r}): {reason}")
        if "tag" in given and (reason := bad_tag(given["tag"])):
            raise UsageError(f"conf(tag={given['tag']!r}): {reason}")
        if "partitions" in given and (reason := bad_partitions(given["partitions"])):
            raise UsageError(f"conf(partitions={given['partitions']!r}): {reason}")
        cache = given.get("cache", 0)
        if whole_in(cache, 0, math.inf) is None:
            raise UsageError(f"conf(cache={cache!r}): is how many records to hold, 0 for none")
        most = given.get("auto_build", 0)
        if whole_in(most, 0, math.inf) is None:
            raise UsageError(f"conf(auto_build={most!r}): is how many records there may be at most")
        if "feed" in given:
            given["feed"] = _length_of_feed(given["feed"])
        if given.get("sliding", "") not in ("", "save", "load"):
            raise UsageError(f"conf(sliding={given['sliding']!r}): is 'save', 'load' or None")
        if given.get("sliding") and given.get("ttl") == 0:
            raise UsageError(f"conf(ttl=None, sliding={given['sliding']!r}): there is no time to prolong by")
        if given.get("optimistic", True) not in (True, False, "record"):
            raise UsageError(f"conf(optimistic={given['optimistic']!r}): is True, 'record' or False")
        if "id" in given and not callable(given["id"]):
            raise UsageError("conf(id=) takes a function that returns a new id")
        for name in given.keys() & {"unique", "index"}:
            given[name] = _attribute_lists(name, given[name])
        if "db" in given:
            given["db"] = hooks.open_database(given["db"])


def _length_of_feed(given: Any) -> int:
    """How many changes ``feed=`` of a class keeps, 0 for none."""
    if isinstance(given, bool):
        return FEED if given else 0
    if (length := whole_in(given, 1, math.inf)) is None:
        raise UsageError(f"conf(feed={given!r}): is True, or how many changes are kept at least")
    return length


def _attribute_lists(setting: str, given: Any) -> tuple[tuple[str, ...], ...]:
    """What ``unique=`` or ``index=`` of a class lists, as tuples of attribute names."""
    if isinstance(given, str) or not all(isinstance(names, list | tuple) for names in given):
        raise UsageError(f'conf({setting}=) takes lists of attribute names, as in {setting}=[("a", "b")]')
    lists: list[tuple[Any, ...]] = [tuple(map(plain, names)) for names in given]
    for names in lists:
        if not all(isinstance(name, str) for name in names) or len({*names}) < len(names) or len(names) < 2:
            raise UsageError(f"conf({setting}=): {names!r} names no two or more different attributes")
        if setting == "index" and len(names) != 2:
            raise UsageError(f"conf(index=): {names!r} must be two attributes, the second with a range index")
    return tuple(dict.fromkeys(lists))


conf = Conf()
