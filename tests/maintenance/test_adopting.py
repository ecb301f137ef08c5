"""adopt: the file that it proposes runs as it is, and every record is found by every index in it."""

from __future__ import annotations

import json
import os
import types
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Model, Proposal, Reindexed, String, UsageError, adopt, conf, reindex

from ..support.adoption import make_dumps
from ..support.drift import drift
from ..support.dumps.make_dump import dumped, restored
from ..support.tagged import as_they_lie

FULL = os.environ.get("REDISCA_FULL") == "1"


def module_of(proposal: Proposal, name: str) -> Any:
    """The proposed file as a module, unchanged."""
    module: Any = types.ModuleType(f"adopted_{name}")
    exec(compile(proposal.source, f"{name}.py", "exec"), module.__dict__)
    return module


def all_of(backend: str, driver: str) -> bool:
    """Whether 1,000 records are taken, once on each server; elsewhere some of them."""
    return backend != "memory" and driver == "asyncio"


def some_of(keys: dict[str, Any], whole: bool) -> dict[str, Any]:
    """*keys*, or of the records one in eight."""
    hashes = [key for key, (kind, _) in keys.items() if kind == "hash"]
    left = {*hashes[:: 1 if whole else 8], *(key for key in hashes if key.startswith("language"))}
    return {key: content for key, content in keys.items() if content[0] != "hash" or key in left}


def by_hand(count: int) -> dict[str, Any]:
    """What a program of one's own might have written."""
    keys = dict[str, Any]()
    for n in range(count):
        keys[f"app:user:{n}"] = [
            "hash",
            {
                "name": f"Name {n}",
                "email": f"User{n}@Example.com" if n % 3 else f"u{n}@example.com",
                "age": str((n + 7) % 90),
                "price": f"{n}.{n % 100:02}",
                "created": f"2024-01-{1 + n % 28:02}T00:00:00Z",
                "born": f"19{10 + n % 90}-02-03",
                "active": "True" if n % 2 else "False",
                "state": "open" if n % 3 else "closed",
                "data": json.dumps({"b": 1, "a": [n]}),
                "labels": json.dumps(["b", f"a{n % 3}"]),
                "zip": f"{n % 7:05}",
                "signed_up_at": str(1700000000 + n),
                "mix": str(n) if n % 50 else "none",
                "blob": f"\xff{n}",
                "team": str(n % 5),
                "boss": f"app:user:{n // 2}",
                "a/b": "x",
                "class": "x",
                "save": "1",
            },
        ]
        if n % 4 == 0:
            keys[f"app:user:{n}"][1]["nick"] = f"nick{n}"
    for n in range(5):
        keys[f"app:team:{n}"] = ["hash", {"title": f"Team {n}"}]
    keys["app:user:1:settings"] = ["hash", {"dark": "1"}]
    keys["cache:1"] = ["string", "x"]
    keys["lonely"] = ["hash", {"x": "1"}]
    return keys


async def found_by_all_indexes(model: Any, ids: set[str]) -> None:
    """Every record is found by each of its values that an index or a unique holds."""
    records = await model.get_many(sorted(ids))
    for name, field in model.__mapper__.fields.items():
        if not (field.unique or field.index):
            continue
        column = getattr(model, name)
        holders = defaultdict[Any, set[str]](set)
        for record in records:
            value = getattr(record, name)
            for one in value if isinstance(value, set) else [value]:
                holders[getattr(one, "id", one)].add(record.id)
        without = holders.pop(None, set())
        values = [*holders]
        for value in values[:7]:
            query = column.has(value) if field.index == "tags" else column == value
            assert {record.id for record in await query} == holders[value]
        if field.index != "tags":
            query = column.in_(values)
            assert {record.id for record in await query} | without == ids
        if field.index == "range":
            assert len([*await (column >= min(values))]) == len(ids - without)


