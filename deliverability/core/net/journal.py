"""What was asked and answered: kept to be written down, given back in a replay, or remembered for a rehearsal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import DnsQuestion, Get, PortQuestion, Post, Probe, SignedQuestion

NOT_RECORDED = Code("not-recorded")
IN_REHEARSAL = Code("rehearsal")

A = TypeVar("A")


class Journal:
    """Gives to a question asked again the first answer; new questions are passed on while the journal is open to them.

    So a run sees exactly what a replay of it will see, and a rehearsal what the audit saw.
    """

    def __init__(self) -> None:
        self._answers: dict[PortQuestion[Any], Any] = {}
        self._closed: tuple[type, ...] = ()
        self._missing = (Reason.NOT_CONFIGURED, IN_REHEARSAL())

    async def ask(self, question: PortQuestion[A], below: Callable[[], Awaitable[A]]) -> A:
        """The answer as it is kept, else that of `below`."""
        known: A | None = self._answers.get(question)
        if known is None:
            if isinstance(question, self._closed):
                return question.lost(*self._missing)
            # Two may have waited for the same answer: the first one counts.
            known = self._answers.setdefault(question, await below())
        return known

    def keep(self, question: PortQuestion[A], answer: A) -> None:
        """Write an answer down that was given elsewhere."""
        self._answers[question] = answer

    def close(self) -> None:
        """From now on nobody is asked: what is not here was not recorded."""
        self._closed = (DnsQuestion, SignedQuestion, Get, Post, Probe)
        self._missing = (Reason.OFFLINE, NOT_RECORDED())

    def close_to_servers(self) -> None:
        """From now on only DNS is asked: nobody's web or mail server is bothered for a rehearsal."""
        self._closed = (Get, Post, Probe)
        self._missing = (Reason.NOT_CONFIGURED, IN_REHEARSAL())

    def __iter__(self) -> Iterator[tuple[PortQuestion[Any], Any]]:
        """Each question with its answer, in the order in which they came."""
        return iter(self._answers.items())
