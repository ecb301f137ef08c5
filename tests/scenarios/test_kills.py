"""Commands of the operator that are killed by -9 at any moment under writers, and run again: nothing drifts or is lost.

``nox -s rolling`` kills each 50 times; a push a few times.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ..support.patience import limit
from ..support.servers import Server
from .rolling.judging import Faults
from .rolling.processes import OF_EACH_PROCESS, Running, Site
from .rolling.versions import CHANGES

CHANGE = "add an index and a unique, remove tags"

OLD, NEW = f"{CHANGE}/old", f"{CHANGE}/new"

MORE = 1500
"""Records to work on."""


@dataclass(frozen=True)
class Command:
    """What is killed.

    ``words``    the command, and its options.
    ``begins``   which version wrote the records before.
    ``writers``  which version writes meanwhile, two processes of it.
    ``first``    what is run before these start.
    ``then``     what is run when they have ended.
    ``spoil``    what is done to the store before.
    ``lasts``    seconds within which it is killed, from when it has begun.
    ``leases``   it holds a lease, which tells when it has begun; else its connection does.
    """

    words: tuple[str, ...]
    begins: str = OLD
    writers: str = NEW
    first: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    spoil: Callable[[Any], None] = lambda raw: None
    lasts: float = 0.6
    leases: bool = True


def spoil(raw: Any) -> None:
    """Take entries away, and put wrong ones there."""
    for n in range(0, MORE, 3):
        raw.srem("item/x/group/more", f"more-{n}")
        raw.sadd("item/x/name/nobody", f"more-{n}")
        raw.hset("item/u/code", f"nobody/{n}", f"more-{n}")


RATE = ("--rate", str(4 * MORE))
"""Slow enough to be killed in the middle of it."""

COMMANDS = {
    "reindex": Command(("reindex", "--force", *RATE), first=("reindex", "--before")),
    "reindex --before": Command(
        ("reindex", "--before"), writers=OLD, then=("reindex", "--force"), lasts=0.01
    ),
    "reindex --everything": Command(("reindex", "--everything", *RATE), begins=NEW, spoil=spoil),
    "repair": Command(("repair", "--apply", *RATE), begins=NEW, spoil=spoil, leases=False),
}


class Campaign:
    """Writers at work, and a command that is killed and run again."""

    def __init__(self, site: Site, server: Server, command: Command, seed: str) -> None:
        self.site, self.server, self.command = site, server, command
        self.dice = random.Random(seed)

    def round(self, kills: int) -> int:
        """One time from the beginning to the end, with up to so many kills. Returns how many there were."""
        command, site = self.command, self.site
        self.server.empty()
        site.fill(command.begins, MORE)
        with self.server.client() as raw:
            command.spoil(raw)
        if command.first:
            self.run(*command.first).end()
        names = [f"{side}{self.dice.randrange(10**6)}" for side in "ab"]
        moving, contend = 2 * OF_EACH_PROCESS, command.writers == NEW
        workers = [site.work(command.writers, name, moving, contend=contend) for name in names]
        for worker in workers:
            worker.go_on(30)
        done = 0
        while done < kills and self.killed():
            done += 1
        self.run(*command.words).end()
        faults = Faults()
        for worker in workers:
            worker.go_on(30)
            told = worker.stop()
            faults.of_worker("writer", told, CHANGES[CHANGE].goes | CHANGES[CHANGE].comes)
            faults.of_records(self.server, told["records"])
        if command.then:
            self.run(*command.then).end()
        faults += site.drift(NEW)
        assert not faults, "\n".join(faults)
        return done

    def run(self, *words: str) -> Running:
        return self.site.operator(NEW, *words)

    def killed(self) -> bool:
        """Whether the command was killed before it had ended."""
        with self.server.client() as raw:
            clients = len(raw.client_list())
        running = self.run(*self.command.words)
        self.begun(running, clients)
        time.sleep(self.dice.random() * self.command.lasts)
        running.process.kill()
        ended = running.process.wait() == 0
        with self.server.client() as raw:
            raw.delete("item/lease")  # as time does
        return not ended

    def begun(self, running: Running, clients: int = 0) -> None:
        """Wait until the command has taken the lease, or is one more than so many *clients*, or has ended."""
        end = time.monotonic() + limit(30)
        with self.server.client() as raw:

            def at_work() -> bool:
                if self.command.leases:
                    return bool(raw.exists("item/lease"))
                return len(raw.client_list()) > clients

            while running.process.poll() is None and not at_work():
                assert time.monotonic() < end, running.said()
                time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_killed_is_run_again_and_nothing_is_lost(
    site: Site, durable: Server, full: bool, command: str
) -> None:
    if not full and command != "reindex":
        pytest.skip("in the full session")
    campaign = Campaign(site, durable, COMMANDS[command], command)
    wanted, done = 50 if full else 3, 0
    for _ in range(3 * wanted):  # a quick one may have ended before it is killed
        done += campaign.round(min(8, wanted - done))
        if done == wanted:
            break
    assert done


@pytest.mark.slow
def test_the_second_of_two_is_told(site: Site, durable: Server, full: bool) -> None:
    if not full:
        pytest.skip("in the full session")
    campaign = Campaign(site, durable, COMMANDS["reindex"], "two")
    site.fill(OLD, MORE)
    first = campaign.run("reindex", "--rate", "1000")
    campaign.begun(first)
    second = campaign.run("reindex")
    assert second.process.wait(limit(30)) == 1
    assert "is at work on the indexes of Item" in second.said()
    assert first.process.poll() is None
    first.end()
    assert site.drift(NEW) == []


@pytest.mark.slow
def test_who_was_killed_keeps_nobody_away_for_long(site: Site, durable: Server, full: bool) -> None:
    if not full:
        pytest.skip("in the full session")
    campaign = Campaign(site, durable, COMMANDS["reindex"], "wait")
    site.fill(OLD, MORE)
    first = campaign.run("reindex", "--rate", "1000")
    campaign.begun(first)
    first.process.kill()
    first.process.wait()
    end = time.monotonic() + limit(30)
    while campaign.run("reindex").process.wait(limit(30)) != 0:
        assert time.monotonic() < end
    assert site.drift(NEW) == []
