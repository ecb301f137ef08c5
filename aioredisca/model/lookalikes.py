"""What looks like a field in the body of a model and is none, so that what it is given is never stored.

UsageError with the cure, when the class is made. What belongs to the class (``ClassVar``, ``Final``), names
that begin with ``_`` and descriptors stay free.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Mapping
from typing import Any

from aioredisca.errors import UsageError
from aioredisca.fields.base import Field
from aioredisca.fields.collections import Collection

OF_OTHERS = {
    "__dataclass_fields__": "@dataclass",
    "__attrs_attrs__": "attrs",
}
"""What others leave in a class that they make of annotations."""

_OF_THE_CLASS = re.compile(r"(\w+\.)*(ClassVar|Final)\b")
_KINDS = {
    **{"int": "Integer", "str": "String", "float": "Float", "bool": "Bool", "bytes": "Bytes"},
    **{"datetime": "DateTime", "date": "Date", "Decimal": "Decimal", "UUID": "UUID"},
    **{"list": "Json", "dict": "Json", "set": "Tags", "frozenset": "Tags", "List": "Json", "Dict": "Json"},
}
_NOTHING: Any = object()


def check_body(model: type) -> None:
    """UsageError for what looks like data in the body of *model*, or of a plain class among its bases."""
    for owner in model.__mro__:
        if (
            not isinstance(owner, type(model)) or owner is model
        ):  # other models were checked when they were made
            _check_owner(model, owner)


def _check_owner(model: type, owner: type) -> None:
    if owner is object or owner.__module__.partition(".")[0] == "aioredisca":
        return
    for mark in OF_OTHERS.keys() & vars(owner).keys():
        refuse_mark(model, mark)
    if owner is model and isinstance(vars(owner).get("Meta"), type):
        raise UsageError(f"{model.__name__}.Meta does nothing: settings of a class go by @conf(prefix=...)")
    for name, annotation in _annotations(owner).items():
        if not name.startswith("_") and _is_lost(model, owner, name, annotation):
            raise UsageError(f"{model.__name__}.{name}: {_cure(owner, name, annotation)}")


def refuse_mark(model: type, mark: str) -> None:
    """UsageError where others have made a class of annotations out of a model."""
    raise UsageError(
        f"{model.__name__}: {OF_OTHERS[mark]} makes attributes that are never stored, and a model is made of "
        f"fields alone: leave it out, and write name = String()"
    )


def refuse_slot(model: str, name: str) -> None:
    """UsageError for a slot in the place of an inherited field. In one body Python refuses it itself."""
    raise UsageError(f"{model}.{name} is a field, which a slot cannot be as well: leave it out of __slots__")


def _annotations(owner: type) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(owner, format=annotationlib.Format.STRING)
    found: Mapping[str, Any] = vars(owner).get("__annotations__", {})
    return found


def _is_lost(model: type, owner: type, name: str, annotation: Any) -> bool:
    """Whether what is assigned to an annotated name would not be stored.

    A plain class may say by a bare annotation what it expects of the models that it is part of.
    """
    if _OF_THE_CLASS.match(_text(annotation)) or (owner is not model and name not in vars(owner)):
        return False
    values = (vars(base)[name] for base in model.__mro__ if name in vars(base))
    value: object = next(values, _NOTHING)
    if value is None and any(isinstance(above, Field) for above in values):
        return False  # how a subclass removes a field
    if isinstance(value, types.MemberDescriptorType):
        return True
    return not isinstance(value, Field | Collection) and not hasattr(type(value), "__get__")


def _text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation.strip("\"' ")
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _cure(owner: type, name: str, annotation: Any) -> str:
    kind = re.split(r"[^\w.]", _text(annotation), maxsplit=1)[0].rpartition(".")[2]
    value: object = vars(owner).get(name)
    new = f"new={value!r}" if isinstance(value, int | str | float) else ""
    field = f"{name} = {_KINDS.get(kind, 'String')}({new})"
    return (
        f"an annotation makes no field, so what is assigned to it is never stored; write {field}, "
        f"or {name}: ClassVar[...] for what belongs to the class"
    )
