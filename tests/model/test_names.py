"""A model's namespace belongs to its user: every name that is not documented as reserved may be taken."""

from __future__ import annotations

import ast
import copy
import datetime
import decimal
import hashlib
import inspect
import keyword
import pickle
import types
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic import BaseModel

import aioredisca
from aioredisca import (
    Database,
    Field,
    Integer,
    ListOf,
    Model,
    Reference,
    String,
    Tags,
    conf,
    session,
    sync,
)
from aioredisca.fields import hashing
from aioredisca.model.declaration import RESERVED
from aioredisca.pydantic import Create, Read, Update
from tests.support.drift import drift

FIELD_NAMES = frozenset(
    """
    name key required unique index new on_save secret readonly ttl also mutable index_kinds
    coerce check to_db from_db score coerce_stored view
    minlen maxlen maxbytes maxdigits maxdepth normalize minval maxval places
    """.split()
)
"""What docs/fields.md reserves in a field of one's own: options, hooks, and the options of what it extends."""


@cache
def names_in_the_package() -> tuple[set[str], set[str]]:
    """Every identifier of the library's own code, but for dunders; and the names of arguments."""
    found, arguments = set[str](), set[str]()
    for path in Path(aioredisca.__file__).parent.rglob("*.py"):
        found.add(path.stem)
        for node in ast.walk(ast.parse(path.read_text())):
            found.update(_identifiers(node))
            if isinstance(node, ast.arg):
                arguments.add(node.arg)
    return {name for name in found if not name.startswith("__")}, arguments


def _identifiers(node: ast.AST) -> Iterator[str]:
    for kind in ("id", "attr", "arg", "name", "asname"):
        one = getattr(node, kind, None)
        if isinstance(one, str):
            yield from one.split(".")
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value  # a slot, or the name of an attribute that is looked up


CREATE: Any = Create
READ: Any = Read
UPDATE: Any = Update


def every_name() -> list[str]:
    return sorted(names_in_the_package()[0] - RESERVED)


def _method(self: Any, *arguments: Any) -> str:
    return "mine"


TAKERS: dict[str, Any] = {
    "a method": _method,
    "a property": property(lambda self: "mine"),
    "a class attribute": "mine",
    "a static method": staticmethod(lambda *arguments: "mine"),
}


def taking(base: Any, how: str, *, by_mixin: bool) -> Any:
    """A model with fields and collections of names that the library has not, and everything else taken."""
    f: Any = aioredisca if base is Model else sync
    taken = dict.fromkeys(every_name(), TAKERS[how])
    bases = (type("Mixin", (), taken), base) if by_mixin else (base,)
    body = {
        "zz_email": f.String(unique=True),
        "zz_kind": f.String(index=True),
        "zz_size": f.Integer(index=True),
        "zz_text": f.String(index="sorted"),
        "zz_tags": f.Tags(index=True),
        "zz_boss": f.Reference("Taker", index=True, on_delete="nullify"),
        "zz_more": f.Json(),
        "zz_log": f.ListOf(f.String()),
        "zz_likes": f.SetOf(f.String()),
        "zz_marks": f.SortedSet(f.String()),
        "zz_named": f.HashOf(f.String()),
        "zz_hits": f.Counter(),
        "__module__": __name__,
        "__qualname__": "Taker",
    }
    made = type(base)("Taker", bases, {**({} if by_mixin else taken), **body})
    return conf(prefix="taker", index=[("zz_kind", "zz_size")])(made)


def test_what_is_taken_is_what_the_library_uses() -> None:
    """A control: names of the mapper, of the state, of verbs' helpers are among them."""
    assert {"_own", "layers", "hydrate", "_layers", "filling", "begin", "store", "_fetch", "row"} <= {
        *every_name()
    }
    assert len(every_name()) > 2000
    assert not {"save", "id", "get"} & {*every_name()}


def test_a_model_has_no_other_names_than_documented_ones() -> None:
    for base in (Model, sync.Model):
        plain = {name for name in dir(base) if not (name.startswith("__") and name.endswith("__"))}
        assert plain <= RESERVED | {"mro"}, plain - RESERVED


