"""What a newcomer tries with records that end: told with the cure, and never taken in silence."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    ListOf,
    Model,
    OutcomeUnknown,
    SetOf,
    SortedSet,
    String,
    UsageError,
    ValidationError,
    conf,
    sweep,
)

SOON = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)


@conf(ttl=60)
class Login(Model):
    user = String(unique=True)
    hits = Integer()


@conf(ttl=60)
class Timed(Model):
    code = String(ttl=60)


async def test_a_verb_takes_no_value_of_a_field(db: Database) -> None:
    """``login.ttl = 60`` is stored nowhere, so it is refused, as is what hides any other verb."""
    record: Any = await Login.new("1", user="x").save()
    for value in (60, dt.timedelta(minutes=1), None):
        with pytest.raises(
            UsageError, match=r"Login\.ttl is a verb and no field.*expire\(\) or save\(ttl=\)"
        ):
            record.ttl = value
    with pytest.raises(UsageError, match=r"Login\.expire is a verb and no field.*call it"):
        record.expire = 60
    assert await Login("1").ttl() is not None

    async def mine() -> str:
        return "a double of a test"

    record.ttl = mine
    assert await record.ttl() == "a double of a test"


async def test_a_time_that_is_no_field_is_told_of(db: Database) -> None:
    cure = r"Login\.ttl: there is no such field: .*save\(ttl=\) say when records end"
    with pytest.raises(ValidationError, match=cure):
        Login.new("1", ttl=60)
    with pytest.raises(ValidationError, match=cure):
        await Login.get_or_create(user="x", defaults={"ttl": 60})
    with pytest.raises(ValidationError, match=cure):
        await Login.all().update(ttl=60)
    assert db.facts.round_trips == 0


async def test_the_moment_is_no_field_of_any_verb(db: Database) -> None:
    record: Any = await Login.new("1", user="x").save()
    wanted = r"Login\.expires_at is no field that is loaded or counted in: values\(\) reads it"
    with pytest.raises(UsageError, match=wanted):
        await record.incr(Login.expires_at)
    with pytest.raises(UsageError, match=wanted):
        await record.expire_field(Login.expires_at, 5)
    record.user = "y"
    with pytest.raises(UsageError, match=wanted):
        await record.save(if_unchanged=[Login.expires_at])


@pytest.mark.parametrize(
    ("verb", "given", "cure"),
    [
        ("expire", None, r"persist\(\) lets it live for ever"),
        ("expire", "60", "seconds or a moment"),
        ("expire", 0, r"delete\(\) one to end it now"),
        ("save", SOON, r"expire\(\) takes a moment"),
        ("save", "60", "None for never"),
        ("save", 0, "None for never"),
        ("expire_field", "60", "a moment, or None for never"),
        ("expire_field", 0, "set it to None"),
        ("conf", "60", "or None: never, unless it is told"),
        ("conf", 0, "None where it lives for ever"),
        ("String", 0, "None where it lives for ever"),
    ],
)
async def test_what_is_no_duration_is_told_what_is_one(
    db: Database, verb: str, given: object, cure: str
) -> None:
    record: Any = Timed.new("1", code="1")
    ways: dict[str, Any] = {
        "expire": lambda: record.expire(given),
        "save": lambda: record.save(ttl=given),
        "expire_field": lambda: record.expire_field(Timed.code, given),
        "conf": lambda: conf(ttl=given),  # type: ignore[arg-type]  # pyright: ignore
        "String": lambda: String(ttl=given),  # type: ignore[call-overload]  # pyright: ignore
    }
    with pytest.raises(UsageError, match=cure):
        await ways[verb]()
    assert db.facts.round_trips == 0


@pytest.mark.parametrize("kind", [ListOf, SetOf, SortedSet])
@pytest.mark.parametrize("ttl", [60, None])
def test_values_of_a_collection_do_not_end(kind: Any, ttl: int | None) -> None:
    with pytest.raises(UsageError, match="leave out ttl="):
        kind(String(ttl=ttl))


async def test_what_slides_needs_a_time(db: Database) -> None:
    """Sign-ins that were to slide and lived for ever, for ``ttl=`` was forgotten."""

    @conf(sliding="load")
    class Forgotten(Model):
        user = String()

    with pytest.raises(UsageError, match=r"Forgotten: conf\(sliding='load'\) prolongs .* give ttl= too"):
        await Forgotten.new("1", user="x").save()
    with pytest.raises(UsageError, match="give ttl= too"):
        await Forgotten.get("1")
    assert db.facts.round_trips == 0
    with pytest.raises(UsageError, match="no time to prolong by"):
        conf(ttl=None, sliding="save")

    @conf(ttl=60)
    class Mended(Forgotten):
        """A base that slides, and a class that says for how long."""

    assert (await Mended.new("1", user="x").save()).loaded()

    @conf(ttl=None)
    class Forever(Mended):
        """A base that slides, and a class whose records live until they are told otherwise."""

    assert await (await Forever.new("1", user="x").save()).ttl() is None


async def test_a_sweep_is_of_a_class(db: Database) -> None:
    for given in ("app.models:Login", Login("1"), Login.all()):
        with pytest.raises(UsageError, match=r"sweep\(\) takes a model class, not "):
            await sweep(given)  # type: ignore[arg-type]  # pyright: ignore


async def test_an_answer_that_is_lost_is_told_with_the_verb_that_settles_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await Login.new("1", user="ada").save()
    transport = db.transport()
    send, send_all = transport.send, transport.send_all

    async def lost(call: Any, overlap: Any = None) -> Any:
        if call.writes:
            raise OutcomeUnknown("lost")
        return await send(call, overlap)

    async def all_lost(calls: Any) -> Any:
        if any(call.writes for call in calls):
            raise OutcomeUnknown("lost")
        return await send_all(calls)

    monkeypatch.setattr(transport, "send", lost)
    monkeypatch.setattr(transport, "send_all", all_lost)
    cures: list[tuple[Any, str]] = [
        (lambda: login.expire(60), r"expire\(\) again settles it"),
        (lambda: login.persist(), r"persist\(\) again settles it"),
        (lambda: login.touch(), r"touch\(\) again settles it"),
        (lambda: sweep(Login), r"sweep\(\) again settles it"),
        (lambda: Login.get("1", touch=True), "to load again settles it"),
    ]
    for verb, cure in cures:
        with pytest.raises(OutcomeUnknown, match=cure):
            await verb()
