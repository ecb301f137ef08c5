"""``Reference(check=)``: what a write refers to must be there when it is done, judged in the same call."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import suppress
from typing import Any

import pytest

from aioredisca import (
    BulkError,
    Database,
    Email,
    Integer,
    ListOf,
    Model,
    Reference,
    String,
    UsageError,
    ValidationError,
    conf,
    reindex,
    session,
    sync,
)
from aioredisca.compiler.changes import Change
from aioredisca.compiler.writes import write_call
from aioredisca.persistence import saving

from ..support.drift import drift
from ..support.proxy import Proxy

pytestmark = pytest.mark.one_slot


@conf(prefix="sure-author")
class Author(Model):
    name = String()
    boss = Reference("Author", check=True)


@conf(prefix="sure-editor")
class Editor(Author):
    pass


@conf(prefix="sure-post")
class Post(Model):
    author = Reference(Author, field="a", index=True, on_delete="cascade")
    email = Email(unique=True)
    n = Integer(index=True)
    title = String()


@conf(prefix="sure-comment")
class Comment(Model):
    post = Reference(Post, required=True, index=True, on_delete="cascade")
    about = Reference(Author, children=True, check=True)
    secret = Reference(Author, secret=True, check=True)


@conf(prefix="sure-lax")
class Lax(Model):
    author = Reference(Author, index=True, on_delete="nullify", check=False)
    other = Reference(Author)


MODELS = (Author, Editor, Post, Comment, Lax)


def told(caught: Any, model: str, field: str) -> None:
    error = caught.value
    assert (error.model, error.field) == (model, field)
    assert error.reason == "refers to a record that is not stored"  # no id: web clients are told it
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.on_cluster
async def test_a_child_of_nobody_is_refused(db: Database, raw: Any) -> None:
    post = Post.new("p", author="nobody", email="a@b.cc", n=1)
    with pytest.raises(ValidationError) as caught:
        await post.save()
    told(caught, "Post", "author")
    assert str(caught.value).startswith(
        "Post.author: refers to a record that is not stored: save Author('nobody') first"
    )
    assert caught.value.instance is post
    assert caught.value.value == Author("nobody")
    assert raw.keys("sure-post[:/]*") == [b"sure-post/meta"]
    await Author.new("nobody").save()
    await post.save()  # nothing of it was lost
    assert (await Post.get("p")).export() == {"author": Author("nobody"), "email": "a@b.cc", "n": 1}
    assert drift(raw, MODELS) == []


async def test_an_update_that_sets_it_is_judged_and_no_other(db: Database, raw: Any) -> None:
    await Author.new("a").save()
    await Post.new("p", author="a").save()
    post = await Post.get("p")
    post.author = "b"  # type: ignore[assignment]
    with pytest.raises(ValidationError) as caught:
        await post.save()
    told(caught, "Post", "author")
    assert raw.hget("sure-post:p", "a") == b"a"
    with pytest.raises(ValidationError):
        await post.save(mode="upsert")
    with pytest.raises(ValidationError):
        await post.save(if_unchanged=True)
    post.author = None
    await post.save()
    raw.hset("sure-post:p", "a", "gone")  # as it may be from before
    post = await Post.get("p")
    post.title = "t"
    await post.save()
    post["a"] = "gone too"
    with pytest.raises(ValidationError):
        await post.save()


async def test_what_is_made_in_the_same_call_is_there(db: Database, raw: Any) -> None:
    async with session(autosave=True):
        Comment.new("c", post="p", about=Editor("e"))
        Post.new("p", author="a")
        Author.new("a")
        Editor.new("e")
    assert [await model.all().count() for model in MODELS] == [1, 1, 1, 1, 0]
    await Author.save_many([Author.new(str(i), boss=str((i + 1) % 100)) for i in range(100)])
    assert drift(raw, MODELS) == []


async def test_what_goes_in_the_same_call_is_not(db: Database, raw: Any) -> None:
    await Author.save_many([Author.new("a"), Author.new("b")])
    before = sorted(raw.keys("*:*"))
    async with session() as work:
        child = Author.new("c", boss="a")  # checked, and no on_delete
        work.delete(Author("a"))
        with pytest.raises(ValidationError) as caught:
            await work.flush()
        told(caught, "Author", "boss")
        assert caught.value.instance is child
        assert sorted(raw.keys("*:*")) == before
        child.boss = "b"
        await work.flush()
    assert await Author.all().ids() == ["b", "c"]


async def test_a_child_that_goes_along_needs_no_parent(db: Database, raw: Any) -> None:
    await Author.new("a").save()
    async with session(autosave=True) as work:
        Post.new("p", author="a")
        Lax.new("l", author="a")
        work.delete(Author("a"))
    assert await Post.all().count() == 0
    assert raw.hgetall("sure-lax:l") == {b"_": b"1"}
    assert drift(raw, MODELS) == []


async def test_a_delete_of_nobody_leaves_nothing_to_refer_to(db: Database) -> None:
    async with session() as work:
        Post.new("p", author="nobody")
        work.delete(Author("nobody"))
        with pytest.raises(ValidationError):
            await work.flush()
    assert not await Post("p").exists()


async def test_each_of_several_references_is_judged(db: Database) -> None:
    await Author.new("a").save()
    await Post.new("p", author="a").save()
    with pytest.raises(ValidationError) as caught:
        await Comment.new("c", post="p", about=Editor("a")).save()
    told(caught, "Comment", "about")
    assert "Editor('a')" in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        await Comment.new("c", post="p", secret="planted").save()
    told(caught, "Comment", "secret")
    assert "planted" not in str(caught.value)
    assert caught.value.value is None
    await Comment.new("c", post="p", about=Author("a"), secret="a").save()


async def test_bulk_writes_name_the_one(db: Database, raw: Any) -> None:
    await Author.new("a").save()
    posts = [Post.new(str(i), author="nobody" if i == 7 else "a") for i in range(20)]
    with pytest.raises(BulkError) as caught:
        await Post.save_many(posts, batch=5)
    assert (caught.value.saved, caught.value.failed) == (5, posts[7])
    assert isinstance(caught.value.cause, ValidationError)
    ((refused, error),) = await Post.save_many(posts, skip_conflicts=True)
    assert refused is posts[7]
    assert isinstance(error, ValidationError)
    assert await Post.all().count() == 19
    assert drift(raw, MODELS) == []


async def test_get_or_create_and_update_or_create(db: Database, raw: Any) -> None:
    await Author.save_many([Author.new("a"), Author.new("b")])
    for verb in (Post.get_or_create, Post.update_or_create):
        with pytest.raises(ValidationError) as caught:
            await verb(email="a@b.cc", defaults={"author": "nobody"})
        told(caught, "Post", "author")
        assert caught.value.value == Author("nobody")
    assert await Post.all().count() == 0
    post, created = await Post.get_or_create(email="a@b.cc", defaults={"author": "a"})
    assert created
    again, created = await Post.get_or_create(email="a@b.cc", defaults={"author": "nobody"})
    assert (again, created) == (post, False)  # nothing is set, so nothing is judged
    with pytest.raises(ValidationError):
        await Post.update_or_create(email="a@b.cc", defaults={"author": "nobody"})
    await Post.update_or_create(email="a@b.cc", defaults={"author": "b"})
    assert (await Post.get(post.id)).author == Author("b")
    assert drift(raw, MODELS) == []


async def test_updates_by_query(db: Database, raw: Any) -> None:
    await Author.save_many([Author.new("a"), Author.new("b")])
    await Post.save_many([Post.new(str(i), author="a", n=i) for i in range(5)])
    with pytest.raises(BulkError) as caught:
        await (Post.n >= 0).update(author="nobody")
    assert isinstance(caught.value.cause, ValidationError)
    assert await (Post.n > 2).update(author="b") == 2
    assert len(await Post.author.find(Author("b"))) == 2
    assert drift(raw, MODELS) == []


async def test_without_check_a_reference_may_name_anybody(db: Database, raw: Any) -> None:
    await Lax.new("l", author="nobody", other="nobody").save()
    assert (await Lax.get("l")).author == Author("nobody")


async def test_reindex_takes_what_is_stored(db: Database, raw: Any) -> None:
    raw.hset("sure-post:p", mapping={"a": "nobody", "n": "1"})
    done = await reindex(Post)
    assert (done.records, done.problems) == (1, [])
    assert [post.id for post in await Post.author.find(Author("nobody"))] == ["p"]


async def test_one_round_trip(proxied: Database, proxy: Proxy) -> None:
    await Author.new("a").save()
    await Post.new("o", author="a").save()
    with proxy.count() as count:
        await Post.new("p", author="a").save()
    assert (count.trips, count.commands) == (1, ["EVALSHA"])


async def test_a_write_that_sets_none_is_the_same_call_as_ever(db: Database) -> None:
    @conf(prefix="sure-post")
    class Same(Model):
        author = Reference(Author, field="a", index=True)
        email = Email(unique=True)
        n = Integer(index=True)
        title = String()

    schema = Post.__mapper__.schema(db)
    assert Post.__mapper__.parents({"n": b"1"}, db, None) == ()
    assert write_call([Change(schema, "1", "create", {"n": b"1"})]).packed
    assert Same.__mapper__.parents({"a": b"1"}, db, None) == ()


async def test_both_colours_check(db: Database, driver: str) -> None:
    @conf(prefix="sure-author")
    class BlockingAuthor(sync.Model):
        name = sync.String()
        boss = sync.Reference("BlockingAuthor", check=True)

    with pytest.raises(ValidationError):
        await saving.save(BlockingAuthor.new("b", boss="a"))
    await Author.new("a").save()
    await saving.save(BlockingAuthor.new("b", boss="a"))


# -- declarations ----------------------------------------------------------------------------------


@pytest.mark.one_node
async def test_where_nobody_can_look_it_is_refused(db: Database) -> None:
    @conf(db="memory://where-authors-are")
    class Far(Model):
        name = String()

    class Near(Model):
        far = Reference(Far, check=True)
        lax = Reference(Far, index=True, on_delete="nullify", check=False)

    with pytest.raises(UsageError, match=r"Near\.far refers to another database.*check=False"):
        await Near.new("1", far="1").save()
    await Near.new("1", lax="1").save()

    @conf(tag=True)
    class Tagged(Model):
        author = Reference(Author, check=True)
        mate = Reference("Tagged", check=True)

    with pytest.raises(UsageError, match=r"Tagged\.author refers to another slot.*check=False"):
        await Tagged.new("1", author="1").save()
    await Tagged.new("1", mate="1").save()


def test_check_is_a_yes_or_a_no() -> None:
    with pytest.raises(UsageError, match="leave out check="):
        ListOf(Reference(Author, check=True))
    with pytest.raises(UsageError, match="it is True or False"):
        Reference(Author, check="yes")  # type: ignore[call-overload]


async def test_a_copy_of_a_field_checks_too(db: Database) -> None:
    field = pickle.loads(pickle.dumps(Reference("Author", check=True)))

    class Copied(Model):
        author = field

    assert [one.name for one in Copied.__mapper__.checked] == ["author"]


# -- the race --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_a_cascade_races_creates(db: Database, raw: Any, backend: str, full: bool) -> None:
    """60 rounds: creates of children, and of theirs, while the parent is deleted. Nothing may dangle."""
    refused = 0
    for number in range(2000 if full else 60):
        author = await Author.new(f"a{number}").save()

        async def write(i: int, number: int = number) -> None:
            nonlocal refused
            await asyncio.sleep(0)
            try:
                post = await Post.new(f"{number}-{i}", author=f"a{number}", n=i).save()
                await Comment.new(f"{number}-{i}", post=post).save()
            except ValidationError:
                refused += 1

        await asyncio.gather(
            *(write(i) for i in range(10)), author.delete(), *(write(i) for i in range(10, 20))
        )
        assert raw.keys("sure-post:*") == []
        assert raw.keys("sure-comment:*") == []
    assert refused
    assert drift(raw, MODELS) == []


@pytest.mark.asyncio_only
async def test_the_control_of_that_race_dangles(db: Database, raw: Any) -> None:
    for number in range(20):
        author = await Author.new(f"a{number}").save()
        creates = [Lax.new(f"{number}-{i}", author=f"a{number}").save() for i in range(10)]
        with suppress(ValidationError):
            await asyncio.gather(author.delete(), *creates)
    assert len(await Lax.all().where(Lax.author != None)) > 10  # noqa: E711
