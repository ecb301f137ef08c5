"""What becomes of records when one that they refer to is deleted: all of it in the same call, or none."""

from __future__ import annotations

import asyncio
import gc
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from aioredisca import (
    BulkError,
    Database,
    Email,
    Integer,
    Model,
    NotIndexed,
    Reference,
    Restricted,
    String,
    Tags,
    UsageError,
    conf,
    session,
    sync,
)
from aioredisca.compiler.changes import Change
from aioredisca.compiler.writes import write_call
from aioredisca.persistence import saving
from aioredisca.persistence.pending import begin_delete

from ..support.drift import drift
from ..support.patience import insist
from ..support.proxy import Proxy

pytestmark = pytest.mark.one_slot


@pytest.fixture(scope="module")
def old() -> None:
    """What other tests left is not looked at again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def forgotten(old: None) -> Iterator[None]:
    """Classes that a test defines refer to those of the module: they must not outlive it."""
    yield
    gc.collect()


@conf(prefix="kept-author")
class Author(Model):
    name = String(index=True)
    boss = Reference("Author", index=True, on_delete="cascade")


@conf(prefix="kept-editor")
class Editor(Author):
    pass


@conf(prefix="kept-post", unique=[("author", "slug")], index=[("author", "stars")])
class Post(Model):
    author = Reference(Author, index=True, on_delete="cascade")
    editor = Reference(Author, field="ed", index=True, on_delete="nullify")
    slug = String()
    stars = Integer(index=True)
    tags = Tags(index=True)


@conf(prefix="kept-comment")
class Comment(Model):
    post = Reference(Post, required=True, index=True, on_delete="cascade")
    email = Email(unique=True)


@conf(prefix="kept-award")
class Award(Model):
    author = Reference(Author, index=True, on_delete="restrict")
    post = Reference(Post, index=True, on_delete="restrict")
    title = String(required=True)


@conf(prefix="kept-note")
class Note(Model):
    about = Reference(Author, children=True, index=True, on_delete="nullify")


MODELS = (Author, Editor, Post, Comment, Award, Note)


async def a_family() -> None:
    """An author with two posts, which have two comments each; another who edits one of them."""
    await Author.save_many([Author.new("a", name="A"), Author.new("b", name="B")])
    await Post.save_many(
        [
            Post.new("p1", author="a", editor="b", slug="one", stars=1, tags=["x"]),
            Post.new("p2", author="a", slug="two", stars=2),
            Post.new("p3", author="b", editor="a", slug="one"),
        ]
    )
    comments = [Comment.new(f"c{i}", post=f"p{1 + i % 3}", email=f"{i}@x.yz") for i in range(6)]
    await Comment.save_many(comments)


async def left() -> dict[str, list[str]]:
    return {model.__name__: await model.all().ids() for model in MODELS if await model.all().ids()}


@pytest.mark.on_cluster
async def test_a_delete_takes_along_what_refers_to_it(db: Database, raw: Any) -> None:
    await a_family()
    assert await Author("a").delete()
    assert await left() == {"Author": ["b"], "Post": ["p3"], "Comment": ["c2", "c5"]}
    assert (await Post.get("p3")).editor is None
    assert drift(raw, MODELS) == []
    assert await Author("b").delete()
    assert await left() == {}
    assert not [key for key in raw.keys("*") if not key.endswith(b"/meta")]


async def test_a_reference_that_is_taken_away_leaves_every_index(db: Database, raw: Any) -> None:
    await a_family()
    await Post.new("p4", editor="b").save()
    await Author("b").delete()
    assert (await Post.get("p1")).editor is None
    assert raw.hgetall("kept-post:p4") == {b"_": b"1"}
    assert {post.id for post in await (Post.editor == None)} == {"p1", "p2", "p4"}  # noqa: E711
    assert drift(raw, MODELS) == []


@pytest.mark.on_cluster
async def test_a_delete_is_restricted_as_a_whole(db: Database, raw: Any) -> None:
    await a_family()
    await Award.new("w", author="a", title="t").save()
    before = {key: raw.dump(key) for key in raw.keys("*")}
    author = await Author.get("a")
    with pytest.raises(Restricted) as caught:
        await author.delete()
    error = caught.value
    assert (error.model, error.id, error.field, error.holder) == ("Author", "a", "Award.author", "w")
    assert error.instance is author
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with pytest.raises(BulkError) as bulk:
        await Author.delete_many(["b", "a"])
    assert isinstance(bulk.value.cause, Restricted)
    after = {key: raw.dump(key) for key in raw.keys("*")}
    assert {key: value for key, value in after.items() if key in before} == before
    assert {key.partition(b"/")[2] for key in after.keys() - before.keys()} <= {b"meta"}
    await Award("w").delete()
    assert await author.delete()


async def test_one_that_would_have_gone_along_can_restrict_too(db: Database, raw: Any) -> None:
    await a_family()
    await Award.new("w", post="p2", title="t").save()
    with pytest.raises(Restricted) as caught:
        await Author("a").delete()
    assert (caught.value.model, caught.value.id, caught.value.field) == ("Post", "p2", "Award.post")
    async with session(autosave=True) as work:  # the final state decides: the award goes, too
        work.delete(Author("a"))
        work.delete(Award("w"))
    assert await left() == {"Author": ["b"], "Post": ["p3"], "Comment": ["c2", "c5"]}
    assert drift(raw, MODELS) == []


async def test_circles_and_self_references_end(db: Database, raw: Any) -> None:
    chain = [Author.new(str(i), boss=str((i + 1) % 50)) for i in range(50)]
    await Author.save_many(chain)
    await Author.new("self", boss="self").save()
    await Author.new("free").save()
    assert await Author("self").delete()
    assert await Author("7").delete()
    assert await left() == {"Author": ["free"]}
    assert drift(raw, MODELS) == []


async def test_in_a_unit_of_work_the_final_state_counts(db: Database, raw: Any) -> None:
    await a_family()
    async with session(autosave=True) as work:
        one, two = await Post.get("p1"), await Post.get("p2")
        one.author = "b"  # type: ignore[assignment]  # it does not refer to the deleted one any more
        one.slug = "moved"
        two.stars = 9  # it does, and goes
        kept = await Post.get("p3")
        kept.editor = "a"  # type: ignore[assignment]
        kept.stars = 3
        work.delete(await Author.get("a"))
    assert await left() == {"Author": ["b"], "Post": ["p1", "p3"], "Comment": ["c0", "c2", "c3", "c5"]}
    assert (await Post.get("p3")).export() == {"author": Author("b"), "slug": "one", "stars": 3}
    assert drift(raw, MODELS) == []


async def test_references_to_a_family_of_classes(db: Database, raw: Any) -> None:
    await Editor.new("e").save()
    await Author.new("e").save()
    await Note.new("1", about=Editor("e")).save()
    await Note.new("2", about=Author("e")).save()
    await Post.new("p", author="e").save()
    await Editor("e").delete()
    assert (await Note.get("1")).about is None
    assert (await Note.get("2")).about == Author("e")
    assert await Post("p").exists()
    await Author("e").delete()
    assert await left() == {"Note": ["1", "2"]}
    assert drift(raw, MODELS) == []


async def test_entries_that_are_wrong_take_nobody_along(db: Database, raw: Any) -> None:
    await a_family()
    raw.hset("kept-post:p2", "author", "b")
    raw.sadd("kept-award/x/author/a", "ghost")
    await Author("a").delete()
    assert await Post("p2").exists()
    assert not await Post("p1").exists()


@pytest.mark.slow
@pytest.mark.asyncio_only  # the same call in both colours
async def test_a_delete_is_bounded(db: Database, raw: Any, backend: str) -> None:
    restricting = 10 if backend == "memory" else 5001
    await Author.new("a").save()
    await Author.new("b").save()
    posts = [Post.new(str(i), author="a", slug=str(i)) for i in range(5000)]
    await Post.save_many(posts, batch=1000)
    await Award.save_many([Award.new(str(i), author="b", title="t") for i in range(restricting)], batch=1000)
    with pytest.raises(Restricted):  # of so many one is enough
        await Author("b").delete()
    size = raw.dbsize()
    with pytest.raises(UsageError, match="more than 5,000 records refer to Author\\('a'\\)"):
        await Author("a").delete()
    assert raw.dbsize() == size
    await Post("0").delete()
    assert await Author("a").delete()
    assert await Post.all().count() == 0
    assert drift(raw, MODELS) == []


async def test_deleting_what_is_not_there_takes_nobody_along(db: Database, raw: Any) -> None:
    await Author.new("never").save()
    await Post.new("p", author="never").save()
    raw.delete("kept-author:never")
    assert not await Author("never").delete()
    assert await Post("p").exists()


async def test_a_late_class_counts_from_then_on(db: Database) -> None:
    await Author.new("a").save()
    await Author.new("b").save()

    class Late(Model):
        author = Reference(Author, index=True, on_delete="restrict")

    await Late.new("1", author="a").save()
    with pytest.raises(Restricted):
        await Author("a").delete()
    assert await Author("b").delete()


async def test_an_index_that_is_not_built_stops_the_delete(db: Database, raw: Any) -> None:
    await Author.new("a").save()
    raw.hset("kept-post:1", "author", "a")
    with pytest.raises(NotIndexed, match="reindex"):
        await Author("a").delete()
    assert await Author("a").exists()


async def test_one_round_trip(proxied: Database, proxy: Proxy) -> None:
    await a_family()
    await Author.new("c").save()
    await Author("c").delete()
    with proxy.count() as count:
        await Author("a").delete()
    assert (count.trips, count.commands) == (1, ["EVALSHA"])


async def test_a_class_that_nobody_refers_to_has_the_same_script_as_ever(db: Database) -> None:
    class Alone(Model):
        name = String(index=True)

    save = write_call([Change(Alone.__mapper__.schema(db), "1", "create")]).script
    delete = begin_delete(Alone("1"), db)
    assert write_call([delete]).script is save
    assert save is not None
    assert "RESTRICTED" not in save.text.replace("{'RESTRICTED', record", "")


async def test_both_colours_look_after_a_reference(db: Database, driver: str) -> None:
    @conf(prefix="kept-author")
    class BlockingAuthor(sync.Model):
        name = sync.String(index=True)
        boss = sync.Reference("BlockingAuthor", index=True)

    await Author.new("a").save()
    await Award.new("w", author="a", title="t").save()
    with pytest.raises(Restricted):
        await saving.delete(BlockingAuthor("a"))


# -- declarations ----------------------------------------------------------------------------------


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(UsageError, match="index=True"):
        Reference(Author, on_delete="cascade")
    with pytest.raises(UsageError, match="required"):
        Reference(Author, index=True, required=True, on_delete="nullify")
    with pytest.raises(UsageError, match="it is 'cascade'"):
        Reference(Author, index=True, on_delete="set null")  # type: ignore[call-overload]


async def test_classes_in_slots_or_databases_of_their_own_are_refused(db: Database) -> None:
    @conf(tag=True)
    class Tagged(Model):
        boss = Reference("Tagged", index=True, on_delete="cascade")

    await Tagged.new("2").save()
    await Tagged.new("1", boss="2").save()
    assert await Tagged("2").delete()
    assert not await Tagged("1").exists()

    @conf(tag=True)
    class Child(Model):
        parent = Reference(Tagged, index=True, on_delete="cascade")

    await Tagged.new("1").save()
    with pytest.raises(UsageError, match=r"Child\.parent: on_delete= needs both classes in one slot"):
        await Tagged("1").delete()


async def test_a_reference_to_another_database_is_refused(db: Database) -> None:
    class Near(Model):
        name = String()

    @conf(db="memory://elsewhere")
    class Far(Model):
        near = Reference(Near, index=True, on_delete="cascade")

    await Near.new("1").save()
    with pytest.raises(UsageError, match=r"Far\.near refers to another database"):
        await Near("1").delete()
    assert await Near("1").exists()


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_deletes_and_writes_at_once_leave_no_drift(db: Database, raw: Any, backend: str) -> None:
    posts = 60 if backend == "memory" else 200
    await Author.save_many([Author.new(str(i)) for i in range(20)])

    async def write(i: int) -> None:
        post = Post.new(author=str(i % 20), editor=str((i + 7) % 20), slug=str(i))
        await insist(post.save)
        await insist(Comment.new(post=post.id).save)

    deletes = (insist(Author(str(i)).delete) for i in range(10))
    await asyncio.gather(*(write(i) for i in range(posts)), *deletes)
    await asyncio.gather(*(insist(Author(str(i)).delete) for i in range(20)))
    assert drift(raw, MODELS) == []
