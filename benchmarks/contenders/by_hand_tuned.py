"""As by_hand.py, with the setting that makes redis.asyncio fastest: no timeouts."""

import by_hand
from by_hand import bulk, close, create, delete, find, get, get_many, hold, open, range_, update  # noqa: F401

NAME = "redis.asyncio, tuned"
PACKAGES: list[str] = []
NOTE = by_hand.NOTE + "; has no timeouts"

by_hand.OPTIONS = {"socket_timeout": None}
