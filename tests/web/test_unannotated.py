"""Records in answers where no annotation names their class: in the form of Read, or an error, never a part."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pydantic
import pydantic_core
import pytest
from fastapi import FastAPI, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from aioredisca import Database, NotLoaded
from aioredisca.fastapi import Create, Read

from .fastapi_app import BlockingMember, Member, Role, add, client

pytestmark = pytest.mark.memory_only

FORM = {
    "id": "1", "email": "1@b.cc", "name": "Ada", "age": 36, "role": 2, "friend": None,
    "joined": "2024-01-01T00:00:00Z",
}  # fmt: skip


def member(kind: type[Any] = Member) -> Any:
    record = kind.new("1", email="1@b.cc", name="Ada", age=36)
    record._private = "s3cret"
    return record


@dataclasses.dataclass
class Held:
    member: Any


class Modelled(pydantic.BaseModel):
    member: Member


class Untold(pydantic.BaseModel):
    member: Any


HOLDERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "itself": (lambda one: one, FORM),
    "list": (lambda one: [one], [FORM]),
    "tuple": (lambda one: (one, 1), [FORM, 1]),
    "generator": (lambda one: (each for each in [one]), [FORM]),
    "dict": (lambda one: {"member": one}, {"member": FORM}),
    "deep": (lambda one: {"a": [{"b": one}]}, {"a": [{"b": FORM}]}),
    "dataclass": (Held, {"member": FORM}),
    "read": (lambda one: Read[type(one)].model_validate(one), FORM),  # type: ignore[misc]
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("kind", [Member, BlockingMember])
@pytest.mark.parametrize("said", [True, False])
async def test_fastapi_shows_records_as_read(db: Database, kind: Any, holder: str, said: bool) -> None:
    hold, form = HOLDERS[holder]
    app = FastAPI()

    async def endpoint() -> Any:
        return hold(member(kind))

    if said:
        app.get("/", response_model=None)(endpoint)
    else:
        del endpoint.__annotations__["return"]
        app.get("/")(endpoint)
    assert client(app).get("/").json() == form
    assert jsonable_encoder(hold(member(kind))) == form


NOT_SAID: list[tuple[Any, Callable[[Any], Any]]] = [
    (Any, lambda one: one),
    (dict, lambda one: {"member": one}),
    (list[Any], lambda one: [one]),
    (Untold, lambda one: Untold(member=one)),
]


@pytest.mark.parametrize(("said", "hold"), NOT_SAID)
async def test_an_annotation_that_does_not_name_the_class_shows_nothing(
    db: Database, said: Any, hold: Callable[[Any], Any]
) -> None:
    app = FastAPI()

    @app.get("/", response_model=said)
    async def endpoint() -> Any:
        return hold(member())

    answer = client(app).get("/")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    with pytest.raises(pydantic_core.PydanticSerializationError, match="unknown type"):
        TestClient(app).get("/")


async def test_in_python_pydantic_keeps_what_it_was_given(db: Database) -> None:
    friend = Member("7")
    body = Create[Member].model_validate({"email": "a@b.cc", "friend": friend, "role": 1})
    assert body.model_dump(exclude_unset=True) == {"email": "a@b.cc", "friend": friend, "role": Role.ADMIN}
    assert body.model_dump(mode="json", exclude_unset=True) == {"email": "a@b.cc", "friend": "7", "role": 1}


async def test_a_page_is_shown_with_its_records(db: Database) -> None:
    await add()
    app = FastAPI()

    @app.get("/")
    async def page():  # type: ignore[no-untyped-def]
        return await Member.all().page(1)

    assert client(app).get("/").json() == {"items": [FORM], "next": None}


async def test_a_record_that_was_not_loaded_is_an_error_of_its_own(db: Database) -> None:
    with pytest.raises(NotLoaded, match="await the handle first"):
        jsonable_encoder(Member("1"))
    with pytest.raises(NotLoaded, match="await the handle first"):
        Read[Member].model_validate(Member("1"))


async def test_what_holds_no_values_is_refused(db: Database) -> None:
    record = member()
    for thing in (Member.all(), Member.age, Member, {"query": Member.where(Member.age == 1)}):
        with pytest.raises((ValueError, TypeError)):
            jsonable_encoder(thing)
    with pytest.raises(TypeError, match="not JSON serializable"):
        JSONResponse(record)


ORDERS = {
    "fastapi first": "import fastapi; from aioredisca import Model, Integer, String\n{declared}",
    "library first": "from aioredisca import Model, Integer, String; import fastapi\n{declared}",
    "model first": "from aioredisca import Model, Integer, String\n{declared}\nimport aioredisca.fastapi",
}
PROGRAM = """
from fastapi.encoders import jsonable_encoder
user = User.new("1", n=3, token="s3cret")
user._private = "s3cret"
print(jsonable_encoder([user]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_whatever_is_imported_first(order: str) -> None:
    declared = "class User(Model):\n    n = Integer()\n    token = String(secret=True)"
    program = ORDERS[order].format(declared=declared) + PROGRAM
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "[{'id': '1', 'n': 3}]\n", done.stderr


# -- other frameworks: an error, never a part of the record ----------------------------------------


async def test_starlette_refuses_a_record(db: Database) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def endpoint(request: Any) -> Response:
        return JSONResponse({"member": member()})

    answer = client(Starlette(routes=[Route("/", endpoint)])).get("/")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


@pytest.mark.parametrize("said", [Any, Member, list[Member], dict[str, Any], Held])
async def test_litestar_refuses_a_record(db: Database, said: Any) -> None:
    import litestar
    from litestar.testing import TestClient

    made = {Any: member(), Member: member(), list[Member]: [member()], Held: Held(member())}

    async def endpoint() -> Any:
        return made.get(said, {"member": member()})

    endpoint.__annotations__["return"] = said
    app = litestar.Litestar([litestar.get("/")(endpoint)], logging_config=None, openapi_config=None)
    with TestClient(app, raise_server_exceptions=False) as web:
        answer = web.get("/")
    assert (answer.status_code, "Ada" in answer.text, "s3cret" in answer.text) == (500, False, False)


async def test_litestar_shows_what_pydantic_shows(db: Database) -> None:
    import litestar
    from litestar.testing import TestClient

    @litestar.get("/")
    async def endpoint() -> Modelled:
        return Modelled(member=member())

    with TestClient(litestar.Litestar([endpoint], logging_config=None, openapi_config=None)) as web:
        assert web.get("/").json() == {"member": FORM}


def test_flask_and_quart_refuse_a_record(db: Database) -> None:
    import flask
    import quart

    for made in (flask.Flask("shop"), quart.Quart("shop")):
        app: Any = made
        for value in (member(BlockingMember), [member()], {"member": member()}, Held(member())):
            with pytest.raises(TypeError, match="not JSON serializable"):
                app.json.dumps(value)


def test_django_refuses_a_record(db: Database) -> None:
    from django.core.serializers.json import DjangoJSONEncoder

    for value in (member(BlockingMember), [member()], {"member": member()}, Held(member())):
        with pytest.raises(TypeError, match="not JSON serializable"):
            json.dumps(value, cls=DjangoJSONEncoder)


def test_celery_refuses_a_record_as_a_result(db: Database) -> None:
    from kombu.exceptions import EncodeError
    from kombu.serialization import dumps

    for value in (member(BlockingMember), {"member": member()}):
        with pytest.raises(EncodeError):
            dumps(value, "json")  # type: ignore[no-untyped-call]
