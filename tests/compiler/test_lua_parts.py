"""The parts of the Lua scripts: what they declare is true, each finds what it needs, comments are not sent."""

from __future__ import annotations

import itertools
import re
import types
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest

from aioredisca import Database, Integer, ListOf, Model, String, Tags, conf
from aioredisca.compiler import parts as lua
from aioredisca.compiler.fast_single import fast_paths
from aioredisca.compiler.parts import (
    BrokenScript,
    Part,
    bare,
    complete,
    declared,
    filled,
    only_if,
    part,
    source,
)
from aioredisca.compiler.positions import NAMES
from aioredisca.compiler.rendering import rendered, rendered_for_cascade
from aioredisca.compiler.scripts import (
    CLAIM_PARTS,
    INDEX_PARTS,
    MIGRATE_PARTS,
    QUERY_PARTS,
    SHARED_PARTS,
    SMALL_PARTS,
    UNDECLARED,
    WRITE_EXTRAS,
    abort_script,
    build_script,
    claim_script,
    collect_script,
    composed,
    field_end_script,
    get_or_create_script,
    journaled_script,
    probe_script,
    query_script,
    small_script,
    sweep_script,
    take_script,
    verify_script,
    write_script,
)
from aioredisca.storage.schema import Compiled, FieldSpec, Schema, spread
from aioredisca.types import Script

from ..support.lua_names import names_of

SERVER = set(
    "redis KEYS ARGV cjson ipairs math next pairs pcall string table tonumber tostring type unpack".split()
)
"""What the server gives every script."""

FOLDER = resources.files("aioredisca.compiler").joinpath("lua")
FILES = sorted(
    f"{folder.name}/{file.name.removesuffix('.lua')}"
    for folder in FOLDER.iterdir()
    if folder.is_dir()
    for file in folder.iterdir()
)
TEMPLATE = "write/fast_single"
PARTS = [name for name in FILES if name != TEMPLATE]


# -- what parts declare ----------------------------------------------------------------------------


def untruths(name: str, text: str) -> list[str]:
    """What a part declares and is not so."""
    needs, gives = declared(text, name)
    real = names_of(filled(bare(text)))
    wrong = [f"needs {one}, and does not use it" for one in sorted({*needs} - real.free)]
    wrong += [f"uses {one}, and does not need it" for one in sorted(real.free - {*needs} - SERVER)]
    return wrong + [f"gives {one}, and does not have it" for one in sorted({*gives} - real.left)]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_needs_and_gives_what_it_says(name: str) -> None:
    assert untruths(name, source(name)) == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("-- needs: call, leave, send,", "-- needs: call, leave,"), "uses send, and does not need it"),
        (
            ("-- needs: call, leave, send,", "-- needs: call, leave, send, groups,"),
            "needs groups, and does not use it",
        ),
        (("-- gives: write_range", "-- gives: write_range, come"), "gives come, and does not have it"),
        (("local function write_range", "local function write_scores"), "gives write_range, and does not"),
        (("local come, replaced, gone = 0", "local come, replaced = 0"), "uses gone, and does not need it"),
    ],
)
def test_control_a_wrong_declaration_is_found(wrong: tuple[str, str], why: str) -> None:
    text = source("write/range").replace(*wrong)
    assert why in " ".join(untruths("write/range", text))


def test_a_part_without_declarations_is_refused() -> None:
    with pytest.raises(BrokenScript, match=r"lua/x\.lua does not begin with its needs and gives"):
        declared("-- Some part.\nlocal x = 1\n", "x")


# -- compositions ----------------------------------------------------------------------------------


def model_of(fields: dict[str, Any], **settings: Any) -> Any:
    made: Any = types.new_class("Some", (Model,), exec_body=lambda body: body.update(fields))
    return conf(**settings)(made) if settings else made


KINDS: dict[str, Any] = {
    "note": lambda: String(),
    "title": lambda: String(required=True),
    "email": lambda: String(unique=True),
    "name": lambda: String(index=True),
    "age": lambda: Integer(index=True),
    "word": lambda: String(index="sorted"),
    "tags": lambda: Tags(index=True),
    "parts": lambda: ListOf(String()),
}


@pytest.fixture
def schemas(db: Database) -> list[Schema]:
    """Classes with each pair of kinds of fields, and with indexes over several fields."""
    pairs = [{one: KINDS[one](), two: KINDS[two]()} for one, two in itertools.combinations(KINDS, 2)]
    everything = {name: kind() for name, kind in KINDS.items()} | {"owner": String(), "slug": String()}
    models = [model_of(fields) for fields in pairs]
    models.append(model_of(everything, unique=[("owner", "slug")], index=[("owner", "age")]))
    models.append(model_of({"owner": String(), "slug": String()}, unique=[("owner", "slug")]))
    models.append(model_of({"owner": String(), "age": Integer(index=True)}, index=[("owner", "age")]))
    return [model.__mapper__.schema(db) for model in models]


