"""Steps: each operation done, undone and counted; what is recorded, told and refused."""

from __future__ import annotations

import itertools
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from aioredisca import (
    Database,
    Email,
    Integer,
    ListOf,
    MigrationError,
    Model,
    SchemaMismatch,
    String,
    UsageError,
    conf,
    reindex,
)
from aioredisca.maintenance.migrations import At, Report, downgrade, status, upgrade
from aioredisca.maintenance.migrations.places import finish

from ..support.drift import drift

HEAD = "from aioredisca.maintenance.migrations import *\n"
MODULE = "models_for_migrations"
METACLASS: Any = type(Model)


def user(db: Database, **fields: Any) -> Any:
    """A release of the class: with a Database of its own, as another process would have it."""
    return conf(db=db, prefix="user")(METACLASS("User", (Model,), {"__module__": __name__, **fields}))


class Folder:
    """A folder of steps."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()

    def add(self, name: str, text: str) -> Path:
        path = self.place / f"{name}.py"
        path.write_text(HEAD + text)
        return path

    async def up(self, **options: Any) -> list[Report]:
        return await upgrade(self.place, **options)

    async def down(self, **options: Any) -> list[Report]:
        return await downgrade(self.place, **options)

    async def states(self) -> dict[str, str]:
        return {one.name: one.state for one in await status(self.place)}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "migrations")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where steps import their models from."""
    found: Any = types.ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, found)
    return found


def counts(reports: list[Report]) -> list[tuple[int, int]]:
    return [(one.looked, one.changed) for report in reports for one in report.counts]


def dump(raw: Any) -> dict[bytes, Any]:
    """The whole database."""
    read = {
        b"hash": raw.hgetall,
        b"set": raw.smembers,
        b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: raw.lrange(key, 0, -1),
        b"string": raw.get,
    }
    return {key: (raw.pttl(key) > 0, read[raw.type(key)](key)) for key in raw.keys("*")}


async def fill(db: Database, count: int = 120) -> Any:
    model = user(db, mail=Email(unique=True), age=Integer(index=True), name=String())
    names = itertools.cycle(["Ada Lovelace", "Bob", None])
    some = [model.new(str(i), mail=f"{i}@x.yz", age=i, name=next(names)) for i in range(count)]
    await model.save_many([*some, model.new("nil")])
    return model


OPERATIONS = {
    "copy": 'CopyField("user", "mail", "email")',
    "convert": 'CopyField("user", "age", "months", lambda text: str(int(text) * 12))',
    "split": 'SplitField("user", "name", ["first", "last"], lambda text: (text.split() + [None])[:2])',
    "join": 'JoinFields("user", ["name", "age"], "told", lambda name, age: f"{name or 0} {age}")',
    "drop": 'DropField("user", "name", restore="alias")',
    "move": 'MoveModel("user", "member")',
}
MADE = {
    "copy": {b"email": b"3@x.yz"},
    "convert": {b"months": b"36"},
    "split": {b"first": b"Ada", b"last": b"Lovelace"},
    "join": {b"told": b"Ada Lovelace 3"},
}


@pytest.mark.one_node
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_is_counted_done_and_undone(
    db: Database, raw: Any, folder: Folder, name: str
) -> None:
    model = await fill(db)
    for key in raw.keys("user:*") if name == "drop" else ():
        if (text := raw.hget(key, "name")) is not None:
            raw.hset(key, "alias", text)
    folder.add("0001_it", f"operations = [{OPERATIONS[name]}]\n")
    before = dump(raw)
    counted = await folder.up(dry_run=True)
    assert dump(raw) == before  # not a key, not the ledger, not a declaration
    done = await folder.up()
    assert counts(done) == counts(counted)
    assert await folder.states() == {"0001_it": "done"}
    assert raw.hgetall("user:3") == {
        **(MADE.get(name) or {}),
        b"mail": b"3@x.yz",
        b"age": b"3",
        **({b"alias": b"Ada Lovelace"} if name == "drop" else {b"name": b"Ada Lovelace"}),
    }
    if name == "move":
        assert raw.hgetall("member:3") == raw.hgetall("user:3")
    else:
        assert drift(raw, [model]) == ["b'/migrations' belongs to no record"]
    assert await folder.up() == []

    after = dump(raw)
    counted = await folder.down(dry_run=True)
    assert dump(raw) == after
    undone = await folder.down()
    assert name == "move" or counts(undone) == counts(counted)
    assert await folder.states() == {"0001_it": "pending"}
    left = dump(raw)
    if name == "move":  # its meta went: all indexes are to be looked at
        before.pop(b"user/meta")
    assert left == before
    assert await folder.down() == []


