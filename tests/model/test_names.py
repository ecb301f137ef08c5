"""A model's namespace belongs to its user: every name that is not documented as reserved may be taken."""

from __future__ import annotations

import ast
import copy
import inspect
import keyword
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from aioredisca.model.declaration import RESERVED
from aioredisca.pydantic import Create, Read, Update
from tests.support.drift import drift

FIELD_NAMES = frozenset(
    """
    name key required unique index new secret readonly mutable index_kinds
    coerce check to_db from_db score coerce_stored view
    minlen maxlen maxbytes normalize minval maxval places
    """.split()
)
"""What docs/fields.md reserves in a field of one's own: options, hooks, and the options of what it extends."""


def names_in_the_package() -> set[str]:
    """Every identifier of the library's own code, but for dunders."""
    found = set[str]()
    for path in Path(aioredisca.__file__).parent.rglob("*.py"):
        found |= {path.stem, *_identifiers(ast.parse(path.read_text()))}
    return {name for name in found if not name.startswith("__")}


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for one in (getattr(node, kind, None) for kind in ("id", "attr", "arg", "name", "asname")):
            yield from str(one).split(".") if isinstance(one, str) else ()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value  # a slot, or the name of an attribute that is looked up


EVERY = sorted(names_in_the_package() - RESERVED)


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
    taken = dict.fromkeys(EVERY, TAKERS[how])
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
        "zz_hits": f.Counter(),
        "__module__": __name__,
        "__qualname__": "Taker",
    }
    made = type(base)("Taker", bases, {**({} if by_mixin else taken), **body})
    return conf(prefix="taker", index=[("zz_kind", "zz_size")])(made)


def test_what_is_taken_is_what_the_library_uses() -> None:
    """A control: names of the mapper, of the state, of verbs' helpers are among them."""
    assert {"_own", "layers", "hydrate", "_layers", "filling", "begin", "store", "_load", "row"} <= {*EVERY}
    assert len(EVERY) > 2000
    assert not {"save", "id", "get"} & {*EVERY}


def test_a_model_has_no_other_names_than_documented_ones() -> None:
    for base in (Model, sync.Model):
        plain = {name for name in dir(base) if not (name.startswith("__") and name.endswith("__"))}
        assert plain <= RESERVED | {"mro"}, plain - RESERVED


def test_reserved_names_are_in_the_docs() -> None:
    docs = Path(aioredisca.__file__).parent.parent / "docs" / "fields.md"
    text = docs.read_text()
    assert not [name for name in sorted(RESERVED | FIELD_NAMES) if f"`{name}`" not in text]


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


# -- fields ----------------------------------------------------------------------------------------


FIELDS = sorted(name for name in EVERY if not name.startswith("_") and not keyword.iskeyword(name))


@pytest.mark.parametrize("base", [Model, sync.Model])
async def test_a_field_may_have_every_name(db: Database, base: Any, driver: str) -> None:
    """In every verb that takes fields by name, and in what pydantic makes of the class."""
    if (base is Model) == (driver == "blocking"):
        pytest.skip("of the other colour")
    f: Any = aioredisca if base is Model else sync
    assert {"self", "cls", "model_id", "model", "record", "values", "unique", "more"} <= {*FIELDS}
    wide: Any = type(base)("Wide", (base,), {name: f.String() for name in FIELDS})
    one, two, three = ({name: f"{n}{name}" for name in FIELDS} for n in range(3))
    record = await settled(Create[wide](**one).new("1"))
    await settled(record.save())
    assert (await settled(wide.get("1"))).export() == one
    assert Read[wide].model_validate(record).model_dump() == {"id": "1", **one}
    await settled((await settled(Update[wide](**two).apply(record))).save())
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


def own_kind(kind: Any, names: list[str], *, by_class: bool) -> Any:
    """A field that extends *kind* and uses all *names* for itself."""

    class Own(kind):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            for name in () if by_class else names:
                setattr(self, name, 1)

        def check(self, value: Any) -> None:
            super().check(value)
            if value in ("bad", -1):
                raise ValueError("is bad")

    for name in names if by_class else ():
        setattr(Own, name, _method if len(name) % 2 else 1)
    return Own


@pytest.mark.parametrize("by_class", [False, True], ids=["on the instance", "on the class"])
async def test_every_name_may_be_taken_in_a_field(db: Database, raw: Any, by_class: bool) -> None:
    names = sorted(names_in_the_package() - FIELD_NAMES)
    assert {"short", "quick", "accept", "encode", "decode", "read", "spec", "settle"} <= {
        *names,
    }

    class Holder(Model):
        text = own_kind(String, names, by_class=by_class)(unique=True)
        size = own_kind(Integer, names, by_class=by_class)(index=True)
        other = own_kind(Field, names, by_class=by_class)()
        many = ListOf(own_kind(String, names, by_class=by_class)())

    await Holder.new("1", text="a", size=3, other="f").save()
    assert [r.id for r in await Holder.text.find("a")] == ["1"]
    assert [r.id for r in await (Holder.size >= 3)] == ["1"]
    got = await Holder.get("1")
    assert (got.text, got.size, got.other, got["size"]) == ("a", 3, "f", 3)
    for name, value in (("text", "bad"), ("size", -1), ("other", "bad")):
        with pytest.raises(aioredisca.ValidationError, match="is bad"):
            setattr(got, name, value)
    got["size"] = "4"
    await got.save()
    await Holder("1").many.append("x")
    assert await Holder("1").many.range() == ["x"]
    assert drift(raw, [Holder]) == []


def test_a_field_of_the_library_has_no_other_public_names() -> None:
    """What a field of one's own may override is what is documented: the rest is in its codec."""
    for kind in (String, Integer, Field, Tags, Reference, aioredisca.Decimal, aioredisca.Bool):
        own = {name for name in dir(kind) if not name.startswith("__") and "__" not in name}
        options = {"maxitems", "to", "children", "on_delete", "of", "target"}
        assert own <= FIELD_NAMES | options | {"_is_protocol"}, (kind, own - FIELD_NAMES)
    assert not inspect.getmembers(Field, lambda member: isinstance(member, property))
