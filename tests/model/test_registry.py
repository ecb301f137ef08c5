"""Which classes of a process may keep a prefix of a store together, and which never meant to."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, UsageError, conf, sync

from ..support.drift import drift


def named(module: str, called: str = "Item", base: Any = Model, prefix: str = "", /, **fields: Any) -> Any:
    """A class as a module of that name would make it."""
    made = type(base)(called, (base,), {"__module__": module, **fields})
    return conf(prefix=prefix)(made) if prefix else made


@pytest.mark.parametrize("same_fields", [False, True])
async def test_two_classes_of_one_name_do_not_share_a_store_by_chance(
    db: Database, raw: Any, same_fields: bool
) -> None:
    shop = named("shop", name=String())
    stock = named("stock", **({"name": String()} if same_fields else {"count": Integer()}))
    await shop.new("1", name="a").save()
    with pytest.raises(UsageError, match=r"stock\.Item and shop\.Item .*@conf\(prefix="):
        await stock.all().delete()
    with pytest.raises(UsageError, match="two classes of one name"):
        await stock.get_many(["1"])
    assert raw.hgetall("item:1") == {b"name": b"a"}
    apart = named("stock", "Item", Model, "stock-item", count=Integer())  # a redefinition, with the cure
    await apart.new("1", count=1).save()
    assert await shop.all().ids() == ["1"]
    assert drift(raw, [shop, apart]) == []


async def test_a_third_class_is_held_against_all_that_keep_the_prefix(db: Database) -> None:
    """The colours of one list of fields share it, and neither hides the other."""
    shop, twin = named("shop", name=String()), named("blocking", "Item", sync.Model, name=sync.String())
    await shop.get_many(["1"])
    classes: Any = ((Model, String), (sync.Model, sync.String))
    shop.__mapper__.schema(db)
    twin.__mapper__.schema(db)
    for base, f in classes:
        with pytest.raises(UsageError, match="two classes of one name"):
            named("stock", "Item", base, other=f()).__mapper__.schema(db)


async def test_what_is_meant_to_be_shared_is(db: Database) -> None:
    for one, other in (
        (
            named("a", "Item", Model, "usr", name=String()),
            named("b", "Item", Model, "usr", name=String(), age=Integer()),
        ),
        (named("__main__", "Own", name=String()), named("__main__", "Own", name=String())),
        (named(__name__, "Here", name=String()), named(__name__, "Here", age=Integer())),
    ):
        await one.new("1", name="x").save()
        assert await other.all().ids() == ["1"]
        await other("1").delete()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"namespace": "a:", "prefix": "b"}, {"namespace": "a:b:", "prefix": "usr"}),
        ({"namespace": "t1", "prefix": "1q"}, {"namespace": "t11", "prefix": "q"}),
        ({"prefix": "shop"}, {"namespace": "shop:", "prefix": "usr"}),
        ({"prefix": "shop"}, {"namespace": "shop/", "prefix": "u"}),  # shop/u/meta: claims on the field meta
        ({"prefix": "shop"}, {"namespace": "shop/x/name/", "prefix": "usr"}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.one_node
async def test_namespaces_that_meet_are_refused(db: Database, first: Any, second: Any, turned: bool) -> None:
    one = conf(**first)(named("m", "One", name=String()))
    two = conf(**second)(named("m", "Two", name=String()))
    before, after = (two, one) if turned else (one, two)
    await before.new("1", name="a").save()
    with pytest.raises(UsageError, match=r"could belong to either|share the prefix"):
        await after.new("1", name="b").save()


async def test_namespaces_that_end_in_a_slash_meet_nobody_else(db: Database, raw: Any) -> None:
    one = conf(prefix="shop")(named("m", "One", name=String(index=True)))
    two = conf(namespace="shop/", prefix="usr")(named("m", "Two", name=String(index=True)))
    await one.new("1", name="a").save()
    await two.new("1", name="a").save()
    assert drift(raw, [one, two]) == []