def test_reserved_names_are_in_the_docs() -> None:
    docs = Path(aioredisca.__file__).parent.parent / "docs" / "fields.md"
    text = docs.read_text()
    assert not [name for name in sorted(RESERVED | FIELD_NAMES) if f"`{name}`" not in text]


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize("by_mixin", [False, True], ids=["own", "mixin"])
@pytest.mark.parametrize("how", TAKERS)
async def test_every_name_may_be_taken_in_an_asyncio_model(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, how: str, by_mixin: bool
) -> None:
    taker = taking(Model, how, by_mixin=by_mixin)
    monkeypatch.setitem(globals(), "Taker", taker)  # where pickle looks for it
    one = await taker.new("1", zz_email="a@b", zz_kind="x", zz_size=3, zz_text="t", zz_tags={"p"}).save()
    assert isinstance(one, taker)
    two = taker.new("2", zz_email="b@b", zz_kind="x", zz_size=5, zz_boss=one, zz_more=[1])
    assert await taker.save_many([two]) == []
    assert [r.id for r in await taker.zz_kind.find("x")] == ["1", "2"]
    assert [r.id for r in await taker.zz_size.range(4, 9)] == ["2"]
    assert [r.id for r in await (taker.zz_tags.has("p") & (taker.zz_size > 1))] == ["1"]
    assert [r.id for r in await taker.zz_text.startswith("t")] == ["1"]
    assert [r.id for r in await taker.all().order_by(taker.zz_size.desc()).limit(1)] == ["2"]
    (found,) = await (taker.zz_email == "b@b").prefetch(taker.zz_boss)
    assert (found.zz_boss.zz_size, found.zz_more) == (3, [1])
    found.zz_more.append(2)
    await found.save()
    assert (await taker.get("2")).zz_more == [1, 2]
    assert [r and r.id for r in await taker.get_many(["2", "404"])] == ["2", None]
    assert await taker.all().values(taker.zz_size) == [3, 5]
    assert (await taker.all().aggregate(taker.zz_size)).sum == 8
    assert (await (taker.zz_kind == "x").page(1)).next
    assert str(await (taker.zz_size > 1).explain())
    assert [r.zz_size for r in await taker.all().only(taker.zz_size)] == [3, 5]
    assert [r.id async for r in taker.all()] == ["1", "2"]
    assert await taker.all().random(1)
    assert await taker.all().update(zz_kind="y") == await taker.all().incr(taker.zz_size, 1) == 2
    assert await one.incr(taker.zz_size, 2) == 6
    got, created = await taker.get_or_create(zz_email="c@b")
    assert created
    assert (await taker.update_or_create(zz_email="c@b", defaults={"zz_size": 1}))[0] == got
    async with session(autosave=True) as unit:
        held = await taker("1")
        assert taker("1") is held
        held.zz_size += 1
        unit.delete(await taker.get(got.id))
    assert await taker("1").zz_log.append("a", "b") == 2
    assert await taker("1").zz_likes.add("a") == 1
    assert await taker("1").zz_marks.add("a", 1.5)
    assert await taker("1").zz_hits.incr(2) == 2
    assert pickle.loads(pickle.dumps(copy.copy(await taker.get("1")))).zz_size == 7
    whole = await taker("1").load(raw=True)
    assert (whole["zz_size"], whole.raw_export()["zz_kind"], whole.getorigin()["zz_size"]) == (7, "y", 7)
    whole["free"] = "x"
    assert (whole.getdiff(), repr(whole), bool(whole), len(whole) > 3) == (
        {"free": "x"},
        "<Taker '1' loaded, 1 changed>",
        True,
        True,
    )
    whole.revert()
    assert (await whole.reload()).export()["zz_size"] == 7
    assert drift(raw, [taker]) == []
    assert await whole.delete()
    assert (await taker.get("2")).zz_boss is None
    assert await taker.delete_many(["2"]) == 1
    assert drift(raw, [taker]) == []


