"""FlaskRedisca: the blocking session of a request, saved before the answer through the app's handlers."""

from __future__ import annotations

import logging
from typing import Any

import flask
import pytest
import redis

from aioredisca import Conflict, Database, SessionClosed, UniqueViolation, UsageError, conf, sync
from aioredisca.flask import KEY, FlaskRedisca
from aioredisca.model.sessions import current_session
from aioredisca.sync import Session

from .apps import Note as AsyncNote

pytestmark = pytest.mark.memory_only


@conf(prefix="note")
class Note(sync.Model):
    slug = sync.String(unique=True)
    count = sync.Integer()


def make(autosave: bool = True, *, handler: Any = None, source: Any = None, **options: Any) -> flask.Flask:
    app = flask.Flask("shop")
    if source is not None:
        app.config["REDISCA"] = source

    def change() -> Note:
        note = Note(flask.request.args["id"])
        note.slug = flask.request.args["slug"]
        return note

    @app.get("/plain")
    def plain() -> Any:
        change()
        return "fine"

    @app.get("/async")
    async def async_view() -> Any:
        change()
        assert current_session() is flask.request.environ[KEY][0]
        assert Note(flask.request.args["id"]).exists() is False
        return "fine"

    @app.get("/async-model")
    async def async_model() -> Any:
        note = await AsyncNote(flask.request.args["id"])
        note.slug = flask.request.args["slug"]
        return "fine"

    @app.get("/redirect")
    def redirected() -> Any:
        change()
        return flask.redirect("/plain")

    @app.get("/stream")
    def stream() -> Any:
        change()
        return flask.Response(iter(["a", "b"]))

    @app.get("/stream-context")
    def stream_context() -> Any:
        change()
        return flask.Response(flask.stream_with_context(iter(["a", "b"])))

    @app.get("/late")
    def late() -> Any:
        note = Note(flask.request.args["id"])

        def body() -> Any:
            yield "a"
            note.slug = "late"
            yield "b"

        return flask.Response(flask.stream_with_context(body()))

    @app.get("/file")
    def file() -> Any:
        change()
        return flask.send_file(__file__)

    @app.get("/raised")
    def raised() -> Any:
        change()
        flask.abort(404)

    @app.get("/returned")
    def returned() -> Any:
        change()
        return "no", 404

    @app.get("/broken")
    def broken() -> Any:
        change()
        raise ZeroDivisionError

    @app.get("/keep")
    def keep() -> Any:
        unit = current_session()
        assert unit is not None
        unit.keep()
        change()
        if "broken" in flask.request.args:
            raise ZeroDivisionError
        flask.abort(401)

    @app.get("/discard")
    def discard() -> Any:
        change()
        unit = current_session()
        assert unit is not None
        unit.discard()
        return "fine"

    @app.get("/saved")
    def saved() -> Any:
        change().save()
        flask.abort(404)

    if handler is not None:
        app.register_error_handler(Conflict, handler)
    FlaskRedisca(app, autosave, **options)

    @app.after_request
    def after(response: Any) -> Any:
        if "after" in flask.request.args:
            Note(flask.request.args["id"] + "+").count = 7
        return response

    return app


def conflict(error: Exception) -> Any:
    return {"detail": type(error).__name__}, 409


async def async_conflict(error: Exception) -> Any:
    return {"detail": type(error).__name__}, 409


GOOD = ("plain", "async", "async-model", "redirect", "stream", "stream-context", "file")


@pytest.mark.parametrize("kind", GOOD)
def test_success_is_saved_before_the_answer(db: Database, raw: Any, kind: str) -> None:
    answer = make().test_client().get(f"/{kind}?id=1&slug=a&after=1", buffered=False)
    assert answer.status_code < 400
    assert raw.hgetall("note:1") == {b"slug": b"a"}
    assert raw.hgetall("note:1+") == {b"count": b"7"}
    answer.close()
    assert current_session() is None


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("handler", [None, conflict, async_conflict])
def test_a_refused_save_is_the_answer_of_the_apps_handler(
    db: Database, raw: Any, kind: str, handler: Any
) -> None:
    with sync.session():
        Note.new("0", slug="taken").save()
    app = make(handler=handler)
    answer = app.test_client().get(f"/{kind}?id=1&slug=taken")
    assert answer.status_code == (500 if handler is None else 409)
    assert not raw.exists("note:1")
    assert app.test_client().get("/plain?id=2&slug=b").status_code == 200  # the next one is not hurt
    assert raw.hget("note:2", "slug") == b"b"


@pytest.mark.parametrize("kind", ["raised", "returned", "broken", "discard"])
def test_errors_and_discard_save_nothing(db: Database, raw: Any, kind: str) -> None:
    answer = make().test_client().get(f"/{kind}?id=1&slug=a")
    assert (answer.status_code < 400) == (kind == "discard")
    assert not raw.keys("*")


def test_the_known_bad_way_saves_what_abort_refused(db: Database, raw: Any) -> None:
    """As redisca did, at the teardown."""
    app = make(False)
    app.teardown_request(lambda error: flask.request.environ[KEY][0].flush() if error is None else None)
    assert app.test_client().get("/raised?id=1&slug=a").status_code == 404
    assert raw.exists("note:1")


