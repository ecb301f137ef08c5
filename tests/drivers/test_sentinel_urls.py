"""What a URL or a client of sentinels says, and what is refused before anything connects."""

from __future__ import annotations

import pickle
from typing import Any
from urllib.parse import quote

import pytest
import redis
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio import connection as asynchronous
from redis.connection import Connection, SSLConnection

from aioredisca import Database, UsageError
from aioredisca.drivers.address import read_source


@pytest.mark.parametrize(
    ("url", "name", "hosts", "service", "options"),
    [
        ("redis+sentinel://h/shop", "redis+sentinel://h:26379/shop/0", [("h", 26379)], "shop", {}),
        (
            "valkey+sentinel://u:geheim@h1:1,h2,[::1]:3/my.shop_1-a/4",
            "valkey+sentinel://h1:1,h2:26379,[::1]:3/my.shop_1-a/4",
            [("h1", 1), ("h2", 26379), ("::1", 3)],
            "my.shop_1-a",
            {"username": "u", "password": "geheim", "db": 4},
        ),
        (
            "redis+sentinel://h/shop/?db=2",
            "redis+sentinel://h:26379/shop/2",
            [("h", 26379)],
            "shop",
            {"db": 2},
        ),
    ],
)
def test_urls(url: str, name: str, hosts: Any, service: str, options: dict[str, Any]) -> None:
    address, shown = read_source(url)
    sentinels = address.sentinels
    assert sentinels is not None
    assert (shown, [*sentinels.hosts], sentinels.service) == (name, hosts, service)
    assert address.options == options
    assert "geheim" not in f"{address!r} {address.place} {Database(url)!r}"
    assert address.multiplexes


