"""Declaring classes: names, late fields, mixins, inheritance, redefinition."""

from __future__ import annotations

import copy
import gc
import pickle
import types
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from aioredisca import (
    Database,
    DateTime,
    Email,
    Float,
    Integer,
    Model,
    Reference,
    SetOf,
    String,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    session,
    sync,
    utcnow,
)
from aioredisca.model.declaration import RESERVED
from aioredisca.model.record import Record

from ..support.drift import drift
from ..support.tagged import base_of


class Base(Model):
    created = DateTime(new=utcnow, field="crtd")
    note = String(index=True)


class User(Base):
    email = Email(unique=True)


class Admin(User):
    level = Integer(index=True)


class Timestamps:
    """A plain mixin, as both colours share it."""

    made = DateTime(field="md")
    owner = Reference("Person")


class Person(Model):
    name = String(index=True)


class Item(Timestamps, Model):
    title = String()


# -- names ---------------------------------------------------------------------------------------


def test_the_reserved_names_are_pinned() -> None:
    """What is added here takes a name away from users: only on purpose."""
    assert " ".join(sorted(RESERVED)) == (
        "Create Read Update all apply changes defaults delete delete_many depends exists expire "
        "expire_field expires_at export fill_new free free_all get get_many get_or_create getdb getdiff "
        "getfields getid getkey getorigin getprefix id incr inheritors load loaded model_computed_fields "
        "model_config model_construct model_copy model_dump model_dump_json model_extra model_fields "
        "model_fields_set model_json_schema model_parametrized_name model_post_init model_rebuild "
        "model_validate model_validate_json model_validate_strings new persist pop raw_export reload "
        "revert save save_all save_many touch ttl unload update update_or_create upsert watch where"
    )


@pytest.mark.parametrize("base", [Model, sync.Model])
def test_every_public_name_of_a_model_is_reserved(base: type[Any]) -> None:
    public = {name for name in dir(base) if not name.startswith("_") and name != "mro"}
    assert public <= RESERVED


@pytest.mark.parametrize("base", [Model, sync.Model])
@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_field_called_like_a_verb_is_refused_with_the_cure(base: type[Any], name: str) -> None:
    with pytest.raises(UsageError, match=rf'is part of Model; write {name}_ = Integer\(field="{name}"\)'):
        types.new_class("Wrong", (base,), exec_body=lambda body: body.update({name: Integer()}))


def test_other_bad_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r'are private; write hidden = String\(field="_hidden"\)'):

        class Private(Model):
            _hidden = String()

    with pytest.raises(UsageError, match="a and b share the hash field 'x'"):

        class Shared(Model):
            a = String(field="x")
            b = String(field="x")

    field = String()
    with pytest.raises(UsageError, match="this very field object is 'a' already; make another"):

        class Twice(Model):
            a = field
            b = field

    with pytest.raises(UsageError, match=r"Forgot.a is a class of fields: write String\(\)"):

        class Forgot(Model):
            a = String

    class Fine(Model):
        class Upper(String):
            """A field of one's own may stand where it is used."""

        id_ = String(field="id")
        hidden = String(field="_hidden")
        count = Integer()  # a verb of queries, so free for fields

    assert Fine.getfields().keys() == {"id_", "hidden", "count"}


# -- inheritance, mixins, late fields ------------------------------------------------------------


def test_fields_are_inherited_and_columns_are_of_the_class_they_are_read_from() -> None:
    assert list(Admin.getfields()) == ["created", "note", "email", "level"]
    assert Admin.note.model is Admin
    assert User.note.model is User
    assert Admin.note.field is User.note.field
    mine: Any = Admin.note
    assert (mine == User.note) is True
    assert (mine != User.note) is False
    assert (mine == User.email) is False
    assert {User.note, Admin.note, User.email} == {User.note, User.email}
    assert User.getfields()["created"] == Base.created


