"""Django can be set up once in a process: this is how, for all tests that need it."""

from __future__ import annotations


def configured() -> None:
    """Set Django up, if nobody has."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=["aioredisca.django.autosave"],
            ROOT_URLCONF="tests.web.test_frameworks",
            SECRET_KEY="x",
            DEBUG=False,
            LOGGING_CONFIG=None,
        )
        django.setup()
