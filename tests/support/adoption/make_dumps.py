"""Makes the dumps of what other mappers write, by these mappers themselves, each in an environment of its own.

    python -m tests.support.adoption.make_dumps

needs pip, and what pip finds redisca 1.3, redis-py 2.10.6 and redis-om 1.2 by. A dump is as make_dump.py has it.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..dumps.make_dump import canonical, dumped
from ..servers import KINDS, Server

HERE = Path(__file__).parent
PACKAGES = {
    "redisca": ("redisca==1.3", "redis==2.10.6"),
    "redis_om": ("redis-om==1.2.*",),
}


def made(mapper: str, folder: Path) -> dict[str, Any]:
    """What *mapper* writes into an empty server, by an environment in *folder*."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES[mapper]], check=True)
    binary = next(filter(None, (kind.find() for kind in KINDS)))
    environment = {**os.environ, "TZ": "UTC", "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}
    with Server("adopted", binary) as server, server.client() as client:
        script = HERE / f"write_{mapper}.py"
        subprocess.run([python, script, str(server.port)], check=True, env=environment)
        return dumped(client)


def kept(mapper: str) -> dict[str, Any]:
    """The dump of *mapper* that lies here."""
    content: dict[str, Any] = json.loads(gzip.decompress((HERE / f"{mapper}.json.gz").read_bytes()))
    return content


def main() -> None:
    for mapper in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            content = canonical(made(mapper, Path(folder))).encode()
        (HERE / f"{mapper}.json.gz").write_bytes(gzip.compress(content, mtime=0))


if __name__ == "__main__":
    main()
