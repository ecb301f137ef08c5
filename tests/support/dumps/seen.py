"""What the library reads of the store that ``make_dump.py`` writes, and what it can still do with it."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

from aioredisca import RediscaError, Restricted, UniqueViolation, reindex, session, sync
from tests.support.dumps import models
from tests.support.dumps.models import LONG


async def seen() -> dict[str, Any]:
    """All records as the library reads them, and the answers to queries of every index."""
    records = dict[str, Any]()
    for model in models.MODELS:
        for id in await model.all().ids():
            record = await model(id).load(raw=True)
            values = {name: shown(value) for name, value in sorted(record.export().items())}
            records[f"{model.__name__} {id}"] = [
                values,
                sorted(record.raw_export().items(), key=repr).__repr__(),
            ]
    answers = dict[str, Any]()
    for name, query in queries().items():
        answers[name] = [await query.ids(), await query.count()]
    return {"records": records, "answers": answers, "collections": await collections()}


def shown(value: Any) -> str:
    if isinstance(value, decimal.Decimal):  # 10.1 of the older library and 10.10 are one value
        value = value.quantize(1) if value == value.to_integral_value() else value.normalize()
    return repr(sorted(value)) if isinstance(value, set) else repr(value)


def queries() -> dict[str, Any]:
    """At least one query of every index."""
    kind, person, apple, waited = models.Kind, models.Person, models.Apple, models.Waited
    columns = ("text both wide exact_ratio exact_price exact_at exact_day uid blob old_password code").split()
    columns += "email ratio number price at day flag colour level language any_language ip ordered".split()
    found = {f"{name} ==": getattr(kind, name) == models.WHOLE[name] for name in columns}
    nullable = (
        "text ordered both number wide ratio price flag at day uid colour level blob labels language ip"
    )
    for name in nullable.split():
        found[f"{name} none"] = getattr(kind, name).is_none()
        found[f"{name} !="] = getattr(kind, name).not_none()
    for name in "ratio number price at day ip ordered email".split():
        found[f"{name} >="] = getattr(kind, name) >= models.WHOLE[name]
        found[f"{name} desc"] = kind.all().order_by(getattr(kind, name).desc()).limit(9)
    return found | {
        "dialects": kind.any_language == models.Dialect("en"),
        "long": kind.text == LONG,
        "long and unique": kind.both == LONG,
        "starts": kind.ordered.startswith("o0"),
        "has": kind.labels.has("label 1"),
        "has all": kind.labels.has_all(["label 0", "label 1"]),
        "has any": kind.labels.has_any(["new", "only here", "label 2"]),
        "in": kind.text.in_(["Ada", "text 1", None]),
        "tree": ((kind.number >= 0) & ~(kind.flag == True) | kind.labels.has("new")).order_by(kind.text),  # noqa: E712
        "pair": (person.family == "F5") & (person.born >= datetime.date(1991, 1, 1)),
        "pair in order": (person.country == "BR").order_by(person.height.desc()).limit(10),
        "given": person.given.startswith("G1"),
        "together": (person.family == "F1") & (person.given == "G1"),
        "visits": person.visits > 0,
        "scan": (person.note == "Finnish").scan(),
        "apples": apple.weight > 0.2,
        "no parent": apple.parent.is_none(),
        "kind": apple.kind == "Boskop",
        "books": models.Book.author == "eve",
        "title": models.Book.title == "eve 2",
        "remarks": models.Remark.book.is_none(),
        "loans": models.Loan.book == "bob1",
        "boards": models.Board.title == "Go",
        "language": models.Language.name == "name of en",
        "dialect": models.Dialect.region == "Süd",
        "waited": waited.age >= 1,
        "waited tags": waited.tags.has("y"),
        "nick": waited.nick == "b2",
        "blocking name": waited.name == LONG,
    }


async def collections() -> dict[str, Any]:
    found = dict[str, Any]()
    for id in await models.Board.all().ids():
        board = models.Board(id)
        found[id] = [
            shown(await board.log.range()),
            shown(await board.numbers.range()),
            sorted(player.id for player in await board.players.members()),
            shown(await board.days.members()),
            shown(await board.scores.bottom(10)),
            await board.visits.get(),
        ]
    for id in await models.Book.all().ids():
        found[f"book {id}"] = shown(await models.Book(id).log.range())
    return found


async def refusal(operation: Any) -> RediscaError | None:
    """The error of an operation, or None if it has none."""
    try:
        await operation
    except RediscaError as error:
        return error
    return None


async def change() -> list[Any]:
    """Update, refuse and delete what was written before; the classes that lie in the store afterwards."""
    for model in models.MODELS:
        ids = await model.all().ids()
        for record in await model.get_many(ids[: len(ids) // 2]):
            name = next(
                name for name in ("text", "name", "title", "note", "kind", "book") if hasattr(model, name)
            )
            setattr(record, name, f"changed {record.id[:9]}" if name != "book" else "eve2")
            await record.save()
            assert await model(record.id).exists()
    kind: Any = models.Kind
    person: Any = models.Person
    author: Any = models.Author
    error = await refusal(kind.new("thief", code="left over").save())
    assert isinstance(error, UniqueViolation)
    assert (error.field, error.holder) == ("code", "n8")
    found, created = await kind.update_or_create(email="n4@example.com", defaults={"number": 4})
    assert (found.id, created) == ("n5", False)
    whole = await kind.get("whole")
    assert await kind.password.verify(whole, "no") is False
    for name in sorted(models.WHOLE):
        setattr(whole, name, None)
    await whole.save()
    for name, value in models.WHOLE.items():
        setattr(whole, name, value)
    await whole.save(if_unchanged="record")
    assert (await (kind.ip == "10.0.0.9").one()).id == "whole"
    for id in ("long", "longer", "nothing", "n8"):
        assert await kind(id).delete()
    await kind.new("thief", code="left over", both=LONG).save()  # both are free now
    assert await kind("n9").incr(kind.number, 1) > 0
    await (person.family == "F5").scan().update(family="F5b")
    await (person.country == "BR").incr(person.height, 3)
    await person.delete_many(["p006", "p007", "ses"])
    async with session(autosave=True) as s:
        first, second = await person.get_many(["p010", "p011"])
        first.family, first.given, second.family, second.given = "F4", "G11", "F3", "G10"
        s.delete(await person.get("p012"))
    assert isinstance(await refusal(author("bob").delete()), Restricted)
    await author("eve").delete()
    board = models.Board("1")
    await board.log.append("later")
    assert await board.log.len() == 4
    assert await board.visits.incr(2**40) == 1
    await board.scores.incr("ada", 1)
    await models.Board("zwei/ä").delete()
    await models.Apple("Ä").delete()
    with sync.allow_blocking():
        blocking = models.Blocking
        blocking("m0").delete()
        bob = blocking.get("b")
        assert bob.name in (LONG, "changed b")
        bob.nick, bob.tags = "bob", {"z"}
        bob.save()
    grown = list[Any]()
    for prefix in ("dgrown", "dbuilt"):
        later = models.grown(prefix, before=False)
        if prefix == "dgrown":
            assert (await reindex(later)).problems == []
        assert [one.id for one in await (later.number >= 2)] == ["2", "3", "new"]
        await later("2").delete()
        grown.append(later)
    return [*models.MODELS, *grown]
