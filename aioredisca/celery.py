"""Celery: ``AutosaveTask``, a base for tasks, whose run is one unit of work of blocking models.

::

    app = Celery("shop", task_cls=AutosaveTask)        # all tasks
    @app.task(base=AutosaveTask)                       # one task
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from aioredisca.drivers.database import open_database
from aioredisca.sync import Session

_Task: Any = import_module("celery").Task


class AutosaveTask(_Task):  # type: ignore[misc]
    """A task whose changes are saved when it returns, or the task fails.

    They are saved all or nothing per database, in a cluster per slot.

    A task that raises saves nothing, and so does one that retries. ``database`` is that of all classes that
    name none by ``conf(db=)``; set it in a subclass, conf.db by default. No connection is shared with the
    parent of a forked worker.
    """

    abstract = True
    database: Any = None

    def __init_subclass__(cls) -> None:
        if cls.database is not None:
            cls.database = open_database(cls.database)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with Session(self.database, autosave=True):
            return self.run(*args, **kwargs)
