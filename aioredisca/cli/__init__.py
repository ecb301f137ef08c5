"""The command line: ``aioredisca reindex app.models:User``. Needs ``aioredisca[cli]``.

One module per group of commands, each of which registers them on ``app``.
"""

from aioredisca.cli import data as data
from aioredisca.cli import indexes as indexes
from aioredisca.cli.app import app as app
