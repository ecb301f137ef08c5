"""``Mapper``: what the library keeps of one model class, at ``cls.__mapper__``.

Its fields by name and by hash field, its settings, where and how it is stored, its ids, and the ways to make
its instances. A model's own namespace belongs to its user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from aioredisca.compiler.changes import Parents
from aioredisca.config import Settings, conf
from aioredisca.errors import UsageError, ValidationError
from aioredisca.fields import access
from aioredisca.fields.base import Field
from aioredisca.fields.collections import Collection
from aioredisca.fields.times import EXPIRES_AT
from aioredisca.model import declaration, loading, registry
from aioredisca.model.lifetime import Lifetime
from aioredisca.model.referrers import checked, parents_of, referrers_of, refuse_slots
from aioredisca.model.state import State, set_state
from aioredisca.model.unit_of_work import UnitOfWork, current
from aioredisca.storage.codecs import integer_text, plain
from aioredisca.storage.ids import hexid
from aioredisca.storage.keys import MAX_ID, Keys, bad_id, bad_prefix, tag_in
from aioredisca.storage.schema import Referrer, Schema, spread
from aioredisca.types import MISSING, Raw, ReadFrom, Store, Stored

if TYPE_CHECKING:
    from aioredisca.model.metaclass import ModelType

FIXED_BY_USE = frozenset({"prefix", "namespace", "tag", "partitions", "db", "unique", "index", "feed"})
"""Settings of the storage, which come too late once the class is in use."""


@dataclass(frozen=True, slots=True, eq=False)
class Colour:
    """What asyncio and blocking models have each of their own.

    ``handles``       the classes that work on a collection of a record, by its kind.
    ``load_missing``  called for a value that is asked for and not known: loads the record, or raises.
    ``hashes_inline`` whether a password may be assigned as plain text: to hash it there stalls no loop.
    """

    column: Callable[[Field[Any], Any], Any]
    password_column: Callable[[Field[Any], Any], Any]
    query: Callable[[Any], Any]
    handles: Mapping[str, Callable[[Collection, Any], Any]]
    load_missing: Callable[..., None]
    hashes_inline: bool


def _of_no_colour(*arguments: Any, **more: Any) -> Any:
    raise UsageError("a model is a class over Model or sync.Model: Record alone has no verbs")


NO_COLOUR = Colour(
    column=lambda field, model: field,
    password_column=lambda field, model: field,
    query=_of_no_colour,
    handles={},
    load_missing=_of_no_colour,
    hashes_inline=False,
)
"""Of Record itself, which is neither."""


class Mapper:
    """Of one class.

    ``fields``   by attribute name; ``by_key`` by hash field; ``mutable`` those whose values change in place.
    ``asked``    what queries may ask for, by hash field: the fields, and the moment at which records end.
    ``checked``  references that must name a record which is there.
    ``filling``  what it takes to fill a new record.
    ``lifetime`` when its records end.
    ``plain``    whether instances are made as this library makes them: no class of a user's has a say in it.
    ``version``  a number that changes whenever a field comes or goes.
    """

    def __init__(self, model: ModelType) -> None:
        self.model: Any = model
        self.colour: Colour = getattr(model, "__colour__", NO_COLOUR)
        self.lifetime = Lifetime(self)
        self.version = 0
        self._own: Settings = {}
        self._effective: Settings = {}
        self._leading: frozenset[str] | None = None
        self._last: tuple[Callable[[], Store | None], Schema] | None = None
        self._last_stem: tuple[Callable[[], Store | None], str] | None = None
        self._in_use = False
        self._schemas: WeakKeyDictionary[Any, tuple[int, Schema]] = WeakKeyDictionary()
        self.collect()

    def __repr__(self) -> str:
        return f"<Mapper of {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return attrgetter("__mapper__"), (self.model,)

    @property
    def name(self) -> str:
        """What the class is called."""
        name: str = self.model.__name__
        return name

    # -- fields ------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Find the fields and collections of the class, now that they are what they will be."""
        self.fields, self.collections = declaration.find_members(self.model)
        for field in self.fields.values():
            field.__codec__.settle()
        self.by_key = {field.key: field for field in self.fields.values()}
        self.asked = {**self.by_key, EXPIRES_AT.key: EXPIRES_AT}
        self.mutable = {name: field for name, field in self.fields.items() if field.mutable}
        self.stamped = tuple(field for field in self.fields.values() if field.on_save is not None)
        self.checked = checked(self.fields.values())
        self.plain = declaration.makes_plainly(self.model)
        self.filling = declaration.fillings(self.fields, plain=self.plain)
        self.version += 1
        self._last = None
        registry.note_change()

    def collect_all(self) -> None:
        """The same for the class and all that inherit from it."""
        self.collect()
        for child in self._children():
            child.collect_all()

    def nearest(self, name: str) -> str:
        """A hint at the field that was meant, for the text of an error."""
        return declaration.nearest(name, self.fields, self.collections)

    def field(self, name: str) -> Field[Any]:
        """The field called *name*, or ValidationError with the nearest one."""
        if name not in self.fields:
            name = str(plain(name))
            raise ValidationError(self.name, name, f"there is no such field{self.nearest(name)}")
        return self.fields[name]

    def field_of(self, column: object) -> Field[Any] | None:
        """The field that a column of this class is of; None for what is none."""
        given: object = getattr(column, "field", None)
        return next((field for field in self.fields.values() if field is given), None)

    def attribute(self, key: str) -> str:
        """The attribute that stores the hash field *key*; an undeclared one is called as it is."""
        field = self.asked.get(key)
        return key if field is None else field.name

    def keeps_short(self, field: Field[Any]) -> bool:
        """Whether values of *field* stand in members or key names as they are: at most 512 bytes."""
        if self._leading is None:
            self._leading = frozenset(first for first, _ in self.setting("index") or ())
        return field.index == "sorted" or field.name in self._leading

    # -- the family --------------------------------------------------------------------------------

    def _children(self) -> list[Mapper]:
        # In its own namespace: one that is just being made has none yet, and shows its base's.
        found = (_own_mapper(child) for child in type.__subclasses__(self.model))
        return [mapper for mapper in found if mapper is not None]

    def inheritors(self) -> set[Any]:
        """All subclasses, of any depth, each in its last definition."""
        found = set[Any]()
        for child in self._children():
            found |= {child.model, *child.inheritors()}
        return {child for child in found if registry.is_newest(child)}

    def named(self, name: str) -> Any:
        """The class that a reference of this one means by *name*. UsageError where there is no such one."""
        return registry.named(self.model, name)

    @staticmethod
    def referrers(schema: Schema, store: Store, unit: UnitOfWork | None) -> tuple[Referrer, ...]:
        """The references that a delete of a record of *schema* reaches, those by way of others too."""
        return referrers_of(schema, store, unit)

    def parents(self, sets: Mapping[str, bytes], store: Store, unit: UnitOfWork | None) -> Parents:
        """The records that must be there for *sets* to be written, as checked references in it name them."""
        return parents_of(self, sets, store, unit) if self.checked else ()

    # -- settings ----------------------------------------------------------------------------------

    def configure(self, given: Settings) -> None:
        """Set what ``@conf(...)`` has *given*. UsageError for what comes too late."""
        late = given.keys() & (FIXED_BY_USE if self.lifetime.limited else {*FIXED_BY_USE, "ttl"})
        if late and self.is_used():
            raise UsageError(f"{self.name} is in use already: conf({', '.join(sorted(late))}) comes too late")
        self._own.update(given)
        registry.note_change()
        self._forget_settings()

    def is_used(self) -> bool:
        """Whether the class, or one that inherits from it, had any I/O."""
        return self._in_use or any(child.__mapper__._in_use for child in self.inheritors())

    def _forget_settings(self) -> None:
        self._effective, self._leading, self._last_stem = {}, None, None
        for child in self._children():
            child._forget_settings()

    @property
    def partitions(self) -> int:
        """Over how many slots the records are spread."""
        return self.setting("partitions") or 1

    def setting(self, name: str) -> Any:
        """A setting of the class or of the nearest of its bases that has it."""
        known = self._effective
        if name not in known:
            owners = (_own_mapper(owner) for owner in self.model.__mro__)
            own = (mapper._own.get(name) for mapper in owners if mapper is not None)
            known[name] = next((value for value in own if value is not None), None)
        return known[name]

    def prefix(self) -> str:
        """What the keys of the class start with. UsageError where the name of the class cannot be that."""
        prefix: str = self._own.get("prefix") or self.name.lower()
        if reason := bad_prefix(prefix):
            raise UsageError(f"{self.name}: {reason}; set another by @conf(prefix=...)")
        return prefix

    @property
    def names_prefix(self) -> bool:
        """Whether the prefix was set, and is not the name of the class."""
        return bool(self._own.get("prefix"))

    # -- storage -----------------------------------------------------------------------------------

    def store(self, unit: UnitOfWork | None = None) -> Store:
        """The database: of the class, else of the session, else of the process."""
        return self.store_in(unit or current())

    def store_in(self, unit: UnitOfWork | None) -> Store:
        """The same for whoever knows the unit of work that is open, or that there is none."""
        own = self._effective.get("db", MISSING)
        if own is MISSING:
            own = self.setting("db")
        if own is None and unit is not None:
            own = unit.db
        store: Store = own or conf.db
        return store

    def keys(self, store: Store) -> Keys:
        """The keys of the class in *store*. UsageError where it needs a tag and wants none."""
        namespace, spread = self.setting("namespace"), self.partitions > 1
        tag = tag_in(self.name, self.setting("tag"), clustered=store.clustered, spread=spread)
        return Keys(store.namespace if namespace is None else namespace, self.prefix(), tag)

    def stem(self, store: Store) -> str:
        """What the record keys of the class start with in *store*: asked for before anything is fixed."""
        if (last := self._last_stem) is not None and last[0]() is store:
            return last[1]
        stem = self.keys(store).records
        self._last_stem = (ref(store), stem)
        return stem

    def key(self, store: Store, id: str) -> str:
        """The key of the record of *id* in *store*: asked for before anything is fixed."""
        if self.partitions == 1:
            return self.stem(store) + id
        keys = self.keys(store)
        return keys.in_partition(id, self.partitions).record(id)

    def schema(self, store: Store) -> Schema:
        """How the class is stored in *store*. From here on its indexes and its prefix are fixed."""
        if (last := self._last) is not None and last[0]() is store:
            return last[1]  # without, a get among 100 tasks takes 1.1 times as long (before_after.py)
        version, schema = self._schemas.get(store, (0, None))
        if schema is None or version != self.version:
            schema = self._new_schema(store)
            registry.claim_prefix(store, self.model, schema)
            self._schemas[store] = (self.version, schema)
            self._in_use = True
        self._last = (ref(store), schema)
        return schema

    def _new_schema(self, store: Store) -> Schema:
        specs = tuple(field.__codec__.spec() for field in self.fields.values())
        collections = tuple(one.key for one in self.collections.values())
        indexes, cache = declaration.compounds(self), self.setting("cache") or 0
        self.lifetime.check()
        refuse_slots(self, store)
        ends, feed, built = self.lifetime.limited, self.setting("feed") or 0, self.setting("auto_build")
        schema = Schema(self.name, self.keys(store), specs, indexes, collections, cache, ends, feed, built)
        return spread(schema, self.partitions) if self.partitions > 1 else schema

    # -- ids ---------------------------------------------------------------------------------------

    def id_text(self, model_id: object) -> str:
        """An id as text. None is the empty id, which names a handle but no record."""
        if type(model_id) is str and model_id.isascii() and len(model_id) <= MAX_ID:  # as nearly always
            return model_id
        if model_id is None:
            return ""
        if isinstance(model_id, str):
            model_id = str.__str__(model_id)  # of an enum, say, whose text is its name
        elif isinstance(model_id, bytes):
            model_id = bytes.decode(model_id, "utf-8", "surrogateescape")
        elif isinstance(model_id, int) and not isinstance(model_id, bool):
            try:
                model_id = integer_text(plain(model_id))
            except ValueError as error:
                raise ValidationError(self.name, "id", str(error)) from None
        else:
            raise ValidationError(
                self.name, "id", f"takes a string or an integer, not {type(model_id).__name__}"
            )
        if model_id and (reason := bad_id(model_id)):
            raise ValidationError(self.name, "id", reason, model_id)
        return model_id

    def record_id(self, model_id: object) -> str:
        """The same; ValidationError for the empty id as well."""
        if type(model_id) is str and model_id.isascii() and 0 < len(model_id) <= MAX_ID:  # as nearly always
            return model_id
        id = self.id_text(model_id)
        if not id:
            raise ValidationError(self.name, "id", "an empty id names no record", id)
        return id

    def new_id(self) -> str:
        """An id for a new record, by ``conf(id=)``."""
        make: Callable[[], Any] = self.setting("id") or hexid
        return self.record_id(make())

    # -- instances ---------------------------------------------------------------------------------

    def handle(self, id: object) -> Any:
        """The record of any id that a program may give: in a session the one that is known there."""
        return self.model(id)

    def detached(self, id: str) -> Any:
        """An instance that belongs to no session, whatever is open."""
        record = self.model.__new__(self.model)
        set_state(record, State.of_handle(id))
        return record

    def is_private(self) -> bool:
        """Whether what is read now becomes an instance that nobody can have already."""
        return self.plain and current() is None

    def fresh(self, id: str) -> Any:
        """An unsaved record with nothing set."""
        if not self.is_private():
            return access.become_new(self.model(id))
        record = object.__new__(self.model)
        set_state(record, State.of_new(id))
        return record

    def fill(self, record: Any, values: Mapping[str, Any]) -> None:
        """Set fields of a new record by attribute name, the others to their ``new=`` values."""
        state: State = record.__state__
        layers, known = state.layers, state.values
        diff = layers.diff
        for name, key, field, codec in self.filling:
            if name in values:
                value = values[name]
            elif callable(value := field.new):
                value = value()
            if value is None and not (field.required and name in values):
                if name in values:
                    layers.cleared |= {key}
                continue
            if codec is None:
                setattr(record, name, value)
                continue
            value, raw = codec.accept_fast(value) or codec.accept(value, self)
            if raw is not None:
                diff[key], known[name] = raw, value

    def hydrate(self, places: Mapping[str, int], id: str, row: Stored) -> Any:
        """A record that was found, for a row with the declared fields at *places*, which nobody else has."""
        record = object.__new__(self.model)
        set_state(record, State(id, None, places, row))
        return record

    def hydrate_many(self, places: Mapping[str, int], rows: Sequence[tuple[str, Stored]]) -> list[Any]:
        """Records for the rows of a query. What the session has loaded already stays as it is."""
        if not self.is_private():
            return [self._merged(places, id, row) for id, row in rows]
        new, model, records = object.__new__, self.model, list[Any]()
        for id, row in rows:  # as hydrate() does, without a call for each: 1.2x (benchmarks/fast_paths.py)
            record = new(model)
            set_state(record, State(id, None, places, row))
            records.append(record)
        return records

    def _merged(self, places: Mapping[str, int], id: str, row: Stored) -> Any:
        record = self.model(id)
        state: State = record.__state__
        if state.knows():
            return record
        if state.untouched:
            state.fold(places, row)
            return record
        raw = {key: row[place] for key, place in places.items()}
        layers = state.layers
        loading.take(record, {**raw, **layers.raw} if layers.mode == "update" else raw, complete=False)
        return record

    def hydrate_partial(self, id: str, raw: Mapping[str, bytes | None]) -> Any:
        """A record for a row of some fields: the others stay unknown, if they were."""
        record = self.model(id)
        state: State = record.__state__
        if not state.knows():
            state.layers.raw = {**raw, **state.layers.raw}
            state.layers.mode = "update"
        return record

    async def found_many(self, ids: Sequence[str], read_from: ReadFrom | None) -> list[Any]:
        """The records of *ids* that a query has found, None for those that are gone. One round trip."""
        return await loading.get_many(self.model, ids, slide=False, read_from=read_from)

    def pending(self) -> dict[str, Raw]:
        """The changes that wait in records of the class in the open session, by id."""
        unit = current()
        mine = [record for record in list(unit.mapped.values()) if type(record) is self.model] if unit else []
        states: list[State] = [record.__state__ for record in mine]
        return {state.id: {**state.layers.diff} for state in states if state.row is None}

    def waiting(self) -> frozenset[str]:
        """The ids of the records of the class that the next flush of the open session deletes."""
        unit = current()
        return unit.waiting(self.model) if unit else frozenset()

    def known(self, id: str) -> Any:
        """The stored record of that id which the open session knows, or None."""
        unit = current()
        if unit is None:
            return None
        store = self.store_in(unit)
        found: Any = unit.mapped.get((store, self.stem(store) + id))
        return found if type(found) is self.model and not found.__state__.layers.fresh else None

    @staticmethod
    def take_row(record: Any, schema: Schema, row: Stored) -> None:
        """Believe what a load of the declared fields of *record* has told."""
        loading.take_row(record, schema, row)


def _own_mapper(owner: type) -> Mapper | None:
    found: object = vars(owner).get("__mapper__")
    return found if isinstance(found, Mapper) else None