def test_a_subclass_may_replace_or_remove_a_field() -> None:
    class Other(User):
        note = Integer(index=True)  # type: ignore[assignment]
        email = None

    assert list(Other.getfields()) == ["created", "note"]
    with pytest.raises(ValidationError):
        Other.new(note="abc")


def test_inheritors_are_subclasses_of_any_depth() -> None:
    class Root(Model):
        name = String()

    class Middle(Root):
        pass

    class Leaf(Middle):
        pass

    assert Root.inheritors() == {Middle, Leaf}
    assert Middle.inheritors() == {Leaf}
    assert Leaf.inheritors() == set()


async def test_uniques_and_indexes_are_per_class_and_children_are_asked_for(db: Database, raw: Any) -> None:
    user = await User.new("1", email="a@b.cc", note="x").save()
    admin = await Admin.new("1", email="a@b.cc", note="x", level=3).save()
    assert await User.email.find("a@b.cc") == [user]
    both = await User.email.find("a@b.cc", children=True)
    assert sorted(type(found).__name__ for found in both) == ["Admin", "User"]
    assert await Base.note.find("x", children=True) == both or len(both) == 2
    assert await admin.delete()
    assert await User.note.find("x", children=True) == [user]
    assert drift(raw, [User, Admin]) == []


async def test_mixins_give_fields_to_both_colours(db: Database, raw: Any) -> None:
    class Person(sync.Model):  # the blocking sibling
        name = String(index=True)

    class BlockingItem(Timestamps, sync.Model):
        title = String()

    await Item.new("1", title="x", owner="p", made=5).save()
    assert raw.hgetall("item:1") == {b"md": b"5", b"title": b"x", b"owner": b"p"}
    assert type((await Item.get("1")).owner).__name__ == "Person"
    assert isinstance((await Item.get("1")).owner, Model)
    assert isinstance(BlockingItem.new("2", owner="p").owner, Person)
    assert isinstance(Timestamps.made, DateTime)


async def test_fields_may_come_late_until_they_would_change_the_storage(db: Database, raw: Any) -> None:
    class Late(Model):
        name = String()

    class Later(Late):
        pass

    Late.age = Integer(index=True)  # type: ignore[attr-defined]
    assert list(Later.getfields()) == ["name", "age"]
    await Later.new("1", name="x", age=3).save()
    assert (await Later.age.find(3))[0].id == "1"  # type: ignore[attr-defined]
    Late.note = String()  # type: ignore[attr-defined]  # no index: never too late
    record = await Later.get("1")
    record.note = "n"  # type: ignore[attr-defined]
    await record.save()
    assert raw.hget("later:1", "note") == b"n"
    with pytest.raises(UsageError, match="in use already: its indexes are fixed at the first I/O"):
        Late.size = Integer(index=True)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="in use already"):
        del Late.age  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="is part of Model"):
        Late.ttl = Integer()  # type: ignore[method-assign, assignment]
    del Late.note  # type: ignore[attr-defined]
    assert list(Later.getfields()) == ["name", "age"]
    assert drift(raw, [Later]) == []


def test_a_value_cannot_be_given_to_the_class() -> None:
    """``User.age = 5`` where ``user.age = 5`` was meant would take the field off the class."""

    class User(Model):
        age = Integer(index=True)

    with pytest.raises(UsageError, match=r"User\.age is a field of the class: give the value to a record"):
        User.age = 5  # type: ignore[assignment]
    User.age = String()  # type: ignore[assignment]
    User.note = "any other attribute"  # type: ignore[attr-defined]
    assert User.new(age="five").export() == {"age": "five"}


async def test_a_redefined_class_replaces_the_old_one(db: Database) -> None:
    def define(**fields: Any) -> Any:
        return types.new_class(
            "Again", (Model,), exec_body=lambda body: body.update(fields, __qualname__="Again")
        )

    first = define(a=String(index=True))
    await first.new("1", a="x").save()
    second = define(a=String(index=True), b=String())
    assert second not in first.inheritors()
    assert (await second.get("1")).a == "x"
    del first
    gc.collect()
    assert [record.id for record in await second.a.find("x")] == ["1"]


