"""Mail in the domain's name in words: its classes with their sums, and what a DMARC policy does to it.

Everybody who tells of reported mail does so with these classes: own, unclaimed, and what is known to be foreign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.facts.traffic import MessageSums, OwnMessages, PolicyHits, ReportPeriod, Source, Traffic
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases, joined
from deliverability.core.words.sentences import full_day_words, visible

FOREIGN = ("forged", "forwarded", "altered")
"""The classes of mail that is known to be foreign."""
CLASSES = ("own", "unclaimed", *FOREIGN, "apart")
"""Every message in the domain's name is in one of them; `apart`: of a name below it that sp or np leaves alone."""
_CLASS_OF = {
    **dict.fromkeys(("own", "own-gap", "service-gap"), "own"),
    **dict.fromkeys(("unclaimed", "service-mixed"), "unclaimed"),
    **{"forged": "forged", "forwarder": "forwarded", "altered": "altered"},
}


def class_of(standing: str, *, apart: bool) -> str:
    """The class of mail of a source."""
    return "apart" if apart else _CLASS_OF[standing]


class Sums(Struct, frozen=True):
    """The messages of a window by class.

    Attributes:
        classes: class -> messages; every message is in one.
        aligned: own messages that pass DMARC; what is unclaimed never does.
        uncounted: messages of reports that do not count, as nobody vouches for them or their reporter is not listed.

    """

    classes: Mapping[str, int]
    aligned: int
    uncounted: int = 0

    @property
    def messages(self) -> int:
        """All in the domain's name."""
        return sum(self.classes.values())

    @property
    def yours(self) -> int:
        """What is yours or may be."""
        return self.classes["own"] + self.classes["unclaimed"]

    @property
    def foreign(self) -> int:
        """What is known to be foreign."""
        return sum(self.classes[name] for name in FOREIGN)


def sums_of(facts: FactSet) -> Sums | None:
    """The sums; None where no reports were read, or nobody can tell whose mail is whose."""
    ours, every = facts.of(OwnMessages), facts.of(MessageSums)
    own, aligned = if_known(ours.messages), if_known(ours.aligned)
    numbers = (own, *map(if_known, (every.unclaimed, every.forged, every.forwarded, every.altered, every.apart)))
    known = [each for each in numbers if each is not None]
    return (
        Sums(dict(zip(CLASSES, known, strict=True)), aligned, if_known(facts.of(ReportPeriod).untrusted_messages) or 0)
        if len(known) == len(CLASSES) and aligned is not None
        else None
    )


def sums_words(sums: Sums, say: Phrases) -> str:
    """How much of what is or may be yours passes, what waits for an answer, and what is foreign.

    Reports that do not count are told of where the others show none of it: then nothing is known of it.
    """
    if not sums.yours:
        nothing = say.count("traffic.uncounted", sums.uncounted) if sums.uncounted else say("traffic.nothing")
        return nothing + _foreign_words(sums, say)
    failing, waiting = sums.classes["own"] - sums.aligned, sums.classes["unclaimed"]
    share = say("traffic.share", aligned=f"{sums.aligned:,}", yours=f"{sums.yours:,}")
    rest = [say.count("traffic.failing", failing)] if failing else []
    rest += [say.count("traffic.waiting", waiting)] if waiting else []
    # Four numbers are too many for one sentence.
    sentences = [[share], rest] if len(rest) > 1 else [[share, *rest]]
    words = [say("traffic.sentence", text=say("traffic.and").join(parts)) for parts in sentences]
    return say("punctuation.gap").join(words) + _foreign_words(sums, say)


def _foreign_words(sums: Sums, say: Phrases) -> str:
    """What else was sent in the domain's name."""
    words = ""
    if sums.foreign:
        found = [name for name in FOREIGN if sums.classes[name]]
        parts = joined([say(f"traffic.part.{name}", n=f"{sums.classes[name]:,}") for name in found], say)
        only = f"traffic.only.{found[0]}"
        several = len(found) > 1
        more = say("traffic.foreign", n=f"{sums.foreign:,}", parts=parts) if several else say.count(only, sums.foreign)
        words += say("punctuation.gap") + more
    if apart := sums.classes["apart"]:
        words += say("punctuation.gap") + say.count("traffic.apart", apart)
    return words


NAMED = 3
"""Sources that the sentence names."""
_LOSING = ("own", "own-gap", "service-gap", "service-mixed", "unclaimed")


LIKE_A_HOST = 50
"""From so many messages of one address on, what is forged may be a forgotten host."""


def like_a_host(source: Source) -> bool:
    """Whether it sends as a forgotten host may: steadily, or much from one address."""
    return source.standing == "forged" and (source.steady or source.largest_address >= LIKE_A_HOST)


def would_words(facts: FactSet, policy: str, say: Phrases) -> str:
    """What the policy would have done in the window; empty where nobody can say."""
    sums, days = facts.of(MessageSums), if_known(facts.of(ReportPeriod).span_days)
    lost, yours, forged = if_known(sums.would_fail), if_known(sums.yours), if_known(sums.forged)
    if lost is None or yours is None or forged is None or not days:
        return ""
    values = {"days": str(days), "policy": policy, "yours": f"{yours:,}"}
    altered = if_known(sums.altered)
    more = say.count("gate.stopped", forged) if forged else ""
    more += say("gate.altered", n=f"{altered:,}") if altered else ""
    sources = if_known(facts.of(Traffic).sources) or ()
    asked = [each for each in sources if like_a_host(each) and not each.said and not each.apart]
    if asked:
        number, names = sum(each.messages for each in asked), _named([visible(each.name) for each in asked], say)
        all_asked = number == forged
        more += (
            say("gate.risk-all-asked", sources=names)
            if all_asked
            else say.count("gate.risk-asked", number, sources=names)
        )
    elif forged:
        more += say("gate.risk")
    if not lost:
        return say("gate.would-none", **values) + more
    return say("gate.would", **values, lost=f"{lost:,}", sources=_losing(facts, lost, say)) + more


def hits_words(facts: FactSet, domain: str, policy: str, say: Phrases) -> str:
    """What the policy that is in force hits, and since when."""
    hits = facts.of(PolicyHits)
    lost, all_ = if_known(hits.hit) or 0, if_known(hits.hit_of) or 0
    day = full_day_words(if_known(hits.hit_since) or "", say)
    return say("gate.hits", domain=domain, policy=policy, lost=f"{lost:,}", all=f"{all_:,}", day=day)


def _losing(facts: FactSet, lost: int, say: Phrases) -> str:
    """The sources that would lose most; only one where all that is `lost` comes from it."""
    losing = [
        each
        for each in if_known(facts.of(Traffic).sources) or ()
        if each.standing in _LOSING and not each.apart and each.unaligned
    ]
    losing.sort(key=lambda each: -each.unaligned)
    if not losing:
        return ""
    if losing[0].unaligned == lost:
        return say("gate.of-all", source=visible(losing[0].name))
    named = [say("gate.of", n=f"{each.unaligned:,}", source=visible(each.name)) for each in losing]
    return say("gate.of-several", sources=_named(named, say))


def _named(names: Sequence[str], say: Phrases) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - NAMED
    if more <= 0:
        return joined(names, say, "gate.of-and")
    return say("value.separator").join(names[:NAMED]) + say("value.more", n=f"{more:,}")