def test_login_and_tls_of_the_sentinels_are_their_own() -> None:
    secret = quote("a/b?c#d@e:f%g+h", safe="")
    for scheme, tls, more, theirs in [
        ("redis+sentinel", False, "", False),
        ("redis+sentinel", False, "&sentinel_ssl=on", True),
        ("redis+sentinel", False, "&sentinel_ssl=on&ssl_ca_certs=ca.pem", True),
        ("rediss+sentinel", True, "&ssl_ca_certs=ca.pem", True),
        ("valkeys+sentinel", True, "&sentinel_ssl=false", False),
    ]:
        url = f"{scheme}://joe:data@h/shop/0?sentinel_username=ann&sentinel_password={secret}{more}"
        address, shown = read_source(url)
        assert (address.sync_class, address.async_class) == (
            (SSLConnection, asynchronous.SSLConnection) if tls else (Connection, asynchronous.Connection)
        )
        assert address.sentinels is not None
        options = address.sentinels.options
        assert (options["username"], options["password"], options["ssl"]) == (
            "ann",
            "a/b?c#d@e:f%g+h",
            theirs,
        )
        assert (options.get("ssl_ca_certs") == "ca.pem") == ("ca.pem" in more)
        assert ("ssl_ca_certs" in address.options) == (tls and "ca.pem" in more)
        assert (address.options["username"], address.options["password"]) == ("joe", "data")
        assert "a/b" not in f"{address!r}{shown}"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis+sentinel://", "names no service"),
        ("unix+sentinel://h/shop", "starts with one of"),
        ("redis+ring://h/shop", "starts with one of"),
        ("redis+sentinel://h", "names no service of the sentinels, as redis"),
        ("redis+sentinel://h/0", "names no service"),
        ("redis+sentinel://h/my shop", "names no service"),
        ("redis+sentinel:///shop", "names no host"),
        ("redis+sentinel://h1,/shop", "a comma too much"),
        ("redis+sentinel://:26379/shop", "names no host"),
        ("redis+sentinel://h1,h2:x/shop", "no number from 1 to 65535"),
        ("redis+sentinel://h1,a..b/shop", "no name or address of a host"),
        ("redis+sentinel://h/shop/first", "no number of a database"),
        ("redis+sentinel://h/shop/1?db=2", "two databases"),
        ("redis+sentinel://h/shop?sentinel_pasword=geheim", "did you mean sentinel_password"),
        ("redis+sentinel://h/shop?sentinel_ssl=geheim", "'sentinel_ssl': it is true or false"),
        ("redis+sentinel://h/shop?sentinel_password=geheim&sentinel_password=geheim", "twice"),
        ("redis+sentinel://h/shop?ssl_ca_certs=geheim", "a URL begins with rediss or valkeys"),
        ("redis+sentinel://h/shop?max_connections=0", "max_connections"),
        ("redis://h/0?sentinel_password=geheim", r"sentinel_password is one of redis\+sentinel"),
        ("redis+sentinel://u:geheim@h1,u:geheim@h2/shop", "stand once, before the first host"),
        ("redis+sentinel://h1,u:geheim@h2/shop", "stand once, before the first host"),
        ("redis+sentinel://h/shop?read_from=geheim", "read_from is an argument, as in Database"),
    ],
)
def test_slips_are_told(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        Database(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("mark", [*"/?#@:[]%&=,; ", "?db=", "/0?", "\n", "\0", "123"])
@pytest.mark.parametrize(
    "form", ["joe:%s@h1,h2/shop/0", ":%s@h/shop", "joe:%s", "h/shop?sentinel_password=%s", "h/shop/%s"]
)
def test_no_part_of_a_password_is_shown(form: str, mark: str) -> None:
    halves = ("hunter", "tiger")
    try:
        database = Database("redis+sentinel://" + form % mark.join(halves))
    except UsageError as error:
        shown = f"{error} {error.args} {error.__cause__} {error.__context__}"
    else:
        shown = f"{database!r} {database._address!r} {database._address.place}"
    assert not [half for half in halves if half in shown]


@pytest.mark.parametrize("module", [redis.sentinel, redis.asyncio.sentinel])
def test_a_client_of_either_colour_gives_both(module: Any) -> None:
    manager = module.Sentinel(
        [("h1", 1), ("h2", 2)],
        min_other_sentinels=1,
        sentinel_kwargs={"password": "theirs", "ssl": True},
        password="ours",
        socket_timeout=9,
    )
    address, shown = read_source(manager.master_for("shop", db=2))
    assert shown == "h1:1,h2:2/shop/2"
    assert (address.sync_class, address.async_class) == (Connection, asynchronous.Connection)
    assert address.options == {"password": "ours", "db": 2}
    sentinels = address.sentinels
    assert sentinels is not None
    assert (sentinels.hosts, sentinels.service, sentinels.others) == ((("h1", 1), ("h2", 2)), "shop", 1)
    assert (sentinels.options["password"], sentinels.options["ssl"]) == ("theirs", True)
    assert (sentinels.options["retry"], sentinels.options["decode_responses"]) == (None, False)
    assert "ours" not in repr(address)
    tls, _ = read_source(manager.master_for("shop", ssl=True))
    assert (tls.sync_class, tls.async_class) == (SSLConnection, asynchronous.SSLConnection)


@pytest.mark.parametrize("module", [redis.sentinel, redis.asyncio.sentinel])
def test_clients_that_cannot_be_copied_are_refused(module: Any) -> None:
    with pytest.raises(UsageError, match=r"take the client that master_for\(\) makes"):
        Database(module.Sentinel([("h", 1)]).slave_for("shop"))
    with pytest.raises(UsageError, match=r"take what its master_for\(name\) makes"):
        Database(module.Sentinel([("h", 1)]))
    with pytest.raises(UsageError, match="force_master_ip"):
        Database(module.Sentinel([("h", 1)], force_master_ip="1.2.3.4").master_for("shop"))
    with pytest.raises(UsageError, match="the client cannot connect"):
        Database(module.Sentinel([("a..b", 1)]).master_for("shop"))


def test_nothing_of_it_is_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Database("redis+sentinel://h/shop"))