def test_a_metaclass_of_ones_own_and_abstract_bases_work() -> None:
    from abc import ABCMeta

    from aioredisca import ModelType

    class Both(ModelType, ABCMeta):
        pass

    class Abstract(Model, metaclass=Both):
        name = String()

    assert Abstract.new(name="x").name == "x"


# -- classes with a say of their own -------------------------------------------------------------


async def test_a_class_may_have_a_getattr_of_its_own(db: Database) -> None:
    class Lenient(Model):
        name = String()

        if not TYPE_CHECKING:

            def __getattr__(self, name):
                return None

    class Dict(Model):
        name = String()

        if not TYPE_CHECKING:

            def __getattr__(self, name):
                return self[name]

    for model in (Lenient, Dict):
        made = await model.new("1", name="Ada").save()
        found = await model.get("1")
        found.name = "Bob"
        assert (repr(found), found.getdiff()) == (
            f"<{model.__name__} '1' loaded, 1 changed>",
            {"name": "Bob"},
        )
        await found.save()
        await (await model("1")).load()
        assert (await made.reload()).name == "Bob"
        (row,) = await model.all()
        assert row.loaded()
        await row.reload()


async def test_a_metaclass_may_make_instances_its_own_way(db: Database) -> None:
    class Tagging(type(Model)):  # type: ignore[misc]
        def __call__(cls, model_id: Any = None, /) -> Any:
            made = super().__call__(model_id)
            object.__setattr__(made, "tag", "t")
            return made

    class Tagged(Model, metaclass=Tagging):
        tag: ClassVar[str]
        name = String()

    await Tagged.new("1", name="a").save()
    found: Any = await Tagged.get("1")
    several: Any = [*await Tagged.get_many(["1"]), *await Tagged.all()]
    assert [one.tag for one in (found, *several)] == ["t", "t", "t"]


async def test_a_class_that_was_redefined_counts_no_longer_as_use_of_its_base(db: Database) -> None:
    class Root(Model):
        pass

    def define() -> Any:
        return types.new_class("Leaf", (Root,), exec_body=lambda body: body.update(__qualname__="Leaf"))

    first = define()
    await first.new("1").save()
    with pytest.raises(UsageError, match="in use already"):
        conf(prefix="other")(Root)
    second = define()
    conf(prefix="other")(Root)  # the first lives on, but is no inheritor any more
    assert Root.inheritors() == {second}
    del first


def test_a_class_straight_over_record_says_what_is_missing() -> None:
    class Bare(Record):
        name = String()

    with pytest.raises(UsageError, match=r"over Model or sync\.Model"):
        _ = Bare("1").name


# -- while a class is being made -----------------------------------------------------------------


async def test_hooks_that_run_before_a_class_is_complete_see_that_class(db: Database) -> None:
    made: list[Any] = []
    seen: list[Any] = []

    class Asks:
        def __set_name__(self, owner: Any, name: str) -> None:
            seen.append((owner.getprefix(), [*owner.getfields()]))

    class Plugin(Model):
        x = String(index=True)

        def __init_subclass__(cls, **options: Any) -> None:
            super().__init_subclass__(**options)
            conf(prefix=f"plug-{cls.__name__.lower()}")(cls)
            made.append(cls.new("default", x=cls.__name__))
            with pytest.raises(ValidationError, match=rf"^{cls.__name__}\.nope"):
                cls.new(nope=1)
            assert cls.inheritors() == set()

    class One(Plugin):
        asks = Asks()
        y = Integer()

    class Two(Plugin):
        pass

    assert seen == [("one", ["x", "y"])]
    assert [type(record) for record in made] == [One, Two]
    assert [record.getkey() for record in made] == [f"{base_of(model)}:default" for model in (One, Two)]
    for record in made:
        await record.save()
    assert [record.x for record in [*await One.all(), *await Two.all()]] == ["One", "Two"]
    assert (await One.get("default")).y is None
    assert Plugin.inheritors() == {One, Two}
    assert (Plugin.getprefix(), await Plugin.all().count()) == ("plugin", 0)