@pytest.mark.one_node
async def test_a_value_is_filled_in_with_its_indexes(
    db: Database, raw: Any, folder: Folder, module: Any
) -> None:
    await fill(db)
    module.User = user(db, mail=Email(unique=True), age=Integer(index=True), name=String())
    folder.add(
        "0001_fill", f'from {MODULE} import User\noperations = [Fill(User, "age", lambda r: len(r.id))]\n'
    )
    before = dump(raw)
    assert counts(await folder.up(dry_run=True)) == [(121, 1)]
    assert dump(raw) == before
    assert counts(await folder.up()) == [(121, 1)]
    assert [one.id for one in await (module.User.age == 3).limit(5)] == ["3", "nil"]
    assert drift(raw, [module.User]) == ["b'/migrations' belongs to no record"]
    with pytest.raises(MigrationError, match=r"^0001_fill: fill User\.age cannot be undone$"):
        await folder.down()


CONVERT = f"""
from {MODULE} import User

def tenfold(user):
    user.age = user.age * 10

async def back(user):
    user.age = user.age // 10

async def up(step):
    await each(step, User, tenfold)

async def down(step):
    await each(step, User, back)
"""


@pytest.mark.one_node
async def test_records_are_converted_once_and_those_left_out_are_told_without_values(
    db: Database, raw: Any, folder: Folder, module: Any
) -> None:
    module.User = await fill(db)
    raw.hset("user:5", "age", "secret")
    folder.add("0001_tenfold", CONVERT)
    counted = await folder.up(dry_run=True)
    assert counts(counted) == [(121, 118)]
    (report,) = await folder.up()
    left = report.counts[0].left
    assert left == {"5": "CorruptRecord: age is no integer", "nil": "TypeError"}
    assert (report.done, counts([report])) == (False, [(121, 118)])
    (told,) = await status(folder.place)
    assert (told.state, told.left) == ("running", left)
    with pytest.raises(MigrationError, match="it is not applied to its end"):
        await folder.down()

    raw.hset("user:5", "age", "5")
    await module.User("nil").delete()
    assert counts(await folder.up()) == [(2, 1)]  # those alone, and no other a second time
    assert raw.hget("user:5", "age") == b"50"
    assert raw.hget("user:7", "age") == b"70"
    assert await folder.states() == {"0001_tenfold": "done"}
    assert raw.hlen("/migrations/left") == 0
    assert drift(raw, [module.User]) == ["b'/migrations' belongs to no record"]
    await folder.down()
    assert raw.hget("user:7", "age") == b"7"
    assert drift(raw, [module.User]) == []


async def test_a_duplicate_is_left_out_and_the_rest_goes_on(
    db: Database, raw: Any, folder: Folder, module: Any
) -> None:
    module.User = await fill(db)
    folder.add(
        "0001_one",
        f"from {MODULE} import User\n"
        "def taken(user):\n    user.mail = '7@x.yz' if user.id == '3' else user.mail\n    user.name = 'N'\n"
        "async def up(step):\n    await each(step, User, taken)\n",
    )
    (report,) = await folder.up()
    assert report.counts[0].left == {"3": "UniqueViolation: User('7') holds the same mail"}
    assert (counts([report]), raw.hget("user:3", "name")) == ([(121, 120)], b"Ada Lovelace")
    assert raw.hget("user:4", "name") == b"N"
    left = [text for text in drift(raw, [module.User]) if "/migrations" not in text]
    assert left == []


