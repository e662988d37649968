"""`deliv` with small shards, and with domains of which something is told by the environment.

A worker dies on POISON each time, and on POISON_ONCE (a marker) once; it waits at HOLD until that file is there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from deliverability.fleet import manifest, work
from tests.fleet.fleets import SMALL

manifest.SHARD = SMALL  # type: ignore[misc]
gather_facts = work.gather_facts


async def deadly(job, *args, **kwargs):
    """In workers, for they run this module as well."""
    marker = os.environ.get("POISON_ONCE")
    if job.domain == os.environ.get("POISON") or (marker and job.domain == Path(marker).name and claim(Path(marker))):
        os.kill(os.getpid(), signal.SIGKILL)
    hold = os.environ.get("HOLD")
    while hold and job.domain == Path(hold).name and not Path(hold).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    return await gather_facts(job, *args, **kwargs)


def claim(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


work.gather_facts = deadly

if __name__ == "__main__":
    from deliverability.__main__ import run

    run()
