"""Addresses: what is read off a URL or a client, and what of it reaches the connections."""

from __future__ import annotations

import dataclasses
import math
import ssl
from typing import Any
from urllib.parse import quote

import pydantic
import pydantic_core
import pytest
import redis
import redis.asyncio
from redis.asyncio import connection as asynchronous
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from aioredisca import Database, UsageError
from aioredisca.drivers.address import memory_address, new_memory_server, read_source


@pytest.mark.parametrize(
    ("url", "place", "name", "options"),
    [
        ("redis://h:1234/3", "h:1234", "redis://h:1234/3", {"host": "h", "port": 1234, "db": 3}),
        ("valkey://h", "h:6379", "valkey://h", {"host": "h"}),
        ("redis://u:s%20p@h/0", "h:6379", "redis://h/0", {"username": "u", "password": "s p", "db": 0}),
        ("unix:///run/r.sock?db=2", "unix:///run/r.sock", "unix:///run/r.sock", {"path": "/run/r.sock", "db": 2}),
        ("redis://[::1]:1/0", "::1:1", None, {"host": "::1"}),
    ],
)  # fmt: skip
def test_urls(url: str, place: str, name: str | None, options: dict[str, Any]) -> None:
    address, shown = read_source(url)
    assert address.place == place
    assert name is None or shown == name
    assert options.items() <= address.options.items()
    assert "s p" not in repr(address) + shown


def test_schemes_choose_the_classes_of_both_colours() -> None:
    for url, kinds in {
        "redis://h": (Connection, asynchronous.Connection),
        "valkeys://h": (SSLConnection, asynchronous.SSLConnection),
        "rediss://h": (SSLConnection, asynchronous.SSLConnection),
        "unix:///s": (UnixDomainSocketConnection, asynchronous.UnixDomainSocketConnection),
    }.items():
        address, _ = read_source(url)
        assert (address.sync_class, address.async_class) == kinds
    for wrong in ("http://h", "redis:/h", "h:6379", "", "redis://"):
        with pytest.raises(UsageError, match="a database URL starts with one of memory://, redis://"):
            read_source(wrong)


def test_limits_are_ours_and_no_options_of_a_connection() -> None:
    address, _ = read_source("redis://h?max_connections=2&socket_timeout=1.5&socket_connect_timeout=0.5")
    assert (address.max_connections, address.timeout, address.connect_timeout) == (2, 1.5, 0.5)
    assert not {"max_connections", "socket_timeout", "socket_connect_timeout"} & address.options.keys()
    plain, _ = read_source("redis://h")
    assert (plain.max_connections, plain.timeout, plain.connect_timeout) == (50, 5.0, 1.0)


def test_nothing_of_a_client_decodes_retries_or_limits_time_on_its_own() -> None:
    client = redis.Redis(
        host="h",
        port=1,
        db=4,
        password="pw",
        decode_responses=True,
        protocol=3,
        socket_timeout=9,
        health_check_interval=7,
    )
    address, shown = read_source(client)
    assert (address.place, shown) == ("h:1", "h:1/4")
    for options, timeout in ((address.sync_options(), 5.0), (address.async_options(), None)):
        assert (options["password"], options["db"]) == ("pw", 4)
        assert (options["decode_responses"], options["retry"], options["health_check_interval"]) == (
            False,
            None,
            0,
        )
        assert (options["protocol"], options["socket_timeout"]) == (2, timeout)
        assert options["socket_connect_timeout"] == 1.0
    assert "pw" not in repr(address)


def test_a_client_of_either_colour_gives_both() -> None:
    for client in (redis.Redis(), redis.asyncio.Redis()):
        address, _ = read_source(client)
        assert (address.sync_class, address.async_class) == (Connection, asynchronous.Connection)

    class Own(asynchronous.Connection):
        pass

    pool: Any = redis.asyncio.ConnectionPool(connection_class=Own)
    address, _ = read_source(redis.asyncio.Redis(connection_pool=pool))
    assert (address.sync_class, address.async_class) == (None, Own)


