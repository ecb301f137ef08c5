"""The command line: ``aioredisca reindex app.models:User``. Needs ``aioredisca[cli]``.

One module per group of commands, each of which registers them on ``app``.
"""

from aioredisca.cli import catalog as catalog
from aioredisca.cli import checks as checks
from aioredisca.cli import data as data
from aioredisca.cli import doctor as doctor
from aioredisca.cli import indexes as indexes
from aioredisca.cli import migrations as migrations
from aioredisca.cli import queries as queries
from aioredisca.cli import records as records
from aioredisca.cli import shell as shell
from aioredisca.cli.app import app as app
