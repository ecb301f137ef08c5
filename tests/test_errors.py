"""Every error: its place in the tree, its facts, its text, and that it travels. And no secret in any of them."""

from __future__ import annotations

import io
import logging
import pickle
import traceback
from typing import Any

import pytest

import aioredisca
from aioredisca import (
    AlreadyExists,
    AlreadyRunning,
    BadLine,
    BulkError,
    Conflict,
    CorruptRecord,
    Database,
    DriverMisuse,
    Email,
    FeedGap,
    FieldUnset,
    Gone,
    IncompatibleServer,
    Integer,
    MD5Pass,
    MigrationError,
    Model,
    MultipleFound,
    NotFound,
    NotIndexed,
    NotLoaded,
    OutcomeUnknown,
    OutOfBounds,
    PermissionDenied,
    RediscaError,
    Restricted,
    SchemaMismatch,
    SessionClosed,
    StaleWrite,
    StoreError,
    String,
    TooManyArguments,
    TooManyRows,
    Unavailable,
    UniqueViolation,
    Unsupported,
    UsageError,
    ValidationError,
    WrongType,
    session,
)
from aioredisca.web import detail_of

ERRORS: list[tuple[RediscaError, tuple[type, ...], dict[str, Any], str]] = [
    (UsageError("wrong"), (RediscaError,), {}, "wrong"),
    (
        NotIndexed("User", "age"),
        (UsageError,),
        {"model": "User", "field": "age"},
        "User.age is not indexed: declare it with index=True or unique=True to query 'age'",
    ),
    (
        OutOfBounds("User", "1", "age", 3),
        (Conflict,),
        {"model": "User", "id": "1", "field": "age", "value": 3},
        "User('1').age stays as it is: the result would be out of bounds",
    ),
    (
        Restricted("User", "1", "Post.author", "7"),
        (Conflict,),
        {"model": "User", "id": "1", "field": "Post.author", "holder": "7"},
        "User('1') is not deleted: Post.author of '7' refers to it",
    ),
    (
        MigrationError("0003_rename", "it has no down()"),
        (RediscaError,),
        {"step": "0003_rename", "reason": "it has no down()"},
        "0003_rename: it has no down()",
    ),
    (
        MigrationError("", "another runner is at work"),
        (RediscaError,),
        {"step": ""},
        "another runner is at work",
    ),
    (
        NotLoaded("User", "1", "age"),
        (UsageError,),
        {"model": "User", "id": "1", "field": "age"},
        "User('1').age is not loaded: await the handle first: record = await User('1')",
    ),
    (
        FieldUnset("User", "age"),
        (UsageError,),
        {"model": "User", "field": "age"},
        "User.age is required and holds no value yet: assign it before reading it",
    ),
    (
        SessionClosed("User", "1"),
        (UsageError,),
        {"model": "User", "id": "1"},
        "User('1') belongs to a session that is closed: change it inside `async with session():`, or load it again",
    ),
    (DriverMisuse("no"), (UsageError,), {}, "no"),
    (
        TooManyRows("User", 100_000),
        (UsageError,),
        {"model": "User", "limit": 100_000},
        "the query on User matches more than conf.max_rows = 100,000 records: use .limit(n), stream them with "
        "`async for`, or raise conf.max_rows",
    ),
    (
        TooManyArguments(6_028, 3_999),
        (UsageError,),
        {"count": 6_028, "most": 3_999},
        "this takes 6,028 arguments in one call, and the database takes 3,999: write fewer records and "
        "values at once, or ask for fewer",
    ),
    (
        ValidationError("User", "age", "is less than 0", -1),
        (RediscaError, ValueError),
        {"model": "User", "field": "age", "reason": "is less than 0", "value": -1},
        "User.age: is less than 0",
    ),
    (
        NotFound("User", "1"),
        (RediscaError, LookupError),
        {"model": "User", "id": "1"},
        "there is no User('1')",
    ),
    (NotFound("User"), (LookupError,), {"id": None}, "no User matches"),
    (
        MultipleFound("User"),
        (UsageError, LookupError),
        {"model": "User"},
        "more than one User matches where one was asked for: narrow the query, or ask first()",
    ),
    (
        AlreadyExists("User", "1"),
        (Conflict,),
        {"model": "User", "id": "1"},
        "User('1') exists already: load it to change it, or create it under another id",
    ),
    (
        UniqueViolation("User", "email", "1"),
        (Conflict,),
        {"model": "User", "field": "email", "holder": "1"},
        "User.email is unique and User('1') holds this value already",
    ),
    (
        StaleWrite("User", "1", ["age", "name"]),
        (Conflict,),
        {"model": "User", "id": "1", "fields": ("age", "name")},
        "User('1') was changed by somebody else in age, name: reload() keeps your changes and takes theirs; "
        "then decide and save again",
    ),
    (
        Gone("User", "1"),
        (Conflict,),
        {"model": "User", "id": "1"},
        "User('1') is not stored, or not any more: save() would create it",
    ),
    (
        BadLine(1234, AlreadyExists("User", "1")),
        (RediscaError,),
        {"line": 1234},
        "line 1,234: User('1') exists already: on_conflict= (--on-conflict) skip goes on, replace replaces it",
    ),
    (
        BulkError(3, Gone("User", "1")),
        (Conflict,),
        {"saved": 3, "failed": None},
        "stopped after 3 written records: User('1') is not stored, or not any more: save() would create it",
    ),
    (
        CorruptRecord("User", "user:1", "age"),
        (RediscaError,),
        {"model": "User", "key": "user:1", "field": "age"},
        "the stored value of User.age in 'user:1' cannot be read",
    ),
    (StoreError("x"), (RediscaError,), {}, "x"),
    (
        WrongType("user/r/age", "string"),
        (StoreError,),
        {"key": "user/r/age", "held": "string"},
        "the key 'user/r/age' holds a string that does not belong there: rename it if it is of use to anybody, "
        "then run `aioredisca reindex --everything`, which puts its own in that place",
    ),
    (
        WrongType("user:1", place="record"),
        (StoreError,),
        {"key": "user:1", "held": ""},
        "the key 'user:1' holds something that is no record: move it away, or take another id",
    ),
    (Unavailable("x"), (StoreError,), {}, "x"),
    (OutcomeUnknown("x"), (StoreError,), {}, f"x; {OutcomeUnknown.cure}"),
    (
        SchemaMismatch("User", ["x:age"], "it lacks x:age: do this"),
        (StoreError,),
        {"model": "User", "indexes": ("x:age",), "reason": "it lacks x:age: do this"},
        "User is refused: it lacks x:age: do this",
    ),
    (
        AlreadyRunning("User", "host:7:ab", 9.6),
        (StoreError,),
        {"model": "User", "holder": "host:7:ab", "seconds": 9.6},
        "host:7:ab is at work on the indexes of User: wait until it is done, or 10 seconds if it is no more",
    ),
    (
        IncompatibleServer("runs no scripts"),
        (StoreError,),
        {"reason": "runs no scripts"},
        "this server runs no scripts: take another one, or another offering of it (docs/servers.md)",
    ),
    (
        PermissionDenied("+hset"),
        (StoreError,),
        {"rule": "+hset"},
        "the database user may not do this: add the rule '+hset'",
    ),
    (
        Unsupported("User", "HPEXPIRE"),
        (StoreError,),
        {"model": "User", "command": "HPEXPIRE"},
        "User has fields that end, and this server has no HPEXPIRE: use Redis from 7.4 or Valkey from 9 on, or "
        "declare the fields without ttl=",
    ),
    (
        FeedGap("User", "0-0"),
        (StoreError,),
        {"model": "User", "cursor": "0-0"},
        "changes of User are lost: the feed was cut, or taken away, behind the place that was read last. Read the "
        "records anew, then go on with changes(since=error.cursor); conf(feed=n) keeps more",
    ),
]