@pytest.mark.blocking_only
@pytest.mark.parametrize("how", TAKERS)
async def test_every_name_may_be_taken_in_a_blocking_model(db: Database, how: str) -> None:
    taker = taking(sync.Model, how, by_mixin=False)
    one = taker.new("1", zz_email="a@b", zz_kind="x", zz_size=3, zz_tags={"p"}).save()
    taker.save_many([taker.new("2", zz_email="b@b", zz_kind="x", zz_size=5, zz_boss=one)])
    assert [r.id for r in taker.zz_kind.find("x")] == ["1", "2"]
    assert [r.id for r in (taker.zz_size > 4)] == ["2"]
    assert taker("2").zz_boss.zz_size == 3  # loaded when it is read
    assert (taker.get("1").zz_tags, taker("1")["zz_size"]) == ({"p"}, 3)
    with sync.session(autosave=True):
        taker("1").zz_size = 9
    assert taker("1").zz_log.append("a") == 1
    assert taker.get("1").incr(taker.zz_size) == 10
    assert taker.get_or_create(zz_email="c@b")[1]
    assert taker.all().update(zz_kind="y") == 3
    assert taker("1").delete()
    assert taker("2").zz_boss is None


# -- names of fields -------------------------------------------------------------------------------


def named_by(names: list[str], *, unique: bool = False) -> Any:
    """A model with a field for each name."""
    body: dict[str, Any] = {name: Integer(unique=unique) for name in names}
    body |= {"__module__": __name__, "__qualname__": "Named"}
    return types.new_class("Named", (Model,), exec_body=lambda made: made.update(body))


PYDANTICS = {"Config"}
"""What pydantic takes for the settings of a class."""


def names_of_fields() -> list[str]:
    return [n for n in every_name() if n[:1] != "_" and not keyword.iskeyword(n) and n not in PYDANTICS]


@pytest.mark.slow
@pytest.mark.parametrize("base", [Model, sync.Model])
async def test_a_field_may_have_every_name(db: Database, base: Any, driver: str) -> None:
    """In every verb that takes fields by name, and in what pydantic makes of the class."""
    if (base is Model) == (driver == "blocking"):
        pytest.skip("of the other colour")
    f: Any = aioredisca if base is Model else sync
    assert {"self", "cls", "model_id", "model", "record", "values", "unique", "more"} <= {*names_of_fields()}
    wide: Any = type(base)("Wide", (base,), {name: f.String() for name in names_of_fields()})
    one, two, three = ({name: f"{n}{name}" for name in names_of_fields()} for n in range(3))
    record = await settled(CREATE[wide](**one).new("1"))
    await settled(record.save())
    assert (await settled(wide.get("1"))).export() == one
    assert READ[wide].model_validate(record).model_dump() == {"id": "1", **one}
    await settled((await settled(UPDATE[wide](**two).apply(record))).save())
    assert await settled(wide.all().update(**three)) == 1
    assert (await settled(wide.get("1"))).export() == three
    assert (wide.new("2", **one).id, wide.new("2", **one).export()) == ("2", one)


@pytest.mark.parametrize("name", ["self", "cls", "model_id", "unique", "values", "update", "key", "model"])
async def test_a_record_is_found_by_a_field_of_any_name(db: Database, name: str) -> None:
    attribute = f"{name}_" if name in RESERVED else name
    make: Any = type(Model)
    narrow: Any = make("Narrow", (Model,), {attribute: String(unique=True)})
    one, created = await narrow.get_or_create(**{attribute: "x"})
    assert (created, one.export()) == (True, {attribute: "x"})
    assert await narrow.update_or_create(**{attribute: "x"}) == (one, False)


def test_a_model_id_is_the_id_unless_a_field_is_called_so() -> None:
    class Plain(Model):
        a = String()

    class Named(Model):
        model_id = String()

    assert Plain.new(model_id="1").id == "1"
    named = Named.new("1", model_id="x")
    assert (named.id, named.model_id) == ("1", "x")
    named = Named.new(model_id="x")
    assert (named.id != "x", named.model_id) == (True, "x")


