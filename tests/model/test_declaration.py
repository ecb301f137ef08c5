"""Declaring classes: names, late fields, mixins, inheritance, redefinition, references, and ``conf``."""

from __future__ import annotations

import gc
import inspect
import types
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from aioredisca import (
    CorruptRecord,
    Database,
    DateTime,
    Email,
    Integer,
    Model,
    NotLoaded,
    Reference,
    String,
    UsageError,
    ValidationError,
    conf,
    sync,
    utcnow,
)
from aioredisca.model.metaclass import RESERVED

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


# -- names -----------------------------------------------------------------------------------------


def test_the_reserved_names_are_pinned() -> None:
    """What is added here takes a name away from users: only on purpose."""
    assert " ".join(sorted(RESERVED)) == (
        "Create Read Update all changes delete delete_many depends exists expire export fill_new free "
        "free_all get get_many get_or_create getdb getdiff getfields getid getkey getorigin getprefix id "
        "incr inheritors load loaded new persist pop raw_export reload revert save save_all save_many ttl "
        "unload update update_or_create watch where"
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


# -- inheritance, mixins, late fields --------------------------------------------------------------


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


# -- references ------------------------------------------------------------------------------------


class Language(Model):
    name = String()


class Dialect(Language):
    pass


class Speaker(Model):
    lang = Reference(Language, index=True)
    later = Reference(lambda: Country)
    friend = Reference("Speaker")
    wide = Reference(Language, children=True, index=True)


class Country(Model):
    name = String()


async def test_a_reference_takes_an_instance_or_an_id_and_gives_a_handle(db: Database, raw: Any) -> None:
    english = await Language.new("en", name="English").save()
    speaker = await Speaker.new("1", lang=english, later="fi", friend="1").save()
    assert speaker.lang is english
    assert raw.hgetall("speaker:1") == {b"lang": b"en", b"later": b"fi", b"friend": b"1"}
    again = await Speaker.get("1")
    assert again.lang is not None
    assert again.lang is again.lang
    with pytest.raises(NotLoaded):
        again.lang.name
    assert (await again.lang).name == "English"
    assert isinstance(again.later, Country)
    assert again.friend == again
    assert await Speaker.lang.find(english) == [speaker]
    assert await Speaker.lang.find("en") == [speaker]  # type: ignore[arg-type]
    again.lang = None
    await again.save()
    assert await Speaker.lang.find(None) == [speaker]
    gone = again.later
    assert gone is not None
    assert not await gone  # nothing is there: an empty model
    assert drift(raw, [Speaker, Language]) == []


def test_a_reference_takes_exactly_its_class() -> None:
    speaker = Speaker.new("1")
    for wrong in (Dialect("x"), Country("x"), 1.5, True, "", Language("")):
        with pytest.raises(ValidationError):
            speaker.lang = wrong  # type: ignore[assignment]
    with pytest.raises(ValidationError, match="takes a record of Language or its id, not Dialect"):
        speaker.lang = Dialect("x")


async def test_a_wide_reference_stores_keys_and_finds_the_class_again(db: Database, raw: Any) -> None:
    await Speaker.new("1", wide=Dialect("scots")).save()
    await Speaker.new("2", wide="en").save()
    assert raw.hget("speaker:1", "wide") == b"dialect:scots"
    assert raw.hget("speaker:2", "wide") == b"language:en"
    assert type((await Speaker.get("1")).wide) is Dialect
    assert type((await Speaker.get("2")).wide) is Language
    assert [s.id for s in await Speaker.wide.find(Dialect("scots"))] == ["1"]
    raw.hset("speaker:1", "wide", "nobody:1")
    with pytest.raises(CorruptRecord):
        (await Speaker.get("1")).wide


def test_references_by_name_resolve_among_classes_of_one_colour() -> None:
    class Lost(Model):
        ref = Reference("NoSuchModelAnywhere")

    with pytest.raises(UsageError, match="names 'NoSuchModelAnywhere': classes of that name: none"):
        Lost.new("1").ref = "x"

    class Mixed(sync.Model):
        lang = Reference(Language)

    with pytest.raises(UsageError, match="no model of the same colour: in a mixin for both colours"):
        Mixed.new("1", lang="en")


# -- conf ------------------------------------------------------------------------------------------


@conf(prefix="usr", tag=True, namespace="app:")
class Configured(Model):
    name = String(index=True)


class ConfiguredChild(Configured):
    pass


async def test_conf_sets_prefix_namespace_and_tag_and_all_but_the_prefix_is_inherited(
    db: Database, raw: Any
) -> None:
    await Configured.new("1", name="x").save()
    await ConfiguredChild.new("1", name="x").save()
    assert sorted(raw.keys("*:1")) == [b"app:{configuredchild}:1", b"app:{usr}:1"]
    assert (Configured.getprefix(), ConfiguredChild.getprefix()) == ("usr", "configuredchild")
    assert Configured("1").getkey() == "app:{usr}:1"
    assert len(await Configured.name.find("x", children=True)) == 2
    assert drift(raw, [Configured, ConfiguredChild]) == []


async def test_the_namespace_of_a_database_goes_before_every_key(url: str, raw: Any) -> None:
    database = Database(url, namespace="tenant7:")

    class Spaced(Model):
        name = String(index=True, unique=True)

    conf(db=database)(Spaced)
    await Spaced.new("1", name="x").save()
    assert await Spaced.name.find("x")
    assert all(key.startswith(b"tenant7:spaced") for key in raw.keys("*"))
    assert repr(database).endswith("namespace 'tenant7:'>")
    database.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix": "a/b"},
        {"prefix": "a b"},
        {"prefix": "{a}"},
        {"prefix": "a*"},
        {"prefix": ""},
        {"prefix": "x" * 129},
        {"prefix": "\ud800"},
        {"namespace": "a*"},
        {"namespace": 5},
        {"id": "hexid"},
        {"db": 5},
        {"db": "http://x"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        conf(**wrong)


def test_settings_unknown_to_conf_are_refused_by_python() -> None:
    names = ["prefix", "db", "id", "namespace", "tag", "unique", "index", "cache"]
    assert list(inspect.signature(conf.__call__).parameters) == names
    with pytest.raises(TypeError):
        conf(prefx="a")  # type: ignore[call-arg]


def test_a_setting_that_conf_does_not_have_is_refused() -> None:
    """Else a slip would leave the default in force: here, records would go to another server."""
    with pytest.raises(
        AttributeError, match="conf has no setting 'url'; there are allow_blocking, db, max_rows"
    ):
        conf.url = "redis://db.example.com/0"  # type: ignore[attr-defined]


async def test_settings_of_the_storage_come_too_late_after_the_first_io(db: Database) -> None:
    class Early(Model):
        name = String()

    await Early("1")
    with pytest.raises(UsageError, match=r"Early is in use already: conf\(prefix\) comes too late"):
        conf(prefix="other")(Early)
    conf(id=lambda: "mine")(Early)
    assert Early.new().id == "mine"


def test_conf_db_reads_back_as_a_database_and_shows_no_password() -> None:
    before = conf._db
    try:
        conf.db = "redis://joe:hunter2@localhost:7777/3"
        assert isinstance(conf.db, Database)
        assert repr(conf.db) == "<Database redis://localhost:7777/3>"
        conf.db = None
        assert repr(conf.db) == "<Database redis://localhost:6379/0>"
    finally:
        conf._db = before


def test_the_default_database_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISCA_URL", "memory://from-the-environment")
    assert repr(Database()) == "<Database memory://from-the-environment>"


# -- classes with a say of their own ---------------------------------------------------------------


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


@pytest.mark.parametrize("name", ["_row", "_values", "_last", "_plain", "_save", "_id"])
def test_private_names_of_the_library_cannot_be_taken(name: str) -> None:
    """Taken without a word, they would break what is saved, or be written over."""

    class Mixin:
        pass

    setattr(Mixin, name, lambda self: None)
    kind: Any = type(Model)
    with pytest.raises(UsageError, match=f"{name}: this library uses the name itself"):
        kind("Taker", (Model,), {name: lambda self: None, "__module__": __name__})
    with pytest.raises(UsageError, match=f"{name}: this library uses the name itself"):
        kind("Taker", (Mixin, Model), {"__module__": __name__})
    own = kind("Own", (Model,), {"_mine": 1, "__private": 2, "__module__": __name__})
    assert own._mine == 1
