"""``Tags``: a set of strings in one field, which an index knows by each of its elements."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import Unpack

from aioredisca.fields.base import Field, Opt, Options, ordered_limits
from aioredisca.fields.codec import Codec
from aioredisca.storage import codecs
from aioredisca.storage.keys import LONG_VALUE
from aioredisca.storage.schema import FieldSpec, IndexKind

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper

MAX_ITEMS = 1000


class TagsCodec(Codec):
    """Of sets of strings, which an index knows by their elements."""

    __slots__ = ()

    def element_raw(self, value: Any, mapper: Mapper) -> bytes:
        """One element as the index knows it, coerced as in an assignment. ValidationError says why not."""
        try:
            element = self._element(value)
            _check_element(self.field, element)
        except ValueError as error:
            raise self.refused(mapper, str(error), value) from None
        return element.encode()

    def _element(self, value: Any) -> str:
        if self.keeps("coerce"):
            return codecs.read_string(value)
        elements: list[Any] = [*self.field.coerce([value])]
        if len(elements) != 1:
            raise ValueError("is not one element")
        return codecs.read_string(elements[0])

    def elements(self, raw: bytes) -> tuple[bytes, ...]:
        """The elements of a stored value as the index knows them. ValueError where it cannot be read."""
        return tuple(sorted(element.encode() for element in self.decode(raw)))

    def spec(self) -> FieldSpec:
        return replace(super().spec(), elements=self.elements)


class Tags(Field[set[str] | Opt], Generic[Opt]):
    """A set of strings. Takes any iterable of strings but a single string, and gives a set.

    ``minlen`` ``maxlen``  limits of each element in characters; an element has 1 to 512 bytes of UTF-8.
    ``maxitems``           how many elements there may be, 1,000 by default.

    The set can be changed in place: once read, it is compared again at every save. ``index=True`` keeps
    a set of ids for each element. An empty set is a value, and None is none.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ("tags",)
    mutable: ClassVar[bool] = True
    __codec_type__ = TagsCodec

    @overload
    def __init__(
        self: Tags[None],
        *,
        minlen: int | None = ...,
        maxlen: int | None = ...,
        maxitems: int = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Tags[Never],
        *,
        minlen: int | None = ...,
        maxlen: int | None = ...,
        maxitems: int = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        minlen: int | None = None,
        maxlen: int | None = None,
        maxitems: int = MAX_ITEMS,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        ordered_limits(minlen, maxlen, "minlen, maxlen")
        self.minlen, self.maxlen, self.maxitems = minlen, maxlen, maxitems

    if TYPE_CHECKING:

        def __set__(self, obj: Any, value: Set[str] | list[str] | tuple[str, ...] | Opt) -> None: ...

    def coerce(self, value: Any) -> set[str]:
        return {codecs.read_string(element) for element in codecs.read_items(value)}

    def check(self, value: set[str]) -> None:
        if len(value) > self.maxitems:
            raise ValueError(f"has {len(value):,} elements, at most {self.maxitems:,} are allowed")
        for element in value:
            _check_element(self, element)

    def to_db(self, value: set[str]) -> str:
        return codecs.json_text(sorted(value))

    def from_db(self, text: str) -> set[str]:
        return codecs.text_strings(text)


def _check_element(field: Tags[Any], element: str) -> None:
    size = len(element.encode())
    if not 1 <= size <= LONG_VALUE:
        raise ValueError(f"has an element of {size} bytes, 1 to {LONG_VALUE} are allowed")
    length = f"has an element of {len(element)} characters"
    if field.minlen is not None and len(element) < field.minlen:
        raise ValueError(f"{length}, at least {field.minlen} are needed")
    if field.maxlen is not None and len(element) > field.maxlen:
        raise ValueError(f"{length}, at most {field.maxlen} are allowed")
