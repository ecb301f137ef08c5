"""Everything a developer runs, by name: ``nox -s tests``. CI runs the same sessions."""

from __future__ import annotations

import shutil

import nox

nox.options.sessions = ["lint", "types", "imports", "tests"]
nox.options.reuse_existing_virtualenvs = True

WORKERS = "3"
"""Of two cores: tests also wait, for servers and for what is to end."""


@nox.session
def demo(session: nox.Session) -> None:
    """Run the airports example; a database URL may follow after --."""
    session.install("-e", ".[demo]")
    session.run("python", "examples/airports.py", *session.posargs)


@nox.session
def web(session: nox.Session) -> None:
    """Serve the short-link example; a database URL and --port may follow after --."""
    session.install("-e", ".[shortlinks]")
    session.run("python", "-m", "examples.shortlinks", *session.posargs)


@nox.session(name="web-browser")
def web_browser(session: nox.Session) -> None:
    """Drive the short-link example with Debian's chromium: apt-get install chromium."""
    if shutil.which("chromium") is None:
        session.skip("there is no chromium here: apt-get install chromium")
    session.install("-e", ".[test]", "playwright")
    session.run("pytest", "tests/web/test_shortlinks_browser.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite of every push, with branch coverage of the short ones."""
    session.install("-e", ".[test]")
    arguments = session.posargs or ["-n", WORKERS]
    env = {"COVERAGE_PROCESS_START": "pyproject.toml", "PYTHONDONTWRITEBYTECODE": ""}  # hundreds of processes
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *arguments, env=env)
    if not session.posargs:
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report")


@nox.session
def matrix(session: nox.Session) -> None:
    """Run the suite on every server that is found, with full figures on the real ones. An hour and more."""
    session.install("-e", ".[matrix]")
    session.run("pytest", "--matrix", *(session.posargs or ["-n", WORKERS]), env={"REDISCA_FULL": "1"})


@nox.session
def faults(session: nox.Session) -> None:
    """Run the campaign of faults with the full figures. Takes half an hour."""
    session.install("-e", ".[test]")
    tests = [
        f"tests/scenarios/test_{name}.py"
        for name in ("campaign", "foreign_types", "revoked_rights", "faults", "feeds")
    ]
    session.run("pytest", *(session.posargs or ["-n", WORKERS, *tests]), env={"REDISCA_FULL": "1"})


@nox.session
def sentinel(session: nox.Session) -> None:
    """Replace a primary 80 times under load: kills, halts, operators. Takes a quarter of an hour."""
    session.install("-e", ".[test]")
    arguments = session.posargs or ["-s", "tests/drivers/test_sentinel_failover.py"]
    session.run("pytest", *arguments, env={"REDISCA_FULL": "1"})


@nox.session
def protocol(session: nox.Session) -> None:
    """Look at every state of the protocols, of changes, claims and moves, in large scenarios too: an hour."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.protocol.test_protocol", *session.posargs)
    session.run("python", "-m", "tests.protocol.test_claims", *session.posargs)
    session.run("python", "-m", "tests.protocol.test_moving", *session.posargs)


@nox.session
def slots(session: nox.Session) -> None:
    """Run the tests of models in a memory that judges as a cluster does. Takes ten minutes."""
    session.install("-e", ".[test]")
    folders = [f"tests/{name}" for name in ("model", "persistence", "query", "maintenance")]
    session.run("pytest", "--slots", *(session.posargs or folders))


@nox.session
def rolling(session: nox.Session) -> None:
    """Roll out every change in both orders, and kill the operator's commands 50 times each. Takes an hour."""
    session.install("-e", ".[matrix]")
    tests = [f"tests/scenarios/test_{name}.py" for name in ("rolling_deploys", "kills")]
    backends = ["--backend", "valkey9", "--backend", "redis62"]
    session.run("pytest", *(session.posargs or [*backends, *tests]), env={"REDISCA_FULL": "1"})


BEHAVIOUR = "model fields persistence query maintenance scenarios web".split()
"""Folders of tests of what the library does, wherever."""


@nox.session
def cluster(session: nox.Session) -> None:
    """Run all tests of behaviour on clusters of one and of three nodes, and those of clusters in full."""
    session.install("-e", ".[matrix]")
    if session.posargs:
        session.run("pytest", *session.posargs, env={"REDISCA_FULL": "1"})
        return
    folders = [f"tests/{name}" for name in BEHAVIOUR]
    for backend in ("cluster1", "cluster3"):
        session.run("pytest", "--backend", backend, "-n", WORKERS, "-m", "not slow", *folders)
    tests = [f"tests/drivers/test_cluster{name}.py" for name in ("", "_moves", "_failover")]
    backends = ["--backend", "valkey9", "--backend", "redis62", "--backend", "redis82"]
    session.run("pytest", *backends, *tests, env={"REDISCA_FULL": "1"})