@pytest.mark.one_node
async def test_a_model_moves_with_collections_and_ends(db: Database, raw: Any, folder: Folder) -> None:
    def release(name: str) -> Any:
        fields = {"name": String(index=True), "log": ListOf(String()), "__module__": __name__}
        return conf(db=db, prefix=name, ttl=3600)(METACLASS("Visit", (Model,), fields))

    old, new = release("old"), release("new")
    one = await old.new("1", name="a").save()
    await one.log.append("x", "y")
    await old.new("2", name="b").save()
    folder.add("0001_move", 'operations = [MoveModel("old", "new")]\n')
    assert counts(await folder.up()) == [(2, 2)]
    with pytest.raises(SchemaMismatch, match="the records move to another prefix"):
        await old.new("3", name="late").save()
    await reindex(new)
    assert [one.id for one in await new.name.find("a")] == ["1"]
    assert await new("1").log.range() == ["x", "y"]
    assert raw.pttl("new:1") > 0
    assert [text for text in drift(raw, [new]) if "old" not in text] == [
        "b'/migrations' belongs to no record"
    ]
    folder.add("0002_delete", 'operations = [DeleteModel("old")]\n')
    raw.hset("old:9", "mine", "1")
    done = await folder.up()
    assert [one.title for one in done[0].counts][1:] == [
        "left alone: keys under 'old:' that are no records of it"
    ]
    assert raw.keys("old*") == [b"old:9"]


@pytest.mark.one_node
async def test_nobody_takes_over_where_records_move(db: Database, raw: Any) -> None:
    """To build indexes is to say who may write: neither `reindex` does, nor a class that builds by itself."""

    def release(name: str, **settings: Any) -> Any:
        fields = {"name": String(index=True), "__module__": __name__}
        return conf(db=db, prefix=name, **settings)(METACLASS("Visit", (Model,), fields))

    places = At("old").keys(db), At("new").keys(db)
    await release("old").new("1", name="a").save()
    await finish(db, *places)
    before = dump(raw)
    for name in ("old", "new"):
        for force in (False, True):
            with pytest.raises(SchemaMismatch, match="the records move to another prefix"):
                await reindex(release(name), force=force)
        with pytest.raises(SchemaMismatch, match="the records move to another prefix"):
            await reindex(release(name), before=True)
        with pytest.raises(SchemaMismatch, match="the records move to another prefix"):
            await release(name, auto_build=1000).new("2", name="b").save()
    assert dump(raw) == before
    assert [one.id for one in await release("old", auto_build=1000).name.find("a")] == ["1"]


@pytest.mark.one_node
async def test_a_model_moves_to_no_place_that_others_have(db: Database, raw: Any, folder: Folder) -> None:
    """Keys that no meta tells of: copies would replace them."""
    await user(db, mail=Email()).new("1", mail="a@b.cc").save()
    raw.hset("member:1", "mail", "another's")
    folder.add("0001_move", 'operations = [MoveModel("user", "member")]')
    before = {key: raw.dump(key) for key in raw.keys("*")}
    for dry_run in (True, False):
        with pytest.raises(MigrationError, match="move to a prefix that holds nothing"):
            await folder.up(dry_run=dry_run)
        raw.delete("/migrations", "/migrations/lease")
        assert {key: raw.dump(key) for key in raw.keys("*")} == before
    raw.delete("member:1")
    await folder.up()
    assert raw.hget("member:1", "mail") == b"a@b.cc"


@pytest.mark.one_node
async def test_a_place_above_its_own_is_free(db: Database, raw: Any, folder: Folder) -> None:
    model = conf(db=db, prefix="old:user")(
        METACLASS("User", (Model,), {"__module__": __name__, "a": String()})
    )
    await model.new("1", a="x").save()
    folder.add("0001_move", 'operations = [MoveModel("old:user", "old")]')
    await folder.up()
    assert raw.hget("old:1", "a") == b"x"


