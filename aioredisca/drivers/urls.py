"""What a URL says of a server. No part of one that cannot be read is quoted: it may be of a password."""

from __future__ import annotations

import difflib
import importlib
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from aioredisca.drivers.limits import check_limits
from aioredisca.errors import UsageError

redis_connection: Any = importlib.import_module("redis.connection")
"""Parts of redis-py that carry no types."""

SCHEMES = {"redis": "redis", "rediss": "rediss", "unix": "unix", "valkey": "redis", "valkeys": "rediss"}
CLUSTERS = {f"{name}+cluster": of for name, of in SCHEMES.items() if name != "unix"}
"""The same for clusters, whose URL may name several nodes."""
SENTINELS = {f"{name}+sentinel": of for name, of in SCHEMES.items() if name != "unix"}
"""The same for the primary that sentinels name: theirs are the hosts."""

ESCAPES = (
    "in user, password and path write / ? # @ : % as %2F %3F %23 %40 %3A %25, "
    "as urllib.parse.quote(password, safe='') does"
)

LIMITS = {"max_connections", "socket_timeout", "socket_connect_timeout"}

OURS = {
    *("decode_responses", "encoding", "encoding_errors", "protocol", "health_check_interval"),
    *("retry", "retry_on_error", "retry_on_timeout", "socket_read_size"),
}
"""Options of redis-py that a URL may carry and that are not used."""

