"""The whole error tree. Each error carries its facts as attributes and the cure in its text.

::

    RediscaError
      UsageError            a mistake of the program, raised before any I/O
        NotIndexed NotLoaded FieldUnset SessionClosed DriverMisuse TooManyRows TooManyArguments MultipleFound
      ValidationError       a value that a field refuses (also a ValueError)
      NotFound              no such record (also a LookupError)
      Conflict              the server refused a write; nothing of it was written
        AlreadyExists UniqueViolation StaleWrite Gone OutOfBounds Restricted
        BulkError
      BadLine               a line of an export that is not imported
      CorruptRecord         stored bytes that a field cannot read
      StoreError            the database
        Unavailable OutcomeUnknown SchemaMismatch PermissionDenied Unsupported WrongType
        AlreadyRunning IncompatibleServer FeedGap
      MigrationError        the folder of migrations and the store do not agree, or a step came to no end

Every error can be pickled. Models are named, not referenced, and ``instance`` stays behind, so that errors
travel between processes without the data of the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RediscaError(Exception):
    """Root of everything this library raises on purpose.

    ``instance`` is the model instance an error of a save or a flush is about, else None. Where a flush takes
    several calls, one for each slot of a cluster and each database, ``written`` are the records of those
    before the one that failed, by class and id, and ``unwritten`` those that were not written.
    """

    instance: Any = None
    written: tuple[tuple[str, str], ...] = ()
    unwritten: tuple[tuple[str, str], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: value for name, value in vars(self).items() if name != "instance"}
        return type(self), self.args, facts


class UsageError(RediscaError):
    """The program used the library wrongly. Raised before any I/O."""


class NotIndexed(UsageError):
    """A query on a field that has no index, or whose index is not built yet.

    ``field`` is empty where the set of all records is not.
    """

    def __init__(self, model: str, field: str, reason: str = "") -> None:
        super().__init__(model, field, reason)
        self.model, self.field = model, field
        self.reason = reason or f"declare it with index=True or unique=True to query {field!r}"

    def __str__(self) -> str:
        if not self.field:
            return f"the records of {self.model} are not listed: {self.reason}"
        return f"{self.model}.{self.field} is not indexed: {self.reason}"


class NotLoaded(UsageError):
    """A value of a record that was never loaded was asked for where no I/O is allowed."""

    def __init__(self, model: str, id: str, field: str, cure: str = "") -> None:
        super().__init__(model, id, field, cure)
        self.model, self.id, self.field = model, id, field
        self.cure = cure or f"await the handle first: record = await {model}({id!r})"

    def __str__(self) -> str:
        return f"{self.model}({self.id!r}).{self.field} is not loaded: {self.cure}"


class FieldUnset(UsageError):
    """A required field of an unsaved record holds no value yet."""

    def __init__(self, model: str, field: str) -> None:
        super().__init__(model, field)
        self.model, self.field = model, field

    def __str__(self) -> str:
        return f"{self.model}.{self.field} is required and holds no value yet: assign it before reading it"


class SessionClosed(UsageError):
    """A record that belongs to a closed session was changed or saved."""

    def __init__(self, model: str, id: str) -> None:
        super().__init__(model, id)
        self.model, self.id = model, id

    def __str__(self) -> str:
        return (
            f"{self.model}({self.id!r}) belongs to a session that is closed: change it inside "
            f"`async with session():`, or load it again"
        )


class DriverMisuse(UsageError):
    """Blocking code in a running task, asyncio code without a loop, or a foreign awaitable in the core."""


class TooManyRows(UsageError):
    """A query matched more rows than ``conf.max_rows`` lets one list hold."""

    def __init__(self, model: str, limit: int) -> None:
        super().__init__(model, limit)
        self.model, self.limit = model, limit

    def __str__(self) -> str:
        return (
            f"the query on {self.model} matches more than conf.max_rows = {self.limit:,} records: "
            f"use .limit(n), stream them with `async for`, or raise conf.max_rows"
        )


class TooManyArguments(UsageError):
    """One call takes ``count`` arguments, and the database ``most`` in one command. Nothing was sent."""

    cure = "write fewer records and values at once, or ask for fewer"

    def __init__(self, count: int, most: int) -> None:
        super().__init__(count, most)
        self.count, self.most = count, most

    def __str__(self) -> str:
        text = f"this takes {self.count:,} arguments in one call, and the database takes {self.most:,}"
        return f"{text}: {self.cure}"


class ValidationError(RediscaError, ValueError):
    """A field refuses a value. The old value is kept and nothing was sent.

    ``value`` is None for fields declared ``secret=True``. ``reason`` names no value and no id, so that a
    client may be told it; ``cure`` is what the text adds for the program, if anything.
    """

    def __init__(self, model: str, field: str, reason: str, value: object = None, cure: str = "") -> None:
        super().__init__(model, field, reason)  # without the value, which repr() would show
        self.model, self.field, self.reason, self.value, self.cure = model, field, reason, value, cure

    def __str__(self) -> str:
        text = f"{self.reason}: {self.cure}" if self.cure else self.reason
        return f"{self.model}.{self.field}: {text}" if self.field else f"{self.model}: {text}"


class NotFound(RediscaError, LookupError):
    """There is no such record. ``id`` is None where a query, not an id, found nothing."""

    def __init__(self, model: str, id: str | None = None) -> None:
        super().__init__(model, id)
        self.model, self.id = model, id

    def __str__(self) -> str:
        return f"no {self.model} matches" if self.id is None else f"there is no {self.model}({self.id!r})"


class MultipleFound(UsageError, LookupError):
    """Several records match where one was asked for, by ``one()`` or ``one_or_none()``."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model

    def __str__(self) -> str:
        return f"more than one {self.model} matches where one was asked for: narrow the query, or ask first()"