def test_checks_of_a_certificate_that_asyncio_cannot_make_leave_blocking_code_only() -> None:
    address, _ = read_source("rediss://h?ssl_validate_ocsp=True")
    assert (address.sync_class, address.async_class) == (SSLConnection, None)
    asked, _ = read_source(redis.Redis(ssl=True, ssl_validate_ocsp=False))
    assert asked.async_class is asynchronous.SSLConnection
    assert "ssl_validate_ocsp" not in asked.options


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://h/shop", "what follows the host is no number of a database"),
        (
            "redis://h/0?max_conections=5&timeout=3",
            "unknown option: did you mean max_connections and socket_timeout",
        ),
        ("redis://h/0?socket_timeout=soon", "cannot be read: invalid value for 'socket_timeout'"),
        ("redis://h:port/0", "cannot be read"),
    ],
)
def test_slips_in_a_url_are_told(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        read_source(url)


SECRET = ("hunter", "tiger")
"""Two halves of a password, between which stands what should have been escaped."""


MARKS = [*"/?#@:[]%&=\\;, ", "?db=", "/0?", "?x=", "&x=", "://", "\n", "\0", "123", "\ud800"]


@pytest.mark.parametrize(
    "scheme", ["redis://", "rediss://", "valkey://", "unix://", "memory://", "http://", ""]
)
@pytest.mark.parametrize(
    "form",
    [
        *("%s", "joe:%s@h/0", "joe:%s@h:6379/0?db=1", ":%s@/0", "joe:%s", ":1%s@h", "%s@h", "/%s@/run/r"),
        *("joe:%s@h:port/0", "joe:%s@[h/0", "joe:%s@a..b", "h?password=%s", "h?password=%s&timeout=3"),
        *("h/%s", "h?%s=1", "h?%s", "h?db=%s", "h?ssl_cert_reqs=%s", "joe:%s@h?socket_timeout=x", "u:%s@h#"),
    ],
)
def test_no_part_of_a_password_is_shown(scheme: str, form: str) -> None:
    """Whether such a URL is refused or can be read, nothing that is shown holds a part of it."""
    for mark in MARKS:
        try:
            database = Database(scheme + form % mark.join(SECRET))
        except UsageError as error:
            shown = f"{error} {error.args} {error.__cause__} {error.__context__}"
        else:
            if form in ("%s", "joe:%s", "h/%s", "/%s@/run/r") or scheme == "memory://":
                continue  # a host or a path, as far as anybody can tell
            shown = f"{database!r} {database._address!r} {database._address.place}"
        assert not [half for half in SECRET if half in shown], mark


@pytest.mark.parametrize(
    "url",
    [
        *(
            "redis://joe:a/b@h",
            "redis://joe:a#b@h",
            "redis://joe:1#b@h",
            "redis://joe:a?b@h",
            "redis://:1/x@h",
        ),
        *(
            "redis://joe:1?b=@h/0",
            "unix://joe:a/b@/r.sock",
            "joe:a@h:6379",
            "unix:///a@/r.sock",
            "redis://h:0",
        ),
    ],
)
def test_which_characters_to_escape_is_told(url: str) -> None:
    with pytest.raises(UsageError, match=r"write / \? # @ : % as %2F %3F %23 %40 %3A %25"):
        Database(url)


def test_what_is_escaped_arrives() -> None:
    password = "a/b?c#d@e:f%g"
    address, name = read_source(f"redis://joe:{quote(password, safe='')}@h/1?client_name=me@home")
    assert (address.options["password"], address.options["client_name"]) == (password, "me@home")
    assert name == "redis://h/1"


@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e10, 0, -1, "5", True, 10**400])
def test_times_that_are_none_are_refused(name: str, seconds: Any) -> None:
    given: Any = {name: seconds}
    with pytest.raises(UsageError, match=rf"Database\({name}=.*more than 0 and at most 1,000,000"):
        Database("memory://", **given)


