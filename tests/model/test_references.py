"""References: instances, ids, handles, names, and the wide ones."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import (
    CorruptRecord,
    Database,
    Model,
    NotLoaded,
    Reference,
    String,
    UsageError,
    ValidationError,
    sync,
)

from ..support.drift import drift


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
