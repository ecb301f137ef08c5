"""``P/meta`` as data: which versions of a class may write, and how far each index is. docs/storage.md lists
it.

A version is a class as it is stored: the SHA-256 of its signature names it. A writer looks up its own permit
in the script that writes, and believes nothing else. A reader believes one word, ``ver``, which is another
one after every change of a permit or a state. All changes are compare-and-set on that word: see
:class:`Edit`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from aioredisca.storage.replies import reader
from aioredisca.storage.schema import entries_of
from aioredisca.types import Reply

VER = "ver"
PERMIT, SIGNATURE, SEEN, STATE, CURSOR = "w:", "sig:", "seen:", "e:", "cur:"
"""What the fields of a version, and those of an entry, start with."""

WRITES, STAMPS, MARKS, ENDED = "1", "s", "m", "x"
"""Permits: may write; may write and leaves the time of it; may write and marks what; may not any more."""

ANNOUNCED, WIPE, PASS, READY, RETIRING = "announced", "wipe", "pass", "ready", "retiring"
"""States of an entry. Of one that nobody keeps there is no field."""

ACTIVE = frozenset({WIPE, PASS, READY})
"""States of an entry that every version which may write must keep."""

OLD_SIGNATURE, OLD_UNBUILT = "signature", "unbuilt"
"""All that layout 1 has in meta, and what its processes read. The first marks the prefix as ours as well."""

MOVED = "2/!:moved"
"""The signature where processes of layout 1 may not write any more: they know no such index."""

BARRED = "!:"
"""What an entry starts with that no class keeps, so that none may write."""

PARTITIONS = f"{BARRED}partitions="
"""What the entry starts with that says in how many partitions the records of the class are kept."""

COPYING = f"{BARRED}copying="
"""What the entry starts with that says into how many the records are copied, while they are written here."""

MOVING = f"{BARRED}moving="
"""What the entry starts with that says into how many the records move, while nobody writes."""

FILLING = f"{BARRED}filling="
"""What the entry starts with that stands where records come to, and are not all there yet."""

OLD_VERSION = "1"
"""What stands for layout 1 among the names of versions."""


def word() -> bytes:
    """A new ``ver``: random, for after a failover a counter would give the same number twice."""
    return secrets.token_urlsafe(6).encode()


def entries_of_old(signature: str) -> frozenset[str]:
    """The entries that a signature of layout 1 names: what it calls ``x?:F`` is ``x:F`` and ``n:F`` now."""
    found = set[str]()
    for entry in entries_of(signature):
        kind, _, name = entry.partition(":")
        found |= {f"{kind[:-1]}:{name}", f"n:{name}"} if kind.endswith("?") else {entry}
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Meta:
    """What ``P/meta`` holds. What is said of versions goes by their names, of entries by theirs.

    ``ver``        the word; empty where there is none, as before the first declaration.
    ``old``        the ``signature`` of layout 1, or what marks that it is over; empty where there is none.
    ``states``     of the entries; in a store of layout 1, what its ``unbuilt`` says of them.
    """

    ver: bytes = b""
    states: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict[str, str]()))
    permits: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict[str, str]()))
    signatures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict[str, str]()))
    seen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict[str, str]()))
    cursors: Mapping[str, bytes] = field(
        default_factory=lambda: MappingProxyType(dict[str, bytes]()), repr=False
    )
    old: str = ""

    @property
    def known(self) -> bool:
        """Whether anybody has declared anything here."""
        return bool(self.ver or self.old)

    @property
    def old_writes(self) -> bool:
        """Whether processes of layout 1 may write."""
        return self.old.startswith(f"{OLD_VERSION}/")

    def keepers(self, but: str = "") -> dict[str, frozenset[str]]:
        """The versions that may write, *but* for one: the entries of each. All of layout 1 are one."""
        found = {
            name: entries_of(self.signatures.get(name, ""))
            for name, permit in self.permits.items()
            if permit != ENDED and name != but
        }
        return found | {OLD_VERSION: entries_of_old(self.old)} if self.old_writes else found


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of meta, made by one script if meta still holds what *expects* says (nothing: no such field).

    ``absent``  and if none of these keys is there.
    ``whole``   and if no record is known to be missing from this entry.
    ``unlink``  keys that go with it.
    """

    expects: Mapping[str, str | bytes]
    sets: Mapping[str, str | bytes]
    drops: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    whole: str = ""
    unlink: tuple[bytes, ...] = ()


@reader
def read_meta(reply: Reply) -> Meta:
    """What HGETALL answers, as :class:`Meta`."""
    fields: dict[str, bytes] = {
        _text(name): value for name, value in zip(reply[::2], reply[1::2], strict=True)
    }
    ver, old = fields.get(VER, b""), _text(fields.get(OLD_SIGNATURE, b""))
    states = _texts(fields, STATE)
    if not ver and old:
        unbuilt = entries_of_old(f"/{_text(fields[OLD_UNBUILT])}" if fields.get(OLD_UNBUILT) else "")
        states = {entry: ANNOUNCED if entry in unbuilt else READY for entry in entries_of_old(old)}
    return Meta(
        ver,
        MappingProxyType(states),
        MappingProxyType(_texts(fields, PERMIT)),
        MappingProxyType(_texts(fields, SIGNATURE)),
        MappingProxyType(_texts(fields, SEEN)),
        MappingProxyType(
            {name[len(CURSOR) :]: value for name, value in fields.items() if name.startswith(CURSOR)}
        ),
        old,
    )


def _texts(fields: Mapping[str, bytes], prefix: str) -> dict[str, str]:
    return {name[len(prefix) :]: _text(value) for name, value in fields.items() if name.startswith(prefix)}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