@pytest.mark.one_node
async def test_a_step_that_changed_on_its_way_passes_nothing_over(
    db: Database, raw: Any, folder: Folder
) -> None:
    """The cursor of what it has begun with is not that of what it does now."""
    model = user(db, mail=String())
    await model.save_many([model.new(f"{n:03}", mail="x") for n in range(250)])
    stops = (
        "def stop(text, seen=[]):\n    seen.append(text)\n    return text if len(seen) < 150 else exit()\n"
    )
    path = folder.add("0001_copy", stops + 'operations = [CopyField("user", "mail", "email", stop)]')
    with pytest.raises(SystemExit):
        await folder.up()
    copied = [key for key in raw.keys("user:*") if raw.hexists(key, "email")]
    assert len(copied) == 100
    raw.delete("/migrations/lease")  # as if it had ended with its holder
    path.write_text(
        HEAD + 'operations = [CopyField("user", "mail", "post"), CopyField("user", "mail", "email")]'
    )
    with pytest.raises(MigrationError, match="'copy mail of user to post' is not what it has begun with"):
        await folder.up()
    path.write_text(
        HEAD + 'operations = [CopyField("user", "mail", "email"), CopyField("user", "mail", "post")]'
    )
    await folder.up()
    for name in ("email", "post"):
        assert all(raw.hexists(key, name) for key in raw.keys("user:*"))


