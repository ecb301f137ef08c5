"""What looks like a field and is none: refused with the cure, for what it is given would never be stored."""

from __future__ import annotations

import dataclasses
import enum
import types
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest

from aioredisca import Database, Enum, Integer, ListOf, Model, String, UsageError, sync

from ..support.drift import drift

BOTH = pytest.mark.parametrize("base", [Model, sync.Model])


def made(base: Any, body: dict[str, Any], *more: type) -> Any:
    return types.new_class("Wrong", (*more, base), exec_body=lambda namespace: namespace.update(body))


@BOTH
@pytest.mark.parametrize(
    ("annotation", "value", "cure"),
    [
        (int, 0, r"a = Integer\(new=0\)"),
        ("int", 0, r"a = Integer\(new=0\)"),
        ("int | None", None, r"a = Integer\(\)"),
        (str, "x", r"a = String\(new='x'\)"),
        ("dt.datetime", ..., r"a = DateTime\(\)"),
        (list[int], [], r"a = Json\(\)"),
        ("Email", ..., r"a = String\(\)"),
        (str, ..., r"a = String\(\)"),
    ],
)
def test_an_annotation_without_a_field_is_refused(base: Any, annotation: Any, value: Any, cure: str) -> None:
    body = {"__annotations__": {"a": annotation}, "b": String(), **({} if value is ... else {"a": value})}
    with pytest.raises(
        UsageError, match=rf"Wrong\.a: .* never stored; write {cure}, or a: ClassVar\[\.\.\.\]"
    ):
        made(base, body)


@BOTH
def test_the_same_in_a_mixin_and_over_a_verb(base: Any) -> None:
    mixin = type("Mixin", (), {"__annotations__": {"a": int}, "a": 0})
    with pytest.raises(UsageError, match=r"Wrong\.a: .*write a = Integer\(new=0\)"):
        made(base, {}, mixin)
    with pytest.raises(UsageError, match=r"Wrong\.id: "):
        made(base, {"__annotations__": {"id": str}, "id": ""})
    slotted = {"__slots__": ("a",), "__annotations__": {"a": int}}
    with pytest.raises(UsageError, match=r"Wrong\.a: "):
        made(base, slotted)


class Expects:
    """What a plain class expects of the models that it is part of."""

    title: Any

    def shout(self) -> str:
        return str(self.title).upper()


class Fine(Expects, Model):
    if TYPE_CHECKING:
        seen: int
    kind: ClassVar[str] = "fine"
    limit: Final = 5
    _cache: int = 0
    id: str
    title = String()
    size: Any = Integer()
    log: Any = ListOf(String())

    @property
    def total(self) -> int:
        return (self.size or 0) + self.limit


class Finer(Fine):
    title: Any
    size: None = None
    plain = "a class attribute"


async def test_what_is_no_data_stays_free(db: Database, raw: Any) -> None:
    one = await Fine.new("1", title="a", size=2).save()
    one._cache = 3
    assert (one.shout(), one.total, one.kind, one.id, one._cache) == ("A", 7, "fine", "1", 3)
    assert list(Fine.getfields()) == ["title", "size"]
    assert list(Finer.getfields()) == ["title"]
    assert drift(raw, [Fine]) == []


@BOTH
def test_what_other_libraries_make_of_a_class(base: Any) -> None:
    with pytest.raises(UsageError, match=r"Wrong\.Meta does nothing: .*@conf\(prefix="):
        made(base, {"Meta": type("Meta", (), {"table": "x"}), "a": String()})
    for body in ({}, {"a": String()}):
        with pytest.raises(UsageError, match=r"Wrong: @dataclass makes attributes that are never stored"):
            dataclasses.dataclass(made(base, body))
    mixin: Any = dataclasses.make_dataclass("Mixin", [("x", int)])
    with pytest.raises(UsageError, match="Wrong: @dataclass"):
        made(base, {}, mixin)
    with pytest.raises(UsageError, match="Wrong: attrs"):
        made(base, {"__attrs_attrs__": ()})


@BOTH
def test_a_slot_in_the_place_of_a_field(base: Any) -> None:
    with pytest.raises(ValueError, match="'a' in __slots__ conflicts with class variable"):  # of Python
        made(base, {"__slots__": ("a",), "a": String()})
    parent = type(base)("Parent", (base,), {"__slots__": (), "a": String()})
    with pytest.raises(UsageError, match=r"Wrong\.a is a field, .*leave it out of __slots__"):
        made(parent, {"__slots__": ("a",)})
    child = made(parent, {"__slots__": ("mine",), "b": String()})
    assert list(child.getfields()) == ["a", "b"]
    child("1").mine = 1


@pytest.mark.parametrize(
    ("option", "cure"),
    [
        ("default", "new= takes a value"),
        ("max_length", "maxlen="),
        ("min_length", "minlen="),
        ("nullable", "required=True"),
        ("choices", r"Enum\(\.\.\.\)"),
        ("primary_key", r"Model\.new\(id\), and conf\(id=\)"),
        ("ge", "minval="),
        ("alias", "field="),
    ],
)
def test_options_of_other_libraries_are_told_with_the_cure(option: str, cure: str) -> None:
    options: Any = {option: 1}
    mystery: Any = {"mystery": 1}
    for kind in (String, Integer, partial(Enum, enum.Enum)):
        with pytest.raises(UsageError, match=rf"got unknown options: {option} \(.*{cure}") as caught:
            kind(**options)
        assert isinstance(caught.value, TypeError)
    with pytest.raises(TypeError, match=r"Integer\(\) got unknown options: mystery$"):
        Integer(**mystery)