_TAKEN = {
    *("db", "username", "password", "client_name", "socket_keepalive"),
    *("ssl_keyfile", "ssl_certfile", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data"),
    *("ssl_check_hostname", "ssl_password", "ssl_min_version", "ssl_ciphers", "ssl_include_verify_flags"),
    *("ssl_exclude_verify_flags", "ssl_validate_ocsp", "ssl_validate_ocsp_stapled"),
    "ssl_ocsp_expected_cert",
}
"""Options that text can give: what takes an object is given by a client."""

_OF_SENTINELS = {
    "sentinel_username": "username",
    "sentinel_password": "password",
    "sentinel_ssl": "ssl",
}
"""Options of a URL for the sentinels themselves, and their names in redis-py."""

_ARGUMENTS = ("namespace", "read_from", "transport", "eviction", "max_arguments")
"""What is said to a Database, and not in its URL."""

_EXAMPLE = "redis+sentinel://host1,host2,host3/mymaster/0"
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What sentinels take for a name."""

_KNOWN = _TAKEN | LIMITS | OURS
_TRUTHS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}
_YES_OR_NO = ("socket_keepalive", "ssl_check_hostname", "ssl_validate_ocsp", "ssl_validate_ocsp_stapled")
_CHECKS = ("none", "optional", "required")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INVALID = re.compile(r"Invalid value for '(\w+)'")


def read_url(url: str) -> tuple[dict[str, Any], str]:
    """The options of a connection as redis-py knows them, and a name without secrets."""
    url = url.strip()
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not rest:
        known = ", ".join(f"{name}://" for name in ("memory", *SCHEMES, *CLUSTERS, *SENTINELS))
        raise UsageError(f"a database URL starts with one of {known}; {ESCAPES}")
    place = rest.partition("?")[0].partition("/")[0].rpartition("@")[2]
    if "," in place and scheme != "unix":
        raise _refused(
            "it names several hosts, as those of a cluster (redis+cluster://host1,host2) and of sentinels "
            f"({_EXAMPLE}) do",
            escapes=True,
        )
    return _read(scheme, rest)


def read_cluster_url(url: str) -> tuple[list[tuple[str, int]], dict[str, Any], str]:
    """The nodes that a URL of a cluster names, the options of a connection, and a name without secrets."""
    scheme, _, rest = url.strip().partition("://")
    places, slash, database = rest.partition("?")[0].partition("/")
    user, at, hosts = places.rpartition("@")
    _check_login(user)
    if not all(hosts.split(",")):  # an empty one would be taken for localhost
        raise _refused("a host is missing in redis+cluster://host:7000,host:7000", escapes=True)
    behind = rest[len(places) :]
    nodes, options = list[tuple[str, int]](), dict[str, Any]()
    for host in hosts.split(","):
        options, _ = _read(CLUSTERS[scheme], f"{user}{at}{host}{behind}")
        nodes.append((options.pop("host", "localhost"), options.pop("port", 6379)))
    check_database(options, _refused)
    return nodes, options, f"{scheme}://{','.join(map(place_text, nodes))}{slash}{database}"


def _check_login(text: str) -> None:
    """UsageError where hosts seem to stand in it, each with a login of its own: they would not be asked."""
    user, _, password = text.partition(":")
    if "," in user or "@" in password or ":" in password:
        raise _refused("user and password stand once, before the first host, for all of them", escapes=True)


def check_database(options: dict[str, Any], refused: Any) -> None:
    """*refused* for a database that a cluster does not have."""
    if options.pop("db", 0):
        raise refused("a cluster has no database but 0: give a namespace to what is to be kept apart")


class Watched(NamedTuple):
    """What a URL of sentinels says.

    ``hosts``    of the sentinels.
    ``service``  whose primary is asked for.
    ``own``      options of connections to the sentinels, as redis-py knows them.
    ``options``  of those to the primary, without its host.
    ``name``     the URL without secrets.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str
    own: dict[str, Any]
    options: dict[str, Any]
    name: str


def read_sentinel_url(url: str) -> Watched:
    """What *url* says, of a scheme of SENTINELS: ``redis+sentinel://host1,host2:26380/service/0``."""
    scheme, _, rest = url.strip().partition("://")
    parts = _split(f"{SENTINELS[scheme]}://{rest}", several=True)
    user, at, places = parts.netloc.rpartition("@")
    _check_login(user)
    service, _, database = parts.path.lstrip("/").partition("/")
    if not _SERVICE.fullmatch(service) or service.isdigit():
        raise _refused(f"it names no service of the sentinels, as {_EXAMPLE} does", escapes=True)
    own, query = _read_own(parts)
    kind = "rediss" if own["ssl"] else parts.scheme  # options of TLS may be for the sentinels alone
    hosts, options = list[tuple[str, int]](), dict[str, Any]()
    for place in places.split(","):
        if not place or place.startswith(":"):  # which would be taken for localhost
            raise _refused(f"it names no host, or has a comma too much: {_EXAMPLE}", escapes=True)
        plain = f"{user}{at}{place}/{database}?{query}"
        options, _ = _read(kind, plain, _OF_SENTINELS)
        hosts.append((options.pop("host"), options.pop("port", 26379)))
    if own["ssl"]:
        own |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    if parts.scheme != "rediss":
        options = {name: value for name, value in options.items() if not name.startswith("ssl_")}
    shown = ",".join(map(place_text, hosts))
    return Watched((*hosts,), service, own, options, f"{scheme}://{shown}/{service}/{options.get('db') or 0}")


def _read_own(parts: SplitResult) -> tuple[dict[str, Any], str]:
    """The options that are for the sentinels, and the query without them."""
    own, others = dict[str, Any](), list[str]()
    for pair in parts.query.split("&"):
        name, _, text = pair.partition("=")
        if name not in _OF_SENTINELS:
            others.append(pair)
        elif _OF_SENTINELS[name] in own:
            raise _refused("an option stands in it twice")
        else:
            own[_OF_SENTINELS[name]] = unquote(text)
    if "ssl" in own:
        own["ssl"] = _yes_or_no("sentinel_ssl", own["ssl"])
    return {"ssl": parts.scheme == "rediss", **own}, "&".join(others)


def place_text(node: tuple[str, int]) -> str:
    """A node as it stands in a URL."""
    host, port = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _read(scheme: str, rest: str, also: Iterable[str] = ()) -> tuple[dict[str, Any], str]:
    """The same for a *scheme* known to be one; it might have had the options *also*."""
    plain = f"{SCHEMES[scheme]}://{rest}"
    parts = _split(plain)
    _check_shape(parts)
    _check_names(parts, also)
    options = _parsed(plain)
    _check_values(parts, options)
    return options, _without_secrets(scheme, parts)


def _refused(reason: str, *, escapes: bool = False) -> UsageError:
    return UsageError(f"the database URL cannot be read: {reason}" + (f"; {ESCAPES}" if escapes else ""))


def _split(url: str, *, several: bool = False) -> SplitResult:
    """The parts of *url*; where it has *several* hosts, each is to be looked at by itself."""
    if "#" in url:  # which begins what servers never see
        raise _refused("it holds a #", escapes=True)
    if _CONTROL.search(url):
        raise _refused("it holds a control character")
    try:
        parts = urlsplit(url)
        fits = several or parts.port != 0
    except ValueError:  # whose text quotes what may be of the password
        parts, fits = SplitResult("", "", "", "", ""), False
    if not fits:
        raise _refused("its port is no number from 1 to 65535, or its host is none", escapes=True)
    return parts


def _check_shape(parts: SplitResult) -> None:
    """UsageError for what redis-py passes over, or takes for a part of something else."""
    after = f"{parts.path}?{parts.query}"
    if parts.scheme == "unix":
        if parts.hostname or parts.port or (parts.netloc and "@" not in parts.netloc) or "@/" in parts.path:
            raise _refused("a unix:// URL names no host, but a path: unix:///run/redis.sock", escapes=True)
    elif "@" in after and "@" not in parts.netloc:
        raise _refused("an @ stands after what seems to be the host", escapes=True)
    else:
        path = parts.path.strip("/")
        if path and not (path.isascii() and path.isdigit() and len(path) < 10):
            raise _refused("what follows the host is no number of a database", escapes=True)


def _check_names(parts: SplitResult, also: Iterable[str]) -> None:
    if not all("=" in pair for pair in parts.query.split("&") if pair):
        raise _refused("an option after the ? has no =", escapes=True)
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if unknown := [name for name in names if name not in _KNOWN]:
        raise UsageError(f"the database URL has an unknown option: {_hint(unknown, _KNOWN.union(also))}")
    if len(set(names)) < len(names):
        raise _refused("an option stands in it twice")
    tls = sorted(name for name in names if name.startswith("ssl_"))
    if tls and parts.scheme != "rediss":
        raise _refused(f"{tls[0]} is an option of TLS, for which a URL begins with rediss or valkeys")


def _hint(unknown: Sequence[str], known: set[str]) -> str:
    """What to write instead of the names of *unknown* options."""
    for name in unknown:
        if name in _ARGUMENTS:
            return f"{name} is an argument, as in Database(url, {name}=...)"
        if name in _OF_SENTINELS:
            return f"{name} is one of redis+sentinel://"
    near = {found for name in unknown for found in difflib.get_close_matches(name, sorted(known), 1)}
    return f"did you mean {' and '.join(sorted(near))}?" if near else f"there are {_names(known)}"


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names - OURS))


