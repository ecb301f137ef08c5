"""Serve both faces from one process: python -m examples.shortlinks [URL] [--port N]

URL is any database that ``aioredisca.Database`` takes. The default, ``memory://``, is a store inside this
process and needs no server. All keys start with ``aioredisca-shortlinks:``. The admin of a new database gets
the password ``$SHORTLINKS_ADMIN_PASSWORD``, or one that is printed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from socket import socket

import uvicorn
from werkzeug.serving import BaseWSGIServer, make_server

from aioredisca import Database, RediscaError, conf

from .admin import ADMIN, create_admin, prepare
from .app import create_app

NAMESPACE = "aioredisca-shortlinks:"


class Server(uvicorn.Server):
    """Ends the live streams before it waits for open requests."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self.config.app.state.feed.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def main() -> int:
    """Serve until Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser(description="A short-link service and its admin page, by aioredisca.")
    parser.add_argument("url", nargs="?", default="memory://", help="the database (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="of the service (default: %(default)s)")
    parser.add_argument("--admin-port", type=int, help="of the admin page (default: the next)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    options = parser.parse_args()
    try:
        conf.db = Database(options.url, namespace=NAMESPACE)
        password = prepare(os.environ.get("SHORTLINKS_ADMIN_PASSWORD"))
    except RediscaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    host, port = options.host, options.port
    admin = make_server(host, options.admin_port or port + 1, create_admin(), threaded=True)
    print(f"Short links   http://{host}:{port}/")
    known = "" if password is None else f", password {password}"
    print(f"Admin page    http://{host}:{admin.port}/   sign in above as {ADMIN}{known}", flush=True)
    serve(admin, host, port)
    return 0


def serve(admin: BaseWSGIServer, host: str, port: int) -> None:
    """Flask in threads of its own, FastAPI here."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # as for uvicorn: no line per request
    thread = threading.Thread(target=admin.serve_forever, daemon=True)
    thread.start()
    try:
        Server(uvicorn.Config(create_app(), host, port, log_level="warning")).run()
    except KeyboardInterrupt:  # which uvicorn passes on when it has stopped
        pass
    finally:
        admin.shutdown()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
