"""A stored value that cannot be read: a plain 500, a log that names the record, and a way to go on."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fastapi import FastAPI

from aioredisca import CorruptRecord, Database, Integer, Model, NotLoaded, String, Tags, sync
from aioredisca.fastapi import Read, install

from .fastapi_app import client
from .support import ask

pytestmark = pytest.mark.memory_only

SECRET = "n0-number"


class Row(Model):
    n = Integer()
    name = String()
    tags = Tags()


class BlockingRow(sync.Model):
    n = Integer()


async def three(raw: Any) -> None:
    for id in "123":
        await Row.new(id, n=int(id)).save()
    raw.hset("row:2", "n", SECRET)


def make() -> FastAPI:
    app = FastAPI()
    install(app)

    @app.get("/said")
    async def said() -> list[Row]:
        return await Row.all()

    @app.get("/unsaid", response_model=None)
    async def unsaid() -> Any:
        return {"rows": await Row.all()}

    @app.get("/read")
    async def read() -> list[Read[Row]]:
        return await Row.all()  # type: ignore[return-value]

    @app.get("/one")
    async def one() -> Row:
        return await Row.get("2")

    @app.get("/value")
    async def value() -> int | None:
        return (await Row.get("2")).n

    @app.get("/readable")
    async def readable() -> list[Read[Row]]:
        shown = []
        async for row in Row.all():
            try:
                shown.append(Read[Row].model_validate(row))
            except CorruptRecord as error:
                logging.getLogger("shop").error("left out: %s", error)
        return shown

    return app


@pytest.mark.asyncio_only
@pytest.mark.parametrize("path", ["/said", "/unsaid", "/read", "/one", "/value"])
async def test_the_answer_tells_nothing_and_the_error_names_the_record(
    db: Database, raw: Any, path: str
) -> None:
    await three(raw)
    answer = client(make()).get(path)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    told = str((await ask(make(), path)).error)  # which servers write to their logs
    assert "Row.n in 'row:2' is no integer" in told
    assert SECRET not in told


@pytest.mark.asyncio_only
async def test_a_list_can_go_on_without_it(db: Database, raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    await three(raw)
    assert [row["id"] for row in client(make()).get("/readable").json()] == ["1", "3"]
    assert "left out: the stored value of Row.n in 'row:2' is no integer" in caplog.text
    assert SECRET not in caplog.text


async def test_read_raises_the_errors_of_the_library(db: Database, raw: Any) -> None:
    await three(raw)
    with pytest.raises(CorruptRecord) as caught:
        Read[Row].model_validate(await Row.get("2"))
    assert (caught.value.key, caught.value.field) == ("row:2", "n")
    with pytest.raises(NotLoaded):
        Read[Row].model_validate(Row("1"))
    assert Read[Row].model_validate({"id": "1", "n": 1, "name": None, "tags": None}).n == 1


@pytest.mark.blocking_only
async def test_the_same_of_blocking_records(db: Database, raw: Any) -> None:
    BlockingRow.new("1", n=1).save()
    raw.hset("blockingrow:1", "n", SECRET)
    with pytest.raises(CorruptRecord, match="in 'blockingrow:1' is no integer"):
        Read[BlockingRow].model_validate(BlockingRow.get("1"))