@nox.session(name="expiry-soak")
def expiry_soak(session: nox.Session) -> None:
    """Soak a million records that end, by several processes. Takes some ten minutes and a gigabyte."""
    session.install("-e", ".[test]")
    arguments = session.posargs or ["-s", "tests/scenarios/test_expiry_soak.py"]
    session.run("pytest", *arguments, env={"REDISCA_SOAK": "1000000"})


@nox.session(name="web-full")
def web_full(session: nox.Session) -> None:
    """Run the tests on real web servers and workers with the full figures. Takes a quarter of an hour."""
    session.install("-e", ".[test]")
    arguments = session.posargs or ["-n", WORKERS, "tests/web"]
    session.run("pytest", *arguments, env={"REDISCA_FULL": "1"})


OLDEST_WEB = (
    "argon2-cffi==23.1.0 celery==5.4.0 django==5.2 fastapi==0.121.0 flask==3.0.0 litestar==2.16.0 "
    "pydantic==2.9.0 quart==0.20.0 sniffio starlette==0.46.0"
)


@nox.session(name="web-versions")
@nox.parametrize("versions", ["oldest", "newest"], ids=["oldest", "newest"])
def web_versions(session: nox.Session, versions: str) -> None:
    """Run the tests of the web faces with the oldest and the newest frameworks that are supported."""
    session.install("-e", ".[test]", *(OLDEST_WEB.split() if versions == "oldest" else ["--upgrade"]))
    arguments = session.posargs or ["-n", WORKERS, "tests/web", "tests/fields/test_passwords.py"]
    lenient = ("-W", "ignore::DeprecationWarning") if versions == "oldest" else ()  # of what they stand on
    session.run("pytest", *lenient, *arguments)


REDIS_PARTS = (
    *("drivers/test_wire", "drivers/test_translate", "drivers/test_address", "drivers/test_database"),
    *("drivers/test_health", "drivers/test_tls", "drivers/test_fence", "drivers/test_blocking"),
    *("drivers/test_loops", "drivers/test_cache", "scenarios/test_limited_servers"),
)


@nox.session(name="redis-versions")
@nox.parametrize("version", ["5.3.1", "6.4.0", "7.1.0", "8.*"], ids=["5.3", "6.4", "7.1", "8"])
def redis_versions(session: nox.Session, version: str) -> None:
    """Run what touches redis-py with each version of it that is supported."""
    session.install("-e", ".[test]", f"redis=={version}")
    arguments = session.posargs or [f"tests/{name}.py" for name in REDIS_PARTS]
    session.run("pytest", *arguments)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Run three type checkers; the type tests themselves run in the test suite too."""
    session.install("-e", ".[types]", "nox")
    session.run("mypy")
    session.run("pyright", "--project", "pyproject.toml")
    session.run("pyrefly", "check")
    session.run("pytest", "-q", "tests/test_typing.py")


@nox.session
def imports(session: nox.Session) -> None:
    """Check that imports point down, floor by floor."""
    session.install("-e", ".[imports,memory]")
    session.run("lint-imports")


@nox.session(name="bench-queries")
def bench_queries(session: nox.Session) -> None:
    """Time queries beside redis-om, raw FT.SEARCH and redis.asyncio by hand; writes benchmarks/QUERIES.md."""
    session.install("-e", ".[demo]")
    session.run("python", "benchmarks/queries.py", *(session.posargs or ["--write"]))


@nox.session(name="bench-steps")
def bench_steps(session: nox.Session) -> None:
    """Measure the largest step of a query on every server that is found."""
    session.install("-e", ".[matrix]")
    session.run("python", "benchmarks/steps.py", *session.posargs)


@nox.session(name="bench-check")
def bench_check(session: nox.Session) -> None:
    """Measure check and repair over a million records. Takes some ten minutes and a gigabyte."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "benchmarks.checking", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run every code block of the README and of docs/."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "tests/test_readme.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against other clients and mappers, side by side; writes benchmarks/RESULTS.md and its chart."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(name="before-after")
def before_after(session: nox.Session) -> None:
    """Compare two source trees of the library by processor time: nox -s before-after -- path/to/old ."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "benchmarks.before_after", *session.posargs)


@nox.session
def house(session: nox.Session) -> None:
    """Count the house: lines, private crossings, and how deep the calls go."""
    session.install("-e", ".[test]")
    session.run("python", "tools/house.py")
    session.run("python", "tools/depth.py")


@nox.session
def gates(session: nox.Session) -> None:
    """Measure, write nothing, and fail where a figure stays below 80 % of its goal (benchmarks/goals.py)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "benchmarks", "--no-write", "--gate", *session.posargs)
