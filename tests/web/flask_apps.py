"""The Flask apps that gunicorn serves in the tests: a good one, and one with a session for everybody."""

from __future__ import annotations

import os
import threading
from typing import Any

import flask

from aioredisca import Conflict, conf, sync
from aioredisca.flask import FlaskRedisca
from aioredisca.model.sessions import current_session


@conf(prefix="note")
class Note(sync.Model):
    slug = sync.String(unique=True)
    count = sync.Integer()


def make() -> flask.Flask:
    app = flask.Flask("shop")
    app.config["REDISCA"] = os.environ.get("REDISCA_URL", "memory://")

    @app.get("/note/<id>")
    def note(id: str) -> Any:
        mine, unit = Note(id), current_session()
        shared = unit is None or len(unit._unit.mapped) != 1
        mine.slug = flask.request.args["slug"]
        assert mine.exists() is False  # I/O: other requests run meanwhile
        shared = shared or current_session() is not unit or Note(id) is not mine
        mine.count = os.getpid()
        return {"shared": shared, "thread": threading.get_ident()}

    @app.get("/async/<id>")
    async def async_note(id: str) -> Any:
        Note(id).slug = flask.request.args["slug"]
        return {"shared": False}

    @app.get("/abort/<id>")
    def aborted(id: str) -> Any:
        Note(id).slug = flask.request.args["slug"]
        flask.abort(404)

    @app.get("/stream/<id>")
    def stream(id: str) -> Any:
        Note(id).slug = flask.request.args["slug"]
        return flask.Response(flask.stream_with_context(iter(["a", "b"])))

    @app.errorhandler(Conflict)
    def conflict(error: Exception) -> Any:
        return {"detail": type(error).__name__}, 409

    return app


good = make()
FlaskRedisca(good, autosave=True)

if os.environ.get("PRELOADED"):  # connect before the fork, on purpose
    with good.app_context(), sync.session(good.extensions["aioredisca"]):
        Note("warm").exists()

# The known-bad way, as redisca had it: one registry for the process.
bad = make()
everybody = sync.Session(bad.config["REDISCA"])


@bad.before_request
def enter() -> None:
    everybody._token = None
    everybody._open()


@bad.after_request
def save(response: Any) -> Any:
    everybody.flush()
    return response