def with_fields_that_end(schemas: list[Schema]) -> list[Schema]:
    """These classes, with two fields more that end."""
    more = (FieldSpec("brief", ttl=60000), FieldSpec("briefer", ttl=1), FieldSpec("loose", ttl=0))
    return [replace(one, fields=(*one.fields, *more), compiled=Compiled()) for one in schemas]


def compositions(schemas: list[Schema]) -> list[Script]:
    """Every kind of script in use."""
    found = [small_script(name) for name in SMALL_PARTS]
    found += [query_script(answer, expires) for answer in QUERY_PARTS for expires in (False, True)]
    for make in (collect_script, field_end_script, probe_script):
        found += [make(either) for either in (False, True)]
    found += [claim_script(name) for name in CLAIM_PARTS]
    spreads = [spread(one, 4).parts[0] for one in schemas]
    for one in [*spreads, *(replace(one, expires=True, compiled=Compiled()) for one in spreads)]:
        alone = (rendered(one, 1),)
        found += [verify_script(alone[0]), abort_script(alone[0]), write_script(alone, ())]
        found += [write_script(alone, (extra,)) for extra in ("increment", "after")]
        found += [build_script(alone[0]), sweep_script(alone[0])]
    schemas = [*schemas, *with_fields_that_end(schemas)]
    ending = [replace(schema, expires=True, compiled=Compiled()) for schema in schemas]
    found += [sweep_script(rendered(schema, 1)) for schema in ending]
    for schema in schemas + ending:
        alone, cascades = (rendered(schema, 1),), (rendered_for_cascade(schema, 1, ()),)
        found += [
            build_script(alone[0]),
            take_script(alone, ()),
            get_or_create_script(alone, ()),
            get_or_create_script(alone, ("parents",)),
            write_script(alone, ()),
            write_script(alone, ("increment",)),
        ]
        found += [write_script(cascades, ("cascade",)), write_script(cascades, WRITE_EXTRAS)]
    found += [collect_script(expires, 100) for expires in (False, True)]
    for schema in (replace(one, feed=100, compiled=Compiled()) for one in (schemas[0], ending[0], *spreads)):
        alone = (rendered(schema, 1),)
        found += [write_script(alone, ()), write_script(alone, ("after",)), get_or_create_script(alone, ())]
        found += [build_script(alone[0]), sweep_script(alone[0])]
    both = (rendered(schemas[0], 1), rendered(schemas[-1], 1 + len(schemas[0].fixed_keys)))
    return [*found, write_script(both, ())]


@pytest.mark.slow
@pytest.mark.memory_only
@pytest.mark.asyncio_only
async def test_every_composition_finds_what_it_needs_and_sets_no_global(schemas: list[Schema]) -> None:
    for script in compositions(schemas):
        names = names_of(script.text)
        assert names.free <= SERVER
        assert names.made == set()


@pytest.mark.memory_only
@pytest.mark.asyncio_only
async def test_fast_paths_need_what_they_say(schemas: list[Schema]) -> None:
    for one in itertools.chain(*map(fast_paths, [*schemas, *with_fields_that_end(schemas)])):
        names = names_of(one.code)
        assert {*one.needs} == names.free - SERVER
        assert names.made == set()


def test_control_a_part_before_what_it_needs_is_refused() -> None:
    call, holds, stamp = part("shared/call"), part("shared/holds"), part("shared/stamp")
    complete([call, holds, stamp])
    with pytest.raises(BrokenScript, match="the part shared/holds needs call, which none before it gives"):
        complete([holds, call])
    with pytest.raises(BrokenScript, match="needs touched"):
        complete([call, only_if("touched", [holds])])
    with pytest.raises(BrokenScript, match="needs holds_value"):  # what a block gives is gone behind it
        complete([call, only_if("call", [holds]), Part("user", ("holds_value",), (), "holds_value()")])


def test_every_part_is_in_some_composition() -> None:
    used = {*itertools.chain(*QUERY_PARTS.values()), *SHARED_PARTS}
    used |= {f"small/{one}" for one in SMALL_PARTS} | {
        f"write/{one}" for one in (*WRITE_EXTRAS, *INDEX_PARTS)
    }
    used |= {f"migrate/{one}" for one in MIGRATE_PARTS}
    text = resources.files("aioredisca.compiler").joinpath("scripts.py").read_text("utf-8")
    assert used | {*re.findall(r'"((?:read|take|write|small|migrate|claims)/\w+)"', text)} | {TEMPLATE} == {
        *FILES
    }


