"""Addresses: what is read off a URL or a client, and what of it reaches the connections."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio import connection as asynchronous
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from aioredisca import UsageError
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
        ("redis://h/shop", "'shop' is no number of a database"),
        ("redis://h/0?max_conections=5&timeout=3", "unknown option: max_conections, timeout"),
        ("redis://h/0?socket_timeout=soon", "cannot be read: Invalid value for 'socket_timeout'"),
        ("redis://h:port/0", "cannot be read"),
    ],
)
def test_slips_in_a_url_are_told(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        read_source(url)


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
