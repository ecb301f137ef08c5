"""A primary is replaced while both colours write and read: by a kill, a halt, and an operator.

Nothing but Unavailable and OutcomeUnknown is raised, nothing stale is believed, nothing is lost that a replica
had, and all go on by themselves. The control, a plain URL of the primary, fails.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import pytest

from aioredisca import Database, conf

from ..conftest import _binary
from ..support.failovers import Load, Outcome
from ..support.sentinels import Node, Watched

FULL = os.environ.get("REDISCA_FULL") == "1"
ROUNDS = 20 if FULL else 1

How: TypeAlias = Literal["kill", "halt", "switch", "handover"]
HOWS: tuple[How, ...] = ("kill", "halt", "switch", "handover") if FULL else ("kill", "halt")


@pytest.fixture(scope="module")
def _watched() -> Iterator[Watched]:
    with Watched(_binary("valkey9"), replicas=2) as watched:
        yield watched


@pytest.fixture
def watched(_watched: Watched) -> Watched:
    """A primary, two replicas, three sentinels; no keys."""
    _watched.empty()
    return _watched


def _acts(watched: Watched) -> dict[How, Callable[[Node], None]]:
    return {
        "kill": Node.kill,
        "halt": Node.stop_answering,
        "switch": lambda _: watched.switch(),
        "handover": lambda _: watched.switch("COORDINATED"),
    }


def _load(watched: Watched, url: str, how: How) -> Outcome:
    before, conf.db = conf.db, Database(url, timeout=2, connect_timeout=0.5)
    # An operator's switch leaves the other replicas with the old primary for a moment, which thinks it is one.
    load = Load(conf.db, watched, replicas=2 if how == "switch" else 1)
    try:
        load.start()
        load.replace(_acts(watched)[how])
        if how == "halt":  # it comes back, and does not know yet that it was replaced
            load.return_of_the_old()
        return load.finish()
    finally:
        conf.db.close()
        conf.db = before


def _told(how: How, outcome: Outcome) -> str:
    back = ", ".join(f"{colour} {seconds:.2f}" for colour, seconds in sorted(outcome.back.items()))
    return (
        f"\n{how}: back after {back} s; {dict(outcome.errors)}; {len(outcome.acked)} acknowledged, "
        f"{len(outcome.missing)} of them gone; {len(outcome.safe)} on a replica, {len(outcome.lost)} of them gone"
    )


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("how", HOWS)
def test_a_primary_is_replaced(watched: Watched, how: How, round: int) -> None:
    outcome = _load(watched, watched.url, how)
    sys.stdout.write(_told(how, outcome))
    assert outcome.wrong == []
    assert outcome.safe
    assert outcome.errors or how in ("switch", "handover")
    if how == "handover":
        assert not outcome.missing
    if FULL:
        assert max(outcome.back.values()) < 1


@pytest.mark.skipif(not FULL, reason="a control of half a minute")
@pytest.mark.parametrize("how", ["kill", "halt", "switch"])
def test_the_control_a_plain_url_of_the_primary(watched: Watched, how: How) -> None:
    """It does not come back; where the old primary lives on, what is written there is lost, or what is read stale."""
    outcome = _load(watched, f"redis://127.0.0.1:{watched.primary.port}/0", how)
    sys.stdout.write(_told(how, outcome))
    assert "asyncio does not come back" in outcome.wrong
