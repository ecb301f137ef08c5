"""The metaclass of models: which fields a class has, what it is called, and where it is stored.

It exists because fields may come late (``User.lang = Reference(...)``), which no other hook sees, and
because ``User("1")`` must be one object within a session without running ``__init__`` again.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from aioredisca.config import Settings, conf
from aioredisca.errors import UsageError, ValidationError
from aioredisca.fields.base import Field
from aioredisca.fields.collections import Collection
from aioredisca.model.prefixes import claim_prefix
from aioredisca.model.sessions import BaseSession, current
from aioredisca.storage.ids import hexid
from aioredisca.storage.keys import MAX_ID, Keys, bad_field, bad_id, bad_prefix
from aioredisca.storage.schema import Compound, Schema
from aioredisca.types import MISSING, Store

RESERVED = frozenset(
    """
    Create Read Update all changes delete delete_many depends exists expire export fill_new free
    free_all get get_many get_or_create getdb getdiff getfields getid getkey getorigin getprefix id
    incr inheritors load loaded new persist pop raw_export reload revert save save_all save_many ttl
    unload update update_or_create watch where
    """.split()
)
"""Names no field may have: the public names of Model, and those of work already planned. Pinned by a test."""

MAKERS = frozenset({"__init__", "__new__", "__setattr__"})
"""What a class may define to have a say in how its instances are made and filled."""

_newest: dict[tuple[str, str], ReferenceType[ModelType]] = {}
"""Module and qualified name -> the class defined last under it: a redefinition replaces."""


_generation = 0


def generation() -> int:
    """A number that changes whenever a class is defined, changed or configured."""
    return _generation


def _note_change() -> None:
    global _generation
    _generation += 1


def live_models() -> list[ModelType]:
    """All classes that are in use, each in its last definition."""
    return [model for model in (reference() for reference in list(_newest.values())) if model is not None]


class ModelType(type):
    """The type of model classes. For a metaclass of your own: ``class MyType(ModelType, ABCMeta)``."""

    _fields: dict[str, Field[Any]]
    _mutable: dict[str, Field[Any]]
    """Those whose values can change in place."""
    _filling: tuple[tuple[str, str, Callable[[Any], tuple[Any, bytes] | None] | None, Field[Any]], ...]
    """Name, hash field and ``short`` of all of them; this is None where setting takes more than accepting."""
    _collections: dict[str, Collection]
    _settings: Settings
    _effective: Settings
    _version: int
    _in_use: bool
    _schemas: WeakKeyDictionary[Any, tuple[int, Schema]]
    _last: tuple[Callable[[], Store | None], Schema] | None
    """The schema that was asked for last, and a reference to its store."""
    _last_stem: tuple[Callable[[], Store | None], str] | None
    """The same of what record keys start with, which is asked for before anything is fixed."""
    _plain: bool
    """Whether instances are made as this library makes them: no class of a user's has a say in it."""
    _leading: frozenset[str] | None

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace, **options)
        cls._refuse_private(namespace)
        cls._put(_settings={}, _effective={}, _leading=None, _last_stem=None)
        cls._put(_version=0, _in_use=False, _schemas=WeakKeyDictionary(), _last=None)
        cls._collect()
        _newest[cls.__module__, cls.__qualname__] = ref(cls)

        _note_change()

    def _refuse_private(cls, namespace: dict[str, Any]) -> None:
        """UsageError where the class body or a mixin takes a private name that this library uses."""
        if _is_ours(cls):
            return
        own = set(ModelType.__annotations__).union(*(vars(base) for base in cls.__mro__ if _is_ours(base)))
        mixins = (vars(base) for base in cls.__mro__[1:] if not isinstance(base, ModelType))
        for name in set(namespace).union(*mixins) & own:
            if name[:1] == "_" and name[:2] != "__":
                raise UsageError(f"{cls.__name__}.{name}: this library uses the name itself; take another")

    def _put(cls, **attributes: Any) -> None:
        for name, value in attributes.items():
            type.__setattr__(cls, name, value)

    if not TYPE_CHECKING:
        # Hidden: a visible __setattr__ would let every typo on a class pass the checkers, and a visible
        # __call__ would make every instance Any.

        def __call__(cls, model_id=None, /):
            id = cls._id_text(model_id)
            session = current()
            if session is None:
                return super().__call__(id)
            return session._instance(cls, id, lambda: super(ModelType, cls).__call__(id))

        def __setattr__(cls, name, value):
            if isinstance(value, Field):
                cls._add_late(name, value)
            elif isinstance(value, Collection):
                cls._refuse_in_use(True)
                value.__set_name__(cls, name)
                cls._put(**{name: value})
                cls._collect_all()
            elif name in cls._fields:
                raise UsageError(f"{cls.__name__}.{name} is a field of the class: give the value to a record")
            else:
                super().__setattr__(name, value)
                if name in MAKERS:
                    cls._collect_all()

        def __delattr__(cls, name):
            found = vars(cls).get(name)
            if isinstance(found, Field | Collection):
                cls._refuse_in_use(isinstance(found, Collection) or found.indexed)
            super().__delattr__(name)
            cls._collect_all()

    # -- fields ------------------------------------------------------------------------------------

    def _collect(cls) -> None:
        """Find the fields and collections of the class over its MRO, mixins included; check their names."""
        found, held = dict[str, Field[Any]](), dict[str, Collection]()
        for owner in reversed(cls.__mro__):
            for name, value in vars(owner).items():
                if isinstance(value, Field):
                    found[name] = value
                else:
                    cls._refuse_class(name, value)
                    found.pop(name, None)
                if isinstance(value, Collection):
                    held[name] = value
                else:
                    held.pop(name, None)
        for name, member in (found | held).items():
            cls._check_name(name, member)
        cls._check_keys(found)
        cls._check_keys(held)
        for field in found.values():
            field.settle()
        cls._put(_fields=found, _collections=held, _version=cls._version + 1, _last=None)
        cls._put(_mutable={name: field for name, field in found.items() if field.mutable})
        its_own = any(_makes_its_own(owner) for owner in cls.__mro__)
        plain = not its_own and type(cls).__call__ is ModelType.__call__
        filling = [
            (name, one.key, one.short if plain and one.sets_plainly and not one.mutable else None, one)
            for name, one in found.items()
        ]
        cls._put(_plain=plain, _filling=tuple(filling))
        _note_change()

    def _refuse_class(cls, name: str, value: object) -> None:
        if isinstance(value, type) and issubclass(value, Field) and value.__name__ != name:
            raise UsageError(f"{cls.__name__}.{name} is a class of fields: write {value.__name__}()")

    def _collect_all(cls) -> None:
        cls._collect()
        for child in cls._children():
            child._collect_all()

    def _check_name(cls, name: str, field: Field[Any] | Collection) -> None:
        where = f"{cls.__name__}.{name}"
        if field.name != name:
            raise UsageError(f"{where}: this very field object is {field.name!r} already; make another")
        if name.startswith("_"):
            cure = f'{name.strip("_")} = {type(field).__name__}(field="{field.key}")'
            raise UsageError(f"{where}: names that start with _ are private; write {cure}")
        if name in RESERVED:
            cure = f'{name}_ = {type(field).__name__}(field="{field.key}")'
            raise UsageError(f"{where}: {name!r} is part of Model; write {cure}")
        if isinstance(field, Collection):
            field.check_name(where)
        elif reason := bad_field(field.key, indexed=field.indexed):
            raise UsageError(f"{where}: {reason}; give it another hash field by field=")

    def _check_keys(cls, fields: Mapping[str, Field[Any] | Collection]) -> None:
        names = dict[str, str]()
        for name, field in fields.items():
            if names.setdefault(field.key, name) != name:
                raise UsageError(
                    f"{cls.__name__}: {names[field.key]} and {name} share the hash field {field.key!r}"
                )

    def _add_late(cls, name: str, field: Field[Any]) -> None:
        cls._refuse_in_use(field.indexed)
        field.__set_name__(cls, name)
        cls._check_name(name, field)
        cls._put(**{name: field})
        cls._collect_all()

    def _refuse_in_use(cls, indexed: bool) -> None:
        if indexed and any(c._in_use for c in (cls, *cls._inheritors())):
            raise UsageError(f"{cls.__name__} is in use already: its indexes are fixed at the first I/O")

    def _nearest(cls, name: str) -> str:
        """A hint at the field that was meant, for the text of an error."""
        close = difflib.get_close_matches(name, cls._fields, 1)
        return f"; did you mean {close[0]!r}?" if close else ""

    def _field(cls, name: str) -> Field[Any]:
        """The field called *name*, or ValidationError with the nearest one."""
        if name not in cls._fields:
            raise ValidationError(cls.__name__, name, f"there is no such field{cls._nearest(name)}")
        return cls._fields[name]

    # -- the family --------------------------------------------------------------------------------

    def _inheritors(cls) -> set[Any]:
        found = set[Any]()
        for child in cls._children():
            found |= {child, *child._inheritors()}
        return {child for child in found if child._is_newest()}

    def _children(cls) -> list[Any]:
        return cls.__subclasses__()

    def _is_newest(cls) -> bool:
        newest = _newest.get((cls.__module__, cls.__qualname__))
        return newest is not None and newest() is cls

    def _named(cls, name: str) -> ModelType:
        """The class called *name* among those of this colour: of the same module first, else the only one."""
        colour = cls._column_type  # type: ignore[attr-defined]
        named = [
            c for c in live_models() if c.__name__ == name and getattr(c, "_column_type", None) is colour
        ]
        near = [c for c in named if c.__module__ == cls.__module__] or named
        if len(near) > 1:
            near = [
                c for c in near if c.__qualname__.rpartition(".")[0] == cls.__qualname__.rpartition(".")[0]
            ] or near
        if len(near) != 1:
            names = ", ".join(sorted(f"{c.__module__}.{c.__qualname__}" for c in near)) or "none"
            raise UsageError(f"a reference of {cls.__name__} names {name!r}: classes of that name: {names}")
        return near[0]

    # -- settings ----------------------------------------------------------------------------------

    def _configure(cls, given: Settings) -> None:
        storage = given.keys() & {"prefix", "namespace", "tag", "db", "unique", "index"}
        if storage and any(c._in_use for c in (cls, *cls._inheritors())):
            raise UsageError(
                f"{cls.__name__} is in use already: conf({', '.join(sorted(storage))}) comes too late"
            )
        cls._settings.update(given)
        _note_change()
        cls._forget_settings()

    def _forget_settings(cls) -> None:
        cls._put(_leading=None, _effective={}, _last_stem=None)
        for child in cls._children():
            child._forget_settings()

    def _setting(cls, name: str) -> Any:
        """A setting of the class or of the nearest of its bases that has it."""
        known = cls._effective
        if name not in known:
            owners = (vars(owner).get("_settings", {}) for owner in cls.__mro__)
            known[name] = next((own[name] for own in owners if own.get(name) is not None), None)
        return known[name]

    def _prefix(cls) -> str:
        prefix: str = cls._settings.get("prefix") or cls.__name__.lower()
        if reason := bad_prefix(prefix):
            raise UsageError(f"{cls.__name__}: {reason}; set another by @conf(prefix=...)")
        return prefix

    # -- storage -----------------------------------------------------------------------------------

    def _store(cls, session: BaseSession | None = None) -> Store:
        """The database: of the class, else of the session, else of the process."""
        return cls._store_in(session or current())

    def _store_in(cls, session: BaseSession | None) -> Store:
        """The same for whoever knows that *session* is open, or that there is none."""
        own = cls._effective.get("db", MISSING)
        if own is MISSING:
            own = cls._setting("db")
        if own is None and session is not None:
            own = session.db
        store: Store = own or conf.db
        return store

    def _keys(cls, store: Store) -> Keys:
        namespace = cls._setting("namespace")
        return Keys(
            store.namespace if namespace is None else namespace, cls._prefix(), bool(cls._setting("tag"))
        )

    def _stem(cls, store: Store) -> str:
        """What the record keys of the class start with in *store*."""
        if (last := cls._last_stem) is not None and last[0]() is store:
            return last[1]
        stem = cls._keys(store).records
        cls._put(_last_stem=(ref(store), stem))
        return stem

    def _schema(cls, store: Store) -> Schema:
        """How the class is stored in *store*. From here on its indexes and its prefix are fixed."""
        if (last := cls._last) is not None and last[0]() is store:  # a look into _schemas takes longer
            return last[1]
        version, schema = cls._schemas.get(store, (0, None))
        if schema is None or version != cls._version:
            specs = tuple(field.spec() for field in cls._fields.values())
            held = tuple(one.key for one in cls._collections.values())
            cache = cls._setting("cache") or 0
            schema = Schema(cls.__name__, cls._keys(store), specs, cls._compounds(), held, cache)
            claim_prefix(store, cls, schema)
            cls._schemas[store] = (cls._version, schema)
            cls._put(_in_use=True)
        cls._put(_last=(ref(store), schema))
        return schema

    def _compounds(cls) -> tuple[Compound, ...]:
        """The indexes over several fields, by ``conf(unique=, index=)``. UsageError where one cannot be."""
        together = [Compound(cls._members("unique", names), True) for names in cls._setting("unique") or ()]
        pairs = [Compound(cls._members("index", names)) for names in cls._setting("index") or ()]
        for _, second in cls._setting("index") or ():
            if cls._fields[second].index != "range":
                raise UsageError(
                    f"{cls.__name__}: conf(index=) orders by {second!r}, which needs a range index of its own"
                )
        return (*together, *pairs)

    def _members(cls, setting: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """The hash fields of the attributes that a compound index names."""
        for name in names:
            where = f"{cls.__name__}: conf({setting}=) names {name!r}"
            if name not in cls._fields:
                raise UsageError(f"{where}: there is no such field{cls._nearest(name)}")
            if not cls._fields[name].comparable:
                raise UsageError(f"{where}: a {type(cls._fields[name]).__name__} field cannot be part of it")
            if reason := bad_field(cls._fields[name].key, indexed=True):
                raise UsageError(f"{where}: {reason}; give it another hash field by field=")
        return tuple(cls._fields[name].key for name in names)

    def _is_short(cls, field: Field[Any]) -> bool:
        """Whether values of *field* stand in members or key names as they are: at most 512 bytes."""
        if cls._leading is None:
            cls._put(_leading=frozenset(first for first, _ in cls._setting("index") or ()))
        return field.index == "sorted" or field.name in (cls._leading or ())

    # -- ids ---------------------------------------------------------------------------------------

    def _id_text(cls, model_id: object) -> str:
        """An id as text. None is the empty id, which names a handle but no record."""
        if type(model_id) is str and model_id.isascii() and len(model_id) <= MAX_ID:  # as nearly always
            return model_id
        if model_id is None:
            return ""
        if isinstance(model_id, str):
            pass
        elif isinstance(model_id, bytes):
            model_id = model_id.decode("utf-8", "surrogateescape")
        elif isinstance(model_id, int) and not isinstance(model_id, bool):
            model_id = str(model_id)
        else:
            raise ValidationError(
                cls.__name__, "id", f"takes a string or an integer, not {type(model_id).__name__}"
            )
        if model_id and (reason := bad_id(model_id)):
            raise ValidationError(cls.__name__, "id", reason)
        return model_id

    def _new_id(cls) -> str:
        make: Callable[[], Any] = cls._setting("id") or hexid
        return cls._id_text(make())


def _makes_its_own(owner: type) -> bool:
    """Whether a class that is not of this library has a say in how instances are made."""
    return not _is_ours(owner) and owner is not object and not MAKERS.isdisjoint(vars(owner))


def _is_ours(owner: type) -> bool:
    """Whether a class is one of this library's own."""
    return owner.__module__.partition(".")[0] == "aioredisca"
