"""FastAPI: records in and out, generated models, loaders, error handlers, start-up and health."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio.from_thread
import pydantic
import pytest
from fastapi import BackgroundTasks, Body, FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from aioredisca import (
    UUID,
    AlreadyExists,
    Bool,
    BulkError,
    Bytes,
    CorruptRecord,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Enum,
    Field,
    Float,
    Gone,
    Integer,
    Json,
    MD5Pass,
    Model,
    NotFound,
    OutcomeUnknown,
    Password,
    PermissionDenied,
    Reference,
    StaleWrite,
    StoreError,
    String,
    Unavailable,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    sync,
)
from aioredisca.fastapi import (
    Create,
    Read,
    SessionDep,
    Update,
    add_handlers,
    health_route,
    install,
    lifespan,
)
from aioredisca.fields import hashing
from aioredisca.health import check
from aioredisca.model.sessions import current
from aioredisca.web import detail_of, status_of

from .support import ask, http

pytestmark = pytest.mark.memory_only


class Role(enum.Enum):
    ADMIN = 1
    GUEST = 2


@conf(prefix="member")
class Member(Model):
    """Somebody who signed up."""

    email = Email(unique=True, required=True)
    name = String(minlen=2, maxlen=40)
    age = Integer(minval=0, maxval=150)
    role = Enum(Role, new=Role.GUEST)
    friend = Reference("Member")
    joined = DateTime(readonly=True, new=lambda: dt.datetime(2024, 1, 1))
    token = String(secret=True, readonly=True, new="t0p")
    password = Password(minlen=4)


@conf(prefix="member")
class BlockingMember(sync.Model):
    email = Email(unique=True, required=True)
    name = String(minlen=2, maxlen=40)
    age = Integer(minval=0, maxval=150)
    role = Enum(Role, new=Role.GUEST)
    friend = Reference("BlockingMember")
    joined = DateTime(readonly=True, new=lambda: dt.datetime(2024, 1, 1))
    token = String(secret=True, readonly=True, new="t0p")
    password = sync.Password(minlen=4)


class Everything(Model):
    text = String()
    number = Integer()
    real = Float()
    money = Decimal(places=2)
    flag = Bool()
    at = DateTime()
    day = Date()
    uid = UUID()
    role = Enum(Role)
    data = Bytes()
    anything = Json[Any]()
    friend = Reference("Member")
    any_friend = Reference("Member", children=True)
    old = MD5Pass()


class Wrapped(pydantic.BaseModel):
    best: Member
    others: list[Member]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    import argon2

    monkeypatch.setattr(hashing, "hasher", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


def make(**options: Any) -> FastAPI:
    app = FastAPI()
    install(app, **options)

    @app.post("/members", status_code=201)
    async def sign_up(body: Create[Member]) -> Member:
        return await body.new(token="mine")

    @app.post("/blocking-members", status_code=201)
    def blocking_sign_up(body: Create[BlockingMember]) -> BlockingMember:
        return body.new()

    @app.post("/members/{id}", status_code=201)
    async def sign_up_as(id: str, body: Create[Member]) -> Member:
        return await body.new(id)

    @app.patch("/members/{id}")
    async def change(user: Annotated[Member, Member.depends("id")], body: Update[Member]) -> Member:
        return await body.apply(user)

    @app.patch("/blocking-members/{id}")
    def blocking_change(
        user: Annotated[BlockingMember, BlockingMember.depends("id")], body: Update[BlockingMember]
    ) -> BlockingMember:
        return body.apply(user)

    @app.get("/members/{id}")
    async def show(user: Annotated[Member, Member.depends("id")]) -> Member:
        return user

    @app.get("/some/{id}", response_model=Member, response_model_include={"id", "name"})
    async def some(user: Annotated[Member, Member.depends("id")]) -> Any:
        return user

    @app.get(
        "/less/{id}",
        response_model=Read[Member],
        response_model_exclude={"name"},
        response_model_exclude_none=True,
    )
    async def less(user: Annotated[Member, Member.depends("id")]) -> Any:
        return user

    @app.get("/wrapped")
    async def wrapped() -> Wrapped:
        members = await Member.all()
        return Wrapped(best=members[0], others=members)

    @app.get("/members")
    async def everybody() -> list[Member]:
        return await Member.all()

    @app.get("/threads/{id}")
    def from_thread(id: str) -> dict[str, Any]:
        user = anyio.from_thread.run(Member.get, id)
        user.age = 99
        return {"same": Member(id) is user}

    @app.get("/blocking-run/{id}")
    def blocking_run(id: str) -> dict[str, Any]:
        user = sync.run(Member.get(id))
        user.age = 98
        return {"same": Member(id) is user}

    @app.post("/raw")
    async def raw_body(user: Annotated[Member, Body()]) -> Member:
        assert user._session is None
        return user

    @app.get("/dict", response_model=Member)
    async def dictionary() -> Any:
        return {"email": "from@dict.com"}

    @app.get("/later/{id}")
    async def later(id: str, tasks: BackgroundTasks) -> str:
        async def work() -> None:
            (await Member.get(id)).age = 77

        tasks.add_task(work)
        return "fine"

    @app.get("/forbidden/{id}")
    async def forbidden(user: Annotated[Member, Member.depends("id")]) -> None:
        user.age = 1
        raise HTTPException(403)

    return app


async def add(id: str = "1", **values: Any) -> Member:
    return await Member.new(id, **{"email": f"{id}@b.cc", "name": "Ada", "age": 36, **values}).save()


def client(app: Any) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


# -- in and out ------------------------------------------------------------------------------------


def test_a_record_is_made_changed_and_shown(db: Database, raw: Any) -> None:
    with client(make()) as web:
        answer = web.post("/members", json={"email": "A@B.cc", "name": "Ada", "password": "pass1"})
        assert answer.status_code == 201, answer.text
        shown = answer.json()
        assert shown == {
            "id": shown["id"], "email": "a@b.cc", "name": "Ada", "age": None, "role": 2, "friend": None,
            "joined": "2024-01-01T00:00:00Z",
        }  # fmt: skip
        stored = raw.hgetall(f"member:{shown['id']}")
        assert stored[b"token"] == b"mine"
        assert stored[b"password"].startswith(b"$argon2id$")
        assert web.get(f"/members/{shown['id']}").json() == shown
        answer = web.patch(f"/members/{shown['id']}", json={"name": None, "age": 5, "friend": shown["id"]})
        assert answer.json() == {**shown, "name": None, "age": 5, "friend": shown["id"]}
        assert raw.hget(f"member:{shown['id']}", "age") == b"5"
        before = raw.hget(f"member:{shown['id']}", "password")
        assert web.patch(f"/members/{shown['id']}", json={"password": "pass2"}).status_code == 200
        assert raw.hget(f"member:{shown['id']}", "password") not in (before, None)


def test_the_same_with_blocking_models_in_threads(db: Database, raw: Any) -> None:
    with client(make()) as web:
        answer = web.post("/blocking-members", json={"email": "a@b.cc", "name": "Ada", "password": "pass1"})
        id = answer.json()["id"]
        assert answer.status_code == 201
        assert raw.hget(f"member:{id}", "password").startswith(b"$argon2id$")
        assert web.patch(f"/blocking-members/{id}", json={"age": 5}).json()["age"] == 5
        assert raw.hget(f"member:{id}", "age") == b"5"
        assert web.patch("/blocking-members/none", json={"age": 5}).status_code == 404
        assert web.post("/blocking-members", json={"email": "a@b.cc"}).status_code == 409


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "email"),
    ({"email": "no"}, "email"),
    ({"email": None}, "email"),
    ({"email": "a@b.cc", "name": "x"}, "name"),
    ({"email": "a@b.cc", "age": 200}, "age"),
    ({"email": "a@b.cc", "role": 3}, "role"),
    ({"email": "a@b.cc", "password": "abc"}, "password"),
    ({"email": "a@b.cc", "password": 12345}, "password"),
    ({"email": "a@b.cc", "friend": ""}, "friend"),
    ({"email": "a@b.cc", "id": "mine"}, "id"),
    ({"email": "a@b.cc", "token": "mine"}, "token"),
    ({"email": "a@b.cc", "joined": 1}, "joined"),
    ({"email": "a@b.cc", "is_admin": True}, "is_admin"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED)
def test_what_a_client_may_not_send_is_refused(db: Database, raw: Any, body: Any, field: str) -> None:
    with client(make()) as web:
        for answer in (web.post("/members", json=body), web.post("/raw", json=body)):
            assert answer.status_code == 422
            assert [item["loc"] for item in answer.json()["detail"]] == [["body", field]]
        assert not raw.keys("member:*")


async def test_records_in_lists_in_models_and_in_part(db: Database) -> None:
    for id in ("1", "2"):
        await add(id)
    web = client(make())
    assert [item["id"] for item in web.get("/members").json()] == ["1", "2"]
    wrapped = web.get("/wrapped").json()
    assert (wrapped["best"]["id"], len(wrapped["others"])) == ("1", 2)
    assert "password" not in web.get("/wrapped").text
    assert web.get("/some/1").json() == {"id": "1", "name": "Ada"}
    assert web.get("/less/1").json() == {
        "id": "1", "email": "1@b.cc", "age": 36, "role": 2, "joined": "2024-01-01T00:00:00Z"
    }  # fmt: skip


async def test_a_body_is_an_unsaved_record_of_no_session(db: Database, raw: Any) -> None:
    web = client(make())
    assert web.post("/raw", json={"email": "a@b.cc"}).json()["email"] == "a@b.cc"
    assert web.get("/dict").status_code == 200
    assert not raw.keys("member:*")
    answer = web.post("/raw", json={"email": "a@b.cc", "password": "12345"})
    assert answer.status_code == 422
    assert "use Create[Member]" in answer.text


async def test_a_record_that_was_not_loaded_is_not_shown(db: Database) -> None:
    adapter = pydantic.TypeAdapter(Member)
    with pytest.raises(Exception, match="is not loaded"):
        adapter.dump_python(Member("1"))
    assert adapter.validate_python(user := Member("1")) is user
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python(3)


# -- the schemas -----------------------------------------------------------------------------------


def test_openapi_names_and_describes_the_models(db: Database) -> None:
    spec = make(health="/health").openapi()
    schemas = spec["components"]["schemas"]
    assert {"MemberCreate", "MemberUpdate", "MemberRead"} <= set(schemas)
    create = schemas["MemberCreate"]
    assert create["required"] == ["email"]
    assert create["additionalProperties"] is False
    assert set(create["properties"]) == {"email", "name", "age", "role", "friend", "password"}
    assert create["properties"]["email"]["format"] == "email"
    assert create["properties"]["age"]["anyOf"][0] == {"maximum": 150, "minimum": 0, "type": "integer"}
    password = create["properties"]["password"]["anyOf"][0]
    assert password == {
        "format": "password", "maxLength": 1024, "minLength": 4, "type": "string", "writeOnly": True
    }  # fmt: skip
    assert "required" not in schemas["MemberUpdate"]
    assert set(schemas["MemberRead"]["properties"]) == {
        "id", "email", "name", "age", "role", "friend", "joined"
    }  # fmt: skip
    one = spec["paths"]["/members/{id}"]["get"]
    assert one["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/MemberRead"
    }
    assert one["parameters"][0]["schema"] == {
        "type": "string", "minLength": 1, "maxLength": 512, "title": "Id"
    }  # fmt: skip
    assert "/health" not in spec["paths"]


async def test_every_kind_of_field_goes_in_and_out(db: Database) -> None:
    friend = await add()
    given = {
        "text": "x", "number": 3, "real": 0.5, "money": "9.90", "flag": True, "at": "2024-01-01T00:00:00Z",
        "day": "2024-02-29", "uid": str(uuid.UUID(int=7)), "role": 1, "data": "AAH/", "anything": {"a": [1, None]},
        "friend": "1", "any_friend": "1", "old": "plain",
    }  # fmt: skip
    given["at"] = 1704067200  # numbers are seconds
    body = Create[Everything].model_validate(given)
    record = await body.new("1")
    assert record.data == b"\x00\x01\xff"
    assert record.friend == friend
    await record.save()
    shown = json.loads(Read[Everything].model_validate(await Everything.get("1")).model_dump_json())
    assert shown == {
        **{name: value for name, value in given.items() if name != "old"},
        "id": "1", "money": "9.9", "at": "2024-01-01T00:00:00Z", "any_friend": "member:1",
    }  # fmt: skip
    assert json.loads(pydantic.TypeAdapter(Everything).dump_json(record)) == shown
    schema = Read[Everything].model_json_schema()["properties"]
    assert schema["role"]["anyOf"][0]["enum"] == [1, 2]
    assert schema["data"]["anyOf"][0]["contentEncoding"] == "base64"
    with pytest.raises(pydantic.ValidationError, match="is no base64"):
        Create[Everything].model_validate({"data": "!"})


async def test_plain_md5_is_not_hashed_twice(db: Database) -> None:
    direct = Everything.new("1", old="plain")
    body = await Create[Everything].model_validate({"old": "plain"}).new("2")
    assert body.old == direct.old


async def test_fields_of_your_own_and_odd_names(db: Database) -> None:
    import ipaddress

    class Address(Field[Any]):
        def coerce(self, value: Any) -> Any:
            return ipaddress.ip_address(value)

        def from_db(self, text: str) -> Any:
            return ipaddress.ip_address(text)

    class Host(Model):
        address = Address(required=True)
        json = String()
        copy = String()
        schema = Integer()

    body = Create[Host].model_validate({"address": "10.0.0.1", "json": "j", "copy": "c", "schema": 1})
    host = await body.new("1")
    assert (host.json, host.copy, host.schema) == ("j", "c", 1)
    shown = Read[Host].model_validate(host).model_dump_json()
    assert json.loads(shown) == {"id": "1", "address": "10.0.0.1", "json": "j", "copy": "c", "schema": 1}


async def test_generated_models_follow_late_fields(db: Database) -> None:
    class Late(Model):
        one = String()

    first = Create[Late]
    assert Create[Late] is first
    setattr(Late, "two", Integer())  # noqa: B010
    assert set(Create[Late].model_fields) == {"one", "two"}
    assert Create[Late] is not first
    with pytest.raises(UsageError, match="takes a model class"):
        Create[int]  # type: ignore[type-var]
    with pytest.raises(UsageError, match="changes records of Late"):
        await Update[Late].model_validate({}).apply(Member("1"))  # type: ignore[arg-type]


# -- errors ----------------------------------------------------------------------------------------


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


# -- start, end, health ----------------------------------------------------------------------------


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
    before = server_.client().keys("*")
    assert (await ask(app, "/health")).body == b'{"status":"ok"}'
    assert server_.client().keys("*") == before
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
async def test_a_database_that_hangs_is_unhealthy_within_a_second() -> None:
    import asyncio
    import time

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    database = Database(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0")
    app = FastAPI()
    app.add_api_route("/health", health_route(database))
    began = time.monotonic()
    assert (await ask(app, "/health")).status == 503
    assert time.monotonic() - began < 3
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


# -- sessions --------------------------------------------------------------------------------------


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
        assert current() is unit
        user = Member.new("1", email="a@b.cc")
        assert user._session is unit
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
            assert current() is None
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