def test_what_is_shared_stands_before_the_first_that_needs_it_and_once() -> None:
    first = Part("first", (), (), "local x")
    user = Part("user", ("holds_value",), (), "holds_value()")
    text = composed([first, user, user]).text.removeprefix(UNDECLARED)
    call, holds = part("shared/call").code, part("shared/holds").code
    assert text == "\n".join(["local x", call, holds, "holds_value()", "holds_value()", ""])


# -- names of positions ----------------------------------------------------------------------------


def test_each_name_of_a_position_is_filled_in_and_an_unknown_one_refused() -> None:
    assert filled("ARGV[$QUERY_LIMIT], $QUERY_SIZE, '%.?$'") == "ARGV[1], 8, '%.?$'"
    with pytest.raises(KeyError, match="QUERY_LIMITS"):
        filled("ARGV[$QUERY_LIMITS]")


def test_scripts_take_arguments_by_name_only() -> None:
    """A number in ARGV[...] is a position that Python could move without Lua. The first of all never moves."""
    numbers = re.compile(r"ARGV\[(\d+)\]|unpack\(ARGV, (\d+)")
    for name in FILES:
        used = {*itertools.chain(*numbers.findall(bare(source(name))))} - {""}
        assert used <= {"1"}, name
    assert numbers.findall("unpack(ARGV, 3)") == [("", "3")]


def test_every_run_is_read_by_some_part() -> None:
    texts = " ".join(map(source, FILES))
    runs = {name.partition("_")[0] for name in NAMES if name.endswith("_SIZE")}
    assert [run for run in sorted(runs) if f"${run}_" not in texts] == []


# -- what is sent ----------------------------------------------------------------------------------

LUA = """\
-- needs:
-- gives: x
-- What it does.

local x = '-- no comment'  -- one
--[[ a long
     one ]] local y = "it's -- none" -- it's one
  local z = 'a\\'  -- none' .. [[
  kept  -- as it is
]]
if x  ==  y then
    return x -- y
end
"""


def test_comments_and_layout_are_not_sent_and_strings_stay() -> None:
    assert bare(LUA) == (
        "local x = '-- no comment'\nlocal y = \"it's -- none\"\nlocal z = 'a\\'  -- none' .. "
        "[[\n  kept  -- as it is\n]]\nif x == y then\nreturn x\nend"
    )


SENT: dict[str, tuple[str, ...]] = {
    **{str(answer): some for answer, some in QUERY_PARTS.items()},
    **{name: (f"small/{name}",) for name in SMALL_PARTS},
}


def edited(monkeypatch: pytest.MonkeyPatch, change: Any) -> dict[str, str]:
    """The SHA of each query and small script, with every part changed so."""
    with monkeypatch.context() as patch:
        patch.setattr(lua, "source", lambda name: change(source(name)))
        lua.part.cache_clear()
        found = {name: composed(lua.parts(*some)).sha for name, some in SENT.items()}
    lua.part.cache_clear()
    return found


def test_a_comment_that_is_edited_changes_no_sha(monkeypatch: pytest.MonkeyPatch) -> None:
    def more_comments(text: str) -> str:
        return text + "   -- the 'end'\n\n\n-- of it\n"

    def fewer_comments(text: str) -> str:
        head = "".join(re.findall(r"\A(?:--(?: needs:| gives:|   ).*\n)+", text))
        return head + re.sub(r"^ *-- .*\n|^\n|^ +", "", text.removeprefix(head), flags=re.MULTILINE)

    before = edited(monkeypatch, lambda text: text)
    assert before == {name: query_script(name, False).sha for name in QUERY_PARTS} | {
        name: small_script(name).sha for name in SMALL_PARTS
    }
    assert edited(monkeypatch, more_comments) == before
    assert edited(monkeypatch, fewer_comments) == before


def test_control_code_that_is_edited_changes_the_sha(monkeypatch: pytest.MonkeyPatch) -> None:
    before = edited(monkeypatch, lambda text: text)
    after = edited(monkeypatch, lambda text: text + "\nlocal more\n")
    assert all(after[name] != before[name] for name in before)


@pytest.mark.memory_only
async def test_no_script_holds_a_comment_or_an_indented_line_but_the_first(schemas: list[Schema]) -> None:
    """Which is for Dragonfly: it allows keys that no call could declare."""
    some = compositions(schemas)
    for script in (*some, journaled_script(some[0])):
        assert script.text.startswith(UNDECLARED)
        assert not re.search(r"^\s|\n\n|--", script.text.removeprefix(UNDECLARED))