@pytest.mark.blocking_only
async def test_after_ctrl_c_it_goes_on_at_once(db: Database, raw: Any, folder: Folder) -> None:
    model = user(db, mail=String())
    await model.save_many([model.new(str(n), mail="x") for n in range(150)])
    folder.add("0001_copy", 'operations = [CopyField("user", "mail", "email")]')

    def ctrl_c(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await folder.up(progress=ctrl_c)
    (report,) = await folder.up()
    assert (report.done, report.counts[0].looked) == (True, 50)


@pytest.mark.on_cluster
async def test_a_model_is_deleted_and_nothing_else(db: Database, raw: Any, folder: Folder) -> None:
    await fill(db)
    nested = conf(db=db, prefix="user2")(
        METACLASS("Nested", (Model,), {"name": String(index=True), "__module__": __name__})
    )
    await nested.new("1", name="a").save()
    raw.hset("user:sub/meta", "signature", "1/i:")  # a model whose prefix is longer
    raw.hset("user:sub:1", "name", "of another")
    raw.zadd("user/ids", {"sub:1": 0})
    raw.set("user/other", "of somebody")
    raw.set("user", "of somebody")
    folder.add("0001_delete", 'operations = [DeleteModel("user")]\n')
    before = dump(raw)
    await folder.up(dry_run=True)
    assert dump(raw) == before
    await folder.up()
    assert sorted(key for key in raw.keys("user*") if not key.startswith(b"user2")) == [
        b"user",
        b"user/other",
        b"user:sub/meta",
        b"user:sub:1",
    ]
    assert [one.id for one in await nested.name.find("a")] == ["1"]
    with pytest.raises(MigrationError, match="delete user cannot be undone"):
        await folder.down()


@pytest.mark.one_node
async def test_a_field_is_renamed_in_a_maintenance_window(
    db: Database, raw: Any, folder: Folder, module: Any
) -> None:
    await fill(db)
    module.User = user(db, email=Email(unique=True), age=Integer(index=True), name=String())
    folder.add(
        "0001_rename",
        f"from {MODULE} import User\noperations = [CopyField('user', 'mail', 'email'), Reindex(User, force=True), "
        "DropField('user', 'mail', restore='email')]\n",
    )
    await folder.up()
    assert (await module.User.get_or_create(email="7@x.yz"))[0].id == "7"
    assert drift(raw, [module.User]) == ["b'/migrations' belongs to no record"]
    assert raw.hgetall("user:3").keys() == {b"email", b"age", b"name"}


# -- order, and what is refused ----------------------------------------------------------------------


async def test_what_is_not_in_order_is_told_or_refused(db: Database, folder: Folder) -> None:
    nothing = "operations = []\n"
    folder.add("0001_one", nothing)
    folder.add("0002_two", nothing)
    folder.add("0003_three", nothing)
    assert [one.name for one in await folder.up(to="0002_two")] == ["0001_one", "0002_two"]
    assert [one.name for one in await folder.up(to="3")] == ["0003_three"]
    changed = folder.add("0002_two", nothing + "# changed\n")
    assert [len(one.notes) for one in await status(folder.place)] == [0, 1, 0]
    changed.rename(folder.place / "0002_other.py")
    with pytest.raises(MigrationError, match=r"^0002_other: it comes before one that was applied"):
        await folder.up()
    assert [(one.name, one.state) for one in await status(folder.place)] == [
        ("0001_one", "done"),
        ("0002_other", "pending"),
        ("0003_three", "done"),
        ("0002_two", "done"),
    ]
    with pytest.raises(MigrationError, match=r"^0002_two: .* no such file"):
        await folder.down()
    (folder.place / "0002_other.py").rename(folder.place / "0002_two.py")
    assert [one.name for one in await folder.down(to="1")] == ["0003_three", "0002_two"]
    assert [one.name for one in await folder.down(to="0")] == ["0001_one"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("0001_a", "operations = [", "0001_a cannot be loaded: SyntaxError"),
        ("0001_a", "import no_such_module", "0001_a cannot be loaded: ModuleNotFoundError"),
        ("0001_a", "", "0001_a has operations = "),
        ("0001_a", "operations = []\ndef up(step): ...", "one of the two"),
        ("0001_a", "operations = []\ndef down(step): ...", "down() goes with up()"),
        ("0001_a", "operations = ['x']", "0001_a: 'x' in operations is none"),
        ("0001_a", "up = 3", "up and down are functions"),
        ("0001_a", "operations, models = [], 3", "models is the dict"),
        ("0001_a", "operations = [CopyField('us/er', 'a', 'b')]", "0001_a: 'us/er': a prefix holds no /"),
        ("0001_a", "operations = [CopyField('u', 'a', 'a')]", "a field cannot be made of itself"),
        ("0001_a", "operations = [CopyField('u', '_', 'a')]", "marks empty records"),
        ("0001_a", "operations = [CopyField('u', 'a', 'b', 3)]", "takes a function of stored text, not 3"),
        ("0001_a", "operations = [Fill(3, 'a', 3)]", "takes a model class, not 3"),
        ("0001_a", "operations = [MoveModel('u', 'u')]", "u and u are one place"),
        ("0002_a", "operations = []", "0002_a: step 0001 is missing before it"),
        ("one", "operations = []", "one.py is no name of a step"),
    ],
)
async def test_a_bad_file_is_refused_before_anything_is_recorded(
    db: Database, raw: Any, folder: Folder, name: str, text: str, told: str
) -> None:
    folder.add(name, text)
    with pytest.raises(UsageError) as caught:
        await folder.up()
    assert told in str(caught.value)
    assert raw.keys("*") == []


async def test_bad_calls_are_refused(db: Database, raw: Any, folder: Folder, tmp_path: Path) -> None:
    folder.add("0001_a", "operations = []")
    with pytest.raises(UsageError, match="there is no folder"):
        await upgrade(tmp_path / "none")
    with pytest.raises(MigrationError, match="there is no step '7', the last is 0001_a"):
        await folder.up(to="7")
    with pytest.raises(UsageError, match="records per second"):
        await folder.up(rate=-1)
    (folder.place / "0001_b.py").write_text("operations = []")
    with pytest.raises(UsageError, match="0001_a and 0001_b have one number"):
        await folder.up()
    assert raw.keys("*") == []


