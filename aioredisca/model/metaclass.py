"""The metaclass of models. It keeps a mapper per class, and what no other hook can do.

Fields may come late (``User.lang = Reference(...)``), and ``User("1")`` must be one object within a session
without running ``__init__`` again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace, **options)
        lookalikes.check_body(cls)
        type.__setattr__(cls, "__mapper__", Mapper(cls))
        registry.register(cls)

    if not TYPE_CHECKING:
        # Hidden: a visible __setattr__ would let every typo on a class pass the checkers, and a visible
        # __call__ would make every instance Any.

        def __call__(cls, model_id=None, /):
            id = cls.__mapper__.id_text(model_id)
            unit = current()
            if unit is None:
                return super().__call__(id)
            return unit.instance(cls, id, lambda: super(ModelType, cls).__call__(id))

        def __setattr__(cls, name, value):
            if isinstance(value, Field | Collection):
                _add_late(cls, name, value)
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
