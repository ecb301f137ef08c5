"""Pages and their cursors: bound to a query, not to be forged, stable."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aioredisca import Database, UsageError, ValidationError, conf

from .support import City, Row, ids, rows


async def test_a_cursor_is_bound_to_its_query_and_strictly_decoded(db: Database) -> None:
    await rows(20, size=lambda i: i, country=lambda i: "FI")
    query = (Row.country == "FI").order_by(Row.size)
    first = await query.page(5)
    assert len(first) == 5
    assert ids(first) == ids(first.items)
    cursor = first.next
    assert cursor is not None
    assert ids((await query.page(5, after=cursor)).items) == [f"{i:05}" for i in range(5, 10)]
    others: list[Any] = [
        (Row.country == "SE").order_by(Row.size),
        (Row.country == "FI").order_by(Row.size.desc()),
        (Row.country == "FI").order_by(Row.size, Row.name),
        Row.country == "FI",
        City.all(),
    ]
    for other in others:
        with pytest.raises(ValidationError, match="no cursor of this query"):
            await other.page(5, after=cursor)
    for wrong in (
        "",
        "x",
        "é",
        cursor[:-1],
        cursor + "A",
        cursor.swapcase(),
        " " + cursor,
        5,
        b"x",
        cursor * 9000,
    ):
        with pytest.raises(ValidationError, match="cursor"):
            await query.page(5, after=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="1 to 1,000 records"):
        await query.page(0)
    with pytest.raises(UsageError, match="its own size"):
        await query.limit(5).page(5)
    with pytest.raises(UsageError, match="secret"):
        await Row.all().order_by(Row.hidden).page(5)


async def test_with_a_secret_no_cursor_can_be_forged(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await rows(20, size=lambda i: i)
    query = Row.all().order_by(Row.size)
    unsigned = (await query.page(5)).next
    monkeypatch.setattr(conf, "secret", b"key")
    signed = (await query.page(5)).next
    assert unsigned != signed
    assert len(await query.page(5, after=signed)) == 5
    with pytest.raises(ValidationError):
        await query.page(5, after=unsigned)
    assert signed is not None
    altered = bytearray(base64.urlsafe_b64decode(signed + "=="))
    altered[-1] ^= 1
    with pytest.raises(ValidationError):
        await query.page(5, after=base64.urlsafe_b64encode(altered).decode().rstrip("="))


async def test_pages_are_stable_under_inserts_and_deletes(db: Database) -> None:
    await rows(40, size=lambda i: i * 10)
    query = Row.all().order_by(Row.size)
    seen, cursor = list[str](), None
    for step in range(9):
        page = await query.page(5, after=cursor)
        seen += ids(page)
        cursor = page.next
        await Row.new(f"before-{step}", size=-step).save()  # before the cursor: never seen
        await Row(f"{step * 5:05}").delete()  # seen already, and gone with what the cursor stands on
        if cursor is None:
            break
    assert seen == [f"{i:05}" for i in range(40)]
