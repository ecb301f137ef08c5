"""Password: hashed by the strongest scheme there is, off the event loop, and shown nowhere."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import pickle
import time
from typing import Any

import argon2
import pytest

from aioredisca import (
    CorruptRecord,
    Database,
    Email,
    Hash,
    MD5Pass,
    Model,
    NotIndexed,
    NotLoaded,
    Password,
    SessionClosed,
    String,
    UsageError,
    ValidationError,
    conf,
    session,
    sync,
)
from aioredisca.fields import hashing

from ..support.drift import drift

PLAIN = "correct horse battery staple"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little: what they cost is not tested here."""
    monkeypatch.setattr(hashing, "SCRYPT", (10, 8, 1))
    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(hashing, "hasher", cheap)


@conf(prefix="account")
class Account(Model):
    name = String()
    password = Password(minlen=4)
    pin = Password(field="p", maxlen=6)


@conf(prefix="account")
class BlockingAccount(sync.Model):
    name = sync.String()
    password = sync.Password(minlen=4)
    pin = sync.Password(field="p", maxlen=6)


@conf(prefix="account")
class OldAccount(Model):
    name = String()
    password = MD5Pass()
    pin = MD5Pass(field="p")


async def test_a_password_is_hashed_stored_and_verified(db: Database, raw: Any) -> None:
    user = Account.new("1", password=await Account.password.hash(PLAIN))
    assert await Account.password.verify(user, PLAIN)
    await user.save()
    assert raw.hget("account:1", "password").startswith(b"$argon2id$v=19$")
    user = await Account.get("1")
    assert await Account.password.verify(user, PLAIN)
    assert not await Account.password.verify(user, PLAIN + " ")
    assert not await Account.password.verify(user, "")
    assert not user.getdiff()
    assert drift(raw, [Account]) == []


async def test_two_passwords_of_one_record_have_nothing_in_common(db: Database) -> None:
    user = Account.new("1")
    user.password = await Account.password.hash("12345")
    user.pin = await Account.pin.hash("12345")
    await user.save()
    user = await Account.get("1")
    assert user.password != user.pin
    user.pin = await Account.pin.hash("99999")
    assert await Account.password.verify(user, "12345")
    assert not await Account.pin.verify(user, "12345")
    assert await Account.pin.verify(user, "99999")


async def test_equal_passwords_have_different_hashes(db: Database) -> None:
    assert await Account.password.hash(PLAIN) != await Account.password.hash(PLAIN)


async def test_assigning_a_hash_does_not_hash_it_again(db: Database) -> None:
    user = await Account.new("1", password=await Account.password.hash(PLAIN)).save()
    user.password = user.password
    assert not user.getdiff()
    text = user["password"]
    user["password"] = text
    assert not user.getdiff()
    assert await Account.password.verify(user, PLAIN)


async def test_plain_text_is_refused_where_hashing_it_would_stall_the_loop(db: Database) -> None:
    with pytest.raises(
        ValidationError, match=r"password = await Account\.password\.hash\(\.\.\.\)"
    ) as caught:
        Account.new("1", password=PLAIN)
    assert caught.value.value is None
    user = Account("1")
    with pytest.raises(ValidationError):
        user.password = PLAIN  # type: ignore[call-overload]
    with pytest.raises(ValidationError, match="is no password hash"):
        user["password"] = PLAIN
    with pytest.raises(ValidationError, match="takes a hash, not int"):
        user.password = 1234  # type: ignore[call-overload]


@pytest.mark.blocking_only
async def test_blocking_models_take_plain_text(db: Database, raw: Any) -> None:
    user = BlockingAccount.new("1", password=PLAIN).save()
    assert BlockingAccount.password.verify(BlockingAccount("1"), PLAIN)  # loads it
    assert not BlockingAccount.password.verify(user, "wrong")
    assert not BlockingAccount.password.verify(None, PLAIN)
    stored = raw.hget("account:1", "password").decode()
    user.password = stored  # plain text that looks like a hash is still plain text
    assert BlockingAccount.password.verify(user, stored)
    assert not BlockingAccount.password.verify(user, PLAIN)
    user.password = BlockingAccount.password.hash(PLAIN)
    assert BlockingAccount.password.verify(user, PLAIN)
    with pytest.raises(ValidationError, match="at least 4"):
        user.password = "abc"
    raw.hset("account:2", "password", hashlib.md5(b"old").hexdigest())
    assert BlockingAccount.password.upgrade(BlockingAccount("2"))


