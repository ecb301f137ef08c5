"""The Celery app of the tests; its client connects before the workers are forked, on purpose."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

from aioredisca import conf, sync
from aioredisca.celery import AutosaveTask

if "REDISCA_URL" in os.environ:
    conf.db = os.environ["REDISCA_URL"]


@conf(prefix="note")
class Note(sync.Model):
    slug = sync.String(unique=True)
    count = sync.Integer()


broker: Any = os.environ.get("BROKER")
app: Any = Celery("tests.web.tasks", task_cls=AutosaveTask, broker=broker, backend=broker)
app.conf.update(task_store_eager_result=False, broker_connection_retry_on_startup=True)

if broker:
    Note("warm").exists()  # a connection that a forked worker must not use


@app.task(name="write")  # type: ignore[untyped-decorator]
def write(number: int, fails: bool = False) -> int:
    """Make one note; it tells which process wrote it."""
    note = Note(str(number))
    note.slug = f"slug-{number}"
    time.sleep(0.002)
    assert Note(str(number)) is note
    note.count = os.getpid()
    if fails:
        raise ZeroDivisionError
    return number
