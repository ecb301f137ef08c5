"""The fast paths of a write: ``lua/write/fast_single.lua``, one template, written out in two ways.

``whole`` carries out every change of one record that expects nothing, for classes with few fields and plain
indexes; ``plain`` updates of fields that no index knows, for every class. All other writes, and those of many
records, go through the general script.
"""

from __future__ import annotations

import re
from functools import cache
from string import Template

from aioredisca.compiler.parts import (
    Part,
    bare,
    declared,
    filled,
    joined,
    listed,
    maker,
    marked,
    part,
    parts,
    quote,
    source,
)
from aioredisca.compiler.positions import ASKS_FAST, ASKS_PLAIN
from aioredisca.storage.keys import MARKER
from aioredisca.storage.schema import Schema

MAX_TRACKED = 16
"""Indexed fields and collections of a class that the whole of it is written out for."""

MAX_SINGLE = 400
"""Fields that a fast path takes."""

Row = dict[str, str]

_TEMPLATE = "write/fast_single"

_NOTING = ("shared/joined", "shared/sortable", "shared/elements", "shared/noted")
"""What is not even built where nothing is to be noted."""

_BLOCK = re.compile(r"^ *--each ([\w, ]+)\n(.*?)^ *--end\n", re.DOTALL | re.MULTILINE)


def is_simple(schema: Schema) -> bool:
    """Whether the template knows all indexes of a class, and its text stays short."""
    few = len(schema.tracked) + len(schema.collections) <= MAX_TRACKED and len(schema.fields) <= MAX_SINGLE
    return (
        few
        and not schema.compounds
        and not (schema.claimed and schema.expires)  # what is left of one that is over gives up its claims
        and {spec.index for spec in schema.indexes} <= {"exact", "range", None}
    )


def fast_paths(schema: Schema) -> tuple[Part, ...]:
    """What a script of this one class begins with. The fixed keys of the class are the first of the call."""
    return (_plain(schema), _whole(schema)) if is_simple(schema) else (_plain(schema),)


def witness(schema: Schema) -> str:
    """The field that tells that there is a record. A marker that is read goes when another field is set."""
    if schema.required:
        return schema.required[0]
    return next(iter(schema.field_ttls), MARKER)  # where fields end it stays


def entries_of(schema: Schema) -> str:
    """What ``ends.lua`` must know of a class whose records end: its indexes, of each its kind and fields."""
    found = list[tuple[str, ...]]()
    for spec in schema.indexes:
        found += [("unique", spec.key)] if spec.unique else []
        found += [(spec.index, spec.key)] if spec.index else []
        found += [("none", spec.key)] if spec.nullable else []
    found += [("together" if one.unique else "pair", *one.fields) for one in schema.compounds]
    entries = "{" + ",".join(f"{{{listed(one)}}}" for one in found) + "}"
    return f"entries=function() return {entries} end,{tracked(schema)}"


def tracked(schema: Schema) -> str:
    """A function that makes the list of the fields that indexes know."""
    return maker("tracked", [spec.key for spec in schema.tracked])


def _whole(schema: Schema) -> Part:
    slots = {key: f"KEYS[{number}]" for number, key in enumerate(schema.fixed_keys, 1)}
    tracked: list[Row] = [
        {"tracked": "", "field": quote(spec.key), "n": str(n), "at": str(n + 1)}
        | {name: slots[key] for name, key in schema.slots(spec)}
        | (_ending(spec.key) if schema.expires else {"over": "", "lives": "true"})
        | ({"fenced": ""} if schema.claimed else {})
        for n, spec in enumerate(schema.tracked, 1)
    ]
    required: list[Row] = [{"required": "", "field": quote(name)} for name in schema.required]
    lasting = _lasting(schema)
    known = {
        "asks": quote(ASKS_FAST),
        "permit": quote(schema.permit),
        "stamp": _stamp(),
        "fields": listed([witness(schema), *schema.tracked_keys]),
        "found": " or ".join(f"old[{n}]" for n in range(1, len(schema.tracked) + 2)),
        "declared": listed(schema.by_key),
        "with_it": "".join(f", {key}" for key in collection_keys(schema)),
    }
    return _written_out("whole", known, [_class_row("whole", schema), *tracked, *required, *lasting])


