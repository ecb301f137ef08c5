"""E-mail addresses: what looks alike is one address or refused, and a domain of any script has one stored form."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioredisca import Database, Email, Model, UniqueViolation, ValidationError
from aioredisca.pydantic import Create, Read
from aioredisca.storage.emails import read_email

from ..support.drift import drift


class Mailbox(Model):
    email = Email(unique=True, index="sorted")


UNSEEN = [
    *(
        "\u200b",
        "\ufeff",
        "\u202e",
        "\u00ad",
        "\u200d",
        "\u2060",
        "\u180e",
        "\U000e0061",
    ),  # format characters
    *("\u0085", "\u009f"),  # controls
    *("\u00a0", "\u2003", "\u3000", "\u2028", "\u2029"),  # spaces
    *(
        "\u034f",
        "\u115f",
        "\u1160",
        "\u3164",
        "\uffa0",
        "\u17b4",
        "\u180b",
        "\ufe0f",
        "\U000e0101",
    ),  # ignorable
    *("\u2800", "\u0378", "\ue000", "\ufdd0"),  # blank, not assigned, private, none
]
ALIKE = [
    *("\u3002", "\uff0e", "\uff61", "\u2024", "\ufe52"),  # dots
    *("\uff20", "\ufe6b"),  # at
    *("\uff41", "\ufb01", "\u2170", "\u00b2", "\U0001d41a"),  # other forms of letters and digits
    *("\u2019", "\u2010", "\u2212"),  # marks that look like ' and -
]


@pytest.mark.parametrize("character", [*UNSEEN, *ALIKE], ids=lambda c: f"U+{ord(c):04X}")
def test_what_hides_in_a_local_part_is_refused(character: str) -> None:
    for email in (f"a{character}b@x.yz", f"{character}ab@x.yz", f"ab{character}@x.yz", f"a.{character}@x.yz"):
        with pytest.raises(ValidationError) as caught:
            Mailbox.new("1", email=email)
        assert character not in str(caught.value)


@pytest.mark.parametrize("email", ["\u0301a@x.yz", "a.\u0301b@x.yz", "\u0e47@x.yz"])
def test_a_mark_stands_on_something(email: str) -> None:
    with pytest.raises(ValidationError, match="stands on nothing"):
        Mailbox.new("1", email=email)


async def test_one_address_in_several_forms_is_one(db: Database, raw: Any) -> None:
    one = await Mailbox.new("1", email="JOSE\u0301@x.yz").save()
    assert one.email == "jos\u00e9@x.yz"
    for same in ("jos\u00e9@x.yz", "JOS\u00c9@X.YZ", "jose\u0301@x.yz"):
        with pytest.raises(UniqueViolation):
            await Mailbox.new("2", email=same).save()
        assert await (Mailbox.email == same) == [one]
    assert drift(raw, [Mailbox]) == []


@pytest.mark.parametrize(
    "local", ["\u0434\u043e\u043c", "\u7528\u6237.a", "o'\u00e9+x", "\u0905\u0924\u094d", "stra\u00dfe"]
)
def test_other_scripts_are_taken(local: str) -> None:
    assert Mailbox.new("1", email=f"{local}@x.yz").email == f"{local}@x.yz"


@given(st.text(min_size=1, max_size=20), st.sampled_from(["x.yz", "b\u00fccher.de", "X.YZ"]))
def test_the_one_form_is_a_form_of_itself(local: str, domain: str) -> None:
    try:
        email = read_email(f"{local}@{domain}")
    except ValueError:
        return
    assert read_email(email) == email
    assert len(email) <= 254
    assert unicodedata.is_normalized("NFKC", email)


def test_an_address_that_grows_is_not_too_long_for_itself() -> None:
    with pytest.raises(ValidationError, match="longer than 254"):
        Mailbox.new("1", email="\u0130" * 200 + "@x.yz")
    with pytest.raises(ValidationError, match="longer than 254"):
        Mailbox.new("1", email="a" * 200 + "@" + "\u00fc" * 48 + ".com")


# -- domains of other scripts ----------------------------------------------------------------------

DOMAINS = [
    ("b\u00fccher.de", "xn--bcher-kva.de"),
    ("B\u00dcCHER.DE", "xn--bcher-kva.de"),
    ("bu\u0308cher.de", "xn--bcher-kva.de"),
    ("xn--bcher-kva.de", "xn--bcher-kva.de"),
    ("XN--BCHER-KVA.DE", "xn--bcher-kva.de"),
    ("b\u00fccher\u3002de", "xn--bcher-kva.de"),
    ("\uff42\u00fccher.de", "xn--bcher-kva.de"),
    ("\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", "xn--e1afmkfd.xn--p1ai"),
    ("\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
    ("fa\u00df.de", "xn--fa-hia.de"),
    ("b\u00fccher.test", "xn--bcher-kva.test"),
    ("\uff58.yz", "x.yz"),
]


@pytest.mark.parametrize(("domain", "stored"), DOMAINS)
def test_a_domain_has_one_stored_form(domain: str, stored: str) -> None:
    assert Mailbox.new("1", email=f"A@{domain}").email == f"a@{stored}"


async def test_a_domain_of_another_script_is_unique_found_and_shown(db: Database, raw: Any) -> None:
    one = await Mailbox.new("1", email="ada@b\u00fccher.de").save()
    assert raw.hget("mailbox:1", "email") == b"ada@xn--bcher-kva.de"
    for domain, stored in DOMAINS:
        if stored == "xn--bcher-kva.de":
            with pytest.raises(UniqueViolation):
                await Mailbox.new("2", email=f"ada@{domain}").save()
            assert await Mailbox.email.find(f"Ada@{domain}") == [one]
    assert Read[Mailbox].model_validate(one).model_dump(mode="json")["email"] == "ada@xn--bcher-kva.de"
    body: Any = Create[Mailbox].model_validate({"email": "ADA@b\u00fccher.de"})
    assert body.email == one.email
    one["email"] = "eve@b\u00fccher.de"
    assert one.email == "eve@xn--bcher-kva.de"
    assert drift(raw, [Mailbox]) == []


@pytest.mark.parametrize(
    "domain",
    ["b\u200b\u00fc.de", "\u202eb\u00fc.de", "b\u00ad\u00fc.de", "-b\u00fc.de", "b\u00fc_.de", "b\u00fc", "\u05d0b.com", "b\u00fc..de",
     ".b\u00fc.de", "b\u00fc.de ", "b\u00fc.de\n", "\u00fc" * 60 + ".de", "\U0001f642.ws", "xn--b\u00fccher.de", "\u0301b.de",
     "[\u00fc]", "b\u00fc.1"],
)  # fmt: skip
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(ValidationError, match="is no e-mail address"):
        Mailbox.new("1", email=f"a@{domain}")


def test_without_the_extra_a_domain_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "email_validator", None)
    assert Mailbox.new("1", email="\u00e9@xn--bcher-kva.de").email == "\u00e9@xn--bcher-kva.de"
    for domain in ("b\u00fccher.de", "b\u3002cc", "b\u200bar.com"):
        with pytest.raises(ValidationError, match=r"pip install 'aioredisca\[email\]'"):
            Mailbox.new("1", email=f"a@{domain}")


@pytest.mark.parametrize(
    "stored", ["a\u200bb@x.yz", "a@b\u00fccher.de", "\U0001f642@x.yz", "Ada@X.YZ", "none"]
)
async def test_what_was_stored_before_is_readable(db: Database, raw: Any, stored: str) -> None:
    raw.hset("mailbox:1", "email", stored)
    member = await Mailbox.get("1")
    assert (member.email, member["email"], member.getdiff()) == (stored, stored, {})
    assert Read[Mailbox].model_validate(member).model_dump(mode="json")["email"] == stored