async def adopted(proposal: Proposal, name: str, raw: Any, foreign: dict[str, list[str]]) -> Any:
    """Run the file, build the indexes, and look for every record by them."""
    module = module_of(proposal, name)
    models = [getattr(module, plan.name) for plan in proposal.models]
    for plan, model in zip(proposal.models, models, strict=True):
        done: Reindexed = await reindex(model, canonical=plan.canonical)
        assert (done.problems, done.incomplete) == ([], {})
        assert raw.zcard(f"{plan.base}/ids") == plan.hashes
        assert done.foreign == foreign.get(plan.name, [])
        ids = {
            key.decode().removeprefix(f"{plan.base}:")
            for key in raw.keys(f"{plan.base}:*")
            if raw.type(key) == b"hash"
        }
        ids -= {*done.foreign}
        assert len(ids) == plan.hashes
        await found_by_all_indexes(model, ids)
    return models


def kinds_of(proposal: Proposal, name: str) -> dict[str, str]:
    """The lines of a class without their comments."""
    plan = next(plan for plan in proposal.models if plan.name == name)
    return {
        one.name: f"{'Reference' if one.target else one.guess.kind}"
        f"({', '.join(sorted(one.guess.options.keys() - {'required'}))})"
        for one in plan.fields
        if not one.is_id
    }


@pytest.mark.slow
async def test_records_of_redisca_are_adopted(db: Database, raw: Any, backend: str, driver: str) -> None:
    whole = all_of(backend, driver)
    restored(raw, some_of(make_dumps.kept("redisca"), whole))
    before = dumped(raw)
    proposal = await adopt(db)
    assert dumped(raw) == before  # it only reads
    assert {plan.name: plan.hashes for plan in proposal.models} == {
        "Usr": 1000 if whole else 125,
        "Language": 4,
    }
    assert proposal.problems == []
    assert "redisca has kept indexes of age, created, eml, lang, name" in proposal.models[0].problems[0]
    assert kinds_of(proposal, "Usr") == {
        "active": "Bool(index)",
        "age": "Integer(index)",
        "created": "DateTime(index)",
        "eml": "Email(unique)",
        "lang": "Reference(index)",
        "name": "String(index)",
        "pass_": "MD5Pass()",
    }
    models = await adopted(proposal, "redisca", raw, {})
    for key in raw.keys("usr:*") + raw.keys("language:*"):  # what redisca kept beside them
        if raw.type(key) != b"hash":
            raw.delete(key)
    assert drift(raw, models) == []


@pytest.mark.slow
async def test_records_of_redis_om_are_adopted(db: Database, raw: Any, backend: str, driver: str) -> None:
    whole = all_of(backend, driver)
    restored(raw, some_of(make_dumps.kept("redis_om"), whole))
    proposal = await adopt(db)
    assert sum(plan.hashes for plan in proposal.models) == (1000 if whole else 125)
    assert (proposal.problems, proposal.models[0].prefix) == ([], ":__main__.Customer")
    assert kinds_of(proposal, "Customer") == {
        "active": "Bool(index)",
        "age": "Integer(index)",
        "bio": "String()",
        "email": "Email(unique)",
        "first_name": "String()",
        "join_date": "DateTime(index)",
        "score": "Float(index)",
        "seen": "DateTime(index)",
        "token": "UUID(secret, unique)",
    }
    assert kinds_of(proposal, "Order")["customer"] == "Reference(index)" or not whole
    assert "pk: the id once more" in proposal.source
    models = await adopted(proposal, "redis_om", raw, {})
    assert drift(raw, models) == []


