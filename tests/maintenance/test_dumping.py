"""Export and import: what comes back is what was stored, byte for byte, and every index with it."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any

import pytest

from aioredisca import (
    UUID,
    BadLine,
    Bytes,
    Counter,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Enum,
    Float,
    HashOf,
    Imported,
    Integer,
    Json,
    ListOf,
    MD5Pass,
    Model,
    NotIndexed,
    Password,
    PermissionDenied,
    Reference,
    SetOf,
    SortedSet,
    String,
    Tags,
    UsageError,
    conf,
    export_records,
    import_records,
)

from ..support.drift import drift
from ..support.dumps.make_dump import differences, dumped
from ..support.servers import Server

pytestmark = pytest.mark.one_slot

METACLASS: Any = type(Model)
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$" + "YWFh" * 10 + "YWE"


class Level(enum.Enum):
    LOW = "low"


@conf(prefix="dpar")
class Parent(Model):
    name = String(unique=True, required=True)


@conf(prefix="dev", unique=[("word", "number")], index=[("word", "number")])
class Everything(Model):
    """Every kind of field, index and collection."""

    word = String(index=True, field="w")
    note = String(index=True)
    ordered = String(index="sorted")
    email = Email(unique=True)
    number = Integer(index=True)
    price = Decimal(places=2, index=True)
    ratio = Float(index=True)
    at = DateTime(index=True)
    day = Date(index=True)
    key = UUID(unique=True)
    data = Json[Any]()
    blob = Bytes(index=True)
    labels = Tags(index=True)
    level = Enum(Level, index=True)
    password = Password()
    digest = MD5Pass()
    parent = Reference(Parent, index=True, check=True)
    tree = Reference("Everything", check=True)
    log = ListOf(String())
    seen = SetOf(Integer(), field="s")
    board = SortedSet(String())
    named = HashOf(Json[Any]())
    visits = Counter()


async def filled(raw: Any, count: int, values: int = 0) -> None:
    """Records that are hard to bring back, and collections of so many *values*."""
    parent = await Parent.new("p", name="parent").save()
    made = [
        Everything.new(
            f"e{n:03}",
            word=f"w{n % 7}",
            note="x" * 600 if n % 50 == 0 else None,
            ordered=f"o\0{n}" if n % 3 else None,
            email=f"{n}@example.com" if n % 2 else None,
            number=n - 20,
            price=decimal.Decimal(n) / 4,
            ratio=n / 3,
            at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=n),
            day=dt.date(2024, 2, 29),
            key=uuid.UUID(int=n),
            data={"b": [n, None, "ü"], "a": {}},
            blob=b"\xff\0\r\n%d" % n,
            labels={"a", "ö\u2028"},
            level=Level.LOW,
            digest="secret",
            parent=parent,
        )
        for n in range(count)
    ]
    await Everything.save_many(made)
    await Everything.new("nothing").save()
    for n in range(count):
        made[n].tree = made[n * 7 % count]
    await Everything.save_many(made)
    first, second = made[0], made[1]
    await first.log.append("a", "b", "a", "\0\n")
    await first.seen.add(3, -1, 2**60)
    await first.board.update({"x": 1.5, "y": -1e300, "z": 0.1})
    await first.named.update({"": [], "ü\0": {"a": "\u2028"}})
    await first.visits.incr(-(2**60))
    for start in range(0, values, 500):
        await second.log.append(*map(str, range(start, start + 500)))
        await second.seen.add(*range(start, start + 500))
        await second.board.update({str(n): n / 7 for n in range(start, start + 500)})
    key = raw.keys("dev:e002")[0]
    raw.hset(
        key, mapping={b"\xff\xfe": b"\x80x", "odd name": "undeclared", "data": "{no json", "password": HASH}
    )
    raw.hset("dev:e004", mapping={"data": b"\xff", "password": "plain"})
    raw.rpush("dev/l/log/e004", b"\xff")


async def lines_of(*models: Any, **options: Any) -> list[str]:
    return [line async for line in export_records(*models, **options)]


def records(lines: list[str]) -> list[str]:
    """The lines without the headers, which tell the time."""
    return [line for line in lines if not line.startswith('{"aioredisca"')]


def stored(raw: Any) -> dict[str, Any]:
    """All that is in the store, but for what only tells that indexes are built."""
    return {key: content for key, content in dumped(raw).items() if not key.endswith("/meta")}


@pytest.mark.slow
async def test_what_comes_back_is_what_was_there(db: Database, raw: Any, backend: str) -> None:
    count, values = (20, 0) if backend == "memory" else (120, 1500)  # fakeredis is slow
    await filled(raw, count, values)
    total = count + 2
    lines, before = await lines_of(Everything, Parent), stored(raw)
    raw.flushdb()
    done = await import_records(lines, Everything, Parent)
    assert done == Imported(records=total)
    assert differences(stored(raw), before) == {}
    assert drift(raw, [Everything, Parent]) == []
    assert records(await lines_of(Everything, Parent)) == records(lines)
    # again: nothing changes, whatever is to become of conflicts
    assert await import_records(lines, Everything, Parent, on_conflict="skip") == Imported(skipped=total)
    assert await import_records(lines, Everything, Parent, on_conflict="replace") == Imported(records=total)
    assert differences(stored(raw), before) == {}
    assert await import_records(lines, Everything, Parent, on_conflict="skip", dry_run=True) == Imported(
        skipped=total
    )


async def test_control_a_byte_less_is_found(db: Database, raw: Any) -> None:
    await filled(raw, 3)
    lines, before = await lines_of(Everything, Parent), stored(raw)
    raw.flushdb()
    wrong = [line.replace('["x","1.5"]', '["x","1.25"]').replace('"b"', '"c"', 1) for line in lines]
    assert (await import_records(wrong, Everything, Parent)).records == 5
    assert {"dev/l/board/e000", "dev/l/log/e000"} <= differences(stored(raw), before).keys()


@pytest.mark.on_cluster
async def test_parents_come_first_and_a_child_waits_for_its_parent(db: Database, raw: Any) -> None:
    await filled(raw, 3)
    lines = await lines_of(Everything, Parent)
    assert [json.loads(line)["model"] for line in lines if "aioredisca" in line] == ["Parent", "Everything"]
    raw.flushdb()
    alone = [line for line in lines[3:] if '"e001"' not in line.partition(",")[0]]  # no parent, and no e001
    done = await import_records(alone, Everything)
    assert (done.records, done.left_out, done.complete) == (1, 2, False)
    assert {str(error) for _, error in done.problems} == {
        "Everything.parent: refers to a record that is not stored: "
        "save Parent('p') first, or in the same batch or flush"
    }
    assert (await import_records(alone, Everything, on_conflict="skip", check_references=False)).records == 2


async def test_a_record_that_is_taken(db: Database, raw: Any) -> None:
    await Parent.save_many([Parent.new(str(n), name=f"n{n}") for n in range(3)])
    lines = await lines_of(Parent)
    with pytest.raises(BadLine, match=r"line 2: Parent\('0'\) exists already"):
        await import_records(lines, Parent)
    await Parent("1").delete()
    one = await Parent.get("2")
    one.name = "other"
    await one.save()
    raw.hset("dpar:2", "extra", "x")
    assert await import_records(lines, Parent, on_conflict="skip") == Imported(records=1, skipped=2)
    assert raw.hgetall("dpar:2") == {b"name": b"other", b"extra": b"x"}
    assert await import_records(lines, Parent, on_conflict="replace") == Imported(records=3)
    assert raw.hgetall("dpar:2") == {b"name": b"n2"}
    await Parent.new("thief", name="free").save()
    line = '{"id":"9","fields":{"name":"free"}}'
    for how in ("skip", "replace"):
        done = await import_records([lines[0], line, lines[-1]], Parent, on_conflict=how)
        assert [(number, str(error)) for number, error in done.problems] == [
            (2, "Parent.name is unique and Parent('thief') holds this value already")
        ]
    with pytest.raises(BadLine):
        await import_records([lines[0], line], Parent)
    # twice in one stream: the second finds the first
    double = [lines[0], '{"id":"d","fields":{"name":"d1"}}', '{"id":"d","fields":{"name":"d2"}}']
    done = await import_records(double, Parent, on_conflict="replace")
    assert (done.records, done.complete) == (2, False)
    assert raw.hget("dpar:d", "name") == b"d2"
    assert drift(raw, [Parent]) == []


BAD = [
    ("no json", "", "the line is no object of JSON"),
    ('["secret"]', "", "the line is no object of JSON"),
    ("[" * 100_000, "", "the line is no object of JSON"),
    ('{"id":5,"fields":{}}', "id", "is no text"),
    ('{"fields":{}}', "id", "is no text"),
    ('{"id":"","fields":{}}', "id", "an empty id names no record"),
    ('{"id":{"base64":"/w=="}}', "id", "it holds a lone surrogate"),
    ('{"id":"1","fields":{"number":"abcsecret"}}', "number", "cannot be read"),
    (
        '{"id":"1","fields":{"number":"007"}}',
        "number",
        "cannot be read, or the field would not write it like that",
    ),
    ('{"id":"1","fields":{"number":"abc"},"as_stored":["number"]}', "number", "cannot stand in an index"),
    ('{"id":"1","fields":{"number":7}}', "number", "is no text"),
    ('{"id":"1","fields":{"email":"A@example.com"}}', "email", "cannot be read, or"),
    ('{"id":"1","fields":{"w":{"base64":"!"}}}', "word", "is no text"),
    ('{"id":"1","fields":{"_":"1"}}', "", "a hash field cannot be"),
    ('{"id":"1","fields":[]}', "", "fields is no dict"),
    ('{"id":"1","expires_at":true}', "", "expires_at is no int"),
    ('{"id":"1","expires_at":5}', "expires_at", "the class has no conf"),
    ('{"id":"1","ends":{"w":5}}', "word", "does not end"),
    ('{"id":"1","others":[["w","x"]]}', "word", "stands in others"),
    ('{"id":"1","others":[["x"]]}', "", "others is no list of pairs"),
    ('{"id":"1","collections":{"x":[]}}', "x", "there is no such collection"),
    ('{"id":"1","collections":{"log":"x"}}', "log", "is no list of values"),
    ('{"id":"1","collections":{"s":["x"]}}', "seen", "holds what cannot be read"),
    (
        '{"id":"1","collections":{"board":[["x","1_0"],["y","nan"]]}}',
        "board",
        "holds a score that is no number",
    ),
    ('{"id":"1","collections":{"visits":"9223372036854775808"}}', "visits", "is no whole number of 64 bits"),
    ('{"id":"1","surprise":1}', "", "the line holds 'surprise'"),
]


async def test_bad_lines_are_told_by_number_and_field_and_never_by_value(db: Database, raw: Any) -> None:
    header, good = (await lines_of(Everything))[0], '{"id":"good","fields":{"w":"x"}}'
    stream = [header, *(line for line, _, _ in BAD), good]
    done = await import_records(stream, Everything)
    assert (done.records, done.left_out) == (1, len(BAD))
    for (number, error), (place, (_, field, reason)) in zip(done.problems, enumerate(BAD, 2), strict=True):
        assert (number, error.field) == (place, field)  # type: ignore[attr-defined]
        assert reason in str(error)
        assert "secret" not in str(error) + repr(error)
    assert drift(raw, [Everything]) == []
    with pytest.raises(BadLine) as caught:
        await import_records(stream, Everything, strict=True)
    assert (caught.value.line, raw.exists("dev:1")) == (2, 0)


async def test_a_record_without_what_is_required_is_a_bad_line(db: Database) -> None:
    header = (await lines_of(Parent))[0]
    done = await import_records([header, '{"id":"1","fields":{}}'], Parent)
    assert [str(error) for _, error in done.problems] == ["Parent.name: is required"]


async def test_streams_that_are_none_and_arguments_that_make_no_sense(db: Database) -> None:
    header = (await lines_of(Parent))[0]
    cases: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
        (['{"id":"1"}'], (Parent,), {}, "does not begin with a header"),
        ([header], (Everything,), {}, "records of 'Parent', and was to be of Everything"),
        ([header.replace('"aioredisca":1', '"aioredisca":2')], (Parent,), {}, "nobody can import this"),
        (await lines_of(Parent, values=True), (Parent,), {}, "nobody can import this"),
        (header, (Parent,), {}, "letter by letter"),
        ([], (), {}, "at least one model class"),
        ([], ("Parent",), {}, "takes model classes"),
        ([], (Parent, type("Parent", (Model,), {})), {}, "would not be told apart"),
        ([], (Parent,), {"on_conflict": "merge"}, "on_conflict='merge'"),
    ]
    for lines, models, options, reason in cases:
        with pytest.raises(UsageError, match=reason.replace("(", r"\(")):
            await import_records(lines, *models, **options)
    assert await import_records([], Parent) == Imported(complete=False)  # an export has a header


async def test_a_model_is_found_by_its_prefix_too_and_its_new_fields_are_told(db: Database, raw: Any) -> None:
    await Parent.new("1", name="x").save()
    lines = await lines_of(Parent)
    await Parent("1").delete()

    @conf(prefix="dpar")
    class Renamed(Model):
        other = String()

    raw.delete("dpar/meta", "dpar/u/name")
    done = await import_records(lines, Renamed)
    assert done == Imported(records=1, unknown={"name": 1})
    assert raw.hgetall("dpar:1") == {b"name": b"x", b"_": b"1"}  # of what is declared it holds nothing


async def test_secrets_undeclared_fields_and_values_for_people(db: Database, raw: Any) -> None:
    await filled(raw, 5)
    whole = "\n".join(await lines_of(Everything, Parent))
    spared = "\n".join(await lines_of(Everything, Parent, secrets=False, undeclared=False))
    assert HASH in whole
    assert "odd name" in whole
    assert HASH not in spared
    assert "plain" not in spared
    assert "5ebe2294ecd0e0f08eab7690d2a6ee69" not in spared  # the MD5 of "secret"
    assert "odd name" not in spared
    for_people = await lines_of(Everything, values=True)
    assert json.loads(for_people[0])["values"] is True
    assert json.loads(for_people[2])["fields"] == {
        "word": "w1",
        "ordered": "o\0" + "1",
        "email": "1@example.com",
        "number": -19,
        "price": "0.25",
        "ratio": 1 / 3,
        "at": "2024-01-01T00:00:00.000001+00:00",
        "day": "2024-02-29",
        "key": uuid.UUID(int=1).hex,
        "data": {"b": [1, None, "ü"], "a": {}},
        "blob": {"base64": "/wANCjE="},
        "labels": ["a", "ö\u2028"],
        "level": "low",
        "parent": "p",
        "tree": "e002",
    }
    assert json.loads(for_people[3])["fields"]["data"] is None  # which cannot be read
    raw.hset(f"{Everything.__mapper__.prefix()}:{json.loads(for_people[2])['id']}", "ratio", "-inf")
    assert '"ratio":"-Infinity"' in (await lines_of(Everything, values=True))[2]


async def test_records_and_fields_that_end_keep_their_moments(db: Database, raw: Any) -> None:
    @conf(prefix="dend", ttl=3600)
    class Login(Model):
        user = String(index=True)
        log = ListOf(String())

    for n in range(3):
        await Login.new(str(n), user="ada").save()
    await Login("0").log.append("x")
    await Login("1").persist()
    await Login("2").expire(dt.timedelta(days=1))
    lines, before = await lines_of(Login), stored(raw)
    ends = {line["id"]: line.get("expires_at") for line in map(json.loads, lines[1:-1])}
    assert ends == {"0": raw.zscore("dend/t", "0"), "1": None, "2": raw.zscore("dend/t", "2")}
    raw.flushdb()
    assert await import_records(lines, Login) == Imported(records=3)
    assert differences(stored(raw), before) == {}
    assert drift(raw, [Login]) == []
    assert await import_records(lines, Login, on_conflict="replace") == Imported(records=3)
    assert differences(stored(raw), before) == {}
    assert records(await lines_of(Login)) == records(lines)
    # what was to end meanwhile has ended
    late = [lines[0], '{"id":"9","fields":{"user":"eve"},"expires_at":1,"collections":{"log":["x"]}}']
    await import_records(late, Login)
    assert (raw.exists("dend:9", "dend/l/log/9"), drift(raw, [Login])) == (0, [])
    done = await import_records([lines[0], '{"id":"9","expires_at":-1}'], Login)
    assert "is no moment" in str(done.problems[0][1])


async def test_fields_that_end_keep_their_moments(db: Database, raw: Any, backend: str) -> None:
    if backend not in ("memory", "valkey9", "redis82"):
        pytest.skip("a server without HPEXPIRE")

    @conf(prefix="dbrief")
    class Account(Model):
        name = String(index=True)
        code = String(ttl=600)
        token = String(ttl=None)

    await Account.new("1", name="ada", code="123").save()
    await Account.new("2", name="bob", code="456").save()
    await Account("2").expire_field(Account.code, None)
    lines = await lines_of(Account)
    moment = raw.execute_command("HPEXPIRETIME", "dbrief:1", "FIELDS", 1, "code")[0]
    assert [line.get("ends") for line in map(json.loads, lines[1:-1])] == [{"code": moment}, None]
    raw.flushdb()
    assert await import_records(lines, Account) == Imported(records=2)
    assert records(await lines_of(Account)) == records(lines)
    assert drift(raw, [Account]) == []


async def test_a_record_stays_when_a_field_that_was_imported_ends(
    db: Database, raw: Any, backend: str
) -> None:
    if backend not in ("memory", "valkey9", "redis82"):
        pytest.skip("a server without HPEXPIRE")

    @conf(prefix="dlast")
    class Account(Model):
        token = String(ttl=None)

    await Account.new("1", token="a").save()
    await Account("1").expire_field(Account.token, 600)
    header, line, end = await lines_of(Account)
    raw.flushdb()
    late = json.dumps({**json.loads(line), "id": "2", "ends": {"token": 1}})  # it has ended meanwhile
    await import_records([header, line, late, end], Account)
    assert (raw.hget("dlast:1", "_"), raw.hgetall("dlast:2")) == (b"1", {b"_": b"1"})
    assert drift(raw, [Account]) == []


@pytest.mark.parametrize("denied", ["rpush", "incrby"])
async def test_a_right_that_is_missing_is_told_before_half_a_record_is_there(
    server: Server, db: Database, raw: Any, driver: str, denied: str
) -> None:
    if int(raw.info("server")["redis_version"].split(".")[0]) < 7:
        pytest.skip("a server that cannot be asked")
    fields = {"name": String(index=True), "log": ListOf(String()), "hits": Counter(), "__module__": __name__}
    made: Any = type("Kept", (Model,), fields)
    lines = [
        '{"aioredisca":1,"model":"Kept","prefix":"kept"}',
        '{"id":"1","fields":{"name":"a"},"collections":{"log":["x"],"hits":"2"}}',
        '{"end":"Kept","records":1}',
    ]
    rules = ["reset", "on", ">secret", "~*", "&*", "+@all", f"-{denied}"]
    raw.execute_command("ACL", "SETUSER", "importer", *rules)
    restricted = Database(f"redis://importer:secret@127.0.0.1:{server.port}/0")
    try:
        model = conf(db=restricted, prefix="kept")(made)
        with pytest.raises(PermissionDenied) as caught:
            await import_records(lines, model)
        assert caught.value.rule == f"+{denied}"
        assert raw.keys("kept*") == []
        raw.execute_command("ACL", "SETUSER", "importer", f"+{denied}")
        assert await import_records(lines, model) == Imported(records=1)
    finally:
        raw.acl_deluser("importer")
        restricted.close() if driver == "blocking" else await restricted.aclose()


async def test_indexes_that_are_not_built_list_nothing(db: Database, raw: Any) -> None:
    raw.hset("dpar:1", "name", "by hand")
    with pytest.raises(NotIndexed):
        await lines_of(Parent)


async def test_lines_may_come_as_bytes_and_from_what_is_asynchronous(db: Database, raw: Any) -> None:
    await Parent.save_many([Parent.new(str(n), name=f"n{n}") for n in range(250)])
    seen = list[int]()
    lines = await lines_of(Parent, progress=seen.append)
    assert seen == [200, 250]
    raw.flushdb()

    async def given() -> Any:
        for line in lines:
            yield line.encode() + b"\n"
            yield b"\n"

    done = await import_records(given(), Parent, progress=seen.append)
    assert (done.records, done.complete, seen[2:]) == (250, True, [100, 200, 300, 400, 500])
    assert drift(raw, [Parent]) == []


async def test_a_stream_that_was_cut_short_is_told_and_goes_on(db: Database, raw: Any) -> None:
    await filled(raw, 12)
    lines, before = await lines_of(Everything, Parent), stored(raw)
    raw.flushdb()
    done = await import_records(lines[:10], Everything, Parent, check_references=False)
    assert (done.records, done.complete) == (7, False)
    done = await import_records(lines, Everything, Parent, on_conflict="skip")
    assert (done.records, done.skipped, done.complete) == (7, 7, True)
    assert differences(stored(raw), before) == {}


async def test_what_an_older_release_exported_has_the_other_fields_too(db: Database, raw: Any) -> None:
    """Of ``also=``: the next release reads what the older one did not write."""
    model = conf(db=db, prefix="user")(
        METACLASS(
            "User",
            (Model,),
            {"__module__": __name__, "mail": Email(also="email"), "age": String(also={"years": str.strip})},
        )
    )
    lines = [
        '{"aioredisca":1,"model":"User","prefix":"user"}',
        '{"id":"1","fields":{"mail":"a@b.cc","age":" 7 "}}',
        '{"id":"2","fields":{"mail":"a@b.cc"},"others":[["email","as it was"]]}',
    ]
    for _ in range(2):
        done = await import_records(lines, model, on_conflict="replace")
        assert (done.records, done.problems) == (2, [])
        assert raw.hgetall("user:1") == {
            b"mail": b"a@b.cc",
            b"email": b"a@b.cc",
            b"age": b" 7 ",
            b"years": b"7",
        }
        assert raw.hgetall("user:2") == {b"mail": b"a@b.cc", b"email": b"as it was"}
