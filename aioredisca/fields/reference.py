"""``Reference``: a field that names a record of another model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, Never, cast, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.errors import UsageError
from aioredisca.fields.base import Field, Opt, Options
from aioredisca.fields.codec import Codec
from aioredisca.storage.codecs import plain
from aioredisca.storage.schema import OnDelete

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record

V = TypeVar("V")
R = TypeVar("R", bound="Record")


class ReferenceCodec(Codec):
    """Of references: the classes they name depend on the class that has the field."""

    __slots__ = ()

    def target(self, mapper: Mapper) -> type[Any]:
        """The class that the field refers to in this one. UsageError where there is none such."""
        to = self.field.to
        found = mapper.named(to) if isinstance(to, str) else to
        target = found if isinstance(found, type) else found()
        if getattr(getattr(target, "__mapper__", None), "colour", None) is not mapper.colour:
            where = f"{mapper.name}.{self.field.name}"
            raise UsageError(
                f"{where} refers to {target!r}, which is no model of the same colour: "
                f"in a mixin for both colours refer by name"
            )
        return target

    def stems(self, mapper: Mapper) -> list[tuple[type[Any], str]]:
        """The classes that the field can refer to, and what it stores before their ids."""
        target = self.target(mapper)
        if not self.field.children:
            return [(target, "")]
        return [(family, f"{family.getprefix()}:") for family in (target, *target.inheritors())]

    def named(self, text: str, mapper: Mapper) -> tuple[type[Any], str]:
        """The class and the id that a stored text names. ValueError where it names none."""
        families = [(found, stem) for found, stem in self.stems(mapper) if text.startswith(stem)]
        if not families:
            raise ValueError(f"names no {self.target(mapper).__name__}")
        family, stem = max(families, key=lambda one: len(one[1]))
        return family, text.removeprefix(stem)

    def coerce(self, value: Any, mapper: Mapper) -> Record:
        target = self.target(mapper)
        if isinstance(value, str | bytes | int) and not isinstance(value, bool):
            return _handle(target, value)
        if type(value) is target or (self.field.children and isinstance(value, target)):
            record = cast("Record", value)
            if not record.__state__.id:
                raise ValueError("takes a record with an id")
            return record
        raise ValueError(f"takes a record of {target.__name__} or its id, not {stranger(target, value)}")

    def coerce_stored(self, text: str, mapper: Mapper) -> Record:
        return self.read(text.encode(), mapper)

    def read(self, raw: bytes, mapper: Mapper) -> Record:
        return _handle(*self.named(raw.decode(), mapper))


def stranger(model: type[Any], value: object) -> str:
    """What to call *value*, which is no record of *model*: another class may have the same name."""
    name = type(value).__name__
    if name != model.__name__:
        return name
    return f"one of another class {name}: if {name} was defined anew, make or load the record anew"


def _handle(target: type[Any], id: str | bytes | int) -> Record:
    if not id and id != 0:
        raise ValueError("takes an id of at least one character")
    return cast("Record", target(id))


class Reference(Field[V | Opt], Generic[V, Opt]):
    """A record of another model (or of this one), stored as its id.

    ``to``        the class, a function that returns it (``lambda: Language``, for classes that come
                  later), or its name (typed Any; looked up among the classes of the owner's colour).
    ``children``  take records of subclasses too, and store their keys instead of ids.

    ``check``     refuse a write that sets the reference to a record which is not there when the call is
                  done, by ValidationError. It is judged in the same atomic call, which may create that
                  record, too. On where ``on_delete`` is set, else off.
    ``on_delete`` what becomes of this record when the other one is deleted by a class that this process
                  knows both of: "cascade" deletes it too, "nullify" takes the reference away, "restrict"
                  refuses the delete by Restricted. Needs ``index=True``. All of it happens in the same
                  atomic call, for up to 5,000 records. None leaves the reference as it is.

    Takes an instance or an id, and gives a handle: ``(await post.author).name``. Assigning does not save
    the other record.
    """

    __codec_type__ = ReferenceCodec

    __checks__: bool
    """Whether a write that sets the field is refused where there is no such record."""

    @overload
    def __init__(
        self: Reference[R, None],
        to: type[R] | Callable[[], type[R]],
        *,
        children: bool = ...,
        on_delete: OnDelete | None = ...,
        check: bool | None = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Reference[R, Never],
        to: type[R] | Callable[[], type[R]],
        *,
        children: bool = ...,
        on_delete: OnDelete | None = ...,
        check: bool | None = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Reference[Any, None],
        to: str,
        *,
        children: bool = ...,
        on_delete: OnDelete | None = ...,
        check: bool | None = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Reference[Any, Never],
        to: str,
        *,
        children: bool = ...,
        on_delete: OnDelete | None = ...,
        check: bool | None = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        to: Any,
        *,
        children: bool = False,
        on_delete: OnDelete | None = None,
        check: bool | None = None,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        self.to, self.children = plain(to), children
        self.on_delete: OnDelete | None = plain(on_delete)
        if on_delete not in (None, "cascade", "restrict", "nullify"):
            raise UsageError(f"on_delete={on_delete!r}: it is 'cascade', 'restrict', 'nullify' or None")
        if on_delete is not None and self.index is None:
            raise UsageError(
                f"on_delete={on_delete!r} finds records by the index: declare it with index=True"
            )
        if on_delete == "nullify" and required:
            raise UsageError("on_delete='nullify' would take away a required reference")
        if on_delete == "nullify" and self.also:
            raise UsageError("on_delete='nullify' goes without also=, of which it would take away one")
        if check not in (None, True, False):
            raise UsageError(f"check={check!r}: it is True or False, or left out for what on_delete= wants")
        self.__checks__ = on_delete is not None if check is None else check

    def to_db(self, value: Record) -> str:
        id = value.__state__.id
        return f"{value.getprefix()}:{id}" if self.children else id
