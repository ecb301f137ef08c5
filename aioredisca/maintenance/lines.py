"""What a line of a stream holds: stored bytes as JSON has them, and the change that writes a record.

docs/data.md tells what stands where. No error shows a value.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from aioredisca.compiler.changes import After, Change
from aioredisca.compiler.loads import exists_call
from aioredisca.compiler.scripts import small_script
from aioredisca.errors import PermissionDenied, UsageError, ValidationError
from aioredisca.fields.text import Bytes
from aioredisca.persistence import asking, pending
from aioredisca.persistence.collections import INT64
from aioredisca.storage.keys import MARKER, bad_field, id_text
from aioredisca.storage.moments import MAX_FIELD_MOMENT, MAX_MOMENT, NEVER
from aioredisca.storage.replies import LIST
from aioredisca.storage.schema import Schema
from aioredisca.types import Arg, Call, Store

if TYPE_CHECKING:
    from aioredisca.fields.collections import Collection
    from aioredisca.model.mapper import Mapper

PAGE = 200
"""Records of one round trip that reads."""

FORMAT = 1
"""Version of the lines, at ``aioredisca`` in every header."""


def models_of(given: Sequence[Any], what: str) -> list[Any]:
    """The model classes *given*. UsageError for what is none, and for two of one name."""
    if not given:
        raise UsageError(f"{what} takes at least one model class")
    for model in given:
        if not isinstance(model, type) or not hasattr(model, "__mapper__"):
            raise UsageError(f"{what} takes model classes, not {model!r}")
    names = [model.__name__ for model in given]
    if len(set(names)) < len(names):
        raise UsageError(f"{what}: two models of one name would not be told apart")
    return list(given)


# -- values ----------------------------------------------------------------------------------------


def writes(codec: Any, raw: bytes, mapper: Mapper) -> bool:
    """Whether a field takes these stored bytes, and would write them like that."""
    try:
        text = raw if isinstance(codec.field, Bytes) else raw.decode()
        return bool(codec.accept_stored(text, mapper)[1] == raw)
    except ValueError:
        return False


def text_of(raw: bytes) -> str | dict[str, str]:
    """Stored bytes as JSON has them: as text, or in base64 where they are none."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def bytes_of(text: object) -> bytes:
    """The bytes of a text of a line. ValueError where it is none."""
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            pass
    elif isinstance(text, dict):
        try:
            return base64.b64decode(cast("dict[str, str]", text)["base64"], validate=True)
        except (KeyError, TypeError, ValueError):
            pass
    raise ValueError('is no text, and no {"base64": ...}')


def shown(kind: str, content: Any) -> Any:
    """What a collection holds, as a line has it."""
    if kind == "counter":
        return text_of(content)
    if kind == "sorted":
        return [[text_of(member), score.decode()] for member, score in content]
    if kind == "hash":
        return [[text_of(name), text_of(value)] for name, value in content]
    return [text_of(value) for value in content]


def readable(one: Collection, content: Any, mapper: Mapper) -> bool:
    """Whether a collection would hold these values by itself, and so many."""
    of: Any = getattr(one, "of", None)
    most: int | None = getattr(one, "__maxlen__", None)
    if of is None:
        return True
    if most is not None and len(content) > most:
        return False
    values: Iterable[bytes] = content
    if one.__kind__ == "sorted":
        values = [member for member, _ in content]
    elif one.__kind__ == "hash":
        values = [value for _, value in content]
        if not all(isinstance(text_of(name), str) for name, _ in content):
            return False
    return all(writes(of.__codec__, value, mapper) for value in values)


