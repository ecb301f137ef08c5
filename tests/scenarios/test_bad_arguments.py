"""Arguments that no verb can use are refused by an error of ours, with the cure, and never by one from inside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, cast

import pytest

from aioredisca import (
    UUID,
    Bool,
    Counter,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Float,
    Integer,
    ListOf,
    Model,
    RediscaError,
    Reference,
    SetOf,
    SortedSet,
    String,
    Tags,
    UsageError,
    session,
)

BAD: list[Any] = [
    None,
    "x",
    "",
    2**70,
    -(2**70),
    -1,
    0,
    1.5,
    float("nan"),
    True,
    b"\xff",
    object(),
    [],
    {},
    [None],
]
BAD += [{"a": None}, (1, 2), {1: 2}, int, lambda: None, "\ud800"]


class Team(Model):
    name = String(unique=True)


class Man(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    size, cost, on, day, key, yes = Float(), Decimal(), DateTime(), Date(), UUID(), Bool()
    tags = Tags(index=True)
    team = Reference(Team, index=True)
    notes = ListOf(String())
    likes = SetOf(String())
    ranks = SortedSet(String())
    seen = Counter()


def verbs() -> Iterator[tuple[str, Callable[[Any], Awaitable[Any]]]]:
    man: Any = Man("1")
    kind: Any = Man
    where = kind.name == "a"

    async def of(query: Any) -> Any:
        return await query

    async def flush(change: Callable[[Any], Any]) -> None:
        async with session() as work:
            change(work)

    async def new(**values: Any) -> Any:
        return await kind.new(**values).save()

    async def set_item(key: Any, value: Any) -> None:
        record = await kind.get("1")
        record[key] = value

    yield "get", lambda bad: kind.get(bad)
    yield "handle", lambda bad: of(kind(bad))
    yield "get_many", lambda bad: kind.get_many(bad)
    yield "get_many of one", lambda bad: kind.get_many([bad])
    yield "new", lambda bad: new(model_id=bad)
    yield "new name", lambda bad: new(name=bad)
    yield "new age", lambda bad: new(age=bad)
    yield "new email", lambda bad: new(email=bad)
    yield "new tags", lambda bad: new(tags=bad)
    yield "new team", lambda bad: new(team=bad)
    yield "save mode", lambda bad: man.save(mode=bad)
    yield "save if", lambda bad: kind.new(name="n").save(if_unchanged=bad)
    yield "incr column", lambda bad: man.incr(bad)
    yield "incr by", lambda bad: man.incr(kind.age, bad)
    yield "incr min", lambda bad: man.incr(kind.age, min=bad)
    yield "incr max", lambda bad: man.incr(kind.age, max=bad)
    yield "get_or_create", lambda bad: kind.get_or_create(email=bad)
    yield "defaults", lambda bad: kind.get_or_create(email="a@x.de", defaults=bad)
    yield "update_or_create", lambda bad: kind.update_or_create(email="a@x.de", defaults={"age": bad})
    yield "save_many", lambda bad: kind.save_many(bad)
    yield "save_many of one", lambda bad: kind.save_many([bad])
    yield "save_many batch", lambda bad: kind.save_many([], batch=bad)
    yield "delete_many", lambda bad: kind.delete_many(bad)
    yield "delete_many of one", lambda bad: kind.delete_many([bad])
    yield "delete_many batch", lambda bad: kind.delete_many(["404"], batch=bad)
    yield "dict key", lambda bad: set_item(bad, "x")
    yield "dict value", lambda bad: set_item("free", bad)
    for key in ("age", "email", "name", "tags", "team", "size", "cost", "on", "day", "key", "yes"):
        yield f"dict {key}", partial(set_item, key)
    yield "session delete", lambda bad: flush(lambda work: work.delete(bad))
    yield "where", lambda bad: of(kind.where(bad))
    yield "equals", lambda bad: of(kind.where(kind.name == bad))
    yield "age equals", lambda bad: of(kind.where(kind.age == bad))
    yield "age not", lambda bad: of(kind.where(kind.age != bad))
    yield "at least", lambda bad: of(kind.where(kind.age >= bad))
    yield "between", lambda bad: of(kind.age.between(bad, bad))
    yield "in_", lambda bad: of(kind.age.in_(bad))
    yield "not_in", lambda bad: of(kind.name.not_in(bad))
    yield "in_ of one", lambda bad: of(kind.age.in_([bad]))
    yield "startswith", lambda bad: of(kind.name.startswith(bad))
    yield "has", lambda bad: of(kind.tags.has(bad))
    yield "has_all", lambda bad: of(kind.tags.has_all(bad))
    yield "has_any", lambda bad: of(kind.tags.has_any(bad))
    yield "of", lambda bad: of(kind.team.of(bad))
    yield "find", lambda bad: kind.name.find(bad)
    yield "range", lambda bad: kind.age.range(bad, bad)
    yield "range start", lambda bad: kind.age.range(start=bad, num=1)
    yield "range num", lambda bad: kind.age.range(start=0, num=bad)
    yield "choice", lambda bad: kind.name.choice("a", count=bad)
    yield "order_by", lambda bad: of(kind.all().order_by(bad))
    yield "limit", lambda bad: of(kind.all().limit(bad))
    yield "offset", lambda bad: of(kind.all().offset(bad))
    yield "slice", lambda bad: of(kind.all()[bad:])
    yield "slice end", lambda bad: of(kind.all()[:bad])
    yield "item", lambda bad: of(kind.all()[bad])
    yield "only", lambda bad: of(kind.all().only(bad))
    yield "prefetch", lambda bad: of(kind.all().prefetch(bad))
    yield "values", lambda bad: kind.all().values(bad)
    yield "random", lambda bad: kind.all().random(bad)
    yield "aggregate", lambda bad: kind.all().aggregate(bad)
    yield "aggregate by", lambda bad: kind.all().aggregate(kind.age, by=bad)
    yield "page", lambda bad: kind.all().page(bad)
    yield "page after", lambda bad: kind.all().page(1, after=bad)
    yield "update", lambda bad: where.update(age=bad)
    yield "query incr", lambda bad: where.incr(bad)
    yield "query incr by", lambda bad: where.incr(kind.age, bad)
    yield "append", lambda bad: man.notes.append(bad)
    yield "prepend", lambda bad: man.notes.prepend(bad)
    yield "remove", lambda bad: man.notes.remove(bad)
    yield "trim", lambda bad: man.notes.trim(bad, 5)
    yield "trim end", lambda bad: man.notes.trim(0, bad)
    yield "list range", lambda bad: man.notes.range(bad)
    yield "list range end", lambda bad: man.notes.range(0, bad)
    yield "list get", lambda bad: man.notes.get(bad)
    yield "add", lambda bad: man.likes.add(bad)
    yield "discard", lambda bad: man.likes.discard(bad)
    yield "contains", lambda bad: man.likes.contains(bad)
    yield "rank add", lambda bad: man.ranks.add(bad, 1)
    yield "rank score", lambda bad: man.ranks.add("x", bad)
    yield "rank update", lambda bad: man.ranks.update(bad)
    yield "rank update score", lambda bad: man.ranks.update({"x": bad})
    yield "rank incr", lambda bad: man.ranks.incr("x", bad)
    yield "rank discard", lambda bad: man.ranks.discard(bad)
    yield "score", lambda bad: man.ranks.score(bad)
    yield "rank", lambda bad: man.ranks.rank(bad)
    yield "top", lambda bad: man.ranks.top(bad)
    yield "bottom", lambda bad: man.ranks.bottom(bad)
    yield "between scores", lambda bad: man.ranks.between(bad, bad)
    yield "count up", lambda bad: man.seen.incr(bad)


NAMES = [name for name, _ in verbs()]


@pytest.mark.parametrize("name", NAMES)
async def test_a_bad_argument_is_refused_by_an_error_of_ours(db: Database, name: str) -> None:
    await Man.new("1", email="a@x.de", name="a", age=3).save()
    verb = dict(verbs())[name]
    for bad in BAD:
        try:
            await verb(bad)
        except RediscaError:
            pass
        except Exception as error:
            raise AssertionError(f"{name}({bad!r:.50}): {error!r}") from error


async def test_the_cures(db: Database) -> None:
    await Man.new("1", name="a").save()
    notes, ranks, kind = cast("Any", Man("1").notes), cast("Any", Man("1").ranks), cast("Any", Man)
    cures: list[tuple[Callable[[], Any], str]] = [
        (lambda: kind.get_many(None), "takes a list of records or ids, not NoneType"),
        (lambda: kind.save_many(None), "takes a list of records or ids, not NoneType"),
        (lambda: kind.delete_many(5), "takes a list of records or ids, not int"),
        (lambda: kind.save_many([], batch="x"), "batch is a number from 1 to"),
        (lambda: kind.get_or_create(email="x@x.de", defaults=5), "defaults= takes attributes with"),
        (
            lambda: notes.get(2**70),
            "a place is a whole number of 64 bits, not 1180591620717411303424",
        ),
        (lambda: notes.trim(0, "x"), "a place is a whole number of 64 bits, not 'x'"),
        (lambda: ranks.top("x"), "a count is a whole number of at least 1, not 'x'"),
        (lambda: ranks.update([1]), "takes values with their scores"),
    ]
    before = db.round_trips
    for verb, cure in cures:
        with pytest.raises(UsageError, match=cure):
            await verb()
    assert db.round_trips == before