@pytest.mark.slow
async def test_hashes_made_by_hand_are_adopted(db: Database, raw: Any, backend: str, driver: str) -> None:
    restored(raw, by_hand(1000 if all_of(backend, driver) else 120))
    proposal = await adopt(db, match="*")
    assert kinds_of(proposal, "User") == {
        "a_b": "String()",
        "active": "String(index)",
        "age": "Integer(index)",
        "blob": "Bytes()",
        "born": "Date(index)",
        "boss": "Reference(index)",
        "class_": "String(index)",
        "created": "String(index)",
        "data": "Json()",
        "email": "Email(unique)",
        "labels": "Tags(index)",
        "mix": "String()",
        "name": "String()",
        "nick": "String(unique)",
        "price": "Decimal(index, places)",
        "save_": "Integer(index)",
        "signed_up_at": "DateTime(index)",
        "state": "String(index)",
        "team": "Reference(index)",
        "zip": "String(index)",
    }
    assert 'boss = Reference("User", index=True, required=True, children=True)' in proposal.source
    assert proposal.problems == [
        "1 hash: no hash tells its prefix: its key holds no ':'",
        "1 keys of type string: they are no records",
    ]
    user = next(plan for plan in proposal.models if plan.name == "User")
    assert user.problems == [
        "1 hash behind the key of another, as app:user:1:settings: no records of this class, and left alone",
        "'a/b' cannot have an index: the hash field of an index holds no /",
    ]
    models = await adopted(proposal, "by_hand", raw, {"User": ["1:settings"]})
    raw.delete("app:user:1:settings", "cache:1", "lonely")
    assert drift(raw, models) == []


async def test_a_sample_promises_no_more_than_it_has_seen(db: Database, raw: Any) -> None:
    restored(as_they_lie(raw), by_hand(60))
    proposal = await adopt(db, match="app:user:*", sample=30)
    user = proposal.models[0]
    assert (user.hashes, user.read, [plan.name for plan in proposal.models]) == (60, 30, ["User"])
    assert "required" not in proposal.source.replace("required=True?", "")
    assert "unique=True" not in proposal.source.replace("unique=True?", "")
    assert "in the sample: unique=True?" in proposal.source
    assert (proposal.complete, proposal.keys) == (True, 61)


async def test_only_so_many_keys_are_looked_at(db: Database, raw: Any) -> None:
    with raw.pipeline() as pipe:
        for n in range(2500):
            pipe.hset(f"user:{n}", "a", "1")
        pipe.execute()
    proposal = await adopt(db, limit=1000)
    assert (proposal.complete, 1000 <= proposal.keys < 2500) == (False, True)
    assert proposal.models[0].hashes == proposal.keys


async def test_the_library_s_own_records_are_told(db: Database, raw: Any) -> None:
    @conf(prefix="mine")
    class Mine(Model):
        name = String(index=True)

    for n in range(3):
        await Mine.new(str(n), name="x").save()
    for key in ("/migrations", "/migrations/left", "mine/t/n", "mine/u/name"):
        raw.hset(key, "a", "1")
    raw.zadd("mine/bad", {"x": 0})
    raw.set("mine/lease", "who")
    as_they_lie(raw).hset("shop/metadata:1", "a", "1")  # no key of ours
    proposal = await adopt(db)
    assert [(plan.name, plan.hashes, plan.problems) for plan in proposal.models] == [
        ("Mine", 3, ["aioredisca keeps records here already"])
    ]
    assert [problem.partition(":")[0] for problem in proposal.problems] == ["shop/metadata"]


@pytest.mark.one_node
async def test_keys_of_which_no_class_can_be_made_are_told(db: Database, raw: Any) -> None:
    for n in range(30):
        raw.hset(f"user:{n}:profile", mapping={"name": "x"})
        raw.hset(f"user:{n}:login", mapping={"at": "1"})
        raw.hset(f"bad*prefix:{n}", mapping={"name": "x"})
        raw.hset(f"times:2024-01-{1 + n:02}T10:00:{n:02}", mapping={"n": str(n)})
        raw.hset(b"odd:\xff%d" % n, mapping={"n": str(n)})
    raw.hset("{tagged}:1", mapping={"n": "1", "_": "1"})
    raw.hset("wide:1", mapping={f"f{n}": "1" for n in range(600)})
    raw.hset("wide:1", b"\xff", "x")
    raw.expire("{tagged}:1", 1000)
    proposal = await adopt(db)
    assert {plan.prefix: plan.hashes for plan in proposal.models} == {"times": 30, "tagged": 1, "wide": 1}
    assert sorted(proposal.problems) == [
        "60 hashes: what differs stands in the middle of their keys, or they are alone behind their prefix",
        "bad*prefix: 'bad*prefix' cannot be a prefix: a prefix holds no / { } *, no NUL and no white space, "
        "this one has '*'",
        "odd: 30 ids cannot be: it holds a lone surrogate, which UTF-8 cannot write",
    ]
    tagged, wide = (next(p for p in proposal.models if p.prefix == name) for name in ("tagged", "wide"))
    assert (tagged.tag, tagged.problems) == (True, ["1 hash of 1 with an end of its own: see conf(ttl=)"])
    assert "1 hash with more than 200 fields: read in part" in wide.problems
    module_of(proposal, "odd")


