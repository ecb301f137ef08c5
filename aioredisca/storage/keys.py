"""Where keys come from: the only module that builds a key string.

With ``P`` = namespace + prefix, a record is ``P:id`` and everything else is ``P/...``. No id can name an
index, because a prefix holds no ``/``, and no two kinds of index share a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from aioredisca.errors import UsageError
from aioredisca.storage.partitions import partition_of_id, tags

MAX_ID = 512
MAX_FIELD = 512
MAX_INDEXED_FIELD = 64
LONG_VALUE = 512
"""Exact-indexed values of more bytes than this stand in key names by their SHA-256."""

MARKER = "_"
"""Hash field of a record that holds no declared field, so that it exists all the same."""

MOMENT = "\0expires_at"
"""What queries call the moment at which a record ends, which no hash holds: no hash field begins with NUL."""


Tag = bool | str
"""Whether the prefix of a model stands in braces; a text stands there in its place, before the prefix."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one model in one database.

    ``tag`` puts the prefix in braces, or another text before it: Redis Cluster then keeps all keys with the
    same in braces in one slot, whatever stands behind them.
    """

    namespace: str
    prefix: str
    tag: Tag = False
    base: str = field(init=False, compare=False, repr=False)
    """What every key of the model starts with."""
    slot: str = field(init=False, compare=False, repr=False)
    """What stands in braces: classes with the same are in one slot. Empty without a tag."""

    def __post_init__(self) -> None:
        slot = self.tag if isinstance(self.tag, str) else self.prefix if self.tag else ""
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "base", self.namespace + tagged(self.prefix, self.tag))

    def in_partition(self, id: str, partitions: int) -> Keys:
        """The keys of the partition that has the record of *id*, of so many."""
        return replace(self, tag=tags(self.prefix, partitions)[partition_of_id(id, partitions)])

    @property
    def records(self) -> str:
        """What every record key starts with."""
        return f"{self.base}:"

    def record(self, id: str) -> str:
        return f"{self.base}:{id}"

    @property
    def meta(self) -> str:
        """Hash: which versions of the class may write, and how far each index is."""
        return f"{self.base}/meta"

    @property
    def bad(self) -> str:
        """Sorted set, score 0: an entry of the signature, NUL, the id of a record that it lacks."""
        return f"{self.base}/bad"

    @property
    def lease(self) -> str:
        """String: who is at work on the indexes, for as long as it goes on."""
        return f"{self.base}/lease"

    def imported(self, run: str) -> str:
        """String, for ten minutes: which batch of an import was written last."""
        return f"{self.base}/import/{run}"

    @property
    def journal(self) -> str:
        """Hash: how far migrations are with the records, in a cluster: maintenance/migrations/journal.py.

        With it go ``/left``, a hash, and ``/lease``, a string.
        """
        return f"{self.base}/migrations"

    @property
    def nothing(self) -> str:
        """What is never there: commands are tried on it."""
        return f"{self.base}/-"

    @property
    def ids(self) -> str:
        """Sorted set of all ids, score 0."""
        return f"{self.base}/ids"

    def unique(self, field: str) -> str:
        """Hash: value -> id of the record that holds it."""
        return f"{self.base}/u/{field}"

    def range(self, field: str) -> str:
        """Sorted set: id by score."""
        return f"{self.base}/r/{field}"

    def sorted(self, field: str) -> str:
        """Sorted set, score 0: the value (see :func:`sortable`), NUL, the id."""
        return f"{self.base}/s/{field}"

    def unique_together(self, fields: tuple[str, ...]) -> str:
        """Hash: values together (see :func:`joined`) -> id of the record that holds them."""
        return f"{self.base}/u/{'/'.join(fields)}"

    def compound(self, first: str, second: str, value: bytes) -> bytes:
        """Sorted set of the ids that hold *value* in *first*, by the score of *second*."""
        return f"{self.base}/c/{first}/{second}/".encode() + value

    def collection(self, name: str, id: str) -> str:
        """The collection *name* of a record."""
        return f"{self.base}/l/{name}/{id}"

    @property
    def feed(self) -> str:
        """Stream: an entry for each change of a record, see docs/feeds.md."""
        return f"{self.base}/f"

    @property
    def moments(self) -> str:
        """Sorted set: the ids of the records that end, by the millisecond in which they do."""
        return f"{self.base}/t"

    @property
    def notes(self) -> str:
        """Hash: id of a record that ends -> what stands of it in indexes, for when it is gone."""
        return f"{self.base}/t/n"

    def claims(self, of: str) -> str:
        """Hash, in the partition of a value: value -> ``epoch:id`` of who claims it in all partitions.

        *of* is the unique: its hash fields with ``/`` between.
        """
        return f"{self.base}/k/{of}"

    @property
    def epochs(self) -> str:
        """Hash, in the partition of a record: bucket of its id -> how often claims of such were given up."""
        return f"{self.base}/e"

    @property
    def dirty(self) -> str:
        """Sorted set: the ids of records that were written since they were copied to another place, by how
        often."""
        return f"{self.base}/d"

    @property
    def owed(self) -> str:
        """List, in the partition of a record: claims given up and not yet released, each as :class:`Owed`."""
        return f"{self.base}/o"

    @property
    def beside(self) -> tuple[str, ...]:
        """What goes with the records when they go for good, but for their indexes and meta."""
        return (self.ids, self.moments, self.notes, self.bad, self.epochs, self.owed, self.feed, self.dirty)

    def none(self, field: str) -> str:
        """Set of the ids that hold no value."""
        return f"{self.base}/n/{field}"

    def digests(self, field: str) -> str:
        """Hash: id -> digest of its value, for values too long for a key name."""
        return f"{self.base}/h/{field}"

    def values(self, field: str) -> str:
        """What the keys of the sets per value begin with."""
        return f"{self.base}/x/{field}/"

    def long_values(self, field: str) -> str:
        """The same of values that stand there by their digest."""
        return f"{self.base}/y/{field}/"

    def exact(self, field: str, value: bytes) -> bytes:
        """Set of the ids that hold *value*."""
        digest = long_digest(value)
        if digest:
            return f"{self.base}/y/{field}/{digest}".encode()
        return f"{self.base}/x/{field}/".encode() + value


def tagged(prefix: str, tag: Tag) -> str:
    """A prefix as it stands in keys."""
    if isinstance(tag, str):
        return f"{{{tag}}}{prefix}"
    return f"{{{prefix}}}" if tag else prefix


def tag_in(model: str, tag: Tag | None, *, clustered: bool, spread: bool = False) -> Tag:
    """The tag of a model that asks for *tag*, None where it says nothing.

    UsageError where it needs one, or is *spread* over partitions and wants one.
    """
    if spread and tag is not None:
        raise UsageError(f"{model}: tag= keeps a model in one slot, partitions= spreads it over many: choose")
    if clustered and tag is False:
        raise UsageError(
            f"{model}: a cluster keeps a model in one place by its tag: leave tag=False out, or write "
            'tag=True, or tag="shop" for several models that are to be changed together'
        )
    return clustered if tag is None else tag


def id_text(raw: bytes | None) -> str:
    """An id as the server has it. Bytes that are no UTF-8 come from somebody else; they survive."""
    return (raw or b"").decode("utf-8", "surrogateescape")


def sortable(value: bytes) -> bytes:
    """*value* so that what follows it cannot change its place: without NUL, in the same order.

    NUL becomes 1 1 and 1 becomes 1 2, so that NUL may end the value in a member of a sorted index.
    """
    return value.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def joined(values: Iterable[bytes]) -> bytes:
    """Several values as one, so that no two lists of values are alike."""
    return b"".join(b"%d:%b" % (len(value), value) for value in values)


def apart(text: bytes) -> list[bytes]:
    """The values that were :func:`joined`."""
    found, rest = list[bytes](), text
    while rest:
        size, _, rest = rest.partition(b":")
        found.append(rest[: int(size)])
        rest = rest[int(size) :]
    return found


class Owed(NamedTuple):
    """A claim that is to be released, as ``Keys.owed`` has it: these four, joined.

    ``of``     the unique, as :meth:`Keys.claims` takes it.
    ``epoch``  released are claims of earlier ones alone.
    """

    of: str
    value: bytes
    id: bytes
    epoch: int


def read_owed(entry: bytes) -> Owed:
    """A member of ``Keys.owed``."""
    of, value, id, epoch = apart(entry)
    return Owed(of.decode(), value, id, int(epoch))


def read_claim(held: bytes) -> tuple[int, bytes]:
    """What ``Keys.claims`` has of a value: the epoch and the id."""
    epoch, _, id = held.partition(b":")
    return int(epoch), id


def long_digest(value: bytes) -> str:
    """The SHA-256 of a value too long for a key name, else the empty string."""
    return hashlib.sha256(value).hexdigest() if len(value) > LONG_VALUE else ""


def bad_prefix(prefix: object) -> str:
    """Why *prefix* cannot be one, or the empty string."""
    if not isinstance(prefix, str) or not prefix:
        return "a prefix is a string of at least one character"
    return _bad_name("prefix", prefix)


def bad_tag(tag: object) -> str:
    """Why *tag* cannot be one, or the empty string."""
    if isinstance(tag, bool):
        return ""
    if not isinstance(tag, str) or not tag:
        return "a tag is True, False or a string of at least one character"
    return _bad_name("tag", tag)


def _bad_name(what: str, name: str) -> str:
    if bad := next((c for c in name if c in "/{}*\0" or c.isspace()), None):
        return f"a {what} holds no / {{ }} *, no NUL and no white space, this one has {bad!r}"
    return _bad_text(name, 128)


def bad_namespace(namespace: object) -> str:
    """Why *namespace* cannot be one, or the empty string."""
    if not isinstance(namespace, str):
        return "a namespace is a string"
    if bad := next((c for c in namespace if c in "{}*\0" or c.isspace()), None):
        return f"a namespace holds no {{ }} *, no NUL and no white space, this one has {bad!r}"
    return _bad_text(namespace, 128)


def bad_field(name: object, *, indexed: bool) -> str:
    """Why *name* cannot be a hash field (of an index), or the empty string."""
    if not isinstance(name, str) or not name:
        return "a hash field is a string of at least one character"
    if name.startswith("\0"):
        return "a hash field does not begin with NUL, where servers take it for none"
    if name == MARKER:
        return f"{MARKER!r} marks empty records and cannot be a field"
    if indexed and "/" in name:
        return "the hash field of an index holds no /"
    return _bad_text(name, MAX_INDEXED_FIELD if indexed else MAX_FIELD)


def bad_id(id: str) -> str:
    """Why *id* cannot name a stored record, or the empty string."""
    if not id:
        return "an empty id names no record"
    return _bad_text(id, MAX_ID)


def _bad_text(text: str, limit: int) -> str:
    if text.isascii() and len(text) <= limit:  # as nearly always
        return ""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "it holds a lone surrogate, which UTF-8 cannot write"
    return f"it has {size} bytes of UTF-8, at most {limit} are allowed" if size > limit else ""


def glob_literal(text: str) -> str:
    """*text* for a MATCH pattern, its special characters taken literally."""
    return "".join(f"\\{c}" if c in "*?[]^\\" else c for c in text)
