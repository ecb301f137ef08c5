"""Declaring classes: names, late fields, mixins, inheritance, redefinition."""

from __future__ import annotations

import gc
import types
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from aioredisca import (
    Database,
    DateTime,
    Email,
    Integer,
    Model,
    Reference,
    String,
    UsageError,
    ValidationError,
    sync,
    utcnow,
)
from aioredisca.model.declaration import RESERVED

from ..support.drift import drift


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
        "Create Read Update all apply changes defaults delete delete_many depends exists expire export "
        "fill_new free free_all get get_many get_or_create getdb getdiff getfields getid getkey "
        "getorigin getprefix id incr inheritors load loaded model_computed_fields model_config "
        "model_construct model_copy model_dump model_dump_json model_extra model_fields model_fields_set "
        "model_json_schema model_parametrized_name model_post_init model_rebuild model_validate "
        "model_validate_json model_validate_strings new persist pop raw_export reload revert save "
        "save_all save_many ttl unload update update_or_create watch where"
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
        Late.ttl = Integer()  # type: ignore[attr-defined]
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
