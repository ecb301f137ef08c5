"""What is written by mistake is told with what was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import Database, Integer, ListOf, Model, String, UsageError, sync


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
    for verb in (Wrong.delete, Wrong.exists, Wrong.load, Wrong.reload):
        with pytest.raises(UsageError, match=r'not of the class with a str: User\("5"\)\.delete\(\)'):
            await verb("5")
    assert await Reader("5").exists()
    with sync.allow_blocking(), pytest.raises(UsageError, match="not of the class with a int"):
        BlockingWrong.delete(5)


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
