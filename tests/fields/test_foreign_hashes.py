"""Hashes that bcrypt, Werkzeug and Django made: verified, and replaced when the password is given. And cheap ones."""

from __future__ import annotations

from typing import Any

import argon2
import bcrypt
import pytest
from werkzeug.security import generate_password_hash

from aioredisca import CorruptRecord, Database, Hash, Model, Password, UsageError, ValidationError, conf, sync
from aioredisca.fields import foreign_hashes, hashing

from ..support.django_site import configured

PLAIN = "correct h\u00f6rse $:"
LONG = "\u00e9" * 100


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "SCRYPT", (10, 8, 1))
    monkeypatch.setattr(hashing, "hasher", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@conf(prefix="login")
class Login(Model):
    password = Password()


@conf(prefix="login")
class BlockingLogin(sync.Model):
    password = sync.Password()


def of_django(name: str, plain: str) -> str:
    configured()
    from django.contrib.auth import hashers

    kind = getattr(hashers, name)()
    for setting, value in (("iterations", 10), ("rounds", 4), ("work_factor", 2**4), ("memory_cost", 64)):
        if hasattr(kind, setting):
            setattr(kind, setting, value)
    made: str = kind.encode(plain, kind.salt())
    return made


def made(name: str, plain: str) -> str:
    maker, _, method = name.partition(" ")
    if maker == "bcrypt":
        text = bcrypt.hashpw(plain.encode()[:72], bcrypt.gensalt(4)).decode()
        return text.replace("$2b$", f"${method}$")
    return of_django(method, plain) if maker == "django" else generate_password_hash(plain, method)


MADE = {
    "bcrypt 2b": "bcrypt",
    "bcrypt 2a": "bcrypt",
    "bcrypt 2y": "bcrypt",
    "werkzeug scrypt:1024:8:1": "scrypt",
    "werkzeug pbkdf2:sha256:10": "pbkdf2_sha256",
    "werkzeug pbkdf2:sha512:10": "pbkdf2_sha512",
    "werkzeug pbkdf2:sha1:10": "pbkdf2_sha1",
    "django PBKDF2PasswordHasher": "pbkdf2_sha256",
    "django PBKDF2SHA1PasswordHasher": "pbkdf2_sha1",
    "django Argon2PasswordHasher": "argon2id",
    "django BCryptSHA256PasswordHasher": "bcrypt_sha256",
    "django BCryptPasswordHasher": "bcrypt",
    "django ScryptPasswordHasher": "scrypt",
}


@pytest.mark.parametrize(("name", "scheme"), MADE.items())
async def test_a_hash_of_others_is_verified_and_replaced(db: Database, name: str, scheme: str) -> None:
    for plain in (PLAIN, "x" * 60, "a\x00b" if "bcrypt" not in name else "ab"):
        stored = made(name, plain)
        await Login.new("1", password=Hash(stored)).save(mode="upsert")
        login = await Login.get("1")
        assert login.password is not None
        assert (login.password.scheme, login["password"]) == (scheme, stored)
        for wrong in ("", plain + "x", plain[:-1], stored, "\x00"):
            assert not await Login.password.verify(login, wrong)
        assert not login.getdiff()
        assert await Login.password.verify(login, plain)
        assert str(login["password"]).startswith("$argon2id$")
        await login.save()
        login = await Login.get("1")
        assert await Login.password.verify(login, plain)
        assert not login.getdiff()


async def test_scrypt_replaces_too_where_there_is_no_argon2(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "hasher", None)
    for name in MADE:
        if "Argon2" in name:
            continue
        login = Login.new("1", password=Hash(made(name, PLAIN)))
        assert await Login.password.verify(login, PLAIN)
        assert str(login["password"]).startswith("$scrypt$ln=10,r=8,p=1$")


@pytest.mark.blocking_only
async def test_blocking_models_take_them_over_as_well(db: Database) -> None:
    login = BlockingLogin.new("1")
    login["password"] = made("bcrypt 2b", PLAIN)
    assert BlockingLogin.password.verify(login, PLAIN)
    assert str(login["password"]).startswith("$argon2id$")


async def test_bcrypt_looks_at_72_bytes_as_it_always_has(db: Database) -> None:
    login = Login.new("1", password=Hash(made("bcrypt 2b", LONG)))
    assert await Login.password.verify(login, LONG)
    login.password = Hash(made("bcrypt 2b", LONG))
    assert await Login.password.verify(login, LONG[:36])
    login.password = Hash(made("django BCryptSHA256PasswordHasher", LONG))
    assert not await Login.password.verify(login, LONG[:36])


async def test_a_quick_hash_takes_a_wrong_guess_as_long_as_any(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = list[bytes]()
    make = hashing._make

    def counted(secret: bytes) -> str:
        times.append(secret)
        return make(secret)

    monkeypatch.setattr(hashing, "_make", counted)
    assert not await Login.password.verify(
        Login.new("1", password=Hash(made("werkzeug pbkdf2:sha1:1", "x"))), "y"
    )
    assert times == [b"y"]


BCRYPT = "$2b$04$" + "a" * 53
SCRYPT = "a" * 86 + "=="
HOSTILE = [
    BCRYPT[:-1], BCRYPT + "a", BCRYPT + "\n", BCRYPT.replace("04", "18"), BCRYPT.replace("04", "31"), BCRYPT.replace("04", "03"),
    BCRYPT.replace("2b", "2x"), "bcrypt$" + BCRYPT + " ", "bcrypt_sha512$" + BCRYPT, "md5+" + BCRYPT,
    "pbkdf2:sha256:99999999$salt$" + "0" * 64, "pbkdf2:sha256:0$salt$" + "0" * 64, "pbkdf2:md5:10$salt$" + "0" * 64,
    "pbkdf2:sha256:10$$" + "0" * 64, "pbkdf2:sha256$salt$" + "0" * 64, "pbkdf2_sha256$10$salt", "pbkdf2_sha256$99999999$s$" + "A" * 44,
    "scrypt:99999999:8:1$salt$" + "0" * 128, "scrypt:1048576:99:1$salt$" + "0" * 128, "scrypt:16:8$salt$" + "0" * 128,
    f"scrypt$99999999$salt$8$1${SCRYPT}", f"scrypt$16$$8$1${SCRYPT}", "md5+scrypt:16:8:1$salt$" + "0" * 128,
    "argon2$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "md5+argon2$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
    "argon2$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "!unusable", "sha256$salt$" + "0" * 64,
]  # fmt: skip


@pytest.mark.parametrize("stored", HOSTILE)
async def test_what_is_no_hash_or_asks_too_much_is_corrupt(db: Database, raw: Any, stored: str) -> None:
    with pytest.raises(ValueError, match="is no password hash"):
        Hash(stored)
    raw.hset("login:1", "password", stored)
    with pytest.raises(CorruptRecord) as caught:
        await Login.password.verify(await Login.get("1"), PLAIN)
    assert stored not in str(caught.value)


@pytest.mark.parametrize(
    "stored",
    [BCRYPT, "scrypt:15:8:1$salt$" + "0" * 128, "scrypt:16:0:1$salt$" + "0" * 128, f"scrypt$1$salt$8$1${SCRYPT}",
     "pbkdf2_sha256$10$salt$" + "A" * 44, "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA"],
)  # fmt: skip
async def test_parameters_that_mean_nothing_are_a_wrong_password(db: Database, stored: str) -> None:
    login = Login.new("1", password=Hash(stored))
    assert not await Login.password.verify(login, PLAIN)
    assert login["password"] == stored


async def test_without_the_extra_bcrypt_says_what_to_install(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = Login.new("1", password=Hash(made("bcrypt 2b", PLAIN)))
    monkeypatch.setattr(foreign_hashes, "bcrypt", None)
    with pytest.raises(UsageError, match=r"pip install 'aioredisca\[password\]'"):
        await Login.password.verify(login, PLAIN)


def test_no_hash_of_others_shows_itself() -> None:
    for name in MADE:
        stored = made(name, PLAIN)
        assert stored not in f"{Hash(stored)!r} {foreign_hashes.read(stored)!r}"


# -- for tests -------------------------------------------------------------------------------------


async def test_cheap_passwords_warn_and_replace_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conf, "_cheap_passwords", False)
    strong = await Login.password.hash(PLAIN)
    with pytest.warns(RuntimeWarning, match=r"conf\.cheap_passwords.*for tests only") as told:
        conf.cheap_passwords = True
    assert told[0].filename == __file__
    assert conf.cheap_passwords
    login = Login.new("1", password=await Login.password.hash(PLAIN))
    assert str(login["password"]).startswith("$scrypt$ln=4,r=8,p=1$")
    assert await Login.password.verify(login, PLAIN)
    assert not await Login.password.verify(login, "wrong")
    for better in (strong, Hash(made("bcrypt 2b", PLAIN)), Hash(made("werkzeug pbkdf2:sha256:10", PLAIN))):
        other = Login.new("2", password=better)
        assert await Login.password.verify(other, PLAIN)
        assert other.password == better
    conf.cheap_passwords = False  # which warns of nothing
    assert await Login.password.verify(login, PLAIN)
    assert str(login["password"]).startswith("$argon2id$")


async def test_no_password_matches_what_django_stores_where_there_is_none(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was CorruptRecord, and so a 500 to whoever tried such an account."""
    from django.contrib.auth import hashers

    made: list[str] = []
    monkeypatch.setattr(hashing, "make", made.append)
    for number, stored in enumerate((hashers.make_password(None), "!"), 1):
        login = Login.new("1")
        login["password"] = stored
        await login.save(mode="upsert")
        login = await Login.get("1")
        assert repr(login.password) == "<Hash unusable>"
        for guess in ("", "!", stored, PLAIN):
            assert await Login.password.verify(login, guess) is False
        assert not login.getdiff()
        assert len(made) == 4 * number  # as slow as any
    login = Login("2")
    for text in ("!x", "!" + "a" * 39, "!" + "a" * 41, "!" + "-" * 40):
        with pytest.raises(ValidationError):
            login["password"] = text
