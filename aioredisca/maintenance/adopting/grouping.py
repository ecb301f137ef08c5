"""Which hashes of a keyspace belong together, by their names. Pure.

A record key is a prefix, ``:`` and an id. Where ids hold ``:`` themselves, or keys go on behind them, it is
the number of keys that tells where the prefix ends: many different texts follow it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from aioredisca.storage.keys import Tag, bad_id, bad_prefix, bad_tag, id_text, tagged

MANY = 20
"""So many different texts in one place of keys are ids, and no names."""

DEEP = 50
"""So many parts of a key are told apart."""


@dataclass
class Group:
    """Hashes of one prefix: their ids, by the order in which they were found, and what else is there.

    ``tag``       whether the prefix stands in braces, or what does before it.
    ``behind``    how many hashes have keys that go on behind those of others, as ``1:settings`` behind ``1``.
    ``bad_ids``   how many ids cannot be.
    ``others``    how many keys of each other type begin like records of it.
    ``problems``  why no class can have it, or all of it.
    """

    prefix: str
    tag: Tag = False
    ids: list[str] = field(default_factory=list[str])
    behind: int = 0
    bad_ids: int = 0
    others: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])

    @property
    def base(self) -> str:
        """What its keys begin with."""
        return tagged(self.prefix, self.tag)


def grouped(hashes: Iterable[bytes], others: Iterable[tuple[bytes, str]]) -> tuple[list[Group], list[str]]:
    """The groups that *hashes* make, the largest first, and what fits nowhere.

    *others* are keys that are no hashes, each with its type.
    """
    texts = [id_text(key) for key in hashes]
    tree = _Tree(texts)
    stems = {stem: Group(*_untagged(stem)) for stem in tree.stems()}
    lost = Counter[str]()
    for text in texts:
        stem = _stem_of(text, stems)
        if stem is None:
            lost["no hash tells its prefix: its key holds no ':'" if ":" not in text else _INSIDE] += 1
        else:
            stems[stem].ids.append(text[len(stem) + 1 :])
    _attach(stems, others)
    for group in stems.values():
        _judge(group)
    found = sorted(stems.values(), key=lambda group: (-len(group.ids), group.prefix))
    return found, [f"{hashes_text(count)}: {why}" for why, count in lost.items()]


def hashes_text(count: int) -> str:
    """So many hashes, in words."""
    return "1 hash" if count == 1 else f"{count:,} hashes"


_INSIDE = "what differs stands in the middle of their keys, or they are alone behind their prefix"


class _Tree:
    """The keys by their parts between ``:``, and where prefixes end in it."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.leaves = Counter[str]()
        """How many keys go on behind a stem by one part."""
        self.parts = defaultdict[str, set[str]](set)
        """What follows a stem."""
        self.last = defaultdict[str, set[str]](set)
        """What keys end in that begin with a stem, by the first part of them all."""
        for text in texts:
            pieces = text.split(":", DEEP)
            for cut in range(1, len(pieces)):
                stem = ":".join(pieces[:cut])
                self.parts[stem].add(pieces[cut])
                self.last[stem].add(pieces[-1])
                if cut == len(pieces) - 1:
                    self.leaves[stem] += 1

    def stems(self) -> list[str]:
        """The prefixes."""
        roots = sorted(stem for stem in self.parts if ":" not in stem)
        return [found for root in roots for found in self._below(root)]

    def _below(self, stem: str) -> list[str]:
        nested = [f"{stem}:{part}" for part in sorted(self.parts[stem])]
        nested = [one for one in nested if one in self.parts]
        leaves = self.leaves[stem]
        if leaves and leaves >= max((self._most(one) for one in nested), default=0):
            return [stem]
        if len(nested) > MANY and sum(map(self._most, nested)) < 3 * len(nested):
            # ids stand here: whole ones with ':' in them, unless the same names follow each
            return [stem] if len(self.last[stem]) > len(nested) / 5 else []
        return [found for one in nested for found in self._below(one)]

    def _most(self, stem: str) -> int:
        """How many keys go on by one part behind *stem*, or behind what goes on behind it."""
        deeper = (f"{stem}:{part}" for part in self.parts[stem])
        return max(self.leaves[stem], *(self._most(one) for one in deeper if one in self.parts), 0)


def _untagged(stem: str) -> tuple[str, Tag]:
    found = re.fullmatch(r"\{([^{}]+)\}([^{}]*)", stem)
    if found is None or bad_tag(found[1]):
        return stem, False
    return (found[2], found[1]) if found[2] else (found[1], True)


def _stem_of(text: str, stems: dict[str, Group]) -> str | None:
    """The longest of *stems* that a key begins with."""
    cut = len(text)
    while (cut := text.rfind(":", 0, cut)) > 0:
        if text[:cut] in stems:
            return text[:cut]
    return None


def _attach(stems: dict[str, Group], others: Iterable[tuple[bytes, str]]) -> None:
    for key, kind in others:
        stem = _stem_of(id_text(key), stems)
        if stem is not None:
            stems[stem].others[kind] += 1


def _judge(group: Group) -> None:
    """What the library has against a prefix and its ids."""
    if reason := bad_prefix(group.prefix):
        group.problems.append(f"{group.base!r} cannot be a prefix: {reason}")
    known = set(group.ids)
    heads = [id for id in group.ids if ":" in id and any(head in known for head in _heads(id))]
    bad = [id for id in group.ids if bad_id(id)]
    group.behind, group.bad_ids = len(heads), len(bad)
    apart = {*heads, *bad}
    group.ids = [id for id in group.ids if id not in apart]
    if heads:
        group.problems.append(
            f"{hashes_text(len(heads))} behind the key of another, as {group.base}:{heads[0]}: "
            "no records of this class, and left alone"
        )
    if bad:
        group.problems.append(f"{len(bad):,} ids cannot be: {bad_id(bad[0])}")


def _heads(id: str) -> list[str]:
    parts = id.split(":", DEEP)
    return [":".join(parts[:cut]) for cut in range(1, len(parts))]