def test_a_class_made_by_a_call_is_of_the_module_that_calls() -> None:
    make: Any = type(Model)
    assert make("Called", (Model,), {"a": String()}).__module__ == __name__
    assert make("Named", (Model,), {"__module__": "elsewhere"}).__module__ == "elsewhere"


@pytest.mark.parametrize("name", ["__mapper__", "__state__"])
def test_what_the_library_keeps_is_not_to_be_taken(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} belongs to the library"):
        types.new_class("Taker", (Model,), exec_body=lambda body: body.update({name: 5}))
    with pytest.raises(UsageError, match=f"{name} belongs to the library"):
        setattr(User, name, 5)


# -- fields that are copied, pickled or changed later ----------------------------------------------


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
async def test_a_copy_of_a_field_is_a_field_of_its_own(db: Database, raw: Any, copied: Any) -> None:
    class First(Model):
        x = String(maxlen=3)
        n = Integer(minval=0, index=True)

    y, n = copied(First.x.field), copied(First.n.field)
    y.name = y.key = n.name = n.key = ""
    y.maxlen, y.required = 1, True
    n.minval, n.index, n.unique = -5, None, True

    class Second(Model):
        other = y
        number = n

    with pytest.raises(ValidationError, match=r"^Second\.other: has 2 characters"):
        Second.new("1", other="ab")
    with pytest.raises(ValidationError, match=r"^Second\.other: is required"):
        await Second.new("1").save()
    await Second.new("1", other="a", number=-3).save()
    assert (await Second.get("1")).export() == {"other": "a", "number": -3}
    with pytest.raises(UniqueViolation):
        await Second.new("2", other="a", number=-3).save()
    assert First.new("1", x="abc", n=1).x == "abc"
    assert drift(raw, [First, Second]) == []


async def test_what_is_changed_on_a_field_counts_at_once(db: Database) -> None:
    class Late(Model):
        text = String(maxlen=5, new="n")
        size = Integer(minval=0)
        real = Float(minval=0.0)

    field, size, real = cast("Any", (Late.text.field, Late.size.field, Late.real.field))
    field.new = "m"
    assert (Late.new("1").text, Late("1").fill_new().text) == ("m", "m")
    field.maxlen, size.minval, real.maxval = 2, 5, 1.0
    for name, value in (("text", "abc"), ("size", 3), ("real", 1.5)):
        with pytest.raises(ValidationError):
            setattr(Late("1"), name, value)
        with pytest.raises(ValidationError):
            Late.new("1", **{name: value})
    field.normalize = "NFC"
    assert Late.new("1", text="e\u0301").text == "\u00e9"


async def test_queries_and_columns_can_be_pickled(db: Database) -> None:
    await User.new("1", email="a@b.cc", note="x").save()
    query = pickle.loads(pickle.dumps(User.where(User.note == "x").limit(3)))
    assert [user.id for user in await query] == ["1"]
    assert pickle.loads(pickle.dumps(User.note)).field.key == "note"


async def test_a_model_may_have_an_id_of_another_type(db: Database) -> None:
    class Numbered(Model):
        likes = SetOf(String())
        other = Reference("Numbered")

        @property
        def id(self) -> Any:
            return int(self.getid())

    await Numbered.new("1").save()
    await Numbered.new("2", other=Numbered("1")).save()
    async with session():
        assert [record and record.id for record in await Numbered.get_many(["1", "2"])] == [1, 2]
        assert await Numbered("1").likes.add("a") == 1
        assert await Numbered("1").likes.members() == {"a"}
        (two,) = await Numbered.all().offset(1).prefetch(Numbered.other)
        assert two.other is not None
        assert two.other.id == 1
    assert "Numbered('1')" in repr(Numbered("1").likes)
