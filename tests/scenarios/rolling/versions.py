"""The changes of a model that are rolled out: each with the class as it was and as it will be.

Both are stored as ``item``. A process has one of them: ``deployed.py``.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from typing import Any

from aioredisca import Integer, Model, String, Tags, conf

Options = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """What a class declares beside what never changes: options by attribute, and compound indexes.

    ``nones``  whether its writers leave out the size now and then.
    """

    fields: dict[str, Options] = field(default_factory=dict[str, Options])
    unique: tuple[tuple[str, ...], ...] = ()
    index: tuple[tuple[str, ...], ...] = ()
    nones: bool = True

    def model(self) -> type[Any]:
        """The class itself."""
        options = {name: self.fields.get(name, {}) for name in ("name", "code", "size", "labels", "note")}
        namespace: dict[str, Any] = {
            "__module__": __name__,
            "group": String(index=True),
            "name": String(**options["name"]),
            "code": String(**options["code"]),
            "size": Integer(**options["size"]),
            "labels": Tags(**options["labels"]),
            "stamp": Integer(),
        }
        if "note" in self.fields:
            namespace["note"] = String(**options["note"])
        made: type[Any] = types.new_class("Item", (Model,), {}, lambda body: body.update(namespace))
        settings: Options = {"unique": [*self.unique]} if self.unique else {}
        settings |= {"index": [*self.index]} if self.index else {}
        decorated: type[Any] = conf(prefix="item", **settings)(made)
        return decorated


@dataclass(frozen=True)
class Change:
    """One change, and what is documented of it.

    ``goes``   questions that the old version asks, and the new one cannot: NotIndexed from ``reindex --before`` on.
    ``comes``  questions that the new version asks: NotIndexed until ``reindex`` has built their indexes.
    ``today``  whether the scheme before this one shows faults in it.
    """

    old: Version
    new: Version
    goes: frozenset[str] = frozenset()
    comes: frozenset[str] = frozenset()
    today: bool = True


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


PLAIN = Version()
NAMED = Version({"name": {"index": True}})
SORTED = Version({"name": {"index": "sorted"}})
CODED = Version({"code": {"unique": True}})
SIZED = Version({"size": {"index": True}}, nones=False)
REQUIRED = Version({"size": {"index": True, "required": True}}, nones=False)
TAGGED = Version({"labels": {"index": True}})

CHANGES: dict[str, Change] = {
    "add a field": Change(PLAIN, Version({"note": {}}), today=False),
    "add an index": Change(PLAIN, NAMED, comes=_of("name")),
    "remove an index": Change(NAMED, PLAIN, goes=_of("name")),
    "add a unique": Change(PLAIN, CODED, comes=_of("code")),
    "remove a unique": Change(CODED, PLAIN, goes=_of("code")),
    "change the kind": Change(NAMED, SORTED, goes=_of("name"), comes=_of("name", "name begins")),
    "add a compound index": Change(
        Version({"size": {"index": True}}),
        Version({"size": {"index": True}}, index=(("group", "size"),)),
        comes=_of("pair"),
    ),
    "remove a compound index": Change(
        Version({"size": {"index": True}}, index=(("group", "size"),)),
        Version({"size": {"index": True}}),
        goes=_of("pair"),
    ),
    "add a unique of several": Change(PLAIN, Version(unique=(("group", "code"),)), comes=_of("together")),
    "add tags": Change(PLAIN, TAGGED, comes=_of("labels")),
    "remove tags": Change(TAGGED, PLAIN, goes=_of("labels")),
    "make a field required": Change(SIZED, REQUIRED, goes=_of("size none")),
    "make a field optional": Change(REQUIRED, SIZED, comes=_of("size none")),
    "change limits": Change(
        Version({"name": {"index": True, "maxlen": 50}}),
        Version({"name": {"index": True, "maxlen": 5}}),
        today=False,
    ),
    "add an index and a unique, remove tags": Change(
        TAGGED,
        Version({"name": {"index": True}, "code": {"unique": True}}),
        goes=_of("labels"),
        comes=_of("name", "code"),
    ),
}