def parsed(text: str | bytes) -> dict[str, Any] | None:
    """The object that a line is, None where it is none."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):  # outside of which nothing is raised that holds the text
        return None
    return cast("dict[str, Any]", line) if isinstance(line, dict) else None


def _listed(given: object) -> list[Any]:
    """A list as it is; nothing for what is none."""
    found: list[Any] = given if isinstance(given, list) else []  # pyright: ignore[reportUnknownVariableType]
    return found


def _number(raw: bytes) -> str | None:
    """The text of a score as every server takes it. None for what is no number."""
    try:
        number = float(raw)
    except ValueError:
        return None
    return repr(number) if number == number else None


# -- what a line says ------------------------------------------------------------------------------


class Reader:
    """Makes changes of the lines of one model, for where its *schema* has it.

    ValidationError, which shows no value, for what is no good.
    """

    def __init__(self, mapper: Mapper, schema: Schema, checks: bool, unknown: dict[str, int]) -> None:
        self.mapper, self.schema = mapper, schema
        self.store: Store = mapper.store()
        self.checks, self.unknown = checks, unknown
        self.collections = {one.key: one for one in self.mapper.collections.values()}
        self.allowed = set[str]()
        """Commands that may be called on collections and ends."""
        self.timed = [one.key for one in self.mapper.fields.values() if one.ttl is not None]

    def refused(self, field: str, reason: str) -> ValidationError:
        return ValidationError(self.mapper.name, field, reason)

    def change(self, line: dict[str, Any]) -> Change:
        """What writes the record of a line."""
        if unknown := line.keys() - _PARTS.keys():
            raise self.refused("", f"the line holds {min(unknown)!r}, which nobody knows")
        for part, kind in _PARTS.items():
            if part in line and not (isinstance(line[part], kind) and not isinstance(line[part], bool)):
                raise self.refused("", f"{part} is no {kind.__name__}")
        id = self._id(line.get("id"))
        sets = self._declared(line.get("fields", {}), {*map(str, line.get("as_stored", ()))})
        sets.update(self._others(line.get("others", [])))
        self._mirror(sets)
        if missing := [key for key in self.schema.required if key not in sets]:
            raise self.refused(self.mapper.attribute(missing[0]), "is required")
        change = Change(self.schema.of(id), id, "create", sets, ends=self._ends(line.get("expires_at")))
        as_stored = {*map(str, line.get("collections_as_stored", ()))}
        after = self._field_ends(change, line.get("ends", {}))
        for key, content in line.get("collections", {}).items():
            after += self._collection(change, key, content, key in as_stored)
        change.after = tuple(after)
        if self.checks and self.mapper.checked:
            change.parents = self.mapper.parents(sets, self.store, None)
        return change

    def _id(self, given: object) -> str:
        try:
            raw = bytes_of(given)
        except ValueError:
            raise self.refused("id", "is no text") from None
        return self.mapper.record_id(id_text(raw))

    def _declared(self, given: dict[str, Any], as_stored: set[str]) -> dict[str, bytes]:
        sets = dict[str, bytes]()
        for key, text in given.items():
            known = self.mapper.by_key.get(key)
            name = self.mapper.attribute(key)
            raw = self._raw(name, text)
            if known is None:
                self._check_name(key)
                self.unknown[key] = self.unknown.get(key, 0) + 1
            elif not (key in as_stored or writes(known.__codec__, raw, self.mapper)):
                raise self.refused(name, "cannot be read, or the field would not write it like that")
            elif key in self.schema.tracked_keys:
                self._check_indexable(name, key, raw)
            sets[key] = raw
        return sets

    def _mirror(self, sets: dict[str, bytes]) -> None:
        """What ``also=`` writes and the line lacks, which an older release wrote: readers may need it."""
        names = self.schema.mirrors
        lacks = {
            key: raw for key, raw in sets.items() if key in names and not names[key].keys() <= sets.keys()
        }
        for name, raw in pending.mirrored(self.schema, {**lacks}).items():
            if raw is not None:
                sets.setdefault(name, raw)

    def _raw(self, name: str, text: object) -> bytes:
        try:
            return bytes_of(text)
        except ValueError as error:
            reason = str(error)
        raise self.refused(name, reason)

    def _check_name(self, key: str) -> None:
        if reason := bad_field(key, indexed=False):
            raise self.refused("", f"a hash field cannot be: {reason}")

    def _check_indexable(self, name: str, key: str, raw: bytes) -> None:
        try:
            return self.schema.check_indexable(key, raw)
        except ValueError:
            pass
        raise self.refused(name, "cannot stand in an index")

    def _others(self, given: list[Any]) -> dict[str, bytes]:
        """Hash fields that the class does not declare, as pairs: their names may be no text."""
        found = dict[str, bytes]()
        for pair in given:
            if len(_listed(pair)) != 2:
                raise self.refused("", "others is no list of pairs")
            key = id_text(self._raw("", pair[0]))
            if key in self.mapper.by_key or not key or key[0] == "\0" or key == MARKER:
                raise self.refused(self.mapper.attribute(key), "stands in others, where it cannot be")
            found[key] = self._raw(key, pair[1])
        return found

    # -- what ends ---------------------------------------------------------------------------------

    def _ends(self, moment: int | None) -> str:
        if not self.schema.expires:
            if moment is not None:
                raise self.refused("expires_at", "the class has no conf(ttl=), so its records never end")
            return ""
        if moment is None:
            return NEVER
        if not 0 <= moment < MAX_MOMENT:
            raise self.refused("expires_at", "is no moment in milliseconds")
        return f"a{moment}"

    def _field_ends(self, change: Change, given: dict[str, Any]) -> list[After]:
        for key, moment in given.items():
            if key not in self.timed or key not in change.sets:
                raise self.refused(self.mapper.attribute(key), "does not end: it has no ttl=, or no value")
            if type(moment) is not int or not 0 < moment < MAX_FIELD_MOMENT:
                raise self.refused(self.mapper.attribute(key), "ends at no moment in milliseconds")
        record = change.schema.keys.record(change.id)
        found = list[After]()
        if given:  # so that the record does not go when its last field ends
            found.append(After(record, "HSET", (MARKER, "1")))
        for key in self.timed:
            if key in given:
                found.append(After(record, "HPEXPIREAT", (given[key], "FIELDS", "1", key)))
            elif key in change.sets:
                found.append(After(record, "HPERSIST", ("FIELDS", "1", key)))
        return found

    # -- collections -------------------------------------------------------------------------------

    def _collection(self, change: Change, key: str, given: Any, as_stored: bool) -> list[After]:
        one = self.collections.get(key)
        if one is None:
            raise self.refused(key, "there is no such collection")
        place = change.schema.keys.collection(key, change.id)
        if one.__kind__ == "counter":
            return [After(place, "INCRBY", (self._count(one.name, given),))]
        values = _listed(given)
        if not values:
            raise self.refused(one.name, "is no list of values")
        if one.__kind__ == "sorted":
            content: Any = self._scored(one.name, values)
            arguments: list[Arg] = [part for member, score in content for part in (score, member)]
        elif one.__kind__ == "hash":
            content = self._named(one.name, values)
            arguments = [part for pair in content for part in pair]
        else:
            content = [self._raw(one.name, value) for value in values]
            arguments = [*content]
        if not as_stored and not readable(one, content, self.mapper):
            raise self.refused(one.name, "holds what cannot be read, or would not be written like that")
        return [After(place, _FILLS[one.__kind__], tuple(arguments))]

    def _count(self, name: str, given: object) -> int:
        raw = self._raw(name, given)
        digits = raw.removeprefix(b"-")
        if not digits.isdigit() or len(digits) > 19 or not -INT64 <= int(raw) < INT64:
            raise self.refused(name, "is no whole number of 64 bits")
        return int(raw)

    def _named(self, name: str, given: list[Any]) -> list[tuple[bytes, bytes]]:
        """The pairs of a list, as bytes."""
        if any(len(_listed(pair)) != 2 for pair in given):
            raise self.refused(name, "is no list of pairs")
        return [(self._raw(name, first), self._raw(name, second)) for first, second in given]

    def _scored(self, name: str, given: list[Any]) -> list[tuple[bytes, str]]:
        found = list[tuple[bytes, str]]()
        for member, text in self._named(name, given):
            score = _number(text)
            if score is None:
                raise self.refused(name, "holds a score that is no number")
            found.append((member, score))
        return found

    async def check_rights(self, changes: Sequence[Change]) -> None:
        """PermissionDenied where what follows the hashes of records is denied, while nothing is written yet.

        Asked once for each command. Redis 6.2 cannot be asked.
        """
        wanted = {one.command: one.key for change in changes for one in change.after}
        for command in wanted.keys() - self.allowed:
            call = Call((command,), small_script("rights"), (wanted[command],))
            if any(await asking.read(self.store, call, LIST)):
                raise PermissionDenied(f"+{command.lower()}", f"{command} is denied")
            self.allowed.add(command)

    # -- what is there -----------------------------------------------------------------------------

    async def taken(self, changes: Sequence[Change]) -> list[bool]:
        """Whether there is a record of each id already."""
        calls = [exists_call(change.schema, change.id) for change in changes]
        return [reply == 1 for reply in await asking.read_together(self.store, calls)]

    async def replace(self, changes: Sequence[Change]) -> None:
        """Let *changes* take away what stands of the records before them."""
        calls = [Call(("HKEYS", change.schema.keys.record(change.id))) for change in changes]
        for change, reply in zip(changes, await asking.read_together(self.store, calls), strict=True):
            there = {*self.schema.by_key, *map(id_text, reply)} - {MARKER}
            change.mode = "upsert"
            change.drops = tuple(sorted(there - change.sets.keys()))
            change.after = (*self._emptied(change), *change.after)

    def _emptied(self, change: Change) -> list[After]:
        keys = change.schema.keys
        return [After(keys.collection(key, change.id), "UNLINK") for key in self.collections]

    async def with_parents(self, changes: Sequence[Change]) -> list[Change]:
        """Those of *changes* whose parents are in the store, or among them, whose parents are too."""
        left = {change.schema.keys.record(change.id): change for change in changes}
        asked = list({key: None for change in changes for _, key, _, _ in change.parents if key not in left})
        there = set[str]()
        for first in range(0, len(asked), PAGE):
            part = asked[first : first + PAGE]
            replies = await asking.read_together(self.store, [Call(("EXISTS", key)) for key in part])
            there.update(key for key, reply in zip(part, replies, strict=True) if reply)
        while lost := [
            key
            for key, change in left.items()
            if any(parent not in left and parent not in there for _, parent, _, _ in change.parents)
        ]:
            for key in lost:
                del left[key]
        return [*left.values()]


_PARTS: dict[str, Any] = {
    "id": object,
    "fields": dict,
    "others": list,
    "as_stored": list,
    "expires_at": int,
    "ends": dict,
    "collections": dict,
    "collections_as_stored": list,
}
"""What a line may hold."""

_FILLS = {"list": "RPUSH", "set": "SADD", "sorted": "ZADD", "hash": "HSET"}
"""What fills a collection that is empty, by its kind."""