def _parsed(url: str) -> dict[str, Any]:
    invalid = ""
    try:
        options: dict[str, Any] = dict(redis_connection.parse_url(url))
    except ValueError as error:
        options, found = {}, _INVALID.search(str(error))
        invalid = f"invalid value for {found[1]!r}" if found else "invalid"
    if invalid:  # raised out here, so that the error which may hold a part of it is not its context
        raise _refused(invalid)
    options.pop("connection_class", None)
    for name, text in parse_qsl(urlsplit(url).query):
        if name in _YES_OR_NO:  # redis-py leaves some as text, and takes whatever it does not know for a yes
            options[name] = _yes_or_no(name, text)
        elif name == "ssl_min_version" and text.isdecimal():  # which redis-py leaves as text before 8
            options[name] = int(text)
    return options


def _yes_or_no(name: str, text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise _refused(f"invalid value for {name!r}: it is true or false")
    return _TRUTHS[text.lower()]


def _check_values(parts: SplitResult, options: dict[str, Any]) -> None:
    limits = {name: options[name] for name in LIMITS if name in options}
    check_limits("the database URL has an invalid value for {!r}", limits)
    path = parts.path.strip("/")
    if options.get("db", 0) < 0 or ("path" not in options and path and int(path) != options["db"]):
        raise _refused("it names two databases, or one below 0")
    if options.get("ssl_cert_reqs") == "none" and options.get("ssl_check_hostname"):
        raise _refused("ssl_check_hostname needs a certificate, and ssl_cert_reqs=none asks for none")
    check_options(options, _refused)


def check_options(options: Mapping[str, Any], refused: Any = UsageError) -> None:
    """*refused* for a host or options of TLS that a connection would break on, each time it is tried."""
    if not _is_host(options.get("host", "localhost")):
        raise refused("its host is no name or address of a host")
    checks, version = options.get("ssl_cert_reqs"), options.get("ssl_min_version")
    if isinstance(checks, str) and checks not in _CHECKS:
        raise refused(f"ssl_cert_reqs is one of {', '.join(_CHECKS)}")
    if version is not None and version not in list(ssl.TLSVersion):
        raise refused("ssl_min_version is a number of ssl.TLSVersion, such as 771 for TLS 1.2")
    if (ciphers := options.get("ssl_ciphers")) and not _are_ciphers(ciphers):
        raise refused("ssl_ciphers names no cipher that this OpenSSL knows")


def _is_host(host: object) -> bool:
    if not isinstance(host, str) or _CONTROL.search(host) or any(map(str.isspace, host)):
        return False
    try:
        if ":" in host:
            ip_address(host)
        host.encode("idna")  # as socket does, for which labels are 1 to 63 bytes long
    except ValueError:
        return False
    return True


def _are_ciphers(ciphers: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(ciphers)
    except (ssl.SSLError, TypeError, ValueError):
        return False
    return True


def _without_secrets(scheme: str, parts: SplitResult) -> str:
    """The URL without user, password and options."""
    place = parts.hostname or ""
    if parts.port:
        place += f":{parts.port}"
    return f"{scheme}://{place}{parts.path}"
