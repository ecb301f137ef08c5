"""Records that move while they are written are there afterwards in every interleaving, and each rule is needed."""

from __future__ import annotations

import pytest

from ..conftest import FULL
from .moving.scenarios import Control, Scenario, controls, full, large_controls, small
from .search import Outcome, search

SCENARIOS = [*(full() if FULL else small())]
CONTROLS = [*controls(), *(large_controls() if FULL else ())]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.name for one in SCENARIOS])
def test_every_state_is_right(scenario: Scenario) -> None:
    outcome = search(scenario)
    assert not outcome.violation, outcome
    assert scenario.moved


def first_violation(control: Control) -> Outcome | None:
    found = map(search, control.all())
    return next((outcome for outcome in found if outcome.violation), None)


@pytest.mark.parametrize("control", CONTROLS, ids=[control.name for control in CONTROLS])
def test_control_without_a_rule_it_fails(control: Control) -> None:
    assert first_violation(control)


if __name__ == "__main__":  # python -m tests.protocol.test_moving: the figures
    import sys
    import time

    total = 0
    for one in full():
        begun = time.process_time()
        found = search(one)
        total += found.states
        sys.stdout.write(f"{one.name}: {found}, {time.process_time() - begun:.1f} s\n")
        sys.stdout.flush()
    for control in (*controls(), *large_controls()):
        sys.stdout.write(f"without: {control.name}: {first_violation(control) or 'NOTHING FAILS'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{total:,} states\n")
