"""Pages and forms. A record that is refused becomes the form it came from, with the reason at the field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from aioredisca import (
    Conflict,
    Gone,
    Model,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    UniqueViolation,
    ValidationError,
)

HERE = Path(__file__).parent
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

templates = Jinja2Templates(HERE / "templates")

Text = Annotated[str, Form()]
"""A field of a form."""


def page(request: Request, template: str, status: int = 200, **shown: Any) -> Response:
    """A page of ours, which shows who is signed in."""
    visitor = getattr(request.state, "visitor", None)
    values = {"visitor": visitor, "values": {}, "errors": {}, **shown}
    return templates.TemplateResponse(request, template, values, status, HEADERS)


def go_to(path: str) -> RedirectResponse:
    """After a form: look at this page, by GET."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


# -- forms -----------------------------------------------------------------------------------------


class Refused(Exception):
    """What somebody typed cannot be taken: the reasons, by field."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = errors


def fill(record: Model, **values: object) -> None:
    """Assign what was typed. Refused says all that is wrong with it, not only the first."""
    errors = dict[str, str]()
    for name, value in values.items():
        try:
            setattr(record, name, value)
        except ValidationError as error:
            errors[name] = error.reason
    if errors:
        raise Refused(errors)


HOUR, SHORTEST, LONGEST = timedelta(hours=1), timedelta(milliseconds=1), timedelta(days=3653)


def lifetime(hours: str) -> timedelta | None:
    """What was typed of the time that a link lasts; nothing is for ever."""
    if not hours.strip():
        return None
    try:
        given = float(hours) * HOUR
    except (ValueError, OverflowError):
        given = timedelta(0)
    if not SHORTEST <= given <= LONGEST:
        raise Refused({"hours": "must be a number above 0, up to ten years"})
    return given


def hours_left(lasts: timedelta | None) -> str:
    """The same, to be shown."""
    return "" if lasts is None else f"{lasts / HOUR:.6g}"


def form_of(template: str) -> Any:
    """The dependency of an endpoint that takes a form: where to show it again, should it be refused."""

    async def remember(request: Request) -> None:
        request.state.form = template, dict(await request.form())

    return Depends(remember)


async def show_at_field(request: Request, error: Exception) -> Response:
    """The form again, as it was typed, with what is wrong with it. Passwords are not repeated."""
    if not hasattr(request.state, "form"):
        return await show_problem(request, error)
    template, values = request.state.form
    values.pop("password", None)
    status = 409 if isinstance(error, UniqueViolation) else 422
    return page(request, template, status, values=values, errors=_errors(error))


def _errors(error: Exception) -> Mapping[str, str]:
    if isinstance(error, UniqueViolation):
        return {error.field: "is taken already"}
    if isinstance(error, ValidationError):
        return {error.field: error.reason}
    assert isinstance(error, Refused)
    return error.errors


# -- problems --------------------------------------------------------------------------------------

PROBLEMS: dict[type[Exception], tuple[int, str]] = {
    NotFound: (404, "There is nothing here."),
    Gone: (404, "There is nothing here."),  # it ended just now
    Conflict: (409, "Somebody else has changed this meanwhile."),
    RequestValidationError: (422, "This cannot be understood."),
    ValidationError: (422, "This cannot be understood."),
    OutcomeUnknown: (503, "The database did not answer: this may have been saved or not."),
    Unavailable: (503, "The database cannot be reached. Please try again soon."),
}


async def show_problem(request: Request, error: Exception) -> Response:
    """A page that says what is wrong, without details of ours."""
    if isinstance(error, HTTPException):
        if error.status_code < 400:
            return Response(None, error.status_code, error.headers)
        return page(request, "problem.html", error.status_code, reason=error.detail)
    status, reason = next(said for kind, said in PROBLEMS.items() if isinstance(error, kind))
    answer = page(request, "problem.html", status, reason=reason)
    if isinstance(error, Unavailable):
        answer.headers["Retry-After"] = "1"
    return answer


def add_pages(app: FastAPI) -> None:
    """Answer errors by pages, in the place of the JSON that the library sends."""
    pages: tuple[type[Exception], ...] = (HTTPException, *PROBLEMS)
    at_field: tuple[type[Exception], ...] = (Refused, UniqueViolation, ValidationError)
    for kind in pages:
        app.add_exception_handler(kind, show_problem)
    for kind in at_field:
        app.add_exception_handler(kind, show_at_field)
