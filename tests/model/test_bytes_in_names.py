"""Bytes in prefixes, namespaces and hash fields that servers may take for something: right, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, UsageError, conf, reindex

from ..support.drift import drift

CONTROL = [chr(number) for number in (*range(1, 9), *range(14, 28), 127)]
GLOB = ["?", "[", "]", "^", "\\", "[a-z]", "->", "#", "$", "%", "'", '"', "é", "\u2028x"[1:]]


def model_of(url: str, prefix: str, namespace: str, field: str) -> Any:
    body = {
        "name": String(index=True, field=f"{field}n"),
        "age": Integer(index=True, field=f"{field}a"),
        "code": String(unique=True, field=f"{field}c{field}"),
        "text": String(index="sorted", field=f"x{field}"),
    }
    return conf(prefix=prefix, db=Database(url, namespace=namespace))(type("Odd", (Model,), body))


async def ask_all(model: Any, raw: Any) -> None:
    for i in range(3):
        await model.new(str(i), name="x", age=i, code=f"c{i}", text=f"t{i}").save()
    for query, ids in (
        (model.name == "x", ["0", "1", "2"]),
        (model.age >= 1, ["1", "2"]),
        (model.code == "c1", ["1"]),
        (model.text.startswith("t2"), ["2"]),
        (model.all(), ["0", "1", "2"]),
        ((model.name == "x").order_by(model.age.desc()).limit(2), ["2", "1"]),
    ):
        found = await query
        assert [one.id for one in found] == ids
        assert [one.name for one in found] == ["x"] * len(ids)
    again = await model.name.find("x")  # by SORT_RO, which reads patterns
    assert [(one.name, one.age, one.code) for one in again] == [("x", i, f"c{i}") for i in range(3)]
    raw.zrem(model.__mapper__.schema(model.__mapper__.store()).keys.ids, "1")
    await reindex(model, everything=True)  # by SCAN, which reads patterns
    assert drift(raw, [model]) == []


@pytest.mark.parametrize("text", [*CONTROL, *GLOB])
async def test_what_may_stand_in_names_is_found(url: str, db: Database, raw: Any, text: str) -> None:
    await ask_all(model_of(url, f"{text}p{text}", f"{text}n{text}:", text), raw)


@pytest.mark.parametrize("bad", ["\0", "\0p", "p\0", "p\0q", "#\0"])
def test_nul_in_prefixes_and_namespaces_is_refused(bad: str) -> None:
    with pytest.raises(UsageError, match="no NUL"):
        conf(prefix=bad)(type("Odd", (Model,), {"name": String()}))
    with pytest.raises(UsageError, match="no NUL"):
        Database("memory://", namespace=bad)
    with pytest.raises(UsageError, match="no NUL"):
        conf(namespace=bad)(type("Odd", (Model,), {"name": String()}))


@pytest.mark.parametrize("bad", ["\n", "\t", "\x0b", "\x1c", "{", "}", "*", " "])
def test_white_space_braces_and_stars_are_refused_as_ever(bad: str) -> None:
    for prefix in (bad, f"p{bad}", f"{bad}p"):
        with pytest.raises(UsageError):
            conf(prefix=prefix)(type("Odd", (Model,), {"name": String()}))
        with pytest.raises(UsageError):
            Database("memory://", namespace=prefix)


def test_empty_names_are_refused_but_for_the_namespace() -> None:
    with pytest.raises(UsageError, match="at least one character"):
        conf(prefix="")(type("Odd", (Model,), {"name": String()}))
    with pytest.raises(UsageError, match="at least one character"):
        String(field="")
    Database("memory://", namespace="")


def test_a_field_does_not_begin_with_nul() -> None:
    with pytest.raises(UsageError, match="begin with NUL"):
        String(field="\0name")


async def test_nul_elsewhere_in_a_field_and_stars_and_braces_there_are_found(
    url: str, db: Database, raw: Any
) -> None:
    for text in ("x\0", "*", "{", "}", "\n", " "):
        await ask_all(model_of(url, f"p{ord(text[-1])}", "", text), raw)
        raw.flushall()
