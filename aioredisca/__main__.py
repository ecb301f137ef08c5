"""``python -m aioredisca``: the command line."""

from aioredisca.cli import app

app(prog_name="aioredisca")