async def test_an_indexed_field_is_not_filled_behind_the_back_of_its_index(
    db: Database, raw: Any, folder: Folder
) -> None:
    await fill(db)
    folder.add("0001_a", "operations = [CopyField('user', 'name', 'age')]")
    with pytest.raises(
        MigrationError, match=r"^0001_a: the store has indexes of age in '\{?user\}?', which only"
    ):
        await folder.up()
    assert raw.hget("user:3", "age") == b"3"
    assert await folder.states() == {"0001_a": "running"}


async def test_records_that_nobody_has_listed_are_not_passed_over(
    db: Database, raw: Any, folder: Folder
) -> None:
    raw.hset("user:1", "mail", "a@x.yz")
    folder.add("0001_a", "operations = [CopyField('user', 'mail', 'email')]")
    with pytest.raises(MigrationError, match=r"^0001_a: the records of '\{?user\}?' are not listed"):
        await folder.up()
    model = user(db, mail=Email(unique=True))
    await model.new("2", mail="b@x.yz").save()
    with pytest.raises(MigrationError, match=r"^0001_a: the records of '\{?user\}?' are not listed"):
        await folder.up()
    await reindex(model)
    assert counts(await folder.up()) == [(2, 2)]


async def test_a_step_that_raises_is_told_and_those_before_it_stay(
    db: Database, raw: Any, folder: Folder
) -> None:
    await fill(db)
    folder.add("0001_a", "operations = [CopyField('user', 'mail', 'email')]")
    folder.add("0002_b", "async def up(step):\n    raise KeyError('secret')")
    with pytest.raises(MigrationError, match=r"^0002_b: it stopped: KeyError$"):
        await folder.up()
    assert await folder.states() == {"0001_a": "done", "0002_b": "running"}
    assert raw.exists("/migrations/lease") == 0
    folder.add("0002_b", "operations = []")
    assert [one.name for one in await folder.up()] == ["0002_b"]


@pytest.mark.one_node
async def test_the_namespace_has_its_own_ledger(url: str, db: Database, raw: Any, folder: Folder) -> None:
    folder.add("0001_a", "operations = []")
    other = Database(url, namespace="app:")
    await folder.up(db=other)
    assert raw.keys("*") == [b"app:/migrations"]
    assert await folder.states() == {"0001_a": "pending"}
    raw.set("/migrations", "of somebody")
    with pytest.raises(MigrationError, match="'/migrations' holds something else"):
        await folder.up()


async def test_steps_are_marked_where_the_data_has_their_shape_already(
    db: Database, folder: Folder, raw: Any
) -> None:
    """As after an import. The control: applied, each of these would change it."""
    await fill(db, 10)
    for number, one in enumerate(("copy", "split"), 1):
        folder.add(f"{number:04}_{one}", f"operations = [{OPERATIONS[one]}]")
    folder.add("0003_drop", f"operations = [{OPERATIONS['drop']}]")
    before = dump(raw)
    await folder.up(mark_only=True, dry_run=True)
    assert dump(raw) == before
    marked = await folder.up(mark_only=True, to="0002")
    assert [(one.name, one.counts, one.done) for one in marked] == [
        ("0001_copy", [], True),
        ("0002_split", [], True),
    ]
    assert [*(await folder.states()).values()] == ["done", "done", "pending"]
    assert {key: value for key, value in dump(raw).items() if b"/migrations" not in key} == before
    assert counts(await folder.up()) == [(11, 7)]
    assert await folder.up(mark_only=True) == []
    assert [one.name for one in await folder.down(to="0")] == ["0003_drop", "0002_split", "0001_copy"]


@pytest.mark.one_node
async def test_a_step_that_was_cut_short_is_marked_and_leaves_nothing(
    db: Database, folder: Folder, raw: Any
) -> None:
    await fill(db, 10)
    folder.add("0001_bad", 'operations = [CopyField("user", "age", "months", lambda text: text[9])]')
    (report,) = await folder.up()
    assert not report.done
    await folder.up(mark_only=True)
    assert [*(await folder.states()).values()] == ["done"]
    assert raw.hkeys("/migrations") == [b"step:0001_bad"]
    assert not raw.exists("/migrations/left")
