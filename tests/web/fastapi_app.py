"""An app with an endpoint for each way in which a record goes in and out."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Any

import anyio.from_thread
import pydantic
from fastapi import BackgroundTasks, Body, FastAPI, HTTPException
from fastapi.testclient import TestClient

from aioredisca import DateTime, Email, Enum, Integer, Model, Password, Reference, String, conf, sync
from aioredisca.fastapi import Create, Read, Update, install


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


class Wrapped(pydantic.BaseModel):
    best: Member
    others: list[Member]


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
        assert user.__state__.unit is None
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
