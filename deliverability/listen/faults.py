"""Rejections and deferrals on demand (`--fail`), so that a program meets what receivers say before they say it.

The words are the replies that `deliv explain` knows (`rules/replies`): what a program makes of them it will make of the
receiver's own. Decisions depend on the seed and on how many mails came before, and on nothing else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import cached_property

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.model.replies import ANY, Meaning, Phase

NOT_A_FAULT = Code("fault-form", ("text",))
NO_STAGE = Code("fault-no-stage", ("text", "known"))
NO_REPLY = Code("fault-no-reply", ("text",))
NO_WHEN = Code("fault-no-when", ("text",))
NO_WORDS = Code("fault-no-words", ("receiver", "text", "known"))
NO_RECEIVER = Code("fault-no-receiver", ("text", "known"))
TOO_MANY_FAULTS = Code("fault-too-many", ("most",))

STAGES = tuple(each.value for each in Phase)
MOST_FAULTS = 100
MOST_SECONDS = 600
_CODE = re.compile(r"([45][0-9]{2})(?:[- ]([45]\.[0-9]{1,3}\.[0-9]{1,3}))?")
_SAID = re.compile(r"([45][0-9]{2})[- ](?:([45]\.[0-9]{1,3}\.[0-9]{1,3})\b)?")
_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
_ASKED = re.compile(r"fail\+([^@]+)@", re.IGNORECASE)
_LINE = 450  # characters of a line of a reply (RFC 5321 section 4.5.3.1.5 has 512 octets)


class FaultKind(StrEnum):
    """What happens."""

    REPLY = "reply"
    DROP = "drop"
    DELAY = "delay"


class Fault(Struct, frozen=True):
    """One thing that goes wrong.

    Attributes:
        stage: after MAIL FROM, RCPT TO or the message.
        kind: what happens.
        reply: the words, in the lines of a reply.
        seconds: of a delay.
        first: only so many times; 0: any number.
        percent: how many of a hundred.

    """

    stage: str
    kind: FaultKind
    reply: str = ""
    seconds: float = 0.0
    first: int = 0
    percent: float = 100.0


class Faults:
    """What goes wrong in a run: what was asked for, and what an address like ``fail+550@example.com`` asks for itself.

    `load` gives the meanings of replies; they are loaded when words are needed first.
    """

    def __init__(self, load: Callable[[], Sequence[Meaning]], asked: Iterable[str] = (), seed: int = 0) -> None:
        self._load = load
        self.change(asked, seed)

    def change(self, asked: Iterable[str], seed: int = 0) -> None:
        """Fail so from now on; counts begin anew. Raises InputError, and then leaves all as it was."""
        texts = tuple(asked)
        if len(texts) > MOST_FAULTS:
            raise InputError(TOO_MANY_FAULTS(most=MOST_FAULTS))
        faults = tuple(self.read(each) for each in texts)
        self.asked, self.seed = texts, seed
        self._faults, self._counts = faults, [0] * len(faults)

    def document(self) -> dict[str, object]:
        """As the API shows and takes it."""
        return {"fail": list(self.asked), "seed": self.seed}

    def at(self, stage: Phase, recipients: Sequence[str]) -> Iterator[Fault]:
        """What goes wrong now: delays, then the first that ends it. A recipient's own wish comes before the rest."""
        for fault in (*self._wished(stage, recipients), *self._due(stage)):
            yield fault
            if fault.kind is not FaultKind.DELAY:
                return

    def _wished(self, stage: Phase, recipients: Sequence[str]) -> Iterator[Fault]:
        for address in recipients:
            if (own := self._of_address(address)) is not None and own.stage == stage:
                yield own

    def _due(self, stage: Phase) -> Iterator[Fault]:
        for place, fault in enumerate(self._faults):
            if fault.stage == stage:
                self._counts[place] += 1
                often = not fault.first or self._counts[place] <= fault.first
                if often and self._chance(place) < fault.percent:
                    yield fault

    def _chance(self, place: int) -> float:
        return random.Random(f"{self.seed}/{place}/{self._counts[place]}").uniform(0, 100)  # noqa: S311 - no secret

    def _of_address(self, address: str) -> Fault | None:
        """What ``fail+[STAGE+]REPLY[+RECEIVER]@`` asks for; of what it cannot be read as, the reply says so."""
        found = _ASKED.match(address)
        if found is None:
            return None
        stage, *rest = found[1].lower().split("+")
        if stage not in STAGES or not rest:
            stage, rest = Phase.RCPT.value, [stage, *rest]
        rest[0] = re.sub(r"^delay-", "delay:", rest[0])
        try:
            return self.read(f"{stage}={':'.join(rest)}")
        except InputError as error:
            lines = re.sub(r"\s+", " ", str(error).encode("ascii", "replace").decode())
            return Fault(Phase.RCPT.value, FaultKind.REPLY, reply_lines("553", "5.1.3", lines))

    def read(self, text: str) -> Fault:
        """``STAGE=REPLY[:WHEN]``. Raises InputError, which says what there is."""
        stage, equals, rest = text.strip().partition("=")
        if not equals or not rest:
            raise InputError(NOT_A_FAULT(text=text[:100]))
        stage = stage.strip().lower()
        if stage not in STAGES:
            raise InputError(NO_STAGE(text=stage[:100], known=STAGES))
        what, *whens = (each.strip() for each in rest.lower().split(":"))
        seconds = 0.0
        if what == FaultKind.DELAY:
            seconds = _seconds(whens.pop(0) if whens else "", text)
        first, percent, receiver = 0, 100.0, ""
        for when in whens:
            if re.fullmatch(r"[1-9][0-9]{0,5}", when):
                first = int(when)
            elif found := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)%", when):
                percent = float(found[1])
            elif re.fullmatch(r"[a-z][a-z0-9-]*", when) and not receiver:
                receiver = when
            else:
                raise InputError(NO_WHEN(text=when[:100]))
        if percent > 100:
            raise InputError(NO_WHEN(text=f"{percent:g}%"))
        if what in (FaultKind.DROP, FaultKind.DELAY):
            if receiver:
                raise InputError(NO_WHEN(text=receiver[:100]))
            return Fault(stage, FaultKind(what), "", seconds, first, percent)
        return Fault(stage, FaultKind.REPLY, self._words(what, receiver, Phase(stage)), 0.0, first, percent)

    @cached_property
    def _said(self) -> tuple[tuple[Meaning, str, str], ...]:
        """The meanings whose example a mail host can say, with its codes."""
        found = ((each, _SAID.match(each.example)) for each in self._load())
        return tuple((each, said[1], said[2] or "") for each, said in found if said is not None)

    def _words(self, what: str, receiver: str, stage: Phase) -> str:
        """The reply with that code, or the id of a known reply. Raises InputError."""
        if receiver and receiver not in (known := sorted({each.receiver for each, _, _ in self._said})):
            raise InputError(NO_RECEIVER(text=receiver[:100], known=tuple(known)))
        if _ID.fullmatch(what) and not receiver:
            for each, code, enhanced in self._said:
                if each.id == what:
                    return reply_lines(code, enhanced, each.example)
        wanted = _CODE.fullmatch(what)
        if wanted is None:
            raise InputError(NO_REPLY(text=what[:100]))
        code, enhanced = wanted[1], wanted[2] or ""
        if enhanced and enhanced[0] != code[0]:
            raise InputError(NO_REPLY(text=what[:100]))
        of = receiver or ANY
        for each, own_code, own_enhanced in self._said:
            fits = own_code == code and enhanced in ("", own_enhanced) and each.after in (None, stage)
            if each.receiver == of and fits:
                return reply_lines(own_code, own_enhanced, each.example)
        if receiver:
            codes = {f"{code}-{enhanced}".rstrip("-") for each, code, enhanced in self._said if each.receiver == of}
            raise InputError(NO_WORDS(receiver=receiver, text=what, known=tuple(sorted(codes))))
        return reply_lines(code, enhanced or f"{code[0]}.0.0", "rejected" if code[0] == "5" else "try again later")


def _seconds(text: str, whole: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or float(text) > MOST_SECONDS:
        raise InputError(NO_REPLY(text=whole[:100]))
    return float(text)


def reply_lines(code: str, enhanced: str, text: str) -> str:
    """A reply as it is said (RFC 5321 section 4.2.1): each line with its code, ``-`` in all but the last.

    An example holds all lines in one; where the code stands in it again, the next line begins.
    """
    head = f"{code}[- ]" + (f"{re.escape(enhanced)} ?" if enhanced else "")
    lines = [part.strip() for part in re.split(rf"(?:^|(?<=\s)){head}", text)]
    cut = [piece for line in lines if line for piece in _cut(line)] or [""]
    words = [f"{enhanced} {line}".strip() for line in cut]
    return "\r\n".join([*(f"{code}-{each}" for each in words[:-1]), f"{code} {words[-1]}"])


def _cut(line: str) -> list[str]:
    """A line in pieces that a reply may have, cut between words."""
    return re.findall(rf"\S.{{0,{_LINE}}}(?=\s|$)", line) or [line[:_LINE]]