@pytest.mark.parametrize(("error", "bases", "facts", "text"), ERRORS, ids=lambda given: type(given).__name__)
def test_an_error_carries_facts_and_cure_and_travels(
    error: RediscaError, bases: tuple[type, ...], facts: dict[str, Any], text: str
) -> None:
    for travelled in (error, pickle.loads(pickle.dumps(error))):
        assert type(travelled) is type(error)
        assert all(isinstance(travelled, base) for base in bases)
        assert {name: getattr(travelled, name) for name in facts} == facts
        assert str(travelled) == text
        assert travelled.instance is None


def test_every_error_of_the_library_is_in_the_table() -> None:
    public = {
        value
        for value in vars(aioredisca).values()
        if isinstance(value, type) and issubclass(value, RediscaError)
    }
    assert public - {RediscaError, Conflict} == {type(error) for error, _, _, _ in ERRORS}


def test_an_error_travels_without_the_record_it_is_about() -> None:
    error = Gone("User", "1")
    error.instance = object()
    assert pickle.loads(pickle.dumps(error)).instance is None


# -- secrets ---------------------------------------------------------------------------------------

SECRET = "hunter2-is-the-secret"
LONELY = SECRET + "\ud800"


class Vault(Model):
    token = String(secret=True, unique=True, maxlen=30)
    code = Integer(secret=True, index=True)
    pin = String(field="p", secret=True, minlen=4)
    password = MD5Pass(minlen=4)
    email = Email(index=True)


