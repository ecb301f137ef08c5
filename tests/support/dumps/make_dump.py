"""Writes a rich store through the public API, and says all that is in it: each time the same, byte for byte.

    PYTHONPATH=path/to/old python tests/support/dumps/make_dump.py > tests/support/dumps/VERSION.json

makes the dump of an older library. No value comes from chance or from the clock.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tests.support
from aioredisca import Conflict, Database, Gone, conf, reindex, session, sync

if __name__ == "__main__":  # the tests in PYTHONPATH may be older ones, which have no dumps
    tests.support.__path__.append(str(Path(__file__).resolve().parent.parent))

from tests.support.dumps import models
from tests.support.dumps.models import LONG
from tests.support.dumps.seen import change, seen
from tests.support.servers import KINDS, Server


async def write() -> None:
    """Fill the database, which is empty."""
    models.made = itertools.count(1)
    for part in (kinds, languages, people, apples, books, boards, both_colours, growing, by_hand):
        await part()


async def refused(operation: Any, kind: type[Exception] = Conflict) -> None:
    """Await what must be refused, and leave nothing behind."""
    try:
        await operation
    except kind:
        return
    raise AssertionError(f"not refused by {kind.__name__}")


async def kinds() -> None:
    """Every field: set, changed, taken away, long, empty; claims given up, taken and refused."""
    kind: Any = models.Kind
    await kind.new("whole", **models.WHOLE).save()
    await kind.new("nothing").save()
    await kind.new("emptied", text="gone soon").save()
    emptied = await kind.get("emptied")
    emptied.text = None
    await emptied.save()
    await kind.new("filled").save()
    filled = await kind.get("filled")
    filled.number, filled.labels, filled.blob = 0, set(), b""
    await filled.save()
    await kind.new("long", text=LONG, both=LONG, wide=-(10**600), code="c" * 600).save()
    await kind.new("longer", text=LONG + "!", ordered="z" * 512).save()
    longer = await kind.get("longer")
    longer.text, longer.both = LONG, "short"
    await longer.save()
    await kind.new("was long", text=LONG, blob=b"\xff" * 700).save()
    await kind("was long").save()  # a handle without changes writes nothing
    was = await kind.get("was long")
    was.text, was.blob = "short again", b"\0"
    await was.save()
    for number in range(12):
        await kind.new(
            f"n{number}",
            text=f"text {number % 3}",
            ordered=f"o{number:02}" if number % 4 else None,
            email=f"N{number}@Example.com",
            number=number * number - 20,
            ratio=number / 8 if number % 5 else None,
            price=f"{number}.{number:02}",
            flag=number % 2 == 0,
            at=datetime.datetime(2000 + number, 1, 1, tzinfo=models.UTC),
            day=datetime.date(2000, 1, 1 + number),
            level=models.Level.LOW,
            labels=[f"label {label}" for label in range(number % 4)],
            language="en" if number % 2 else "de",
            ip=f"10.0.0.{100 + number}",
        ).save()
    await kind("n1").incr(kind.number, 100)
    await kind("n2").incr(kind.number, -5, min=-100)
    await kind("n3").incr(kind.lone, 3)
    await kind("n1").delete()
    await kind.new("n1", text="anew", email="n1@example.com").save()  # the claim of the one before
    await refused(kind.new("thief", code="c1").save())
    await refused(kind.new("n2").save())
    never = kind("never")
    never.text = "?"
    await refused(never.save(mode="update"))
    swapped = await kind.get_many(["n4", "n5"])
    async with session(autosave=True):
        first, second = await kind.get_many(["n4", "n5"])
        first.email, second.email = swapped[1].email, swapped[0].email
    stale, other = await kind.get("n6"), await kind.get("n6")
    other.text = "first"
    await other.save()
    stale.text = "second"
    await refused(stale.save(if_unchanged=True))
    handle = kind("upserted")
    handle.text, handle.colour = "upserted", models.Colour.RED
    await handle.save(mode="upsert")
    both = kind("n7")
    both.labels, both.data = {"label 0", "only here"}, [1, {"ü": None}]
    await both.save()
    found, created = await kind.get_or_create(code="got", defaults={"number": 5})
    assert created
    found, created = await kind.get_or_create(code="got", defaults={"number": 6})
    assert not created
    found, created = await kind.update_or_create(code="got", defaults={"number": 7, "text": LONG})
    assert (found.number, created) == (7, False)
    await (kind.number >= 40).update(text="large")
    await (kind.text == "large").incr(kind.number, 1000)
    await (kind.ordered == "o11").delete()


async def languages() -> None:
    """A class and its subclass, which share nothing; references to both."""
    await models.Language.save_many(
        [models.Language.new(id, name=f"name of {id}") for id in ("en", "de", "fr")]
    )
    await models.Dialect.new("en", name="name of en", region="Süd").save()
    whole = await models.Kind.get("whole")
    whole.any_language = models.Dialect("en")
    await whole.save()
    nothing = await models.Kind.get("filled")
    nothing.any_language = models.Language("fr")
    nothing["undeclared"], nothing["number"] = b"\xff\0", "12"  # the dict API
    await nothing.save()
    del nothing["number"]
    await nothing.save()


async def people() -> None:
    """Bulk, fields together, pairs."""
    person: Any = models.Person
    day = datetime.date(1990, 1, 1)

    def one(number: int) -> Any:
        return person.new(
            f"p{number:03}",
            family=f"F{number % 7}",
            given=f"G{number}" if number % 11 else None,
            born=day + datetime.timedelta(days=number * 100),
            country=("FI", "BR", None)[number % 3],
            height=150 + number % 50,
        )

    await person.save_many([one(number) for number in range(130)])
    saved = await person.save_many([one(129), one(130)], skip_conflicts=True)
    assert saved is None or len(list(saved)) == 1
    changed = await person.get_many([f"p{number:03}" for number in range(0, 130, 3)])
    for record in changed:
        record.height, record.note = record.height + 1, f"changed {record.id}"
    changed[0].country, changed[1].family = "Ä/ö", LONG[:200]
    await person.save_many(changed)
    await person.delete_many([f"p{number:03}" for number in range(20, 90)])
    await refused(person.new("twin", family="F1", given="G1", born=day, height=1).save())
    moved = await person.get("p001")
    moved.given, moved.family = "G1b", "F1b"
    await moved.save()
    await person.new("heir", family="F1", given="G1", born=day, height=190).save()
    await person("p002").incr(person.visits, 41)
    await person("p003").incr(person.height, -7)
    await (person.country == "FI").update(note="Finnish")
    async with session(autosave=True) as s:
        person.new("ses", family="S", given="S", born=day, height=170)
        s.delete(await person.get("p004"))
        for record in await person.get_many(["p005", "p006", "p007"]):
            record.born, record.visits = day, 9
        await s.flush()
        (await person.get("p008")).note = None
    try:
        async with session(autosave=True):
            person.new("lost", family="L", born=day, height=1)
            raise KeyError
    except KeyError:
        pass


async def apples() -> None:
    """Namespaces, tags, ids with all that an id may hold."""
    apple = models.Apple
    first = await apple.new().save()
    await apple.new(weight=float("0.1"), parent=first).save()
    for id in ("Ä", "a/b", "a:b", "a b", "\0", "{x}", "*", "\U0001f600", "x" * 512):
        await apple.new(id, kind=f"kind of {id[:9]}", weight=len(id) / 3, parent="a:b").save()
    await apple("a:b").delete()  # nullifies
    await apple("made-2").delete()


async def books() -> None:
    """Cascades: what goes, what is emptied, what is in the way."""
    for name in ("ada", "bob", "eve"):
        await models.Author.new(name, name=name.title()).save()
        await models.Author(name).books.incr(2)
        for number in range(3):
            book = await models.Book.new(f"{name}{number}", title=f"{name} {number}", author=name).save()
            await book.log.append("printed", f"sold ü {number}")
            await models.Remark.new(f"{name}{number}", text="read", book=book).save()
    await models.Remark.new("bare", book="ada0").save()  # will hold nothing
    await models.Loan.new("l", book="bob1").save()
    await refused(models.Author("bob").delete())
    await models.Author("ada").delete()
    async with session(autosave=True) as s:
        s.delete(await models.Book.get("eve1"))
        (await models.Author.get("eve")).name = "Eve II"


async def boards() -> None:
    """Collections of all kinds, changed by all verbs."""
    board = await models.Board.new("1", title="Chess").save()
    await board.log.append("e4", "e5", "ä", LONG, "e4")
    await board.log.prepend("start")
    await board.log.remove("e4")
    assert await board.log.pop() in ("e4", LONG)
    await board.numbers.append(*range(10))
    await board.numbers.trim(2, -2)
    assert await board.numbers.pop_first() == 2
    await board.players.add(models.Author("bob"), models.Author("eve"), models.Author("x"))
    await board.players.discard(models.Author("x"))
    await board.days.add(datetime.date(2024, 2, 29), datetime.date(1999, 1, 1))
    await board.scores.update({"ada": 1.5, "bob": -7, "ö": 0.1})
    await board.scores.incr("ada", 10)
    await board.scores.add("last", 1e300)
    await board.scores.discard("bob")
    await board.visits.incr()
    await board.visits.incr(-(2**40))
    other = await models.Board.new("zwei/ä", title="Go").save()
    await other.log.append("x")
    await other.visits.incr(5)
    await other.log.clear()
    gone = await models.Board.new("gone").save()
    await gone.log.append("x")
    await gone.scores.add("x", 1)
    await gone.visits.incr()
    await gone.delete()
    await refused(gone.visits.incr(), Gone)


async def both_colours() -> None:
    """One place, written by asyncio and by blocking models in turns."""
    await models.Waited.new("w", name="Ada", nick="a", age=36, tags={"x", "y"}).save()
    with sync.allow_blocking():
        blocking = models.Blocking
        blocking.new("b", name="Bob", nick="b", age=30).save()
        ada = blocking.get("w")
        ada.name, ada.age, ada.tags = "Ada II", None, {"y", "z"}
        ada.save()
        blocking.save_many([blocking.new(f"m{n}", name="Many", nick=f"m{n}", age=n) for n in range(5)])
        blocking("m1").delete()
        blocking("m2").incr(blocking.age, 40)
        with sync.session(autosave=True) as s:
            blocking("m3").name = "in a session"
            blocking.new("s", nick="s", tags={"ä"})
            s.delete(blocking.get("m4"))
        blocking.get_or_create(nick="o", defaults={"name": LONG})
        blocking.update_or_create(nick="o", defaults={"age": 1})
    bob = await models.Waited.get("b")
    bob.name, bob.nick = LONG, "b2"
    await bob.save()


async def growing() -> None:
    """Indexes that came later: unbuilt in one place, built in the other."""
    for prefix in ("dgrown", "dbuilt"):
        before = models.grown(prefix, before=True)
        await before.save_many([before.new(str(n), name=f"name {n % 2}", number=n) for n in range(4)])
        since = models.grown(prefix, before=False)
        await since.new("new", name="new", number=9).save()
        one = await since.get("1")
        one.number = None
        await one.save()
        if prefix == "dbuilt":
            await reindex(since)


async def by_hand() -> None:
    """What others left: a claim of a record that is gone, which the next one takes over."""
    client = conf.db.sync_client
    client.hset("dkind/u/code", "left over", "nobody")
    client.hset("dkind:n8", "foreign", "kept")
    client.close()
    eight = await models.Kind.get("n8")
    eight.code = "left over"
    await eight.save()


# -- what is there ---------------------------------------------------------------------------------


def text(raw: bytes) -> str:
    """Any bytes as text, each byte a character."""
    return raw.decode("latin-1")


def dumped(client: Any) -> dict[str, Any]:
    """Every key of a store, by a blocking redis-py client: its kind and what it holds."""
    found = dict[str, Any]()
    for key in sorted(client.keys("*")):
        kind = client.type(key).decode()
        found[text(key)] = [kind, CONTENT[kind](client, key)]
    return found


CONTENT: dict[str, Callable[[Any, bytes], Any]] = {
    "hash": lambda client, key: {text(f): text(v) for f, v in sorted(client.hgetall(key).items())},
    "set": lambda client, key: sorted(map(text, client.smembers(key))),
    "zset": lambda client, key: [
        [text(member), repr(float(score))] for member, score in client.zrange(key, 0, -1, withscores=True)
    ],
    "list": lambda client, key: [text(element) for element in client.lrange(key, 0, -1)],
    "string": lambda client, key: text(client.get(key)),
}


def restored(client: Any, dump: dict[str, Any]) -> None:
    """Write what was dumped into an empty store."""
    for name, (kind, content) in dump.items():
        key = name.encode("latin-1")
        if kind == "hash":
            client.hset(key, mapping={f.encode("latin-1"): v.encode("latin-1") for f, v in content.items()})
        elif kind == "set":
            client.sadd(key, *(member.encode("latin-1") for member in content))
        elif kind == "zset":
            client.zadd(key, {member.encode("latin-1"): float(score) for member, score in content})
        elif kind == "list":
            client.rpush(key, *(element.encode("latin-1") for element in content))
        else:
            client.set(key, content.encode("latin-1"))


def differences(found: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """What is not alike, by key: what was found, and what is right; None is nothing."""
    keys = sorted(found.keys() | right.keys())
    return {key: (found.get(key), right.get(key)) for key in keys if found.get(key) != right.get(key)}


def canonical(content: dict[str, Any]) -> str:
    """The text of the file."""
    return json.dumps(content, indent=0, sort_keys=True, separators=(",", ":")) + "\n"


def main() -> None:

    binary = next(filter(None, (kind.find() for kind in KINDS)))
    with Server("dump", binary) as server, server.client() as client:
        conf.db = Database(server.url)

        async def run() -> dict[str, Any]:
            await write()
            content = {"keys": dumped(client), "seen": await seen()}
            await change()
            changed = differences(dumped(client), content["keys"])
            await conf.db.aclose()
            return content | {"changed": {key: found for key, (found, _) in changed.items()}}

        sys.stdout.write(canonical(asyncio.run(run())))


if __name__ == "__main__":
    main()
