"""``conf``: the settings of the process, and the decorator that sets those of one class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import UsageError
from .keys import bad_namespace, bad_prefix

if TYPE_CHECKING:
    from .database import Database

C = TypeVar("C", bound=type)

Settings = dict[str, Any]


class Conf:
    """Settings of the process.

    ``db``              the database of every class that names none: a URL, a redis-py client of either
                        colour or a :class:`Database`; reads back as a Database. Without one:
                        ``$REDISCA_URL``, else ``redis://localhost:6379/0``. Nothing connects before the
                        first command.
    ``max_rows``        how many records one list of a query may hold (100,000); None for no limit.
    ``allow_blocking``  let blocking models work inside a running task, whose loop they block.

    As a decorator, ``@conf(prefix="usr")`` sets one class; see :meth:`__call__`.
    """

    max_rows: int | None = 100_000
    allow_blocking: bool = False

    _open: Callable[[Any], Any]
    """Makes a Database of whatever names one; database.py puts it here, for the arrows point down."""

    def __init__(self) -> None:
        self._db: Any = None

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):
            if name[:1] != "_" and not hasattr(type(self), name):
                known = ", ".join(sorted(n for n in dir(type(self)) if n[:1] != "_"))
                raise AttributeError(f"conf has no setting {name!r}; there are {known}")
            object.__setattr__(self, name, value)

    if TYPE_CHECKING:
        # Reads back as a Database; takes also what names one.
        @property
        def db(self) -> Database: ...
        @db.setter
        def db(self, value: object) -> None: ...
    else:

        @property
        def db(self):
            self._db = self._open(self._db)
            return self._db

        @db.setter
        def db(self, value):
            self._db = None if value is None else self._open(value)

    def __call__(
        self,
        *,
        prefix: str | None = None,
        db: object = None,
        id: Callable[[], str | int] | None = None,
        namespace: str | None = None,
        tag: bool | None = None,
    ) -> Callable[[C], C]:
        """Set up a model class.

        ``prefix``     what its keys start with; the lower-cased class name where it is not given. Not
                       inherited. No ``/ { } *`` and no white space.
        ``db``         its database, as for ``conf.db``.
        ``id``         makes the ids of ``new()``; :func:`hexid` by default.
        ``namespace``  goes before every key; that of the database by default.
        ``tag``        put the prefix in braces, so that Redis Cluster keeps the model in one slot.

        Everything but ``prefix`` is inherited. Settings are read at the first I/O of the class; changing
        them after that is a UsageError.
        """
        settings = {"prefix": prefix, "db": db, "id": id, "namespace": namespace, "tag": tag}
        given = {name: value for name, value in settings.items() if value is not None}
        self._check(given)

        def decorate(model: C) -> C:
            model._configure(given)  # type: ignore[attr-defined]
            return model

        return decorate

    def _check(self, given: Settings) -> None:
        if "prefix" in given and (reason := bad_prefix(given["prefix"])):
            raise UsageError(f"conf(prefix={given['prefix']!r}): {reason}")
        if "namespace" in given and (reason := bad_namespace(given["namespace"])):
            raise UsageError(f"conf(namespace={given['namespace']!r}): {reason}")
        if "id" in given and not callable(given["id"]):
            raise UsageError("conf(id=) takes a function that returns a new id")
        if "db" in given:
            given["db"] = self._open(given["db"])


conf = Conf()
