"""Every Python block of README.md and docs/*.md runs, in the order of its file, and prints what it says.

A ``print(...)`` shows its result: in a comment behind it, or in the comment lines below it. Blocks that
await run as ``python -m asyncio`` would run them, blocks that do not run outside of any event loop. The
blocks of one file share their names, and ``redis://localhost:6379/0`` is the database under test.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aioredisca import Database, Email, Integer, Model, String, conf, reindex

from .support.servers import Server

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
URL = "redis://localhost:6379/0"

FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: where it starts in its page, and its code."""

    line: int
    code: str


def blocks(text: str, language: str = "python") -> list[Block]:
    return [
        Block(text.count("\n", 0, found.start(2)), found[2])
        for found in FENCE.finditer(text)
        if found[1] == language
    ]


def results(code: str) -> dict[int, str]:
    """Line of a print -> what the comment behind or below it says that it prints."""
    comments = dict[int, tuple[str, bool]]()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            alone = not token.line[: token.start[1]].strip()
            comments[token.start[0]] = (token.string.removeprefix("#").strip(), alone)
    found = dict[int, str]()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            last = node.end_lineno or node.lineno
            behind = comments.get(last)
            found[node.lineno] = behind[0] if behind and not behind[1] else "\n".join(_below(comments, last))
    return found


def _below(comments: dict[int, tuple[str, bool]], line: int) -> Iterator[str]:
    while (found := comments.get(line + 1)) and found[1]:
        line += 1
        yield found[0]


class Page:
    """The blocks of one page, run one after the other."""

    def __init__(self, name: str) -> None:
        self.module = ModuleType(name)
        self.names: dict[str, Any] = vars(self.module)
        self.names["print"] = self._print
        self.printed: list[tuple[int, str]] = []

    def _print(self, *values: object) -> None:
        frame = sys._getframe(1)
        self.printed.append((frame.f_lineno, " ".join(map(str, values))))

    def run(self, block: Block, runner: asyncio.Runner) -> None:
        """Run one block; AssertionError names the line of a result that is not as shown."""
        expected = {block.line + line: text for line, text in results(block.code).items()}
        self.printed = []
        padded = "\n" * block.line + block.code
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(padded, self.module.__name__, "exec", flags=flags, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            runner.run(self._awaited(code))
        else:
            exec(code, self.names)
        for line, text in self.printed:
            assert text == expected[line], (
                f"{self.module.__name__}:{line} prints {text!r}, not {expected[line]!r}"
            )
        silent = set(expected) - {line for line, _ in self.printed}
        assert not silent, f"{self.module.__name__}: nothing printed at lines {sorted(silent)}"

    async def _awaited(self, code: Any) -> None:
        await eval(code, self.names)


def run_page(path: Path, url: str) -> int:
    """Run all blocks of a page against *url*; how many there were."""
    page = Page(path.name)
    sys.modules[path.name] = page.module
    found = blocks(path.read_text("utf-8").replace(URL, url))
    try:
        with asyncio.Runner() as runner:
            for block in found:
                page.run(block, runner)
    finally:
        del sys.modules[path.name]
        conf.db.close()
    return len(found)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_runs_and_prints_what_it_says(path: Path, url: str, db: Database) -> None:
    assert run_page(path, url) > 0


@pytest.mark.memory_only
@pytest.mark.parametrize(
    "shown", ["print(1 + 1)  # 3", "print(1 + 1)\n# 3", "print(2)", "if False:\n    print(2)  # 2"]
)
def test_a_wrong_result_is_found(tmp_path: Path, url: str, db: Database, shown: str) -> None:
    """The known-bad way: a page whose results are not what its code prints."""
    page = tmp_path / "page.md"
    for text, right in (("print(1 + 1)  # 2", True), (shown, False)):
        page.write_text(
            f"```python\n{text}\n```\n\n```python\nimport asyncio\n\nawait asyncio.sleep(0)\n```\n"
        )
        if right:
            assert run_page(page, url) == 2
        else:
            with pytest.raises(AssertionError, match=r"page\.md"):
                run_page(page, url)


def test_the_readme_has_exactly_two_set_up_commands() -> None:
    """They are the ones that CI runs, word for word but for pip's -q."""
    first, second = (
        line for block in blocks(PAGES[0].read_text("utf-8"), "sh") for line in block.code.splitlines()
    )
    ci = (ROOT / ".ci" / "run").read_text("utf-8").replace("pip install -q", "pip install")
    assert first.endswith("nox -s demo")
    assert second.endswith("nox -s tests")
    assert second in ci


def test_the_settings_of_a_class_are_in_their_table() -> None:
    text = (ROOT / "docs/fields.md").read_text().partition("## Settings of a class")[2]
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert named == inspect.signature(type(conf).__call__).parameters.keys() - {"self"}


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text("utf-8")):
        page = (path.parent / target) if target else path
        assert page.exists(), f"{path.name}: {target}"
        if anchor:
            assert anchor in anchors(page.read_text("utf-8")), f"{path.name}: {target}#{anchor}"


RULE = next(block.code for block in blocks((ROOT / "docs" / "storage.md").read_text("utf-8"), "text"))


@conf(prefix="usr")
class Restricted(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)


async def use_everything() -> None:
    """Every verb, a set of more than a page, and the building of indexes."""
    assert await Restricted.name.find("x") == []
    await Restricted.new("a", email="a@b.cc", name="x" * 600, age=3).save()
    await Restricted.save_many([Restricted.new(f"{n:04}", name="x", age=n) for n in range(1200)])
    record = await (await Restricted.get("a")).load(raw=True)
    record.name = record.age = record.email = None
    await record.save()
    assert len(await (Restricted.name == "x")) == len(await (Restricted.age >= 0)) == 1200
    assert len(await (Restricted.name == "x")[5:15]) == len(await Restricted.all()[5:15]) == 10
    assert await (Restricted.name == None).ids() == ["a"]  # noqa: E711
    assert await (Restricted.age > 3).count() == 1196
    assert await (Restricted.name == "x").count() == 1200
    assert await Restricted.all().count() == 1201
    assert await Restricted.name.choice("x")
    assert await Restricted.age.choice(count=3)
    assert await Restricted.get_many(["a", "b"]) == [record, None]
    assert await record.exists()
    assert await record.delete()
    assert (await reindex(Restricted, everything=True)).problems == []
    assert await Restricted.delete_many(await Restricted.all().ids()) == 1200


@pytest.mark.parametrize("more", ["", " +sort_ro %R~*"])
async def test_the_rights_that_the_storage_page_names_suffice(
    server: Server, db: Database, more: str
) -> None:
    """Under exactly that rule, and with the right it calls optional."""
    rule = RULE + more
    if server.kind == "redis62":  # knows neither the commands nor the key rights of 7.0
        rule = " ".join(word for word in rule.split() if "_ro" not in word and "%" not in word)
    with server.client() as client:
        client.execute_command(*rule.split())
    conf.db = Database(f"redis://app:secret@127.0.0.1:{server.port}/0")
    await use_everything()
    conf.db.close()
    with server.client() as client:
        client.execute_command("ACL", "DELUSER", "app")
