"""Commands laid out beforehand are byte for byte what hiredis packs."""

from __future__ import annotations

from typing import Any, cast

import hiredis
from hypothesis import example, given
from hypothesis import strategies as st

from aioredisca.storage.resp import layout


@given(st.lists(st.text(max_size=8) | st.none(), min_size=1, max_size=6), st.data())
@example(["%d", None, "%", "%%b"], None)
def test_a_filled_layout_is_the_packed_command(parts: list[str | None], data: Any) -> None:
    given_ = [data.draw(st.binary(max_size=8)) if data else b"%b\r\n" for part in parts if part is None]
    form = layout(parts)
    sent = form % tuple(piece for value in given_ for piece in (len(value), value))
    values = iter(given_)
    whole = tuple(next(values) if part is None else part.encode() for part in parts)
    assert sent == cast("Any", hiredis).pack_command(whole)
