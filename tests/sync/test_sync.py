"""The blocking face: the same words without await, and the same answers."""

from __future__ import annotations

from typing import Any

import pytest

import aioredisca
from aioredisca import Database, NotFound, UsageError, sync
from aioredisca.sync import Integer, Reference, String

from ..support.blocking import User
from ..support.drift import drift


class Admin(User):
    pass


# -- the whole tour, blocking --------------------------------------------------------------------


def test_a_tour_without_await(url: str, db: Database, raw: Any) -> None:
    user = User.new("1", email="a@b.cc", name="Ada", age=3).save()
    assert user.exists()
    assert User("1").load(raw=True).raw_export() == {"email": "a@b.cc", "name": "Ada", "age": 3}
    assert User.get("1") == user
    assert User.get_many(["1", "2"]) == [user, None]
    with pytest.raises(NotFound):
        User.get("2")
    assert User.email.find("a@b.cc") == [user]
    assert User.name.find("Ada") == User.age.range(minval=3) == [user]
    assert User.name.choice("Ada") == [user]
    assert User.name.choice("nobody") is None
    user.age = 4
    user.save(if_unchanged=True)
    assert raw.hget("user:1", "age") == b"4"
    assert user.reload().age == 4
    assert User.save_many([User.new(str(i), age=i) for i in range(5, 9)]) == []
    assert User.all().count() == 5
    assert User.delete_many(["5", "6", "nobody"]) == 2
    assert user.delete()
    assert not user.delete()
    assert drift(raw, [User]) == []


def test_reading_what_is_not_loaded_loads_it(url: str, db: Database, raw: Any) -> None:
    User.new("1", name="Ada", friend="2").save()
    User.new("2", name="Bob").save()
    user = User("1")
    before = db.round_trips
    assert user.name == "Ada"
    assert user.age is None
    assert db.round_trips == before + 1
    assert user.friend is not None
    assert user.friend.name == "Bob"
    assert db.round_trips == before + 2
    raw.hset("user:1", "extra", "5")
    fresh = User("1")
    assert fresh["extra"] == "5"
    assert len(fresh) == 3
    assert User("1")["name"] == "Ada"
    assert User("nobody").name is None
    assert not hasattr(User("1"), "__await__")


def test_a_blocking_query_is_fetched_once_when_it_is_looked_at(url: str, db: Database) -> None:
    User.save_many([User.new(str(i), age=i) for i in range(5)])
    assert User.age.find(77) == []  # the server knows the script from here on
    query = User.age >= 1
    before = db.round_trips
    assert not query.loaded()
    assert len(query) == 4
    assert query[0].age == 1
    assert [user.age for user in query[1:3]] == [2, 3]
    assert User("3") in query
    assert [user.age for user in query] == [1, 2, 3, 4]
    assert query.loaded()
    assert db.round_trips == before + 1
    User("3").delete()
    assert len(query) == 4
    query.unload()
    assert len(query) == 3
    first, one = query.first(), (User.age == 4).one()
    assert first is not None
    assert (first.id, one.id) == ("1", "4")
    assert query.exists()
    assert query.count() == 3
    assert query.ids() == ["1", "2", "4"]
    assert [user.id for user in query.limit(2)] == ["1", "2"]
    assert [user.id for user in query.stream()] == ["1", "2", "4"]
    with pytest.raises(TypeError, match="a query has no truth value"):
        bool(query)


class Item(sync.Model):
    name = String(index="sorted")
    kind = String(index=True)
    size = Integer(index=True)
    labels = sync.Tags(index=True)
    plain = String()
    owner = Reference(User, index=True)


