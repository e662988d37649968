"""Waits until a test mail is in every mailbox, or the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from deliverability.core.codes import Detail
from deliverability.core.net.base import Clock
from deliverability.seeds.mailbox import SeedError, SeedMailbox
from deliverability.seeds.values import Folder, Mark, Seed, Sighting

FIRST_WAIT, LONGEST_WAIT, _SLOWER = 20.0, 60.0, 1.5  # seconds between looks, and by how much each wait is longer


class Outcome(Struct, frozen=True):
    """How waiting ended for one mailbox.

    Attributes:
        seed: the mailbox.
        folder: where the mail is; MISSING only where the last look, after the time was up, saw all folders.
        at: when that was known.
        sighting: of the mail; None: it was not found.
        detail: why the mailbox could not be read; None: it could.

    """

    seed: Seed
    folder: Folder
    at: datetime
    sighting: Sighting | None = None
    detail: Detail | None = None


async def await_mail(
    seeds: Sequence[Seed],
    mark: Mark,
    until: datetime,
    clock: Clock,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Look into every mailbox again and again; what is known of one is told at once. In the order of the seeds."""
    ended: dict[str, Outcome] = {}
    boxes = {seed.name: (seed, SeedMailbox(seed)) for seed in seeds}
    number, wait = 0, FIRST_WAIT
    try:
        while True:
            number += 1
            last = clock.now() >= until
            # All folders are many: they are looked at ever more seldom, and at the end.
            everywhere = last or number & (number - 1) == 0
            open_ones = [each for name, each in boxes.items() if name not in ended]
            looks = (_look(seed, box, mark, clock, everywhere=everywhere, last=last) for seed, box in open_ones)
            for outcome in await asyncio.gather(*looks):
                if outcome is not None:
                    ended[outcome.seed.name] = outcome
                    tell(outcome)
            if len(ended) == len(boxes):
                return [ended[seed.name] for seed in seeds]
            await sleep(max(0.0, min(wait, (until - clock.now()) / timedelta(seconds=1))))
            wait = min(LONGEST_WAIT, wait * _SLOWER)
    finally:
        for _, box in boxes.values():
            box.close()


async def _look(
    seed: Seed, box: SeedMailbox, mark: Mark, clock: Clock, *, everywhere: bool, last: bool
) -> Outcome | None:
    """What one look ends with; None: nothing yet."""
    try:
        sighting = await asyncio.to_thread(box.look, mark, everywhere=everywhere)
    except SeedError as error:
        if error.final or last:
            return Outcome(seed, Folder.UNREACHABLE, clock.now(), detail=error.detail)
        return None
    if sighting is not None:
        box.close()
        return Outcome(seed, sighting.folder, clock.now(), sighting)
    return Outcome(seed, Folder.MISSING, clock.now()) if last else None
