"""What is written by mistake is told with what was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import aioredisca
from aioredisca import Database, Integer, ListOf, Model, String, UsageError, ValidationError, sync


class Reader(Model):
    name = String(index=True)
    age = Integer(index=True)
    log = ListOf(String())


class BlockingReader(sync.Model):
    name = sync.String(index=True)


Wrong: Any = Reader
BlockingWrong: Any = BlockingReader


@pytest.mark.parametrize("model", [Reader, BlockingReader])
def test_a_handle_is_made_of_an_id_alone(model: Any) -> None:
    ways: list[tuple[Callable[[], object], str]] = [
        (lambda: model(name="x", age=1), r"\.new\(name=\.\.\., age=\.\.\.\) makes a new one"),
        (lambda: model("1", name="x"), r"\.new\(name=\.\.\.\) makes a new one"),
        (lambda: model(id="1"), r"\.new\(\.\.\.\) makes a new one"),
        (lambda: model("1", "2"), "takes the id alone"),
    ]
    for wrong, cure in ways:
        with pytest.raises(UsageError, match=cure) as caught:
            wrong()
        assert isinstance(caught.value, TypeError)
        assert "ModelType" not in str(caught.value)


async def test_a_verb_of_a_record_is_none_of_its_class(db: Database) -> None:
    await Reader.new("5").save()
    for verb in (Wrong.delete, Wrong.exists, Wrong.load, Wrong.reload, Wrong.save):
        with pytest.raises(UsageError, match=r'not of the class with a str: User\("5"\)\.delete\(\)'):
            await verb("5")
    assert await Reader("5").exists()
    with sync.allow_blocking(), pytest.raises(UsageError, match="not of the class with a int"):
        BlockingWrong.delete(5)


@pytest.mark.parametrize("model", [Reader, BlockingReader])
def test_nor_is_a_look_at_it(model: Any) -> None:
    names = ("getid", "getkey", "export", "raw_export", "getdiff", "getorigin", "loaded", "unload", "revert")
    for name in (*names, "free", "fill_new"):
        with pytest.raises(UsageError, match="not of the class with a str"):
            getattr(model, name)("5")


def test_a_collection_is_called_one(db: Database) -> None:
    """It was called no field, or shown as an object at an address."""
    for give in (lambda: Reader.new("1", log=["x"]), lambda: sync.run(Reader.all().update(log=["x"]))):
        with pytest.raises(ValidationError, match=r"Reader\.log: there is no such field: it is a collection"):
            give()
    query = Wrong.all()
    for ask in (query.order_by, query.only):
        with pytest.raises(UsageError, match=r"^Reader\.log is a collection and no column"):
            ask(Wrong.log)


async def test_reindex_takes_a_class(db: Database) -> None:
    for wrong in ("Reader", int, Reader("1")):
        with pytest.raises(UsageError, match=r"reindex\(\) takes a model class"):
            await aioredisca.reindex(wrong)  # type: ignore[arg-type]


def test_a_field_is_not_deleted_but_set_to_none() -> None:
    reader = Reader.new("1", name="x")
    with pytest.raises(AttributeError, match=r"Reader\.name is a field of every record: set it to None"):
        del reader.name
    assert reader.name == "x"
    with pytest.raises(AttributeError, match=r"Reader\.log is a collection: clear\(\) empties it"):
        del reader.log


def test_an_id_is_no_column() -> None:
    with pytest.raises(UsageError, match=r"an id is none: get\(\) and get_many\(\) find by ids"):
        Reader.where(Wrong.id == "1")
    with pytest.raises(UsageError, match=r"nor is Reader\.id: ids are the order where no other is asked"):
        Wrong.all().order_by(Wrong.id)
