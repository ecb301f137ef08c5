"""The admin page: Flask and blocking models over the same records, behind the same sign-in.

``aioredisca.sync`` has the same words without ``await``. Nothing of a record is declared again.
"""

from __future__ import annotations

import secrets

import flask
from werkzeug import Response

from aioredisca import NotFound, Unavailable, conf, sync
from aioredisca.flask import FlaskRedisca

from .models import NEWEST_OF_OWNER, STAY, LinkFields, LoginFields, UserFields
from .pages import HEADERS
from .visitors import COOKIE, digest, forged

SHOWN = 50
ADMIN = "admin"


# -- the same models, blocking ---------------------------------------------------------------------


@conf(prefix="user")
class User(UserFields, sync.Model): ...


@conf(prefix="link", index=[NEWEST_OF_OWNER], ttl=None)
class Link(LinkFields, sync.Model): ...


@conf(prefix="login", ttl=STAY, sliding="load")
class Login(LoginFields, sync.Model): ...


# -- the page --------------------------------------------------------------------------------------

views = flask.Blueprint("admin", __name__)


@views.before_request
def only_for_admins() -> None:
    if forged(flask.request.method, flask.request.headers.get):
        flask.abort(403, "This form was sent from another site.")
    login = Login(digest(flask.request.cookies.get(COOKIE, ""))).load()
    if not (login and login.user.admin):
        flask.abort(403, "Sign in as an admin on the page for everybody, then come back.")
    flask.g.admin = login.user


@views.get("/")
def overview() -> str:
    return flask.render_template(
        "admin.html",
        admin=flask.g.admin,
        people=User.all().order_by(User.joined.desc()).limit(SHOWN),
        links=Link.all().order_by(Link.clicks.desc()).limit(SHOWN).prefetch(Link.owner),
        by_owner=Link.all().aggregate(Link.clicks, by=Link.owner),
        total=Link.all().aggregate(Link.clicks),
        logins=Login.all().count(),
    )


@views.post("/links/<id>/remove")
def remove_link(id: str) -> Response:
    Link.get(id).delete()
    return flask.redirect(flask.url_for(".overview"))


@views.post("/people/<id>/remove")
def remove_person(id: str) -> Response:
    """With their links and sign-ins, in one atomic call: the references say on_delete="cascade"."""
    User.get(id).delete()
    return flask.redirect(flask.url_for(".overview"))


def secure(response: flask.Response) -> flask.Response:
    response.headers.update(HEADERS)
    return response


def create_admin() -> flask.Flask:
    """The admin page on the database of ``conf.db``."""
    app = flask.Flask(__name__)
    FlaskRedisca(app, autosave=True)
    app.register_blueprint(views)
    app.after_request(secure)
    app.register_error_handler(NotFound, lambda error: ("There is no such record.", 404))
    app.register_error_handler(Unavailable, lambda error: ("The database cannot be reached.", 503))
    return app


# -- the first start -------------------------------------------------------------------------------

SAMPLES = {
    "redis": ("https://redis.io/docs/latest/", {"database"}),
    "valkey": ("https://valkey.io/", {"database"}),
    "fastapi": ("https://fastapi.tiangolo.com/", {"python", "web"}),
    "flask": ("https://flask.palletsprojects.com/", {"python", "web"}),
    "asyncio": ("https://docs.python.org/3/library/asyncio.html", {"python"}),
}


def prepare(given: str | None) -> str | None:
    """Create the admin and a few links on a new database; the password it made up, if none was *given*."""
    if (User.name == ADMIN).exists():
        return None
    password = given or secrets.token_urlsafe(9)
    admin = User.new(name=ADMIN, password=password, admin=True).save()  # hashed as it is assigned
    Link.save_many(
        [
            Link.new(slug=slug, target=target, tags=tags, owner=admin)
            for slug, (target, tags) in SAMPLES.items()
        ]
    )
    return None if given else password
