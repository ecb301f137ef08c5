"""Queries as text: what is allowed means what Python would, everything else is refused and never run."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import uuid
from typing import Any

import pytest

from aioredisca import (
    UUID,
    DateTime,
    Decimal,
    Integer,
    Model,
    Reference,
    String,
    Tags,
    UsageError,
    ValidationError,
    conf,
    exclusive,
    sync,
)
from aioredisca.cli.expressions import ALLOWED, parse

pytestmark = pytest.mark.memory_only


class Land(Model):
    name = String(index=True)


@conf(ttl=60)
class User(Model):
    name = String(index="sorted")
    age = Integer(index=True)
    born = DateTime(index=True)
    pay = Decimal(places=2, index=True)
    key = UUID(index=True)
    tags = Tags(index=True)
    land = Reference(Land, index=True)


class Blocking(sync.Model):
    age = Integer(index=True)


MODELS = (Land, User, Blocking)
NAMES: dict[str, Any] = {
    **{model.__name__: model for model in MODELS},
    "datetime": dt.datetime,
    "timedelta": dt.timedelta,
    "UTC": dt.UTC,
    "date": dt.date,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "exclusive": exclusive,
}


@pytest.mark.parametrize(
    "text",
    [
        "User.age == 3",
        "User.age != -3",
        "18 <= User.age",
        "(User.age >= 18) & (User.age < 65) | ~(User.name == 'x')",
        "User.age.between(1, +2)",
        "User.age.between(exclusive(1), exclusive(2))",
        "User.age.in_((1, None, 2))",
        "User.age.in_([1, 2])",
        "User.age.not_in({1})",
        "User.age == None",
        "User.age.is_none() & User.name.not_none()",
        "User.name.startswith('A\\'b')",
        "User.tags.has('a') & User.tags.has_any(['b']) & User.tags.has_all(('c', 'd'))",
        "User.born > datetime(2026, 1, 2)",
        "User.born > datetime(year=2026, month=1, day=2)",
        "User.pay == Decimal('1.50')",
        "User.key == UUID('6ba7b810-9dad-11d1-80b4-00c04fd430c8')",
        "User.land == Land('en')",
        "User.land == 'en'",
        "User.land.of('en')",
        "User.expires_at == None",
        "User.all()",
        "User.where(User.age == 1, User.name == 'x').scan()",
        "User.all().order_by(User.name, User.age.desc()).offset(2).limit(3)",
        "(User.age > 1).where(User.age < 2)",
        "Blocking.age >= 3",
    ],
)
def test_it_means_what_python_means(text: str) -> None:
    meant: Any = eval(text, dict(NAMES))
    read: Any = parse(f" {text}\n", MODELS)
    assert (type(read), read._spec) == (type(meant), meant._spec)
    assert read.model is meant.model


def test_a_model_alone_is_all_of_it_and_moments_are_texts_too() -> None:
    assert parse("User", MODELS)._spec == User.all()._spec
    moment = dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC)
    assert parse("User.born >= datetime('2026-01-02T03:00Z')", MODELS)._spec == (User.born >= moment)._spec


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("(User.age == 1) and (User.age == 2)", "join conditions with &, each in parentheses"),
        ("(User.age == 1) or (User.age == 2)", "join conditions with |, each in parentheses"),
        ("not (User.age == 1)", "write ~( ) around the condition"),
        ("User.age in (1, 2)", "write User.age.in_((1, 2))"),
        ("User.age not in (1, 2)", "write User.age.not_in((1, 2))"),
        ("User.age is None", "write User.age.is_none()"),
        ("User.age is not None", "write User.age.not_none()"),
        ("1 < User.age < 3", "write .between(low, high)"),
        ("User.age == 1 & User.age == 2", "each comparison that & and | join in parentheses"),
        ("(User.age == 1) & User.name", "put each comparison in parentheses"),
        ("~User.age", "& | ~ join conditions, and the field <User.age> is none"),
        ("User.age == User.age", "a field on one side and a literal on the other"),
        ("1 == 1", "a field on one side and a literal on the other"),
        ("User == 1", "the model User is nothing to compare"),
        ("(User.age == 1) == 1", "a query is nothing to compare"),
        ("User.age", "is the field <User.age> and no query"),
        ("3", "is a literal of type int and no query"),
        ("User.age.find(3)", "there are: .between(), .in_()"),
        ("User.all().delete()", "there are: .where(), .scan()"),
        ("User.all().count()", "there are: .where(), .scan()"),
        ("User.get('1')", ".get() of the model User is not allowed; there are: .all(), .where()"),
        ("User.all", "User.all is to be called: User.all()"),
        ("User.age == datetime", "datetime is to be called"),
        ("User.age.in_(User)", ".in_() takes literals, and the model User is none"),
        ("User.age.between(User.age, 3)", ".between() takes literals"),
        ("User.age.is_none(3)", ".is_none(): "),
        ("User.age.in_(*(1, 2))", "`*(1, 2)` is not allowed here"),
        ("User.all().limit(**{})", "arguments are written out, without **"),
        ("User.age == 1 + 1", "`1 + 1` is not allowed here"),
        ("User.age == f'{1}'", "a text is written out, without f"),
        ("await User.all()", "leave out await"),
        ("User.land == Land()", "Land(...) takes one id, as in Land('ada')"),
        ("User.pay == Decimal('x')", "Decimal(...) takes the text of a number"),
        ("User.born == datetime(2026)", "datetime(...): "),
        ("User.born == timedelta(days=10**9)", "is not allowed here"),
        ("User.born == timedelta(days=9999999999)", "timedelta(...): "),
        ("Nobody.age == 1", "there is no model 'Nobody'; there are: Blocking, Land, User"),
        ("User.age.in_({[1]})", "the expression cannot be read: unhashable type"),
        ("User.age ==", "is no expression"),
        ("", "is no expression"),
        ("User.age == 1; User.age", "is no expression"),
        ("x = 1", "is no expression"),
        ("User.age == '\0'", "null bytes"),
        ("(" * 300 + "User.age == 1" + ")" * 300, "is no expression"),
        ("~" * 5000 + "(User.age == 1)", "the expression cannot be read"),
        ("User.age == 1" + " " * 10_000 + "|", "more than 10,000 characters"),
    ],
)
def test_what_is_refused_says_what_to_write(text: str, cure: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text, MODELS)
    assert cure in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').environ.update(TOUCHED='1')",
        "[os.environ.update(TOUCHED='1') for os in (__import__('os'),)]",
        "(lambda: __import__('os').environ.update(TOUCHED='1'))()",
        "User.__class__.__base__.__subclasses__()",
        "User.age.__init__.__globals__",
        "User.age._mapper",
        "User.__mapper__",
        "(User.age == 1)._spec",
        "User.age == (x := 3)",
        "User.age == ().__class__",
        "'a'.format(1)",
        "(1).real",
        "User.age[0]",
        "User.age == {1: 2}",
        "User.all()[0:1]",
        "User.age == 1 if True else 2",
        "User.age == 1j",
        "User.age == ...",
    ],
)
def test_nothing_else_is_read_and_nothing_is_run(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOUCHED", raising=False)
    with pytest.raises((UsageError, ValidationError)) as refused:
        parse(text, MODELS)
    assert "TOUCHED" not in os.environ
    assert (
        ALLOWED in str(refused.value)
        or "no such field" in str(refused.value)
        or "there are" in str(refused.value)
    )
    if text.startswith(("__import__", "[os", "(lambda")):  # the known-bad way runs it
        eval(text, dict(NAMES))
        assert os.environ["TOUCHED"] == "1"


def test_python_warns_of_no_expression(recwarn: pytest.WarningsRecorder) -> None:
    """The code is not its own, and the line that it would name is nobody's."""
    text = "User.age>3and User.age<5"
    with pytest.raises(UsageError, match="`and` compares truth values"):
        parse(text, MODELS)
    assert not recwarn.list
    compile(text, "<text>", "eval")  # the known-bad way
    assert recwarn.list


def test_two_models_of_one_name_are_told_apart() -> None:
    twin: Any = type("User", (Model,), {"__module__": "elsewhere"})
    with pytest.raises(UsageError, match=r"User may be .*test_expressions:User and elsewhere:User: name one"):
        parse("User.age == 1", [*MODELS, twin])
