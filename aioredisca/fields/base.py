"""``Field``: what a class body holds. It declares one value of a record, and is the descriptor that gives it.

A field is shared by all classes that inherit it and knows none of them. Read from a class it gives a
column (query/columns.py), read from a plain mixin itself, read from an instance the value. What the library
does with it is in codec.py; conditions on it are made in predicates.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypedDict, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.errors import CorruptRecord, UsageError
from aioredisca.fields.access import assign, value_of
from aioredisca.fields.codec import Access, Codec
from aioredisca.storage.codecs import as_text, plain
from aioredisca.storage.keys import bad_field
from aioredisca.storage.moments import Duration, field_milliseconds
from aioredisca.storage.replies import MISREAD
from aioredisca.storage.schema import Converter, IndexKind

if TYPE_CHECKING:
    from aioredisca import sync
    from aioredisca.model.model import Model
    from aioredisca.query.columns import Column

T = TypeVar("T")
M = TypeVar("M", bound="Model")
B = TypeVar("B", bound="sync.Model")
Opt = TypeVar("Opt", default=None)
"""None, or Never where the field is declared with ``required=True``."""


class Options(TypedDict, total=False):
    """Options that every field takes; see :class:`Field`."""

    field: str
    index: bool | IndexKind
    unique: bool
    new: Any
    on_save: Any
    missing: Any
    secret: bool
    readonly: bool
    ttl: Duration | None
    also: str | Mapping[str, Converter]


class Field(Generic[T]):
    """Base of all fields, and of your own.

    ``field``     the hash field it is stored in; the attribute's name by default.
    ``index``     keep an index, so that the field can be queried: True for the kind that suits it, or
                  ``"exact"`` / ``"range"`` / ``"sorted"``.
    ``unique``    no two records of the class hold the same value. None may repeat.
    ``new``       the value in ``Model.new()``: a value, or a function that is called for each.
    ``on_save``   the value that every write of the record by this library gives it, whatever it was set to: a
                  value, or a function that is called for each, as in ``on_save=utcnow``.
    ``required``  always holds a value: a record is not created without it and reading never gives None.
    ``missing``   what reading a stored record gives that is older than ``required=True``: a value, or a
                  function that is called for each. Nothing is stored by that, and no query finds it.
    ``secret``    never shown: not in repr, export, errors or logs.
    ``readonly``  left out of generated input models; code may assign it.
    ``ttl``       how long a value lasts from the write that sets it, a timedelta or seconds; None: until
                  ``expire_field()`` says so. For fields that are not required and that no index knows, on
                  servers with HPEXPIRE (Redis from 7.4, Valkey from 9). Where it is not given, values never
                  end by themselves.
    ``also``      another hash field that is written with this one, while processes run that read that: its
                  name, or ``{name: convert}`` where the text there is made of the text here (None: nothing
                  stands there). See docs/migrations.md: this is how a field is renamed.

    A field of your own overrides :meth:`coerce` (any value to the field's type, ValueError with the
    reason), :meth:`check` (limits), :meth:`to_db` and :meth:`from_db` (value <-> text); for a range index
    :meth:`score` too. Most extend an existing field and override one. Every name that is not one of these,
    of the options, or of :meth:`coerce_stored` :meth:`view` ``name`` ``key`` ``index_kinds`` ``mutable`` is
    free for its own use.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ("exact",)
    """The indexes this kind of field can have; the first is what ``index=True`` means."""

    mutable: ClassVar[bool] = False
    """Whether values can change in place: they are compared again at every save, once read."""

    name: str = ""
    """The attribute's name."""

    __codec__: Codec
    __access__: Access = ("", "", None)
    """Attribute name, hash field and what decodes most values in one step: all that reading takes."""
    __codec_type__: ClassVar[type[Codec]] = Codec

    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        self.required = required
        self.unique = options.get("unique", False)
        self.index: IndexKind | None = _index_kind(self, options.get("index", False))
        self.new = options.get("new")
        self.on_save = options.get("on_save")
        self.missing = options.get("missing")
        if self.missing is not None and not required:
            raise UsageError("missing= goes with required=True: without, what is missing reads as None")
        self.secret = options.get("secret", False)
        self.readonly = options.get("readonly", False)
        self.ttl: int | None = _ttl(self, options["ttl"]) if "ttl" in options else None
        """Milliseconds that a value lasts, 0 until it is told to end, None if it never ends by itself."""
        self.also = _also(self, options.get("also", ""))
        self.key: str = plain(options.get("field", ""))
        """The hash field that stores the value; the attribute's name by default."""
        if unknown := options.keys() - Options.__annotations__.keys():
            raise UnknownOption(type(self).__name__, unknown)
        self.__codec__ = self.__codec_type__(self)
        if self.unique and not self.__codec__.comparable:
            raise UsageError(f"{type(self).__name__} fields cannot be unique")
        if "field" in options and (reason := bad_field(self.key, indexed=self.__codec__.indexed)):
            raise UsageError(f"field={self.key!r}: {reason}")

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: all but the codec, which belongs to one field."""
        return {name: value for name, value in vars(self).items() if name not in ("__codec__", "__access__")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__codec__ = self.__codec_type__(self)
        self.__codec__.settle()

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or plain(name)  # under a second name it is refused, when the class is complete
        self.key = self.key or self.name

    # -- the descriptor ----------------------------------------------------------------------------

    @overload
    def __get__(self, obj: None, owner: type[M]) -> Column[M, T]: ...
    @overload
    def __get__(self, obj: None, owner: type[B]) -> sync.Column[B, T]: ...
    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: object, owner: type) -> T: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        if obj is not None:
            name, key, decode_fast = self.__access__
            state = obj.__state__
            values = state.values
            if name in values:
                return values[name]
            if decode_fast is not None and (row := state.row) is not None:
                try:
                    if (raw := row[state.places[key]]) is not None:
                        value = values[name] = decode_fast(raw)
                        return value
                except MISREAD:
                    pass  # what is wrong is told below
            try:
                return value_of(obj, self)
            except CorruptRecord:
                values = row = raw = None  # as hide_values() does for the frames below
                raise
        mapper = getattr(owner, "__mapper__", None)
        return self if mapper is None else mapper.colour.column(self, owner)

    def __set__(self, obj: Any, value: T) -> None:
        codec = self.__codec__
        assign(obj, self, *(codec.accept_fast(value) or codec.accept(value, obj.__mapper__)))

    def __delete__(self, obj: Any) -> None:
        name = f"{type(obj).__name__}.{self.name}"
        raise AttributeError(f"{name} is a field of every record: set it to None to take its value away")

    # -- what a kind of field overrides ------------------------------------------------------------

    def coerce(self, value: Any) -> Any:
        """*value* as the field's type, in its one canonical form. ValueError says why not."""
        return value

    def check(self, value: Any) -> None:
        """Refuse a coerced value that breaks the field's own limits, by ValueError."""

    def to_db(self, value: Any) -> str | bytes:
        """A coerced value as it is stored: equal values must give equal text."""
        return str(value)

    def from_db(self, text: str) -> Any:
        """The value of stored *text*. ValueError where it cannot be read."""
        return text

    def score(self, value: Any) -> str:
        """The number that a range index orders *value* by, as text; ValueError where it is not exact."""
        raise UsageError(f"{type(self).__name__} fields have no range index")

    def coerce_stored(self, text: Any) -> Any:
        """The value that raw *text* means when it is written by the dict API."""
        return self.coerce(self.from_db(text))

    def view(self, raw: bytes) -> str | bytes | int:
        """Stored bytes as the dict API shows them."""
        return as_text(raw)


