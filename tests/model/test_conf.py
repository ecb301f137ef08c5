"""conf: what it sets for a class and for all, and what it refuses."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from aioredisca import Database, Model, String, UsageError, conf

from ..support.drift import drift


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
        {"auto_build": -1},
        {"db": "http://x"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        conf(**wrong)


def test_settings_unknown_to_conf_are_refused_by_python() -> None:
    names = [
        "prefix",
        "db",
        "id",
        "namespace",
        "tag",
        "partitions",
        "unique",
        "index",
        "cache",
        "ttl",
        "sliding",
        "auto_build",
        "optimistic",
        "feed",
    ]
    assert list(inspect.signature(conf.__call__).parameters) == names
    with pytest.raises(TypeError):
        conf(prefx="a")  # type: ignore[call-arg]


def test_a_setting_that_conf_does_not_have_is_refused() -> None:
    """Else a slip would leave the default in force: here, records would go to another server."""
    with pytest.raises(
        AttributeError,
        match="conf has no setting 'url'; there are allow_blocking, cheap_passwords, db, max_rows",
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