def told(error: BaseException) -> str:
    """Whatever an error tracker would send: text, repr, attributes, traceback with its chain."""
    chain = [error, error.__cause__, error.__context__]
    facts = [repr(vars(one)) + repr(one) + repr(one.args) for one in chain if one is not None]
    return "".join([*traceback.format_exception(error), *facts])


async def test_planted_secrets_show_nowhere(
    db: Database, raw: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = io.StringIO()
    vault = await Vault.new("1", token=SECRET, code=987654321, pin=SECRET, password=SECRET).save()
    print(vault, repr(vault), vault.export(), vault.export(keep_none=True), Vault.token == SECRET, file=shown)
    errors = list[BaseException]()

    async def expect(kind: type[BaseException], operation: Any) -> None:
        with pytest.raises(kind) as caught:
            await operation
        errors.append(caught.value)

    def refuse(name: str, value: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            setattr(vault, name, value)
        assert caught.value.value is None
        errors.append(caught.value)

    await expect(UniqueViolation, Vault.new("2", token=SECRET).save())
    await expect(AlreadyExists, Vault.new("1", pin=SECRET).save())
    refuse("token", SECRET * 3)
    refuse("token", LONELY)
    refuse("code", SECRET)
    refuse("code", 987654321.5)
    refuse("pin", [SECRET])
    refuse("password", [SECRET])
    with pytest.raises(ValidationError) as caught:
        Vault.new("3", code=SECRET)
    errors.append(caught.value)
    with pytest.raises(ValidationError) as caught:
        vault["code"] = SECRET
    errors.append(caught.value)
    with pytest.raises(ValidationError) as caught:
        Vault.code >= SECRET  # type: ignore[operator]
    errors.append(caught.value)
    raw.hset("vault:1", mapping={"code": SECRET, "token": SECRET.encode() + b"\xff"})
    broken = await Vault.get("1")
    for name in ("code", "token"):
        with pytest.raises(CorruptRecord) as corrupt:
            getattr(broken, name)
        errors.append(corrupt.value)
    raw.set("vault:4", SECRET)
    await expect(StoreError, Vault("4").load())
    await expect(StoreError, Vault.new("4", pin=SECRET).save())
    vault.pin = SECRET + "2"
    raw.hset("vault:1", "p", SECRET + "3")
    await expect(StaleWrite, vault.save(if_unchanged=True))
    await Vault("1").delete()
    await expect(Gone, vault.save())
    texts = [told(error) for error in errors]
    texts += [shown.getvalue(), caplog.text, capsys.readouterr().out, repr(vars(db))]
    for text in texts:
        assert SECRET not in text
        assert "987654321" not in text


async def test_control_a_field_that_is_no_secret_does_show(db: Database) -> None:
    """Else the test above would pass for want of anything to see."""
    with pytest.raises(ValidationError) as caught:
        Vault.new("1", email=SECRET)
    assert SECRET in told(caught.value)
    assert SECRET not in repr(caught.value)


async def test_a_password_in_a_url_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    database = Database(f"redis://joe:{SECRET}@127.0.0.1:1/0", connect_timeout=0.2)
    async with session(database):
        with pytest.raises(Unavailable) as caught:
            await Vault("1")
    assert "127.0.0.1:1" in str(caught.value)
    for text in (told(caught.value), repr(database), caplog.text, repr(vars(database))):
        assert SECRET not in text
        assert "joe" not in text
    for wrong in (f"redis://joe:{SECRET}@host:port/0", f"http://joe:{SECRET}@host"):
        with pytest.raises(UsageError) as refused:
            Database(wrong)
        assert SECRET not in told(refused.value)
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(database)


def test_a_violation_of_fields_unique_together_names_each_of_them() -> None:
    error = UniqueViolation("Book", "owner, slug", "1")
    assert (error.field, error.fields) == ("owner, slug", ("owner", "slug"))
    assert UniqueViolation("Book", "isbn", "1").fields == ("isbn",)
    told: Any = detail_of(error)
    assert [item["loc"] for item in told] == [["body", "owner"], ["body", "slug"]]
