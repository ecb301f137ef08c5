"""Five workers do fifty jobs; some fail at first, and one always: ``python -m examples.jobs [URL]``."""

from __future__ import annotations

import asyncio
import sys

from aioredisca import Database, conf

from .queue import Job, put, work_all


async def main(url: str) -> None:
    """Fifty jobs and five workers: every fifth job fails once, and one always."""
    seen = list[int]()

    async def do(work: int) -> None:
        seen.append(work)
        if work == 13 or (work % 5 == 0 and seen.count(work) == 1):
            raise RuntimeError(f"job {work} fails")

    conf.db = db = Database(url)
    await Job.all().delete()
    for number in range(50):
        await put(number)
    counts = await asyncio.gather(*(work_all(do) for _ in range(5)))
    dead = [f"{job.work} after {job.tries} tries ({job.error})" for job in await (Job.state == "dead")]
    print(f"{sum(counts)} claims by 5 workers of {len(set(seen))} jobs; set aside {', '.join(dead)}")
    await Job.all().delete()
    await db.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory://"))
