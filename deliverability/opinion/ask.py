"""Asks checkdmarc and dkimpy, off the event loop and within the time of the subject."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

from deliverability.model.facts import FactSet
from deliverability.model.opinion import SecondOpinion, Unheard
from deliverability.opinion.bridge import Bridge
from deliverability.opinion.points import Points
from deliverability.ports.base import Resolver
from deliverability.ports.budget import Budget


async def second_opinion(
    facts: FactSet, message: bytes | None, resolver: Resolver, budget: Budget, seconds: float
) -> SecondOpinion:
    """Where checkdmarc and dkimpy differ from the facts, on the answers of `resolver` and the octets of `message`.

    `seconds` is the whole time of the subject; what `budget` has left of it is the time they get.
    """
    loop = asyncio.get_running_loop()
    bridge = Bridge(resolver, loop, seconds)
    try:
        found = await budget.within(loop.run_in_executor(_thread(), _asked, facts, message, bridge))
    finally:
        bridge.close()
    # What was said when the time ran out rests on look-ups that failed for that alone.
    return SecondOpinion(0, unheard=(Unheard("", "", "time"),)) if found is None or budget.spent else found


@functools.cache
def _thread() -> ThreadPoolExecutor:
    """One thread for the process: checkdmarc keeps one cache for all that it is asked, whoever answers."""
    return ThreadPoolExecutor(1, thread_name_prefix="second-opinion")


def _asked(facts: FactSet, message: bytes | None, bridge: Bridge) -> SecondOpinion:
    # Imported here: 0.3 s that nobody else has to wait for.
    from deliverability.opinion.records import compare_records
    from deliverability.opinion.signatures import compare_signatures

    points = Points()
    compare_records(facts, bridge, points)
    if message is not None:
        compare_signatures(facts, message, bridge, points)
    return points.opinion()
