"""FastAPI: records as bodies and answers, and their schemas."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pydantic
import pytest

from aioredisca import (
    UUID,
    Bool,
    Bytes,
    Database,
    Date,
    DateTime,
    Decimal,
    Enum,
    Field,
    Float,
    Integer,
    Json,
    MD5Pass,
    Model,
    Reference,
    String,
    UsageError,
)
from aioredisca.fastapi import Create, Read, Update
from aioredisca.fields import hashing

from .fastapi_app import Member, Role, add, client, make

pytestmark = pytest.mark.memory_only


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


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    import argon2

    monkeypatch.setattr(hashing, "hasher", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


# -- in and out ----------------------------------------------------------------------------------


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


# -- the schemas ---------------------------------------------------------------------------------


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
        "id": "1", "money": "9.90", "at": "2024-01-01T00:00:00Z", "any_friend": "member:1",
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
