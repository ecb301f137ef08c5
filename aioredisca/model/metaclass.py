"""The metaclass of models. It keeps a mapper per class, and what no other hook can do.

Fields may come late (``User.lang = Reference(...)``), and ``User("1")`` must be one object within a session
without running ``__init__`` again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from aioredisca.config import hooks
from aioredisca.errors import UsageError
from aioredisca.fields.base import Field
from aioredisca.fields.collections import Collection
from aioredisca.model import lookalikes, registry
from aioredisca.model.declaration import MAKERS, check_name
from aioredisca.model.mapper import Mapper
from aioredisca.model.unit_of_work import current


class ModelType(type):
    """The type of model classes. For a metaclass of your own: ``class MyType(ModelType, ABCMeta)``."""

    __mapper__: Mapper

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        if "__mapper__" in namespace:
            raise UsageError(f"{name}.__mapper__ belongs to the library: call yours otherwise")
        # a class made by a call, not by a statement, is of the module that calls, as type has it
        module = sys._getframe(1).f_globals["__name__"]  # pyright: ignore[reportPrivateUsage]
        body = {"__module__": module, **namespace, "__mapper__": _Unmade()}
        return super().__new__(mcs, name, bases, body, **options)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace, **options)
        lookalikes.check_body(cls)
        cls.__mapper__.collect()
        registry.register(cls)
        if "fastapi" in sys.modules:
            hooks.fastapi_encoder()  # else it would show the attributes of the object, private ones too

    if not TYPE_CHECKING:
        # Hidden: a visible __setattr__ would let every typo on a class pass the checkers, and a visible
        # __call__ would make every instance Any.

        def __call__(cls, model_id=None, /, *more, **values):
            if more or values:
                raise _WrongCall(cls.__name__, [*values])
            id = cls.__mapper__.id_text(model_id)
            unit = current()
            if unit is None:
                return super().__call__(id)
            return unit.instance(cls, id, lambda: super(ModelType, cls).__call__(id))

        def __setattr__(cls, name, value):
            if isinstance(value, Field | Collection):
                _add_late(cls, name, value)
            elif name in ("__mapper__", "__state__"):
                raise UsageError(f"{cls.__name__}.{name} belongs to the library: call yours otherwise")
            elif name in cls.__mapper__.fields:
                raise UsageError(f"{cls.__name__}.{name} is a field of the class: give the value to a record")
            elif name in lookalikes.OF_OTHERS:
                lookalikes.refuse_mark(cls, name)
            else:
                super().__setattr__(name, value)
                if name in MAKERS:
                    cls.__mapper__.collect_all()

        def __delattr__(cls, name):
            found = vars(cls).get(name)
            if isinstance(found, Field | Collection):
                _refuse_in_use(cls, found)
            super().__delattr__(name)
            cls.__mapper__.collect_all()


class _WrongCall(UsageError, TypeError):
    """A handle was to be made of more than an id. TypeError, as for the arguments of any function."""

    def __init__(self, model: str, names: list[str]) -> None:
        given = ", ".join(f"{name}=..." for name in names if name not in ("id", "model_id"))
        cure = f"{model}.new({given or '...'}) makes a new one with values"
        super().__init__(f"{model}(...) takes the id alone, of a record that may be stored: {cure}")


class _Unmade:
    """The mapper of a class that is being made: made when it is first asked for.

    ``__init_subclass__`` and ``__set_name__`` run before the class is complete, and may make records of it.
    """

    def __get__(self, record: object, model: ModelType) -> Mapper:
        for name, member in list(vars(model).items()):
            if isinstance(member, Field | Collection):
                member.__set_name__(model, name)  # which may still be to come
        mapper = Mapper(model)
        type.__setattr__(model, "__mapper__", mapper)
        return mapper


def _add_late(model: ModelType, name: str, member: Field[Any] | Collection) -> None:
    _refuse_in_use(model, member)
    member.__set_name__(model, name)
    check_name(model, name, member)
    type.__setattr__(model, name, member)
    model.__mapper__.collect_all()


def _refuse_in_use(model: ModelType, member: Field[Any] | Collection) -> None:
    stored_apart = isinstance(member, Collection) or member.__codec__.indexed
    if stored_apart and model.__mapper__.is_used():
        raise UsageError(f"{model.__name__} is in use already: its indexes are fixed at the first I/O")
