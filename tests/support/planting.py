"""Faults of every kind that check knows, planted with a plain client, and a class that can have them all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aioredisca import Email, Integer, Model, Reference, SetOf, String, Tags, conf
from aioredisca.maintenance.checking.faults import Kind

HOUR = 3_600_000


class Lang(Model):
    """What the records refer to."""

    name = String()


@conf(prefix="live", unique=[("owner", "slug")], index=[("country", "age")], ttl=None)
class Live(Model):
    """Every kind of index, ends, a reference and a collection. Nothing is required, so that markers stand."""

    email = Email(unique=True)
    city = String(index=True)
    bio = String(index=True)
    nick = String(index=True)
    age = Integer(index=True)
    name = String(index="sorted")
    tags = Tags(index=True)
    owner = String()
    slug = String()
    country = String(index=True)
    size = Integer()
    lang = Reference(Lang)
    likes = SetOf(String())


class Strict(Model):
    """With a required field that no index knows."""

    note = String(required=True)
    mail = String()


def long(i: int) -> str:
    """A value that stands in key names by its digest."""
    return f"{i}-" + "x" * 600


def digest(i: int) -> str:
    return hashlib.sha256(long(i).encode()).hexdigest()


def record(i: int, live: Any = Live) -> Any:
    """The record ``v<i>``."""
    values = {"email": f"v{i}@x.xx", "city": f"C{i}", "bio": long(i), "age": i, "name": f"n{i}"}
    more = {"tags": {"all", f"t{i}"}, "owner": "o", "slug": str(i), "country": "FI", "size": i, "lang": "en"}
    return live.new(f"v{i}", **values, **more)


async def fill(count: int, live: Any = Live) -> None:
    """Records of ``Live``, or a class like it, every other of which ends in an hour, one without a value, and of ``Strict``."""
    await Lang.new("en", name="English").save(mode="upsert")
    await live.save_many([record(i, live) for i in range(count) if i % 2])
    await live.save_many([record(i, live) for i in range(count) if not i % 2], ttl=3600)
    await live.new("blank").save()
    await Strict.save_many([Strict.new(f"v{i}", note="n") for i in range(count)], skip_conflicts=True)
    await live("v1").likes.add("tea")


Do = Callable[[Any, int, str], object]
"""Plants one fault: with a client, the number and the id of a record that others leave alone."""


@dataclass(frozen=True)
class Plant:
    """``also``   other kinds that come with it, as often.
    ``only``   the records that it is done to: 0 those that end, 1 those that live for ever, None all.
    ``mended`` whether repair leaves nothing of it; ``kinds`` what it must be asked for.
    ``model``  whose records.
    """

    kind: Kind
    where: str
    do: Do
    also: tuple[Kind, ...] = ()
    only: int | None = None
    mended: bool = True
    kinds: tuple[Kind, ...] | None = None
    model: Any = field(default=Live)

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}"

    def victims(self, count: int) -> list[int]:
        """*count* records."""
        step = {None: range(count), 0: range(0, 2 * count, 2), 1: range(1, 2 * count, 2)}
        return list(step[self.only])


def _foreign_set(p: Any, i: int, id: str) -> None:
    p.delete(f"live/x/city/C{i}")
    p.set(f"live/x/city/C{i}", "not ours")


def _shared(p: Any, i: int, id: str) -> None:
    p.hset(f"live:{id}", "email", "blank@x.xx")
    p.hset("live:blank", "email", "blank@x.xx")
    p.hdel("live:blank", "_")
    p.hset("live/u/email", "blank@x.xx", "blank")
    p.hdel("live/u/email", f"v{i}@x.xx")


def _otherwise(p: Any, i: int, id: str) -> None:
    p.hset(f"live:{id}", "email", f"V{i}@X.xx")
    p.hdel("live/u/email", f"v{i}@x.xx")
    p.hset("live/u/email", f"V{i}@X.xx", id)


def _no_hash(p: Any, i: int, id: str) -> None:
    p.delete(f"live:{id}")
    p.set(f"live:{id}", "not ours")


def _undeclared(p: Any, i: int, id: str) -> None:
    p.hset(f"live:b{i}", "elsewhere", "1")
    p.zadd("live/ids", {f"b{i}": 0})
    for name in ("city", "bio", "nick", "age", "name", "tags", "country"):
        p.sadd(f"live/n/{name}", f"b{i}")


PLANTS = [
    Plant("no-id", "ids", lambda p, i, id: p.zrem("live/ids", id)),
    Plant("no-entry", "exact", lambda p, i, id: p.srem(f"live/x/city/C{i}", id)),
    Plant("no-entry", "exact, long", lambda p, i, id: p.srem(f"live/y/bio/{digest(i)}", id)),
    Plant("no-entry", "digests", lambda p, i, id: p.hdel("live/h/bio", id)),
    Plant("no-entry", "none", lambda p, i, id: p.srem("live/n/nick", id)),
    Plant("no-entry", "range", lambda p, i, id: p.zrem("live/r/age", id)),
    Plant("no-entry", "sorted", lambda p, i, id: p.zrem("live/s/name", f"n{i}\0{id}")),
    Plant("no-entry", "tags", lambda p, i, id: p.srem(f"live/x/tags/t{i}", id)),
    Plant("no-entry", "compound", lambda p, i, id: p.zrem("live/c/country/age/FI", id)),
    Plant("score", "ids", lambda p, i, id: p.zadd("live/ids", {id: 7})),
    Plant("score", "range", lambda p, i, id: p.zadd("live/r/age", {id: 7.5})),
    Plant("score", "sorted", lambda p, i, id: p.zadd("live/s/name", {f"n{i}\0{id}": 7})),
    Plant("score", "compound", lambda p, i, id: p.zadd("live/c/country/age/FI", {id: 7.5})),
    Plant("digest", "of another", lambda p, i, id: p.hset("live/h/bio", id, "0" * 64)),
    Plant("no-claim", "unique", lambda p, i, id: p.hdel("live/u/email", f"v{i}@x.xx")),
    Plant("no-claim", "together", lambda p, i, id: p.hdel("live/u/owner/slug", f"1:o{len(str(i))}:{i}")),
    Plant("wrong-claim", "of another", lambda p, i, id: p.hset("live/u/email", f"v{i}@x.xx", "blank")),
    Plant("wrong-claim", "of nobody", lambda p, i, id: p.hset("live/u/email", f"v{i}@x.xx", "nobody")),
    Plant(
        "wrong-claim",
        "together",
        lambda p, i, id: p.hset("live/u/owner/slug", f"1:o{len(str(i))}:{i}", "blank"),
    ),
    Plant("shared-value", "unique", _shared, only=1, mended=False),
    Plant("stray-claim", "denied", lambda p, i, id: p.hset("live/u/email", f"stray{i}@x.xx", id)),
    Plant("stray-claim", "of nobody", lambda p, i, id: p.hset("live/u/owner/slug", f"1:o1:x{i}", f"no{i}")),
    Plant("denied-entry", "exact", lambda p, i, id: p.sadd("live/x/city/Nowhere", id)),
    Plant("denied-entry", "exact, long", lambda p, i, id: p.sadd(f"live/y/bio/{'f' * 64}", id)),
    Plant("denied-entry", "digests", lambda p, i, id: p.hset("live/h/city", id, "0" * 64)),
    Plant("denied-entry", "none", lambda p, i, id: p.sadd("live/n/city", id)),
    Plant("denied-entry", "range, of one", lambda p, i, id: p.zadd("live/r/age", {"blank": 1})),
    Plant("denied-entry", "sorted", lambda p, i, id: p.zadd("live/s/name", {f"zz\0{id}": 0})),
    Plant("denied-entry", "tags", lambda p, i, id: p.sadd("live/x/tags/nowhere", id)),
    Plant("denied-entry", "compound", lambda p, i, id: p.zadd("live/c/country/age/SE", {id: i})),
    Plant("orphan-entry", "ids", lambda p, i, id: p.zadd("live/ids", {f"no{i}": 0})),
    Plant("orphan-entry", "exact", lambda p, i, id: p.sadd("live/x/city/C1", f"no{i}")),
    Plant("orphan-entry", "digests", lambda p, i, id: p.hset("live/h/bio", f"no{i}", "0" * 64)),
    Plant("orphan-entry", "range", lambda p, i, id: p.zadd("live/r/age", {f"no{i}": i})),
    Plant("orphan-entry", "moments", lambda p, i, id: p.zadd("live/t", {f"no{i}": 9e12})),
    Plant("foreign-type", "exact", _foreign_set, also=("no-entry",)),
    Plant("no-end", "key", lambda p, i, id: p.pexpire(f"live:{id}", HOUR), only=1),
    Plant("end", "key lives", lambda p, i, id: p.persist(f"live:{id}"), only=0),
    Plant("end", "key ends later", lambda p, i, id: p.pexpire(f"live:{id}", 2 * HOUR), only=0),
    Plant("end", "moment of one that lives", lambda p, i, id: p.zadd("live/t", {id: 9e12}), only=1),
    Plant("note", "lacks", lambda p, i, id: p.hdel("live/t/n", id), only=0),
    Plant("note", "of another form", lambda p, i, id: p.hset("live/t/n", id, "s12:x/city/C1"), only=0),
    Plant("note", "of one that lives", lambda p, i, id: p.hset("live/t/n", id, "s1:x"), only=1),
    Plant("note", "of nobody", lambda p, i, id: p.hset("live/t/n", f"no{i}", "s1:x")),
    Plant("marker", "beside fields", lambda p, i, id: p.hset(f"live:{id}", "_", "1")),
    Plant("marker", "lacks", _undeclared),
    Plant(
        "required",
        "value lacks",
        lambda p, i, id: (p.hset(f"strict:{id}", "mail", "m"), p.hdel(f"strict:{id}", "note")),
        mended=False,
        model=Strict,
    ),
    Plant("unreadable", "no number", lambda p, i, id: p.hset(f"live:{id}", "size", "secret"), mended=False),
    Plant("not-canonical", "address", _otherwise, only=1, kinds=("not-canonical",)),
    Plant("dangling", "lang", lambda p, i, id: p.hset(f"live:{id}", "lang", "zz"), kinds=("dangling",)),
    Plant("record-type", "text", _no_hash, only=1, mended=False),
    Plant("orphan-collection", "set", lambda p, i, id: p.sadd(f"live/l/likes/no{i}", "tea")),
    Plant("collection-type", "text", lambda p, i, id: p.set(f"live/l/likes/{id}", "x"), only=0, mended=False),
]