def test_what_pydantic_calls_its_own_is_reserved() -> None:
    verbs = {name for name in dir(BaseModel) if name.startswith("model_")} | {"new", "apply", "defaults"}
    assert verbs <= RESERVED


async def settled(answer: Any) -> Any:
    """What a verb of either colour has answered."""
    return await answer if inspect.isawaitable(answer) else answer


@pytest.mark.slow
async def test_every_argument_may_be_the_name_of_a_unique_field(server: Any, db: Database) -> None:
    _, argued = names_in_the_package()
    names = sorted(name for name in argued - RESERVED if name[:1] != "_" and name != "defaults")
    named = named_by(names, unique=True)
    for name in names:
        one, created = await named.get_or_create(**{name: 1})
        same, again = await named.update_or_create(**{name: 1})
        assert (created, again, one, one[name]) == (True, False, same, 1)


async def test_a_client_that_sends_model_id_gives_no_id(db: Database) -> None:
    named = named_by(["size"])
    with pytest.raises(pydantic.ValidationError, match="model_id"):
        CREATE[named].model_validate({"size": 1, "model_id": "x"})
    with_it: Any = named_by(["size", "model_id"])
    record = await CREATE[with_it].model_validate({"size": 1, "model_id": 7}).new()
    assert (record.model_id, record.id == "7") == (7, False)


# -- fields ----------------------------------------------------------------------------------------


def own_collection(kind: Any, names: list[str], *, by_class: bool) -> Any:
    """A collection that extends *kind* and uses all *names* for itself."""

    class Own(kind):  # type: ignore[misc]
        def __init__(self, *of: Any) -> None:
            super().__init__(*of)
            for name in () if by_class else sorted({*names} - {"name", "key"}):
                setattr(self, name, 1)

    for name in names if by_class else ():
        setattr(Own, name, _method if len(name) % 2 else 1)
    return Own


def own_kind(kind: Any, names: list[str], *, by_class: bool) -> Any:
    """A field that extends *kind* and uses all *names* for itself."""

    class Own(kind):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            for name in () if by_class else names:
                setattr(self, name, 1)

        def check(self, value: Any) -> None:
            super().check(value)
            if value in ("bad", -1):
                raise ValueError("is bad")

    for name in names if by_class else ():
        setattr(Own, name, _method if len(name) % 2 else 1)
    return Own


OPTIONS = FIELD_NAMES | {"maxitems", "to", "children", "on_delete", "of", "target"}


def names_in_a_field() -> list[str]:
    return sorted(names_in_the_package()[0] - OPTIONS)


KINDS: dict[str, tuple[Any, dict[str, Any], list[Any]]] = {
    # of each kind what it is declared with, and values that are taken, the last as it is refused
    "String": (String, {"unique": True}, ["a", "b"]),
    "Email": (aioredisca.Email, {"index": True}, ["a@b.cc"]),
    "Bytes": (aioredisca.Bytes, {}, [b"\xff"]),
    "Integer": (Integer, {"index": True}, [3]),
    "Float": (aioredisca.Float, {"index": True}, [1.5]),
    "Decimal": (aioredisca.Decimal, {"places": 2, "index": True}, [decimal.Decimal("1.50")]),
    "Bool": (aioredisca.Bool, {"index": True}, [True]),
    "UUID": (aioredisca.UUID, {"index": True}, [uuid.UUID(int=1)]),
    "DateTime": (aioredisca.DateTime, {"index": True}, [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)]),
    "Date": (aioredisca.Date, {"index": True}, [datetime.date(2026, 1, 2)]),
    "Json": (aioredisca.Json, {}, [{"a": [1]}]),
    "Tags": (Tags, {"index": True}, [{"a", "b"}]),
    "Password": (aioredisca.Password, {}, [aioredisca.Hash(hashing.make("secret"))]),
    "MD5Pass": (aioredisca.MD5Pass, {}, []),
    "Reference": (
        lambda names, how: own_kind(Reference, names, by_class=how)("Holder", index=True),
        {},
        ["x"],
    ),
    "Field": (Field, {}, ["f"]),
}