class Conflict(RediscaError):
    """The server refused a write. Nothing of the call was written, every change is kept in memory."""


class AlreadyExists(Conflict):
    """A record was to be created under an id that is taken."""

    def __init__(self, model: str, id: str) -> None:
        super().__init__(model, id)
        self.model, self.id = model, id

    def __str__(self) -> str:
        return (
            f"{self.model}({self.id!r}) exists already: load it to change it, or create it under another id"
        )


class UniqueViolation(Conflict):
    """Another record holds the value of a unique field. ``holder`` is the id of that record.

    ``fields`` are its attributes: one, or all that are unique together; ``field`` is their names in one
    text, as in ``"owner, slug"``.
    """

    def __init__(self, model: str, field: str, holder: str) -> None:
        super().__init__(model, field, holder)
        self.model, self.field, self.holder = model, field, holder
        self.fields = tuple(field.split(", "))

    def __str__(self) -> str:
        holder = f"{self.model}({self.holder!r})"
        if len(self.fields) > 1:
            return f"{self.model}: {self.field} are unique together and {holder} holds these values already"
        return f"{self.model}.{self.field} is unique and {holder} holds this value already"


class StaleWrite(Conflict):
    """Stored is another value than a write was based on, or than a session requires: ``required``."""

    def __init__(self, model: str, id: str, fields: Sequence[str], required: bool = False) -> None:
        super().__init__(model, id, tuple(fields), required)
        self.model, self.id, self.fields, self.required = model, id, tuple(fields), required

    def __str__(self) -> str:
        record, names = f"{self.model}({self.id!r})", ", ".join(self.fields)
        if self.required:
            return f"{record} is not as required{names and f' in {names}'}: begin anew with what is stored"
        cure = "reload() keeps your changes and takes theirs; then decide and save again"
        return f"{record} was changed by somebody else in {names}: {cure}"


class Gone(Conflict):
    """A record that was to be changed is not stored: it has vanished, or never was. Saving creates it."""

    def __init__(self, model: str, id: str) -> None:
        super().__init__(model, id)
        self.model, self.id = model, id

    def __str__(self) -> str:
        return f"{self.model}({self.id!r}) is not stored, or not any more: save() would create it"


class OutOfBounds(Conflict):
    """``incr()`` would have left the bounds it was given, or those of the field, or of a Counter.

    ``value`` is the number that is stored; None where there is none, and for ``secret=True`` fields.
    """

    def __init__(self, model: str, id: str, field: str, value: object = None) -> None:
        super().__init__(model, id, field)
        self.model, self.id, self.field, self.value = model, id, field, value

    def __str__(self) -> str:
        return f"{self.model}({self.id!r}).{self.field} stays as it is: the result would be out of bounds"


class Restricted(Conflict):
    """A record was not deleted: a ``Reference(on_delete="restrict")`` of another one names it.

    ``model`` and ``id`` are those of the record that is referred to (the one to be deleted, or one that
    would have gone with it), ``field`` is the reference as in ``"Post.author"``, ``holder`` the id of the
    record that holds it.
    """

    def __init__(self, model: str, id: str, field: str, holder: str) -> None:
        super().__init__(model, id, field, holder)
        self.model, self.id, self.field, self.holder = model, id, field, holder

    def __str__(self) -> str:
        return f"{self.model}({self.id!r}) is not deleted: {self.field} of {self.holder!r} refers to it"


class BulkError(Conflict):
    """A bulk write stopped at a refused batch.

    ``saved`` records are stored and clean, ``failed`` is the instance that was refused, ``cause`` the
    error it met. The rest keep their changes: calling again with the same list resumes.
    """

    def __init__(self, saved: int, cause: RediscaError) -> None:
        super().__init__(saved, cause)
        self.saved, self.cause = saved, cause
        self.instance = cause.instance

    @property
    def failed(self) -> Any:
        """The instance that was refused; None in another process."""
        return self.instance

    def __str__(self) -> str:
        return f"stopped after {self.saved} written records: {self.cause}"


class BadLine(RediscaError):
    """An import stopped at a line of its stream. ``line`` is its number, ``cause`` the error that it met."""

    def __init__(self, line: int, cause: RediscaError) -> None:
        super().__init__(line, cause)
        self.line, self.cause = line, cause

    def __str__(self) -> str:
        text = str(self.cause)
        if isinstance(self.cause, AlreadyExists):
            there = f"{self.cause.model}({self.cause.id!r}) exists already"
            text = f"{there}: on_conflict= (--on-conflict) skip goes on, replace replaces it"
        return f"line {self.line:,}: {text}"


