"""What a DMARC policy would have done with the mail that receivers reported, in words."""

from __future__ import annotations

from deliverability.model.facts import FactSet, number_of, records_of
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import visible

NAMED = 3
"""Sources that the sentence names."""
_LOSING = ("own", "own-gap", "service-gap", "service-mixed", "unclaimed", "altered")


def would_words(facts: FactSet, policy: str, say: Phrases) -> str:
    """What the policy would have done in the window; empty where nobody can say."""
    numbers = [facts.at(f"traffic.{name}") for name in ("would_fail", "yours", "forged", "span_days")]
    lost, yours, forged, days = (each if isinstance(each, int) else None for each in numbers)
    if lost is None or yours is None or forged is None or not days:
        return ""
    share = f"{100 * lost / yours:.2f}" if yours else "0"
    values = {
        "days": str(days),
        "policy": policy,
        "lost": f"{lost:,}",
        "yours": f"{yours:,}",
        "share": share,
        "forged": f"{forged:,}",
    }
    if not lost:
        return say("gate.would-none", **{name: values[name] for name in ("days", "policy", "yours", "forged")})
    return say("gate.would", **values, sources=_losing(facts, say))


def _losing(facts: FactSet, say: Phrases) -> str:
    """The sources that would lose most."""
    losing = [
        each
        for each in records_of(facts.value("traffic.sources"))
        if each.get("standing") in _LOSING and isinstance(each.get("unaligned"), int) and each["unaligned"]
    ]
    losing.sort(key=lambda each: -number_of(each["unaligned"]))
    named = [
        say("gate.of", n=f"{number_of(each['unaligned']):,}", source=visible(str(each["name"])))
        for each in losing[:NAMED]
    ]
    more = len(losing) - len(named)
    return say("value.separator").join(named) + (say("value.more", n=str(more)) if more > 0 else "")