def test_save_if_keep_and_explicit_saves(db: Database, raw: Any) -> None:
    client = make(save_if=lambda response: response.status_code == 404).test_client()
    client.get("/returned?id=1&slug=a")
    client.get("/plain?id=2&slug=b")
    make().test_client().get("/keep?id=3&slug=c")
    make().test_client().get("/keep?id=4&slug=d&broken=1")
    make().test_client().get("/saved?id=5&slug=e")
    make(False).test_client().get("/plain?id=6&slug=f")
    assert [raw.exists(f"note:{n}") for n in range(1, 7)] == [1, 0, 1, 1, 1, 0]
    app = make()
    app.testing = True
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/keep?id=7&slug=g&broken=1")
    assert raw.exists("note:7")


def test_late_changes_are_not_lost_in_silence(
    db: Database, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask tears the request down before the stream since 3.1.3, and after it in older versions."""
    caplog.set_level(logging.WARNING)
    try:
        assert make().test_client().get("/late?id=1&slug=a").data == b"ab"
    except SessionClosed:
        assert not caplog.text
    else:
        assert "(Note) are dropped: they were changed after the answer had begun" in caplog.text
    assert not raw.keys("*")
    assert current_session() is None


def test_an_answer_before_the_session_began(db: Database) -> None:
    app = flask.Flask("early")
    app.before_request(lambda: "early")
    FlaskRedisca(app, autosave=True)
    assert app.test_client().get("/").data == b"early"


def test_requests_within_requests_have_sessions_of_their_own(db: Database, raw: Any) -> None:
    app = make()

    @app.get("/outer")
    def outer() -> Any:
        mine = current_session()
        note = Note("outer")
        note.slug = "outer"
        assert app.test_client().get("/raised?id=1&slug=a").status_code == 404
        assert app.test_client().get("/plain?id=2&slug=b").status_code == 200
        assert current_session() is mine
        return "fine"

    with app.app_context():
        assert app.test_client().get("/outer").status_code == 200
    assert sorted(raw.keys("note:*")) == [b"note:2", b"note:outer"]


# -- where the database comes from -----------------------------------------------------------------


@pytest.mark.parametrize("way", ["url", "kwargs", "client", "database"])
def test_the_config_names_the_database(db: Database, server_: Any, way: str) -> None:
    port = server_.port
    source: dict[str, Any] = {
        "url": f"redis://127.0.0.1:{port}/2",
        "kwargs": {"host": "127.0.0.1", "port": port, "db": 2, "decode_responses": True},
        "client": redis.Redis(port=port, db=2),
        "database": Database(f"redis://127.0.0.1:{port}/2"),
    }
    app = make(source=source[way])
    assert app.test_client().get("/plain?id=1&slug=a").status_code == 200
    with redis.Redis(port=port, db=2) as client:
        assert client.hget("note:1", "slug") == b"a"
        client.flushdb()
    app.extensions[KEY].close()
    source["client"].close()


@pytest.fixture
def server_(servers: dict[str, Any]) -> Any:
    from ..conftest import _binary
    from ..support.servers import Server

    if "valkey9" not in servers:
        servers["valkey9"] = Server("valkey9", _binary("valkey9"))
    return servers["valkey9"]


def test_several_apps_have_a_database_each(db: Database, raw: Any) -> None:
    one, two = make(source="memory://one"), make(source="memory://two")
    for app, slug in ((one, "a"), (two, "b")):
        assert app.test_client().get(f"/plain?id=1&slug={slug}").status_code == 200
    assert not raw.keys("*")
    extension = FlaskRedisca()
    for app, slug in ((one, "a"), (two, "b")):
        with app.app_context(), extension.session() as unit:
            assert isinstance(unit, Session)
            assert Note.get("1").slug == slug
    with one.app_context(), extension.session(autosave=True):
        Note("1").slug = "c"
    assert one.test_client().get("/plain?id=2&slug=c").status_code == 500
    with pytest.raises(UsageError, match="has a FlaskRedisca already"):
        FlaskRedisca(one)


def test_one_extension_serves_several_apps(db: Database, raw: Any) -> None:
    extension = FlaskRedisca(autosave=True)
    for number in (1, 2):
        app = flask.Flask("one")

        @app.get("/")
        def view(number: int = number) -> Any:
            Note(str(number)).slug = str(number)
            return "fine"

        extension.init_app(app)
        assert app.test_client().get("/").status_code == 200
    assert raw.exists("note:1", "note:2") == 2


def test_a_broken_handler_is_a_500(db: Database, raw: Any) -> None:
    Note.new("0", slug="taken").save()

    def broken(error: Exception) -> Any:
        raise ZeroDivisionError

    assert make(handler=broken).test_client().get("/plain?id=1&slug=taken").status_code == 500
    app = make()
    app.testing = True
    with pytest.raises(UniqueViolation):
        app.test_client().get("/plain?id=1&slug=taken")
    assert not raw.exists("note:1")