@pytest.mark.parametrize("by_class", [False, True], ids=["on the instance", "on the class"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.memory_only
async def test_every_name_may_be_taken_in_a_field(db: Database, raw: Any, kind: str, by_class: bool) -> None:
    assert {"short", "quick", "accept", "encode", "decode", "read", "spec", "plain"} <= {*names_in_a_field()}
    of, options, values = KINDS[kind]

    class Holder(Model):
        one = (
            of(names_in_a_field(), by_class)
            if kind == "Reference"
            else own_kind(of, names_in_a_field(), by_class=by_class)(**options)
        )
        size = own_kind(Integer, names_in_a_field(), by_class=by_class)(index=True)

    await Holder.new("1", size=3).save()
    if kind == "Password":
        assert await Holder.one.verify(None, "x") is False
        assert (await Holder.one.hash("plain text")).scheme
        with pytest.raises(aioredisca.ValidationError, match="takes a string"):
            await Holder.one.hash(3)
    if kind == "MD5Pass":
        await Holder.new("2", one="secret").save()
        assert (await Holder.get("2")).one == hashlib.md5(b"secret").hexdigest()
    for value in values:
        record = await Holder("1")
        record.one = value
        await record.save()
        got = await Holder.get("1")
        assert (got.one.id if kind == "Reference" else got.one) == value
        assert got["one"] is not None
        if Holder.one.field.index or Holder.one.field.unique:
            asked = "a" if kind == "Tags" else value
            query = Holder.one.has(asked) if kind == "Tags" else Holder.one == value
            assert [r.id for r in await query] == ["1"]
        assert [r.id for r in await Holder.all()][:1] == ["1"]
    with pytest.raises(aioredisca.ValidationError, match="is bad"):
        (await Holder.get("1")).size = -1
    assert drift(raw, [Holder]) == []


@pytest.mark.memory_only
@pytest.mark.parametrize("by_class", [False, True], ids=["on the instance", "on the class"])
async def test_every_name_may_be_taken_in_a_collection(db: Database, by_class: bool) -> None:
    def made(kind: Any, *of: Any) -> Any:
        return own_collection(kind, names_in_a_field(), by_class=by_class)(*of)

    class Holder(Model):
        log = made(ListOf, own_kind(String, names_in_a_field(), by_class=by_class)())
        likes = made(aioredisca.SetOf, String())
        marks = made(aioredisca.SortedSet, String())
        named = made(aioredisca.HashOf, String())
        hits = made(aioredisca.Counter)

    holder = await Holder.new("1").save()
    await holder.log.append("x")
    assert await holder.log.range() == ["x"]
    assert await holder.likes.add("a") == 1
    assert await holder.marks.add("a", 1.5)
    assert await holder.named.set("a", "b")
    assert await holder.hits.incr(2) == 2
    with pytest.raises(aioredisca.ValidationError, match="None is none"):
        await holder.log.append(None)


def test_a_field_of_the_library_has_no_other_public_names() -> None:
    """What a field of one's own may override is what is documented: the rest is in its codec."""
    kinds = [kind for kind in vars(aioredisca).values() if isinstance(kind, type) and issubclass(kind, Field)]
    assert len(kinds) > 14
    for kind in kinds:
        own = {name for name in dir(kind) if not name.startswith("__") and "__" not in name}
        assert own <= OPTIONS | {"_is_protocol"}, (kind, own - OPTIONS)
    for collection in (ListOf, aioredisca.SetOf, aioredisca.SortedSet, aioredisca.HashOf, aioredisca.Counter):
        own = {name for name in dir(collection) if not name.startswith("__") and "__" not in name}
        assert own <= {"name", "key", "_is_protocol"}, (collection, own)
    assert not inspect.getmembers(Field, lambda member: isinstance(member, property))
