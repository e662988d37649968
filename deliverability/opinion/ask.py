"""Asks checkdmarc and dkimpy, off the event loop and within the time of the subject."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

from deliverability.model.facts import FactSet
from deliverability.model.opinion import SecondOpinion, Unheard
from deliverability.opinion.bridge import Bridge
from deliverability.opinion.points import Points
from deliverability.ports.ports import Ports


async def second_opinion(facts: FactSet, message: bytes | None, ports: Ports) -> SecondOpinion:
    """Where checkdmarc and dkimpy differ from the facts, on the answers of `ports` and the octets of `message`.

    What is left of the time of the subject is the time they get.
    """
    loop, budget = asyncio.get_running_loop(), ports.budget
    bridge = Bridge(ports.dns, loop, budget.seconds)
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
