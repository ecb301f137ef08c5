"""The class as this process has it: DEPLOYED names a change and one of its sides, ``add an index/new``."""

from __future__ import annotations

import os

from .versions import CHANGES

CHANGE, _, SIDE = os.environ["DEPLOYED"].partition("/")

VERSION = getattr(CHANGES[CHANGE], SIDE)

NONES = CHANGES[CHANGE].old.nones and CHANGES[CHANGE].new.nones
"""Whether the records that stand still may lack a size."""

Item = VERSION.model()
