"""Asks checkdmarc and dkimpy, off the event loop and within the time of the subject."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor

import dkim

from deliverability.core.facts.base import FactSet, Unknown
from deliverability.core.facts.dkim import Dkim, DkimSignature
from deliverability.core.model.report import SecondOpinion, Unheard
from deliverability.core.model.topic import if_known
from deliverability.core.net.ports import Ports
from deliverability.engine.second_opinion.bridge import UNSURE, Bridge, Points
from deliverability.engine.second_opinion.records import compare_records

MAX_OCTETS = 20_000_000
"""Octets of a message that is handed on."""

MAX_COST = 50_000_000
"""Steps that dkimpy's patterns may take over blanks: it needs the square of the length of each run of them."""

_BLANKS = re.compile(rb"[\t ]{64,}|(?:\r?\n){64,}")
_LONGEST_WORDS = 300


def compare_signatures(facts: FactSet, message: bytes, bridge: Bridge, points: Points) -> None:
    """Each signature that was verified, by dkimpy as well."""
    signatures = if_known(facts.of(Dkim).signatures) or ()
    if not signatures:
        return
    if len(message) > MAX_OCTETS or sum(len(run) ** 2 for run in _BLANKS.findall(message)) > MAX_COST:
        points.not_heard("dkim", "", "size")
        return
    logger = logging.getLogger("deliverability.opinion.dkimpy")
    logger.setLevel(logging.CRITICAL)
    for index, ours in enumerate(signatures):
        subject = f"{ours.domain or '?'}/{ours.selector or '?'}"
        bridge.failed = bridge.cut = False
        result = ours.result
        status = UNSURE if isinstance(result, Unknown) else "pass" if result == "pass" else "fail"
        if isinstance(result, Unknown) and result.reason.value == "limit":
            return
        theirs, words = _verified(message, index, bridge, logger)
        if bridge.cut:
            points.not_heard("dkim", subject, "size")
        elif bridge.failed and status != UNSURE:
            points.not_heard("dkim", subject, "dns")
        else:
            points.compare("dkim", subject, "result", status, theirs, _reason(ours, status), words)


def _verified(message: bytes, index: int, bridge: Bridge, logger: logging.Logger) -> tuple[str, str]:
    """What dkimpy says of one signature, and its words where it raised an error."""

    def key(name: bytes | str, timeout: float = 5) -> bytes | None:
        text = name.decode("ascii") if isinstance(name, bytes) else name
        found = bridge.texts(text.rstrip("."))
        return found[0] if found else None

    try:
        passed = dkim.DKIM(message, logger=logger).verify(index, dnsfunc=key)
    except Exception as error:  # it checks little before it uses it
        return "fail", f"{type(error).__name__}: {error}"[:_LONGEST_WORDS]
    if bridge.failed:
        return UNSURE, ""
    return ("pass" if passed else "fail"), ""


def _reason(ours: DkimSignature, status: str) -> str | None:
    """Why dkimpy passes what we do not, or the other way round."""
    if status == "pass":
        # It was valid when the message came; dkimpy knows only the time of day.
        return "dkim-expiry" if ours.expires is not None and ours.expires < time.time() else None
    if ours.reason == "malformed" and ours.body_length_limit is not None:
        return "dkim-length"
    if ours.reason == "key-mismatch" and ours.key_allows is not False:
        return None
    return _OURS_ALONE.get(ours.reason) if isinstance(ours.reason, str) else None


# Reasons for which we do not let a signature pass that dkimpy knows nothing of.
_OURS_ALONE = {
    "sha1": "dkim-sha1",
    "key-mismatch": "dkim-key-tags",
    "key-multiple": "dkim-key-multiple",
    "from-not-signed": "dkim-from",
    "expired": "dkim-expiry",
}


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
    points = Points()
    compare_records(facts, bridge, points)
    if message is not None:
        compare_signatures(facts, message, bridge, points)
    return points.opinion()