class CorruptRecord(RediscaError):
    """Stored bytes that their field cannot read, or a stored record without a required field."""

    def __init__(self, model: str, key: str, field: str, reason: str = "cannot be read") -> None:
        super().__init__(model, key, field, reason)
        self.model, self.key, self.field, self.reason = model, key, field, reason

    def __str__(self) -> str:
        return f"the stored value of {self.model}.{self.field} in {self.key!r} {self.reason}"


class StoreError(RediscaError):
    """The database answered with an error that has no class of its own."""


class Unavailable(StoreError):
    """Nothing ran: the database could not be reached or refuses to work now. Safe to try again."""


class OutcomeUnknown(StoreError):
    """A write was sent and no answer came: it may have happened or not.

    Nothing was sent twice. What settles it depends on what was asked, and stands in ``cure``. ``save()`` of
    the same instance does: a record that holds already what was meant counts as saved. To count or to append
    once more may do it twice.
    """

    cure = "look at what is stored before you do it again"

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.cure}"


class SchemaMismatch(StoreError):
    """This version of the class is refused: its writes would break what others rely on (docs/deploy.md), or
    its records are elsewhere (docs/partitions.md).

    ``indexes`` are those that the store keeps and the class does not, as docs/storage.md names them; none
    where that is not why.
    """

    def __init__(self, model: str, indexes: Sequence[str], reason: str) -> None:
        super().__init__(model, tuple(indexes), reason)
        self.model, self.indexes, self.reason = model, tuple(indexes), reason

    def __str__(self) -> str:
        return f"{self.model} is refused: {self.reason}"


class AlreadyRunning(StoreError):
    """Somebody else is at work on the indexes of this model. ``holder`` is host, process and a random word.

    ``seconds`` is when that ends at the latest if the other one is no more; while it goes on, it is put off.
    """

    def __init__(self, model: str, holder: str, seconds: float) -> None:
        super().__init__(model, holder, seconds)
        self.model, self.holder, self.seconds = model, holder, seconds

    def __str__(self) -> str:
        wait = f"wait until it is done, or {self.seconds:.0f} seconds if it is no more"
        return f"{self.holder} is at work on the indexes of {self.model}: {wait}"


class PermissionDenied(StoreError):
    """The database user lacks a right. ``rule`` is the ACL rule to add, as for ``ACL SETUSER``."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(rule, detail)
        self.rule, self.detail = rule, detail
        self.of_command = rule.startswith("+")  # else it is a key that is denied

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"the database user may not do this: add the rule {self.rule!r}{detail}"


class Unsupported(StoreError):
    """The server has no command that something declared needs. ``command`` is its name."""

    def __init__(self, model: str, command: str) -> None:
        super().__init__(model, command)
        self.model, self.command = model, command

    def __str__(self) -> str:
        cure = "use Redis from 7.4 or Valkey from 9 on, or declare the fields without ttl="
        return f"{self.model} has fields that end, and this server has no {self.command}: {cure}"


class IncompatibleServer(StoreError):
    """The server cannot do what the library needs. docs/servers.md tells of each."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return f"this server {self.reason}: take another one, or another offering of it (docs/servers.md)"


class WrongType(StoreError):
    """A key of the library holds another type of value than belongs there: somebody else has written it.

    ``key`` is its name; ``*`` stands in it for a value, and it is empty where nobody knows which key it is.
    ``held`` is the type that was found, as TYPE says it. A write that meets one has changed no record.
    *place* is what belongs there: "index", "record", "collection" or "meta"; each has its own ``cure``.
    """

    def __init__(self, key: str = "", held: str = "", *, place: str = "") -> None:
        super().__init__(key, held)
        self.key, self.held = key, held
        self.cure = _CURES[place or ("index" if key else "")]
        self._what = "something that is no record" if place == "record" else ""

    def __str__(self) -> str:
        where = f"the key {self.key!r}" if self.key else "a key of this model"
        held = f"a {self.held}" if self.held else "a type of value"
        what = self._what or f"{held} that does not belong there"
        return f"{where} holds {what}: {self.cure}"


_CURES = {
    "index": "rename it if it is of use to anybody, then run `aioredisca reindex --everything`, which puts "
    "its own in that place",
    "record": "move it away, or take another id",
    "collection": "rename or delete it",
    "meta": "rename or delete it, then run `aioredisca reindex`, which writes its own",
    "": "in the place of an index `aioredisca reindex --everything` puts its own; what stands in that of a "
    "record or a collection is to be renamed or deleted",
}


class MigrationError(RediscaError):
    """A step of a migration that cannot be made, or cannot go on. What was done stays, and is recorded.

    ``step`` is its name, empty where it is about all of them.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)
        self.step, self.reason = step, reason

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}" if self.step else self.reason


class EvictionWarning(RuntimeWarning):
    """The database may throw records away when its memory is full; given once per Database."""