async def test_limits_are_those_of_the_plain_text(db: Database) -> None:
    for bad, reason in [("abc", "at least 4"), ("x" * 1025, "at most 1024"), ("\ud800xxx", "surrogate")]:
        with pytest.raises(ValidationError, match=reason) as caught:
            await Account.password.hash(bad)
        assert (caught.value.field, caught.value.value) == ("password", None)
    with pytest.raises(ValidationError, match="at most 6"):
        await Account.pin.hash("1234567")
    with pytest.raises(ValidationError, match="takes a string, not int"):
        await Account.password.hash(12345)  # type: ignore[arg-type]
    user = Account.new("1", password=await Account.password.hash("four"))
    for never in ("x" * 100_000, "\ud800"):
        assert not await Account.password.verify(user, never)
    with pytest.raises(ValidationError, match="takes a string, not NoneType"):
        await Account.password.verify(user, None)  # type: ignore[arg-type]


async def test_one_text_of_two_keyboards_is_one_password(db: Database) -> None:
    user = Account.new("1", password=await Account.password.hash("p\u00e4ssword"))
    assert await Account.password.verify(user, "pa\u0308ssword")


async def test_nobody_and_no_password_are_false_in_the_time_of_a_wrong_password(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[bytes]()
    make = hashing._make

    def counted(secret: bytes) -> str:
        made.append(secret)
        return make(secret)

    monkeypatch.setattr(hashing, "_make", counted)
    assert not await Account.password.verify(None, PLAIN)
    assert not await Account.password.verify(Account.new("1"), PLAIN)
    await OldAccount.new("2", password="old").save()
    assert not await Account.password.verify(await Account.get("2"), PLAIN)
    assert not await Account.password.verify(await Account("nobody"), PLAIN)
    assert made == [PLAIN.encode()] * 4


async def test_a_handle_that_was_not_loaded_is_no_hidden_io(db: Database) -> None:
    with pytest.raises(NotLoaded):
        await Account.password.verify(Account("1"), PLAIN)
    with pytest.raises(UsageError, match="verifies records of Account, not OldAccount"):
        await Account.password.verify(OldAccount("1"), PLAIN)  # type: ignore[arg-type]


# -- old data --------------------------------------------------------------------------------------


async def test_md5_of_redisca_is_verified_and_replaced(db: Database, raw: Any) -> None:
    await OldAccount.new("1", password="old", pin="1").save()
    user = await Account.get("1")
    assert user.password is not None
    assert user.password.scheme == "md5"
    assert not await Account.password.verify(user, "wrong")
    assert not user.getdiff()
    assert await Account.password.verify(user, "old")  # shorter than minlen, and right
    assert set(user.getdiff()) == {"password"}
    await user.save()
    assert raw.hget("account:1", "password").startswith(b"$argon2id$")
    assert raw.hget("account:1", "p") == hashlib.md5(b"1").hexdigest().encode()
    user = await Account.get("1")
    assert await Account.password.verify(user, "old")
    assert not user.getdiff()


async def test_md5_is_put_under_a_strong_hash_without_the_plain_text(db: Database, raw: Any) -> None:
    await OldAccount.save_many([OldAccount.new(str(n), password=f"old{n}") for n in range(3)])
    async for user in Account.all():
        assert await Account.password.upgrade(user)
        await user.save()
        assert not await Account.password.upgrade(user)
        assert not await Account.pin.upgrade(user)
    assert all(raw.hget(f"account:{n}", "password").startswith(b"md5+$argon2id$") for n in range(3))
    user = await Account.get("2")
    assert not await Account.password.verify(user, "old1")
    assert not await Account.password.verify(user, hashlib.md5(b"old2").hexdigest())
    assert await Account.password.verify(user, "old2")
    await user.save()
    assert raw.hget("account:2", "password").startswith(b"$argon2id$")


async def test_a_better_hash_does_not_overwrite_a_newer_password(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await OldAccount.new("1", password="old").save()
    user = await Account.get("1")
    newer = await Account.password.hash("newer")
    check = hashing.check

    def meanwhile(*args: Any) -> Any:
        user.password = newer
        return check(*args)

    monkeypatch.setattr(hashing, "check", meanwhile)
    assert await Account.password.verify(user, "old")
    assert user.password == newer


async def test_scrypt_stands_in_and_is_replaced_by_argon2(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = hashing.hasher
    monkeypatch.setattr(hashing, "hasher", None)
    user = await Account.new("1", password=await Account.password.hash(PLAIN)).save()
    assert raw.hget("account:1", "password").startswith(b"$scrypt$ln=10,r=8,p=1$")
    assert await Account.password.verify(user, PLAIN)
    assert not await Account.password.verify(user, "wrong")
    assert not user.getdiff()
    monkeypatch.setattr(hashing, "SCRYPT", (11, 8, 1))
    assert await Account.password.verify(user, PLAIN)
    assert str(user["password"]).startswith("$scrypt$ln=11,")
    monkeypatch.setattr(hashing, "hasher", hasher)
    assert await Account.password.verify(user, PLAIN)
    assert str(user["password"]).startswith("$argon2id$")
    monkeypatch.setattr(hashing, "hasher", None)
    with pytest.raises(UsageError, match="pip install 'aioredisca\\[password\\]'"):
        await Account.password.verify(user, PLAIN)


HOSTILE = (
    "", "plain", "$argon2id$", "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAA$", "A" * 32, "0" * 33,
    "$argon2id$v=19$m=99999999,t=3,p=4$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
    "$scrypt$ln=30,r=8,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
    "$scrypt$ln=17,r=99,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
    "md5+" + "0" * 32, "md5+md5+$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
    "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("stored", HOSTILE)
async def test_stored_text_that_is_no_hash_or_asks_too_much_is_corrupt(
    db: Database, raw: Any, stored: str
) -> None:
    raw.hset("account:1", mapping={"password": stored, "name": "x"})
    user = await Account.get("1")
    with pytest.raises(CorruptRecord) as caught:
        await Account.password.verify(user, PLAIN)
    assert not stored or stored not in str(caught.value)
    with pytest.raises(ValueError, match="is no password hash"):
        Hash(stored)


async def test_broken_base64_is_a_wrong_password(db: Database) -> None:
    for stored in (
        "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAA$AAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=1,t=0,p=0$AAAAAAAA$AAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=8,p=1$AAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=0,r=0,p=0$AAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
    ):
        assert not await Account.password.verify(Account.new("1", password=Hash(stored)), PLAIN)


# -- shown nowhere ---------------------------------------------------------------------------------


async def test_no_hash_shows_itself(db: Database) -> None:
    user = await Account.new("1", password=await Account.password.hash(PLAIN)).save()
    assert user.password is not None
    secret = user.password.encoded
    assert f"{user.password} {user.password!r}" == "<Hash argon2id> <Hash argon2id>"
    assert "password" not in user.export(keep_none=True)
    user.name = "x"
    assert secret not in repr(user) + repr(user.export())
    assert user["password"] == secret  # the dict API is the hash as it is


async def test_hashes_are_copied_and_pickled(db: Database) -> None:
    user = await Account.new("1", password=await Account.password.hash(PLAIN)).save()
    for twin in (copy.copy(user), copy.deepcopy(user), pickle.loads(pickle.dumps(user))):
        assert twin.password == user.password
        assert await Account.password.verify(twin, PLAIN)
    assert pickle.loads(pickle.dumps(user.password)) == user.password
    assert len({user.password, copy.copy(user.password)}) == 1
    assert user.password != "x"


async def test_there_is_no_index_of_passwords(db: Database) -> None:
    with pytest.raises(UsageError, match="cannot be unique"):
        Password(unique=True)
    with pytest.raises(UsageError, match="fields have no index"):
        Password(index=True)
    with pytest.raises(NotIndexed):
        await (Account.password == await Account.password.hash(PLAIN))
    assert Password(secret=False).secret is False


async def test_passwords_in_a_mixin_and_a_required_one(db: Database) -> None:
    class Login:
        email = Email()
        password = Password(required=True)

    class One(Login, Model): ...

    class Two(Login, sync.Model): ...

    assert isinstance(Login.password, Password)
    with pytest.raises(ValidationError, match="is required"):
        await One.new("1").save()
    one = One.new("1", password=await One.password.hash(PLAIN))
    with pytest.raises(ValidationError, match="is required and cannot be None"):
        one.password = None  # type: ignore[call-overload]
    assert isinstance(Two.password, sync.PasswordColumn)


async def test_a_password_belongs_to_the_unit_of_work(db: Database) -> None:
    await OldAccount.new("1", password="old").save()
    async with session(autosave=True):
        user = await Account.get("1")
        assert await Account.password.verify(user, "old")
    assert (await Account.get("1")).password == user.password
    with pytest.raises(SessionClosed):
        user.password = await Account.password.hash(PLAIN)


# -- the loop --------------------------------------------------------------------------------------


@pytest.mark.asyncio_only
async def test_hashing_does_not_stall_the_loop(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(secret: bytes) -> str:
        time.sleep(0.6)
        return "0" * 32

    monkeypatch.setattr(hashing, "_make", slow)

    async def turns_beside(work: Any) -> int:
        turns, task = 0, asyncio.ensure_future(work)
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    async def inline() -> None:
        slow(b"")

    assert await turns_beside(inline()) < 3  # the known-bad way
    assert await turns_beside(Account.password.hash(PLAIN)) > 5
    await db.aclose()