_CURES = {
    **dict.fromkeys(
        ("default", "default_factory", "initial"), "new= takes a value, or a function for each record"
    ),
    **dict.fromkeys(("max_length", "maxlength", "max_len"), "it is maxlen= of a String"),
    **dict.fromkeys(("min_length", "minlength", "min_len"), "it is minlen= of a String"),
    **dict.fromkeys(("ge", "min", "min_value"), "it is minval= of a number"),
    **dict.fromkeys(("le", "max", "max_value"), "it is maxval= of a number"),
    **dict.fromkeys(
        ("nullable", "null", "blank", "optional"), "every field takes None, unless it has required=True"
    ),
    "choices": "take Enum(...), or a field of your own with check()",
    **dict.fromkeys(
        ("primary_key", "pk"), "the id of a record is no field: Model.new(id), and conf(id=) makes ids"
    ),
    **dict.fromkeys(("db_index", "indexed", "sortable"), "it is index="),
    **dict.fromkeys(("alias", "column", "db_column", "column_name", "name"), "it is field="),
}
"""Options of other libraries, and what does the same here."""


class UnknownOption(UsageError, TypeError):
    """An option that a kind of field has not. TypeError, as for the argument of any function."""

    def __init__(self, kind: str, names: Iterable[str]) -> None:
        told = (f"{name} ({_CURES[name]})" if name in _CURES else name for name in sorted(names))
        super().__init__(f"{kind}() got unknown options: {', '.join(told)}")


def _index_kind(field: Field[Any], index: bool | str) -> IndexKind | None:
    """The kind of index that ``index=`` names. UsageError where the field cannot have it."""
    kinds = field.index_kinds
    if index is False:
        return None
    if index is True and kinds:
        return kinds[0]
    for kind in kinds:
        if index == kind:
            return kind
    can = f"can have the index {' or '.join(map(repr, kinds))}" if kinds else "have no index"
    raise UsageError(f"index={index!r}: {type(field).__name__} fields {can}")


def _ttl(field: Field[Any], given: Duration | None) -> int:
    """What ``ttl=`` means. UsageError where the value is to stay: nothing is heard when a field ends."""
    for name in ("index", "unique", "required"):
        if getattr(field, name):
            why = "must not end" if name == "required" else "would outlive it in the index"
            raise UsageError(f"{type(field).__name__}(ttl=) goes without {name}=: its value {why}")
    return 0 if given is None else field_milliseconds(given, f"{type(field).__name__}(ttl)")


def _also(field: Field[Any], given: str | Mapping[str, Converter]) -> dict[str, Converter | None]:
    """What ``also=`` means. UsageError where it names no hash field, or where the value is to end."""
    found: dict[str, Converter | None] = {}
    if isinstance(given, str):
        found |= {given: None} if given else {}
    elif isinstance(given, Mapping) and all(map(callable, given.values())):  # pyright: ignore[reportUnnecessaryIsInstance]
        found |= given
    else:
        raise UsageError("also= takes the name of a hash field, or {name: function of the stored text}")
    for name in found:
        if reason := bad_field(name, indexed=False):
            raise UsageError(f"also={name!r}: {reason}")
    if found and field.ttl is not None:
        raise UsageError("also= goes without ttl=: the other value would outlive this one")
    return found


def ordered_limits(low: Any, high: Any, names: str) -> None:
    """UsageError where the lower limit in a declaration lies above the upper one."""
    if low is not None and high is not None and low > high:
        raise UsageError(f"{names}: {low} is more than {high}")