HOSTILE: dict[str, dict[str, dict[str, str]]] = {
    "attributes of one name": {"app:t": {"a-b": "1", "a_b": "2", "a.b": "3", "ﬁ": "x", "fi": "y"}},
    "names of the file": {"app:t": {"String": "a b", "Integer": "5", "conf": "1", "Model": "q", "zz": "7"}},
    "classes of one name": {
        "model": {"a": "1"},
        "string": {"b": "w w"},
        "x:ab": {"a": "1"},
        "ab": {"a": "1"},
    },
    "names of other classes": {"app:person": {"Team": "w", "team": "3"}, "app:team": {"Person": "w w"}},
    "words of Python": {"none": {"None": "1", "class": "2"}, "true": {"True": "1", "__class__": "w w"}},
    "letters that are none": {"x²": {"²": "2", "a²": "1", "ª": "3", "١a": "4", "·": "5", "\u0301": "6"}},
    "texts that end": {"app:t": {'"""\nraise SystemExit\n"""': "1", "\\": "2", '"': "3", "a\n#": "4"}},
    "with and without a tag": {"app": {"a": "w w"}, "{app}": {"b": "w w"}},
    "tags of several": {
        "{shop}usr": {"a": "w w"},
        "{shop}order": {"b": "w w"},
        '{it"s\\}x': {"c": "w w"},
        "{shop}": {"d": "w w"},
    },
    "many parts": {":".join("a" * 3000): {"a": "1"}},
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.one_node
async def test_the_file_runs_whatever_names_there_are(db: Database, raw: Any, name: str) -> None:
    for prefix, fields in HOSTILE[name].items():
        for n in range(25):
            raw.hset(f"{prefix}:{n}", mapping=fields)
    proposal = await adopt(db)
    module = module_of(proposal, "hostile")
    for plan in proposal.models:
        fields = getattr(module, plan.name).__mapper__.fields
        declared = {field.key: name for name, field in fields.items()}
        assert declared == {one.key: one.name for one in plan.fields if not one.is_id}
        assert declared.keys() == HOSTILE[name][plan.base].keys()
        assert getattr(module, plan.name).__mapper__.keys(db).base == plan.base
    assert len(proposal.models) == (0 if name == "many parts" else len(HOSTILE[name]))


async def test_no_value_of_what_may_be_secret_is_told(db: Database, raw: Any) -> None:
    raw.hset("user:1", mapping={"pin": "493817", "login_token": "583920", "age": "71"})
    proposal = await adopt(db)
    told = proposal.source + json.dumps(proposal.as_json())
    assert "71 to 71" in told
    assert "493" not in told
    assert "583" not in told


async def test_what_cannot_be_asked_for(db: Database) -> None:
    for options in ({"sample": 0}, {"limit": "5"}):
        with pytest.raises(UsageError):
            await adopt(db, **options)
    assert (await adopt(db)).models == []


@pytest.mark.skipif(not FULL, reason="installs the other mappers; REDISCA_FULL=1 does")
@pytest.mark.parametrize("mapper", sorted(make_dumps.PACKAGES))
def test_the_mappers_themselves_write_what_is_dumped_here(mapper: str, tmp_path: Path) -> None:
    content = make_dumps.made(mapper, tmp_path / mapper)
    kept = make_dumps.kept(mapper)
    assert len(content) == len(kept)
    fields = [{frozenset(held) for kind, held in one.values() if kind == "hash"} for one in (content, kept)]
    assert fields[0] == fields[1]
