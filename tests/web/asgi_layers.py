"""Middleware around the middleware."""

from __future__ import annotations

from starlette.middleware import Middleware

from .apps import AFTER, AUTOSAVE, BASE, GZIP

LAYERS: dict[str, list[Middleware]] = {
    "plain": [AUTOSAVE],
    "base inside": [AUTOSAVE, BASE],
    "base outside": [BASE, AUTOSAVE],
    "base both sides": [BASE, AUTOSAVE, BASE],
    "gzip inside": [AUTOSAVE, GZIP],
    "gzip outside": [GZIP, AUTOSAVE],
    "changed after the endpoint": [AUTOSAVE, AFTER],
}
