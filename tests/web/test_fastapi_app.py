"""FastAPI: errors, start and end, health, sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from aioredisca import (
    AlreadyExists,
    BulkError,
    CorruptRecord,
    Database,
    Gone,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    StaleWrite,
    StoreError,
    Unavailable,
    UniqueViolation,
    UsageError,
    ValidationError,
)
from aioredisca.fastapi import SessionDep, add_handlers, health_route, install, lifespan
from aioredisca.health import check
from aioredisca.model.sessions import current_session
from aioredisca.web import detail_of, status_of

from ..support.patience import limit
from .fastapi_app import Member, add, client, make
from .support import ask, http

pytestmark = pytest.mark.memory_only


# -- errors --------------------------------------------------------------------------------------


async def test_the_handlers_tell_names_of_fields_and_nothing_else(db: Database, raw: Any) -> None:
    await add("secret-holder", email="taken@b.cc")
    web = client(make())
    answer = web.post("/members", json={"email": "taken@b.cc"})
    assert answer.status_code == 409
    assert answer.json() == {
        "detail": [{"type": "unique_violation", "loc": ["body", "email"], "msg": "is taken already"}]
    }
    answer = web.post("/members/secret-holder", json={"email": "other@b.cc"})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (409, "already_exists")
    assert "secret-holder" not in answer.text
    answer = web.get("/members/nobody")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    assert web.get(f"/members/{'x' * 513}").status_code == 422
    assert web.get(f"/members/{'%C3%A4' * 300}").status_code == 422  # 600 bytes
    assert web.get("/forbidden/secret-holder").status_code == 403
    assert raw.hget("member:secret-holder", "age") == b"36"


ANSWERS: list[tuple[Any, int, Any]] = [
    (NotFound("User", "id-7"), 404, "Not Found"),
    (ValidationError("User", "age", "is more than 150", 151), 422, "age"),
    (UniqueViolation("User", "email", "id-7"), 409, "email"),
    (StaleWrite("User", "id-7", ["age", "name"]), 409, "name"),
    (AlreadyExists("User", "id-7"), 409, "id"),
    (Gone("User", "id-7"), 409, "id"),
    (BulkError(7, AlreadyExists("User", "id-7")), 409, "Conflict"),
    (Unavailable("10.0.0.7 down"), 503, "Service Unavailable"),
    (OutcomeUnknown("10.0.0.7 gone"), 503, "Service Unavailable"),
    (CorruptRecord("User", "user:id-7", "age"), 500, "Internal Server Error"),
    (StoreError("user:id-7"), 500, "Internal Server Error"),
]


@pytest.mark.parametrize(("error", "status", "names"), ANSWERS, ids=lambda each: type(each).__name__)
async def test_each_error_has_its_answer(error: Any, status: int, names: str) -> None:
    app = FastAPI()
    add_handlers(app)

    @app.get("/")
    async def fails() -> None:
        raise error

    answer = client(app).get("/")
    assert answer.status_code == status == status_of(error)
    assert names in str(detail_of(error))
    assert status == 500 or names in answer.text
    assert "7" not in answer.text
    assert ("retry-after" in answer.headers) == isinstance(error, Unavailable)


# -- start, end, health --------------------------------------------------------------------------


def test_the_lifespan_runs_around_the_apps_own(db: Database) -> None:
    events = list[str]()

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        events.append("open")
        await add()
        yield {"shared": "state"}
        await (await Member.get("1")).delete()
        events.append("close")

    app = FastAPI(lifespan=own)
    install(app)

    @app.get("/state")
    async def state(request: Any = None) -> int:
        return await Member.all().count()

    with client(app) as web:
        assert events == ["open"]
        assert web.app_state == {"shared": "state"}
        assert web.get("/state").json() == 1
    assert events == ["open", "close"]


def test_a_database_that_cannot_be_used_stops_the_start() -> None:
    app = FastAPI()
    install(app, "redis://127.0.0.1:1/0", health="/health")
    with pytest.raises(Unavailable, match="cannot connect"), TestClient(app):
        pass
    answer = client(app).get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


@pytest.mark.asyncio_only
async def test_health_is_more_than_a_ping(server_: Any, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(server_.url)
    app = FastAPI()
    app.add_api_route("/health", health_route(database))
    from aioredisca import session

    async with session(database):
        await add("h")
    before = sorted(server_.client().keys("*"))
    assert (await ask(app, "/health")).body == b'{"status":"ok"}'
    assert sorted(server_.client().keys("*")) == before
    with server_.client() as admin:
        for rule, status in (
            ("+@all -evalsha -evalsha_ro -eval -eval_ro ~*", 503),  # PING answers, and every save fails
            ("+@all ~other:*", 503),
            ("+@all -hset ~*", 503),
            ("+@all ~*", 200),
        ):
            admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", *rule.split())
            limited = Database(f"redis://app:pw@127.0.0.1:{server_.port}/0")
            limited.facts.classes = database.facts.classes
            app = FastAPI()
            app.add_api_route("/health", health_route(limited))
            assert (await ask(app, "/health")).status == status, rule
            await limited.aclose()
        admin.execute_command("ACL", "DELUSER", "app")
        admin.flushall()
    assert "cannot be used" in caplog.text
    await database.aclose()


@pytest.fixture
def server_(servers: dict[str, Any]) -> Any:
    from ..conftest import _binary
    from ..support.servers import Server

    if "valkey9" not in servers:
        servers["valkey9"] = Server("valkey9", _binary("valkey9"))
    return servers["valkey9"]


@pytest.mark.asyncio_only
async def test_a_database_that_hangs_is_unhealthy_within_a_second(caplog: pytest.LogCaptureFixture) -> None:
    import asyncio
    import time

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    database = Database(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0", timeout=limit(5))
    app = FastAPI()
    app.add_api_route("/health", health_route(database))
    began = time.monotonic()
    assert (await ask(app, "/health")).status == 503
    assert time.monotonic() - began < limit(2)
    assert not caplog.text.rstrip().endswith("cannot be used:")  # without why
    await database.aclose()
    listening.close()
    await listening.wait_closed()
    await asyncio.sleep(0.05)  # the other end of the connection closes


async def test_check_by_itself(db: Database) -> None:
    await check(db)
    await check()
    with pytest.raises(Unavailable):
        await check(Database("redis://127.0.0.1:1/0"))
    assert issubclass(PermissionDenied, StoreError)


# -- sessions ------------------------------------------------------------------------------------


async def test_endpoints_in_threads_and_background_tasks_share_the_session(db: Database, raw: Any) -> None:
    await add()
    web = client(make())
    assert web.get("/threads/1").json() == {"same": True}
    assert raw.hget("member:1", "age") == b"99"
    assert web.get("/blocking-run/1").json() == {"same": True}
    assert raw.hget("member:1", "age") == b"98"
    assert web.get("/later/1").status_code == 200
    assert raw.hget("member:1", "age") == b"77"


@pytest.mark.asyncio_only
@pytest.mark.parametrize("with_middleware", [False, True])
async def test_the_dependency_saves_before_the_answer(db: Database, raw: Any, with_middleware: bool) -> None:
    app = FastAPI()
    if with_middleware:
        install(app)
    else:
        add_handlers(app)

    @app.get("/{status}")
    async def change(status: int, unit: SessionDep) -> Any:
        assert current_session() is unit
        user = Member.new("1", email="a@b.cc")
        assert user.__state__.unit is unit._unit
        if status == 404:
            raise HTTPException(404)
        return JSONResponse("fine", status)

    @app.websocket("/ws")
    async def socket(connection: WebSocket, unit: SessionDep) -> None: ...

    stored = list[Any]()
    answer = await ask(app, "/404")
    assert (answer.status, raw.exists("member:1")) == (404, 0)
    answer = await ask(app, "/200", at_start=lambda: stored.append(raw.exists("member:1")))
    assert (answer.status, stored) == (200, [1])
    assert (await ask(app, "/200")).status == 409
    with pytest.raises(UsageError, match="a websocket has no session"):
        with TestClient(app).websocket_connect("/ws"):
            pass


@pytest.mark.asyncio_only
async def test_websockets_have_no_session_and_may_open_one_per_message(db: Database, raw: Any) -> None:
    from aioredisca import session

    app = FastAPI()
    install(app)

    @app.websocket("/ws")
    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        async for text in connection.iter_text():
            assert current_session() is None
            async with session(autosave=True):
                Member.new(text, email=f"{text}@b.cc")
            await connection.send_json(await Member.all().count())

    sent = list[Any]()
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}] + [
        {"type": "websocket.receive", "text": f"m{n}"} for n in range(4)
    ]
    incoming.append({"type": "websocket.disconnect", "code": 1000})

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message.get("text"))

    scope = {**http("/ws"), "type": "websocket", "subprotocols": []}
    async with session():  # leaked by the server
        await app(scope, receive, send)
    assert sent == [None, "1", "2", "3", "4"]


def test_depends_wants_a_name() -> None:
    with pytest.raises(UsageError, match="a parameter is a Python name"):
        Member.depends("no name")


def test_a_lifespan_alone(db: Database) -> None:
    with TestClient(FastAPI(lifespan=lifespan(db))) as web:
        assert web.get("/").status_code == 404