@pytest.mark.parametrize("count", [0, -1, 1.5, math.nan, "5", True, 10**9])
def test_numbers_of_connections_that_are_none_are_refused(count: Any) -> None:
    with pytest.raises(UsageError, match=r"Database\(max_connections=.*at most 100,000"):
        Database("memory://", max_connections=count)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        *[(f"redis://h?{name}={value}", f"invalid value for '{name}'")
          for name in ("socket_timeout", "socket_connect_timeout", "max_connections")
          for value in ("-1", "0", "nan", "inf", "1e10", "x")],
        ("rediss://h?ssl_cert_reqs=bogus", "ssl_cert_reqs is one of none, optional, required"),
        ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=true", "needs a certificate"),
        ("rediss://h?ssl_min_version=1", "ssl_min_version is a number of ssl.TLSVersion"),
        ("rediss://h?ssl_ciphers=bogus", "no cipher"),
        ("rediss://h?ssl_validate_ocsp=maybe", "it is true or false"),
        ("redis://h?socket_keepalive=maybe", "it is true or false"),
        ("rediss://h?ssl_check_hostname=2", "it is true or false"),
        ("redis://h?ssl_cert_reqs=required", "a URL begins with rediss or valkeys"),
        ("unix:///s?ssl_ca_certs=x", "a URL begins with rediss or valkeys"),
        ("redis://a..b", "no name or address of a host"),
        (f"redis://{'a' * 64}.b", "no name or address of a host"),
        ("redis://a%20b", "no name or address of a host"),
        ("redis://a%00b", "no name or address of a host"),
        ("redis://[::g]", "cannot be read"),
        ("redis://h:65536", "no number from 1 to 65535"),
        ("redis://h/-1", "no number of a database"),
        ("redis://h?db=-1", "one below 0"),
        ("redis://h/1?db=2", "two databases"),
        ("redis://h?db=1&db=2", "twice"),
        ("redis://h?path=/s", "unknown option"),
        ("redis://h?port=1", "unknown option"),
        ("redis://h?socket_type=1", "unknown option"),
        ("unix://h/s", "names no host"),
    ],
)  # fmt: skip
def test_what_a_connection_would_break_on_is_told_when_it_is_made(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Database(url)


def test_a_server_without_a_certificate_is_reached_where_that_is_asked_for() -> None:
    for source in ("rediss://h?ssl_cert_reqs=none", redis.Redis(ssl=True, ssl_cert_reqs="none")):
        address, _ = read_source(source)
        assert address.async_class(**address.async_options()).ssl_context.get().verify_mode == ssl.CERT_NONE
        assert address.sync_class(**address.sync_options()).cert_reqs == ssl.CERT_NONE
    assert read_source("rediss://h?ssl_min_version=771")[0].options["ssl_min_version"] == 771


@pytest.mark.parametrize("options", [{"host": "a..b"}, {"ssl": True, "ssl_cert_reqs": "bogus"}])
def test_a_client_that_could_not_connect_is_refused(options: Any) -> None:
    with pytest.raises(UsageError, match="the client cannot connect"):
        Database(redis.Redis(**options))


def test_urls_as_objects_are_urls() -> None:
    address, name = read_source(str(pydantic.RedisDsn("redis://joe:pw@h:1/2")))
    database = Database(pydantic.RedisDsn("redis://joe:pw@h:1/2"))
    assert database._address == address
    assert "pw" not in f"{name}{database!r}"
    for url in ("redis+cluster://h:1,g:2", "redis+sentinel://h:1,g:2/shop/0"):
        several = pydantic_core.MultiHostUrl(url.replace("://", "://joe:pw@"))
        assert repr(Database(several)) == f"<Database {url}>"
    with pytest.raises(UsageError, match="a database URL starts with"):
        Database(pydantic.AnyUrl("http://joe:pw@h"))


@pytest.mark.parametrize("source", [5, None, b"redis://h", object()])
def test_what_is_neither_a_url_nor_a_client_is_refused(source: object) -> None:
    with pytest.raises(UsageError, match=f"not {type(source).__name__}"):
        read_source(source)


def test_which_addresses_share_one_connection_among_tasks() -> None:
    there, _ = read_source("redis://h")
    here = memory_address(new_memory_server())
    assert here.place == "memory://"
    for address, transport, multiplexes in (
        (there, "auto", True),
        (there, "pool", False),
        (here, "auto", False),
        (here, "pool", False),
    ):
        assert dataclasses.replace(address, transport=transport).multiplexes is multiplexes


@pytest.mark.parametrize(("text", "value"), [("on", True), ("True", True), ("off", False), ("N", False)])
def test_what_is_yes_or_no_may_be_on_or_off(text: str, value: bool) -> None:
    """redis-py takes "off" for a yes."""
    address, _ = read_source(f"redis://h?socket_keepalive={text}")
    assert address.options["socket_keepalive"] is value
