"""Requests that no client should send are told what is wrong with them, and where; never a 500."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from fastapi import Cookie, FastAPI, Header
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from aioredisca import (
    AlreadyExists,
    Database,
    DateTime,
    Decimal,
    Float,
    Gone,
    Integer,
    Json,
    Model,
    StaleWrite,
    String,
    Tags,
    UniqueViolation,
    UsageError,
    ValidationError,
)
from aioredisca.fastapi import Create, PageSize, add_handlers, install
from aioredisca.web import detail_of

from .fastapi_app import client
from .support import ask, http

pytestmark = pytest.mark.memory_only


class Thing(Model):
    name = String(index=True)
    n = Integer(index=True)
    f = Float(index=True)
    d = Decimal(places=2)
    at = DateTime(index=True)
    j = Json[Any]()
    tags = Tags()


def make() -> FastAPI:
    app = FastAPI()
    install(app)

    @app.post("/typed")
    async def typed(body: Create[Thing]) -> Thing:
        return await body.new()

    @app.post("/dict")
    async def as_dict(body: dict[str, Any]) -> Thing:
        return Thing.new(**body)

    @app.get("/things/{thing}")
    async def by_id(thing: str) -> Thing:
        return await Thing.get(thing)

    @app.get("/numbers/{n}")
    async def by_number(n: str) -> list[Thing]:
        return await Thing.n.range(minval=n)  # type: ignore[arg-type]

    @app.get("/search")
    async def search(f: float | None = None, least: str | None = None) -> list[Thing]:
        if f is not None:
            return await (Thing.f >= f)
        return await Thing.n.range(minval=least)  # type: ignore[arg-type]

    @app.get("/pages")
    async def pages(
        size: PageSize = 10,
        after: str | None = None,
        x_after: Annotated[str | None, Header()] = None,
        seen: Annotated[str | None, Cookie()] = None,
    ) -> list[Thing]:
        return (await Thing.all().page(size, after=after or x_after or seen)).items

    return app


DIGITS = "9" * 401
BODIES: list[tuple[str, int, str | None]] = [
    ('{"n": NaN}', 422, "n"),
    ('{"n": -Infinity}', 422, "n"),
    ('{"n": 1e400}', 422, "n"),
    (f'{{"n": {DIGITS}}}', 422, "n"),
    (f'{{"n": {"9" * 5000}}}', 400, None),
    ('{"f": NaN}', 422, "f"),
    ('{"f": 1e400}', 422, "f"),
    (f'{{"f": {DIGITS}}}', 422, "f"),
    ('{"d": NaN}', 422, "d"),
    ('{"d": 1e400}', 422, "d"),
    ('{"d": "1e999999999"}', 422, "d"),
    ('{"at": NaN}', 422, "at"),
    ('{"at": 1e400}', 422, "at"),
    ('{"j": NaN}', 422, "j"),
    ('{"j": [{"a": 1e400}]}', 422, "j"),
    ('{"j": "\\ud800"}', 422, "j"),
    ('{"name": "\\ud800"}', 422, "name"),
    ('{"tags": ["\\udfff"]}', 422, "tags"),
    ('{"tags": [[NaN]]}', 422, "tags"),
    ('{"x": NaN}', 422, "x"),
    ('{"\\ud800": 1}', 422, None),
    ('{"a\\u0000": "\\ud800"}', 422, "a\x00"),
    ('{"x": ' + "[" * 900 + "]" * 900 + "}", 422, "x"),
    ("[" * 100_000, 400, None),
    ("[NaN]", 422, None),
    ("NaN", 422, None),
    ('"\\ud800"', 422, None),
    ("", 422, None),
]


@pytest.mark.parametrize("path", ["/typed", "/dict"])
@pytest.mark.parametrize(("body", "status", "field"), BODIES, ids=[body[:20] for body, *_ in BODIES])
def test_bodies(db: Database, raw: Any, path: str, body: str, status: int, field: str | None) -> None:
    answer = client(make()).post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert not raw.keys("thing:*")
    json.loads(answer.text, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    if field is not None:
        assert [item["loc"] for item in answer.json()["detail"]] == [["body", field]]
        assert all(
            item["msg"] and not item["msg"].startswith("Value error") for item in answer.json()["detail"]
        )


@pytest.mark.parametrize("path", ["/typed", "/dict"])
def test_bodies_that_are_no_text(db: Database, path: str) -> None:
    for body in (b'{"name": "\xff"}', b"\xff\xfe", b'{"\xed\xa0\x80": 1}'):
        answer = client(make()).post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)


def test_of_a_name_given_twice_the_last_counts_and_nul_is_a_character(db: Database) -> None:
    web = client(make())
    body = '{"name": "a", "name": "b\\u0000"}'
    for path in ("/typed", "/dict"):
        answer = web.post(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["name"]) == (200, "b\x00")


PATHS: list[tuple[str, int, list[str] | None]] = [
    ("/things/%00", 404, None),
    ("/things/%FF", 404, None),
    ("/things/%ED%A0%80", 404, None),
    (f"/things/{'x' * 600}", 422, ["path", "thing"]),
    ("/numbers/nan", 422, ["path", "n"]),
    ("/numbers/%00", 422, ["path", "n"]),
    (f"/numbers/{'9' * 5000}", 422, ["path", "n"]),
    ("/search?f=nan", 422, ["query", "f"]),
    ("/search?f=1e400", 200, None),
    (f"/search?f={DIGITS}", 200, None),
    ("/search?least=abc", 422, ["query", "least"]),
    ("/search?least=%00", 422, ["query", "least"]),
    ("/pages?after=nonsense", 422, ["query", "after"]),
    ("/pages?after=%00", 422, ["query", "after"]),
    ("/pages?after=%FF", 422, ["query", "after"]),
    ("/pages?size=5000", 422, ["query", "size"]),
    ("/pages?size=0", 422, ["query", "size"]),
    ("/pages?size=nan", 422, ["query", "size"]),
    (f"/pages?size={'9' * 5000}", 422, ["query", "size"]),
    ("/pages?size=1000", 200, None),
]


@pytest.mark.parametrize(("path", "status", "place"), PATHS, ids=[path[:30] for path, *_ in PATHS])
def test_paths_and_queries(db: Database, path: str, status: int, place: list[str] | None) -> None:
    answer = client(make()).get(path)
    assert answer.status_code == status, answer.text
    if place is not None:
        assert [item["loc"] for item in answer.json()["detail"]] == [place]


def test_headers_and_cookies(db: Database) -> None:
    web = client(make())
    assert web.get("/pages", headers={"X-After": "no"}).json()["detail"][0]["loc"] == ["header", "x-after"]
    assert web.get("/pages", headers={"Cookie": "seen=no"}).json()["detail"][0]["loc"] == ["cookie", "seen"]


@pytest.mark.asyncio_only
async def test_half_a_character_in_a_path(db: Database) -> None:
    answer = await ask(make(), "", scope={**http("/things/x"), "path": "/things/\ud800"})
    assert answer.status in (404, 422)


def test_a_size_of_the_program_is_its_own_mistake(db: Database) -> None:
    app = FastAPI()
    install(app)

    @app.get("/")
    async def page() -> list[Thing]:
        return (await Thing.all().page(5000)).items

    assert client(app).get("/").status_code == 500
    assert issubclass(UsageError, Exception)


def test_a_handler_of_the_app_s_own_stays(db: Database) -> None:
    async def own(request: Any, error: Any) -> Any:
        return JSONResponse("own", 418)

    before = FastAPI(exception_handlers={RequestValidationError: own})
    after = FastAPI()
    for app in (before, after):
        add_handlers(app)
        app.post("/")(typed_body)
    after.add_exception_handler(RequestValidationError, own)
    for app in (before, after):
        assert client(app).post("/", content="NaN").status_code == 418


async def typed_body(body: Create[Thing]) -> None: ...


# -- where it came from ----------------------------------------------------------------------------

SENT = {
    "path": {"id": "7", "n": "7"},
    "query": {"n": "abc", "after": "zzz", "slug": "home", "other": "abc"},
    "header": {"x-n": "late"},
}
PLACES: list[tuple[Any, list[list[str]]]] = [
    (ValidationError("T", "n", "is none", "abc"), [["query", "n"]]),
    (ValidationError("T", "age", "is none", "late"), [["header", "x-n"]]),
    (ValidationError("T", "age", "is none", 7), [["body", "age"]]),
    (ValidationError("T", "n", "is none", 7), [["path", "n"]]),
    (ValidationError("T", "n", "is none", 8), [["body", "n"]]),
    (ValidationError("T", "secret", "is none", None), [["body", "secret"]]),
    (ValidationError("T", "slug", "is none", None), [["query", "slug"]]),
    (ValidationError("T", "cursor", "is none", "zzz"), [["query", "after"]]),
    (ValidationError("T", "cursor", "is none", "in the body"), [["body", "cursor"]]),
    (ValidationError("T", "thing", "refers to nothing", Thing("7")), [["path", "id"]]),
    (ValidationError("T", "slug", "refers to nothing", Thing("home")), [["query", "slug"]]),
    (ValidationError("T", "thing", "refers to nothing", Thing("8")), [["body", "thing"]]),
    (AlreadyExists("T", "7"), [["path", "id"]]),
    (AlreadyExists("T", "8"), [["body", "id"]]),
    (Gone("T", "7"), [["path", "id"]]),
    (UniqueViolation("T", "owner, slug", "9"), [["body", "owner"], ["query", "slug"]]),
    (StaleWrite("T", "7", ["slug"]), [["query", "slug"]]),
]


@pytest.mark.parametrize(("error", "places"), PLACES)
def test_an_error_says_where_the_client_gave_what_is_refused(error: Any, places: Any) -> None:
    told: Any = detail_of(error, SENT)
    assert [item["loc"] for item in told] == places
    assert all(item["loc"][0] == "body" for item in detail_of(error))  # type: ignore[index]


def test_no_answer_holds_half_a_character() -> None:
    told: Any = detail_of(ValidationError("T", "\ud800", "no \ud800"))
    assert told == [{"type": "value_error", "loc": ["body", "\\ud800"], "msg": "no \\ud800"}]
    json.dumps(told, ensure_ascii=False).encode()