def test_every_verb_of_a_blocking_query(url: str, db: Database, raw: Any) -> None:
    """Each verb of test_query_verbs.py once without await, by what it gives."""
    User.new("ada", name="Ada", age=36).save()
    kinds = ["a", "b", "a", "b", None, "a"]
    Item.save_many(
        [
            Item.new(str(i), name=f"n{5 - i}", kind=kind, size=i or None, labels={f"l{i % 2}"}, owner="ada")
            for i, kind in enumerate(kinds)
        ]
    )
    a, big = Item.kind == "a", Item.size >= 3

    def names(found: Any) -> str:
        return "".join(item.id for item in found)

    assert names(a & big) == "5"
    assert names(a | big) == "02345"
    assert names(~a) == "134"
    assert names(Item.where(a, ~big)) == "02"
    assert names(a.where(big)) == "5"
    assert names(Item.size.in_([1, None])) == "01"
    assert names(Item.kind.not_in(["a", None])) == "13"
    assert names(Item.size.between(2, 3)) == "23"
    assert names(Item.size.is_none()) == "0"
    assert names(Item.kind.not_none() & Item.name.startswith("n5")) == "0"
    assert names(Item.labels.has("l1")) == "135"
    assert names(Item.labels.has_all(["l0", "l1"])) == ""
    assert names(Item.labels.has_any(["l0", "l1"])) == "012345"
    assert names(Item.owner.of(User("ada")) & a) == "025"
    assert names(Item.all().order_by(Item.kind.desc(), Item.size)) == "132504"
    assert names(Item.all().order_by(Item.size.desc()).limit(3).offset(1)) == "432"
    assert names((Item.plain == None).scan()) == "012345"  # noqa: E711
    assert [item.id for item in big.stream()] == ["3", "4", "5"]
    assert (len(a), a[1].id, names(a[1:]), Item("2") in a, Item("1") in a) == (3, "2", "25", True, False)
    assert a.values(Item.size, Item.name) == [(None, "n5"), (2, "n3"), (5, "n0")]
    assert big.values(Item.size) == [3, 4, 5]
    assert Item.all().aggregate(Item.size).sum == 15
    assert Item.all().aggregate(by=Item.kind)["a"].count == 3
    assert len(a.random(2)) == 2
    assert {item.id for item in a.random(2)} <= {"0", "2", "5"}
    assert (a.count(), a.exists(), (Item.kind == "z").exists()) == (3, True, False)
    assert (Item.kind == "z").one_or_none() is None
    assert (Item.size == 3).one_or_none() == Item("3")
    with pytest.raises(UsageError, match="more than one"):
        a.one_or_none()
    (part,) = (Item.size == 3).only(Item.name)
    assert part.name == "n2"
    before = db.round_trips
    assert part.kind == "b"  # what was left out is loaded when it is read
    assert db.round_trips == before + 1
    loaded = a.prefetch(Item.owner).load()
    before = db.round_trips
    assert [item.owner.name for item in loaded if item.owner] == ["Ada"] * 3
    assert db.round_trips == before
    page = Item.all().order_by(Item.size).page(4)
    assert names(page) == "1234"
    assert names(Item.all().order_by(Item.size).page(4, after=page.next)) == "50"
    assert a.explain().count == 3
    assert a.update(plain="x") == 3
    assert a.incr(Item.size, 10) == 3
    assert Item("0").load().size == 10
    assert a.delete() == 3
    assert names(Item.all()) == "134"
    assert drift(raw, [Item, User]) == []


def test_bounds_may_be_text_as_in_redisca(url: str, db: Database) -> None:
    User.save_many([User.new(str(i), age=i) for i in range(6)])
    assert [u.age for u in User.age.range("(1", "4")] == [2, 3, 4]
    assert [u.age for u in User.age.range("-inf", "(2")] == [0, 1]
    assert [u.age for u in User.age.range(minval="4", maxval="+inf")] == [4, 5]
    with pytest.raises(aioredisca.ValidationError):
        User.age.range("", 5)


def test_sessions_block_too(url: str, db: Database, raw: Any) -> None:
    with sync.session(autosave=True) as unit:
        user = User.new("1", name="Ada")
        assert User("1") is user
        Admin.new("2", name="Bob")
        unit.flush()
        assert raw.exists("user:1", "admin:2") == 2
        User.save_all()
        user.name = "Eve"
        with sync.session(join=True) as joined:
            assert joined is unit
    assert raw.hget("user:1", "name") == b"Eve"
    with pytest.raises(ZeroDivisionError):
        with sync.session(autosave=True):
            User("1").name = "x"
            raise ZeroDivisionError
    assert raw.hget("user:1", "name") == b"Eve"
    assert [u.name for u in User.name.find("Eve", children=True)] == ["Eve"]
