"""The same of what verbs are given, without a record that holds it: conditions, collections, many records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from aioredisca import (
    UUID,
    Bool,
    Counter,
    Database,
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
    Unavailable,
    UsageError,
    conf,
    session,
    sync,
)

from .test_frames import NUMBER, SECRET, leaks

Verb = Callable[[], Any]


class Kinds(Model):
    name = String(unique=True, maxlen=10)
    note = String(maxlen=10, index="sorted")
    number = Integer(index=True, maxval=5)
    price = Decimal(index=True, places=2)
    size = Float(index=True)
    done = Bool(index=True)
    tags = Tags(index=True, maxlen=3)
    mail = Email(index=True)
    when = DateTime(index=True)
    uid = UUID(index=True)
    other = Reference("Kinds", index=True)
    log = ListOf(Integer())
    marks = SetOf(Integer())
    top = SortedSet(Integer())
    words = SortedSet(String())
    count = Counter()


class Blocking(sync.Model):
    note = String(maxlen=10, index="sorted")
    number = Integer(index=True, maxval=5)
    name = String(unique=True, maxlen=10)
    log = ListOf(Integer())
    marks = SetOf(Integer())
    top = SortedSet(Integer())
    words = SortedSet(String())
    count = Counter()


FIELDS = ("name", "note", "number", "price", "size", "done", "tags", "mail", "when", "uid", "other")


def conditions(model: Any, name: str) -> Iterator[Verb]:
    column: Any = getattr(model, name)
    value: Any = [SECRET] if name in ("name", "note", "other") else SECRET
    yield from (
        *(lambda: column == value, lambda: column != value, lambda: column >= value, lambda: column > value),
        *(lambda: column <= value, lambda: column < value, lambda: column.between(value, value)),
        *(lambda: column.in_([value]), lambda: column.not_in([value]), lambda: column.in_(SECRET)),
        *(lambda: column.startswith(value), lambda: column.has(value), lambda: column.has_all([value])),
        *(lambda: column.has_any([value]), lambda: column.has_all(value), lambda: column.of(value)),
        *(lambda: column.find(value), lambda: column.range(value, value), lambda: column.choice(value)),
    )


def refused_here(model: Any) -> Iterator[Verb]:
    """What is refused before any I/O."""
    one: Any = model("1")
    yield from (
        *(lambda: one.log.append(SECRET), lambda: one.log.prepend(SECRET), lambda: one.log.remove(SECRET)),
        *(
            lambda: one.marks.add(SECRET),
            lambda: one.marks.discard(SECRET),
            lambda: one.marks.add(None, SECRET),
        ),
        *(lambda: one.marks.contains(SECRET), lambda: one.top.add(SECRET, 1), lambda: one.top.score(SECRET)),
        *(lambda: one.top.update({SECRET: 1}), lambda: one.words.update({SECRET: SECRET})),
        *(lambda: one.top.incr(SECRET), lambda: one.words.incr(SECRET, SECRET), lambda: one.top.rank(SECRET)),
        *(lambda: one.top.discard(SECRET), lambda: one.top.between(SECRET, SECRET)),
        *(lambda: one.count.incr(SECRET), lambda: one.incr(model.number, SECRET)),
        *(lambda: model.all().update(note=SECRET * 2), lambda: model.all().update(nobody=SECRET)),
        lambda: model.all().incr(model.number, SECRET),
        lambda: model.get_or_create(name=SECRET, defaults={"number": SECRET}),
        lambda: model.get_or_create(name=SECRET * 2),
        lambda: model.get_or_create(note=SECRET, defaults={"number": 1}),
        lambda: model.get_or_create(name=SECRET, defaults={"name": SECRET}),
        lambda: model.get_or_create(name=SECRET, defaults=[SECRET]),
        lambda: model.update_or_create(name=SECRET, defaults={"number": SECRET}),
    )


async def leaked(verb: Verb) -> list[str]:
    try:
        asked = verb()
        if isinstance(asked, Awaitable):
            await asked
    except RediscaError as error:
        return leaks(error)
    raise AssertionError("it was not refused")


@pytest.mark.parametrize("name", FIELDS)
async def test_no_frame_of_a_refused_operand_shows_it(db: Database, name: str) -> None:
    for place, ask in enumerate(conditions(Kinds, name)):
        assert not await leaked(ask), place


async def test_no_frame_of_a_verb_shows_what_it_was_given(db: Database) -> None:
    await Kinds.new("1", name="a").save()
    for place, verb in enumerate(refused_here(Kinds)):
        assert not await leaked(verb), place


@pytest.mark.parametrize("name", ["name", "note", "number"])
def test_the_same_of_blocking_conditions(name: str) -> None:
    for place, ask in enumerate(conditions(Blocking, name)):
        with pytest.raises(RediscaError) as caught:
            ask()
        assert not leaks(caught.value), place


def test_the_same_of_blocking_verbs() -> None:
    with sync.session(Database("memory://")):
        Blocking.new("1").save()
        for place, verb in enumerate(refused_here(Blocking)):
            with pytest.raises(RediscaError) as caught:
                verb()
            assert not leaks(caught.value), place


async def test_no_frame_of_what_the_server_refuses_shows_it(db: Database, raw: Any) -> None:
    one, gone = await Kinds.new("1", name="a").save(), Kinds("404")
    await Kinds.new("2", name="b").save()
    raw.set("kinds/l/log/1", "x")
    refused: tuple[Verb, ...] = (
        *(lambda: gone.words.add(SECRET, 1), lambda: gone.words.update({SECRET: 1})),
        *(lambda: one.log.append(NUMBER), lambda: one.incr(Kinds.number, NUMBER)),
        *(lambda: Kinds.all().update(name=SECRET), lambda: Kinds.all().incr(Kinds.number, NUMBER)),
    )
    for place, verb in enumerate(refused):
        assert not await leaked(verb), place


async def test_no_frame_shows_it_where_there_is_no_server() -> None:
    async with session(Database("redis://127.0.0.1:1/0", connect_timeout=0.2)):
        one = Kinds("1")
        for verb in (
            lambda: one.words.add(SECRET, 1),
            lambda: one.words.score(SECRET),
            lambda: Kinds.all().update(note=SECRET),
            lambda: Kinds.note.find(SECRET),
            lambda: Kinds.get_or_create(name=SECRET, defaults={"note": SECRET}),
        ):
            with pytest.raises(Unavailable) as caught:
                await verb()
            assert not leaks(caught.value)


async def test_a_verb_that_hides_is_what_it_was(db: Database) -> None:
    """By name, text and kind; and what its error says of where it was raised is still told."""
    assert Kinds.get_or_create.__name__ == "get_or_create"
    assert (Kinds.number.between.__doc__ or "").startswith("The records")
    with pytest.raises(RediscaError) as caught:
        Kinds.number == SECRET
    names = [entry.name for entry in caught.traceback]
    assert names[-1] == "operand"


def test_no_frame_of_a_malformed_url_shows_the_password() -> None:
    from aioredisca import fastapi, litestar
    from aioredisca.asgi import AutosaveMiddleware

    app: Any = None
    wrong = (
        f"redis://user:{SECRET}/x@h",
        f"default:{SECRET}@h:6379",
        f"redis://:{SECRET}#x@h",
        f"redis://:{SECRET}@h/x",
        f"redis://h?password={SECRET}&socket_timeout=x",
        f"redis://:{SECRET}@h?socket_timeout=-1",
        f"rediss://:{SECRET}@h?ssl_cert_reqs=bogus",
    )
    takers: tuple[Callable[[Any], object], ...] = (
        *(Database, session, sync.session, lambda url: setattr(conf, "db", url), lambda url: conf(db=url)),
        *(lambda url: AutosaveMiddleware(app, url), lambda url: litestar.autosave(url)),
        *(lambda url: fastapi.install(app, url), fastapi.lifespan, fastapi.health_route),
    )
    for url in wrong:
        for place, take in enumerate(takers):
            with pytest.raises(UsageError) as caught:
                take(url)
            assert not leaks(caught.value), (url, place)
