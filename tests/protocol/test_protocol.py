"""The protocol of live changes keeps its promises in every interleaving, and each of its rules is needed."""

from __future__ import annotations

import pytest

from ..conftest import FULL
from .scenarios import controls, full, small
from .search import search
from .world import Scenario

SCENARIOS = [*(full() if FULL else small())]
CONTROLS = [*controls()]


def names(scenarios: list[Scenario]) -> list[str]:
    return [scenario.name for scenario in scenarios]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=names(SCENARIOS))
def test_every_state_is_right(scenario: Scenario) -> None:
    outcome = search(scenario)
    assert not outcome.violation, outcome
    assert outcome.states > 10


@pytest.mark.slow
@pytest.mark.parametrize("scenario", CONTROLS, ids=names(CONTROLS))
def test_control_without_a_rule_it_fails(scenario: Scenario) -> None:
    assert search(scenario).violation


def test_scenarios_have_names_of_their_own() -> None:
    for scenarios in (SCENARIOS, CONTROLS):
        assert len(set(names(scenarios))) == len(scenarios)


if __name__ == "__main__":  # python -m tests.protocol.test_protocol: the figures
    import sys
    import time

    total = 0
    for one in [*full(), *controls()]:
        if all(word in one.name for word in sys.argv[1:]):
            begun = time.process_time()
            found = search(one)
            total += found.states
            sys.stdout.write(f"{one.name}: {found}, {time.process_time() - begun:.1f} s\n")
            sys.stdout.flush()
    sys.stdout.write(f"{total:,} states\n")