def _plain(schema: Schema) -> Part:
    known = {"asks": quote(ASKS_PLAIN), "permit": quote(schema.permit), "stamp": _stamp()}
    return _written_out("plain", known, [_class_row("plain", schema), *_lasting(schema)])


def _lasting(schema: Schema) -> list[Row]:
    """The fields whose values last for a while."""
    ttls = schema.field_ttls.items()
    return [{"lasting": "", "field": quote(key), "ttl": quote(str(ttl))} for key, ttl in ttls if ttl]


def _ending(key: str) -> Row:
    """What stands of a field in the note of a record that ends, see noted.lua."""
    row = {
        "ending": "",
        "over": _over(),
        "lives": "not is_over(base, base .. ':' .. holder, holder)",
        "x_note": quote(f"x/{key}/"),
        "y_note": quote(f"y/{key}/"),
    }
    for name, kind, index in (("u", "u", "u"), ("h", "h", "h"), ("r", "z", "r"), ("n", "s", "n")):
        entry = f"{index}/{key}".encode()
        row[f"{name}_note"] = quote(f"{kind}{len(entry)}:{entry.decode()}")
    return row


def _over(claims: bool = False) -> str:
    """What takes away records that are over, which is not even built where there is none."""
    some = [part("shared/vacate"), marked("shared/over", "claims")] if claims else parts("shared/over")
    return joined("over", [part("shared/clock"), *some]).code


def _stamp() -> str:
    """What leaves the time of a write, which few versions must."""
    return part("shared/stamp").code


def _class_row(way: str, schema: Schema) -> Row:
    row = {way: ""} if schema.required else {way: "", "marker": ""}
    if not schema.required and not schema.field_ttls:
        row["passing_marker"] = ""
    if lasting := [f"new[{one['field']}]" for one in _lasting(schema)]:
        row["lasts"] = " or ".join(lasting)
    if schema.collections:
        row["collections"] = ", ".join(collection_keys(schema))
    fenced = way == "whole" and schema.claimed
    row["first"] = "3" if fenced else "2" if schema.expires else "1"  # place of the pairs: what stands before
    if fenced:
        row["fenced"] = ""
    if schema.expires:
        noting = joined("noting", parts(*_NOTING)).code
        made = f"function(base, id) return {{{row['collections']}}} end" if schema.collections else "nil"
        row |= {
            "ends": "",
            "moments": f"KEYS[{len(schema.fixed_keys) - 1}]" if way == "whole" else "base .. '/t'",
            "notes": f"KEYS[{len(schema.fixed_keys)}]" if way == "whole" else "base .. '/t/n'",
            "class": f"{{base=base,{entries_of(schema)}}}",
            "collections_of": made,
            "noting": noting,
            "over": _over(bool(schema.claimed)),
        }
    else:
        row["endless"] = ""
    return row


def collection_keys(schema: Schema) -> list[str]:
    """The keys of the collections of a record, as Lua has them."""
    return [f"base .. {quote(f'/l/{name}/')} .. id" for name in schema.collections]


def _written_out(way: str, known: Row, rows: list[Row]) -> Part:
    """The template with each block once for every row that has the names of the block."""
    needs, blocks = _template()
    texts = [
        Template(text).substitute(known, **row)
        for names, text in blocks
        for row in (rows if names else [Row()])
        if row.keys() >= names
    ]
    code = "\n".join(texts)
    used = tuple(name for name in needs if re.search(rf"\b{name}\b", code))
    return Part(f"{_TEMPLATE} ({way})", used, (), code)


@cache
def _template() -> tuple[tuple[str, ...], list[tuple[frozenset[str], str]]]:
    """What the template needs, and its blocks: the names that a row must have, and the text."""
    text = source(_TEMPLATE)
    needs, _ = declared(text, _TEMPLATE)
    pieces = _BLOCK.split(text)  # text, then again and again: names, block, text
    names = [frozenset(re.findall(r"\w+", each)) for each in pieces[1::3]]
    blocks = [(frozenset[str](), pieces[0])]
    for each, block, between in zip(names, pieces[2::3], pieces[3::3], strict=True):
        blocks += [(each, block), (frozenset[str](), between)]
    return needs, [(each, filled(code)) for each, block in blocks if (code := bare(block))]
