"""The calls that write: what is packed is what was asked, in whatever groups; and what replies mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioredisca.compiler.batches import MAX_LAYOUTS, NoScore, WriteLayouts, fast_call, grouped
from aioredisca.compiler.changes import Change, Increment, Mode, More, referrers_in, schemas_of
from aioredisca.compiler.positions import ASKS_FAST, ASKS_PLAIN, Fast, Group
from aioredisca.compiler.positions import Increment as Added
from aioredisca.compiler.writes import (
    Counted,
    FoundOrCreated,
    Lost,
    Refusal,
    collect_outcome,
    get_or_create_call,
    get_or_create_outcome,
    write_call,
    write_outcome,
)
from aioredisca.storage.keys import Keys, joined, long_digest
from aioredisca.storage.schema import Compound, FieldSpec, Referrer, Schema
from aioredisca.types import Arg, Call


def score(raw: bytes) -> str:
    return str(int(raw))


ROW = Schema(
    "Row",
    Keys("", "row"),
    (
        FieldSpec("email", unique=True),
        FieldSpec("size", index="range", score=score),
        FieldSpec("city", index="exact"),
        FieldSpec("slug"),
        FieldSpec("note"),
    ),
    (Compound(("city", "size")), Compound(("email", "slug"), unique=True)),
)
SIMPLE = Schema("Simple", Keys("", "simple"), ROW.fields[1:3] + ROW.fields[4:])
NUMBERS = {"row": 1, "simple": 2}
PLACES = {"a:1": 7, "a:2": 8}


# -- groups, read as write/parse.lua reads them ----------------------------------------------------


@dataclass
class Packed:
    """A change as it arrives: by its class, mode and care, with its values by name."""

    number: int
    mode: str
    care: Any
    sets: dict[str, Any]
    drops: set[str]
    free: set[str]
    reads: list[str]
    extras: dict[str, Any]
    expected: list[Any]
    parents: dict[str, Any]
    added: list[Any]


def arrived(arguments: list[Arg]) -> Iterator[Packed]:
    left = iter(arguments)

    def take(count: Any) -> list[Any]:
        return [next(left) for _ in range(int(count))]

    for _ in range(int(next(left))):
        head = Group(*take(len(Group._fields)))
        names = [take(n) for n in (head.free, head.drops, head.reads, head.sets, head.others, head.extras)]
        free, drops, reads, sets, others, extras = names
        parents = take(head.parents)
        take(head.sums)
        take(head.tokens)
        for _ in range(head.rows):
            values = dict(zip(sets + others, take(head.sets + head.others), strict=True))
            along = dict(zip(extras, take(head.extras), strict=True))
            expected = take(head.expected)
            checked = dict(zip(parents, take(head.parents), strict=True))
            added = take(len(Added._fields) * head.sums)
            yield Packed(
                head.class_number,
                head.mode,
                head.care,
                values,
                {*drops},
                {*free},
                reads,
                along,
                expected,
                checked,
                added,
            )
    assert [*left] == []


VALUES = {
    "email": st.binary(max_size=3),
    "size": st.integers(0, 99).map(lambda number: b"%03d" % number),
    "city": st.sampled_from([b"", b"a", b"x" * 600]),
    "slug": st.binary(max_size=3),
    "note": st.binary(max_size=3),
    "undeclared": st.binary(max_size=3),
}
MODES: dict[Mode, str] = {"create": "c", "update": "u", "upsert": "s", "delete": "d", "index": "i"}


@st.composite
def changes(draw: Any) -> Change:
    mode: Mode = draw(st.sampled_from([*MODES]))
    names = draw(st.lists(st.sampled_from([*VALUES]), unique=True, max_size=4))
    sets = {name: draw(VALUES[name]) for name in names[:2]} if mode != "delete" else {}
    expect = {name: draw(st.none() | st.binary(max_size=2)) for name in names[:1] if draw(st.booleans())}
    schema = draw(st.sampled_from([ROW, ROW, ROW, SIMPLE]))
    if schema is SIMPLE:
        sets = {name: value for name, value in sets.items() if name not in ("email", "slug")}
    drops = tuple(names[2:]) if mode == "update" else ()
    again, skip = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    parents = tuple((name, draw(st.sampled_from([*PLACES])), "", False) for name in names[:1] if name in sets)
    id = draw(st.text(min_size=1, max_size=3))
    return Change(schema, id, mode, sets, drops, expect, again, skip, parents=parents)


@given(st.lists(changes(), min_size=1, max_size=6), st.booleans())
def test_what_arrives_is_what_was_asked_one_by_one(asked: list[Change], alone: bool) -> None:
    check(asked, alone)


VARIATIONS: list[dict[str, Any]] = [
    {"id": "2"},
    {"sets": {"email": b"f"}},
    {"sets": {"email": b"e", "note": b"n"}},
    {"drops": ("slug",)},
    {"drops": ()},
    {"expect": {"slug": None}},
    {"expect": {"email": b""}},
    {"expect": {}},
    {"again": True},
    {"skip": True},
    {"mode": "upsert"},
    {"parents": (("email", "a:1", "a", False),)},
    {"parents": (("email", "a:2", "a", False),)},
    {"schema": SIMPLE, "sets": {}},
    {"sets": {"email": b"e", "size": b"1"}},
    {"sets": {"email": b"e", "size": b"01"}},
    {"sets": {"email": b"e", "city": b"c" * 600}},
]


@pytest.mark.parametrize("one", VARIATIONS)
@pytest.mark.parametrize("other", [{}, *VARIATIONS[-3:]])
def test_neighbours_that_differ_in_one_thing_keep_what_is_theirs(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    base = Change(ROW, "1", "update", {"email": b"e"}, ("note",), {"email": None})
    first, second = replace(base, **other), replace(base, **one)
    check([first, second, first, base], alone=False)


def check(asked: list[Change], alone: bool) -> None:
    found = [*arrived(grouped(asked, NUMBERS, PLACES, alone=alone))]
    assert len(found) == len(asked)
    for one, change in zip(found, asked, strict=True):
        tracked = change.schema.tracked_keys
        assert one.number == NUMBERS[change.schema.keys.base]
        assert one.mode == MODES[change.mode]
        assert one.care == ("p" if change.skip else int(change.again))
        assert one.sets == change.sets
        if change.mode == "delete":
            assert one.drops == {*tracked}
        else:
            assert one.drops == {name for name in change.drops if name in tracked}
            assert one.free == {name for name in change.drops if name not in tracked}
        assert one.reads[: len(change.expect)] == [*change.expect]
        wanted = [b"" if value is None else b"=" + value for value in change.expect.values()]
        assert one.expected == wanted
        assert one.parents == {name: PLACES[key] for name, key, _, _ in change.parents}
        long = {n: long_digest(v).encode() for n, v in change.sets.items() if n == "city" and len(v) > 512}
        scores = {
            n: score(v).encode() for n, v in change.sets.items() if n == "size" and score(v).encode() != v
        }
        assert one.extras == long | scores


def test_changes_alike_are_one_group_and_one_that_may_be_passed_over_is_alone() -> None:
    several = [Change(ROW, str(n), "create", {"email": b"%d" % n}) for n in range(5)]
    assert grouped(several, NUMBERS, {}, alone=False)[0] == 1
    assert grouped(several, NUMBERS, {}, alone=True)[0] == 5
    for one in several:
        one.skip = True
    assert grouped(several, NUMBERS, {}, alone=False)[0] == 5


def test_the_other_members_of_a_compound_are_read() -> None:
    ((by_size,), (by_slug,), (by_note,)) = (
        [*arrived(grouped([Change(ROW, "1", "update", {name: b"1"})], NUMBERS, {}, alone=False))]
        for name in ("size", "slug", "note")
    )
    assert (by_size.reads, by_slug.reads, by_note.reads) == (["city"], ["email"], [])


def test_an_increment_brings_its_bounds() -> None:
    change = Change(ROW, "1", "incr", more=More(sums={"size": Increment("size", 5, low=0)}))
    (found,) = arrived(grouped([change], NUMBERS, {}, alone=False))
    assert (found.mode, found.sets, found.added) == ("u", {"size": b""}, [5, 0, "", 0])


def test_a_value_without_a_score_stops_the_call() -> None:
    change = Change(ROW, "1", "create", {"size": b"many"})
    with pytest.raises(NoScore) as caught:
        write_call([change, change])
    assert (caught.value.change, caught.value.key) == (change, "size")


# -- fast paths ------------------------------------------------------------------------------------


def sent(call: Call) -> list[Any]:
    reader = hiredis.Reader()
    reader.feed(call.packed)
    found: list[Any] = reader.gets()
    return found


@pytest.mark.parametrize("id", ["1", "%d", "\udcff\u00e4"])
def test_a_fast_call_holds_the_change(id: str) -> None:
    change = Change(SIMPLE, id, "update", {"size": b"007", "note": b"%b"}, ("city",))
    call = fast_call(change)
    assert call is not None
    raw = id.encode("utf-8", "surrogateescape")
    verb, sha, count, *rest = sent(call)
    keys, arguments = rest[: int(count)], rest[int(count) :]
    assert (verb, call.keys, call.writes) == (b"EVALSHA", (b"simple:" + raw,), True)
    assert call.script is not None
    assert sha.decode() == call.script.sha
    assert keys == [*(key.encode() for key in SIMPLE.fixed_keys), b"simple:" + raw]
    head: Any = Fast(*arguments[: len(Fast._fields)])
    assert (head.asks, head.id, head.mode) == (ASKS_FAST.encode(), raw, b"u")
    pairs = [b"size", b"007", b"note", b"%b", b"size", b"7", b"city"]
    assert arguments[len(head) :] == pairs
    assert arguments[int(head.last_pair) - 1] == b"%b"
    assert arguments[int(head.last_extra) - 1] == b"7"


def test_an_update_that_no_index_knows_of_names_the_record_only() -> None:
    call = fast_call(Change(ROW, "1", "update", {"note": b"x", "undeclared": b"y"}))
    assert call is not None
    _, _, count, *rest = sent(call)
    assert (count, rest[:2]) == (b"2", [b"row/meta", b"row:1"])
    assert rest[2:] == [ASKS_PLAIN.encode(), b"1", b"note", b"x", b"undeclared", b"y"]


@pytest.mark.parametrize(
    "change",
    [
        Change(SIMPLE, "1", "update", {"size": b"1"}, expect={"size": None}),
        Change(SIMPLE, "1", "update", {"size": b"1"}, again=True),
        Change(SIMPLE, "1", "update", {"size": b"1"}, skip=True),
        Change(SIMPLE, "1", "incr", more=More(sums={"size": Increment("size", 1)})),
        Change(SIMPLE, "1", "index", {"size": b"1"}),
        Change(SIMPLE, "1", "create", {str(n): b"" for n in range(10_000)}),
        Change(ROW, "1", "update", {"size": b"1"}),  # an index over two fields
    ],
    ids=["expects", "again", "skip", "increment", "index", "big", "compound"],
)
def test_what_is_special_goes_the_general_way(change: Change) -> None:
    assert fast_call(change) is None
    call = write_call([change])
    assert call.packed == b""
    assert call.keys == (*change.schema.fixed_keys, change.schema.keys.record("1"))


def test_layouts_are_made_once_and_not_kept_for_ever() -> None:
    known = WriteLayouts(SIMPLE)
    one, two = (Change(SIMPLE, id, "update", {"note": b"x"}) for id in "12")
    assert known.plain_layout(one) is known.plain_layout(two)
    for number in range(3 * MAX_LAYOUTS):
        known.plain_layout(Change(SIMPLE, "1", "update", {f"n{number}": b""}))
    assert len(known._layouts) <= MAX_LAYOUTS


# -- scopes, get or create -------------------------------------------------------------------------


def test_classes_are_numbered_by_their_keys_and_deletes_reach_their_referrers() -> None:
    reached = Referrer("row", SIMPLE, "note", "", "cascade", "Simple.note")
    delete = Change(ROW, "1", "delete", referrers=(reached,))
    assert referrers_in([delete, delete]) == [reached]
    assert schemas_of([delete], [reached]) == {"simple": SIMPLE, "row": ROW}
    call = write_call([delete])
    assert call.keys == (*ROW.fixed_keys, *SIMPLE.fixed_keys, "row:1")
    plain = write_call([Change(SIMPLE, "1", "index"), Change(ROW, "2", "index")])
    assert plain.keys == (*ROW.fixed_keys, *SIMPLE.fixed_keys, "simple:1", "row:2")
    assert call.script != plain.script


@pytest.mark.parametrize(
    ("key", "tail"),
    [
        ({"email": b"e"}, ["row/u/email", "e:u:email", b"e", 1, 0, "email", b"e"]),
        (
            {"slug": b"s", "email": b"e"},
            [
                "row/u/email/slug",
                "e:U:5:email4:slug",
                joined([b"e", b"s"]),
                2,
                0,
                "email",
                "slug",
                b"e",
                b"s",
            ],
        ),
    ],
)
def test_get_or_create_names_the_unique_index(key: dict[str, bytes], tail: list[Any]) -> None:
    call = get_or_create_call(Change(ROW, "1", "create", key), None, key)
    end = [*call.args[: -len(ROW.read_fields)]][-len(tail) :]
    end[0] = call.keys[int(end[0]) - 1]
    assert end == tail
    assert call.args[-len(ROW.read_fields) :] == ROW.read_fields


# -- outcomes --------------------------------------------------------------------------------------


def test_outcomes() -> None:
    counted = Counted(created=False, fields=("city",), sums=(b"7", b"8"))
    told = [b"OK", 1, 0, 2, [1, b"city"], [0, [b"7", b"8"], b"city"]]
    assert write_outcome(told) == [True, False, None, Lost(created=True, fields=("city",)), counted]
    assert collect_outcome([b"OK", [b"a"]]) == [b"a"]
    refused = [b"unique", 3, b"email", b"\xff"]
    refusal = Refusal("unique", 2, ("email", "\ufffd"))
    for outcome in (write_outcome, collect_outcome):
        assert outcome(refused) == refusal
    assert get_or_create_outcome(ROW, refused) == refusal
    assert get_or_create_outcome(ROW, [b"OK", 1, b"7"]) == FoundOrCreated("7", created=True, fields={})
    there = get_or_create_outcome(ROW, [b"OK", 0, b"\xff", b"e", None, b"c", None, None, None])
    assert there == FoundOrCreated(
        "\udcff",
        created=False,
        fields={"email": b"e", "size": None, "city": b"c", "slug": None, "note": None},
    )
