"""DNS for block lists: never faster than a list can expect of one user, and with the user's keys on the wire only.

Whoever asks writes a label for a key (model.blocklists.key_label). So keys are in no fact, evidence or recording.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.model.blocklists import ListKeys, key_label
from deliverability.ports.base import Answer, Found, Resolver
from deliverability.ports.budget import Budget
from deliverability.ports.pace import Knows, Turns

LIST_RATE = 2.0
"""Questions a second to the lists of one operator."""


class ListResolver(Struct, frozen=True):
    """Asks a resolver about block lists.

    Attributes:
        below: the resolver that is asked.
        keys: those that are put in.
        known: knows which answers cost no question; None: every question is local, and none waits.
        budget: the time of the subject, which stands still while a question waits for its turn.
        turns: when each operator may be asked next, for all subjects of a run.

    """

    below: Resolver
    keys: ListKeys = ListKeys()
    known: Knows | None = None
    budget: Budget | None = None
    turns: dict[str, Turns] = field(default_factory=dict)
    monotonic: Callable[[], float] = time.monotonic

    def of_subject(self, domain: str, budget: Budget) -> ListResolver:
        """The same for one of many subjects: they wait for each other at every list."""
        return replace(self, budget=budget)

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask when it is the turn of this question."""
        real = self._with_keys(name)
        if self.known is not None and not self.known.knows(real.lower().rstrip("."), rdtype.upper()):
            await self._turn(name)
        answer = await self.below.query(real, rdtype)
        if real == name:
            return answer
        hidden = replace(answer, name=self._without_keys(answer.name))
        if isinstance(hidden, Found):
            # A TXT record may repeat the question.
            texts = tuple(map(self._without_keys, hidden.values))
            return replace(hidden, values=texts, chain=tuple(map(self._without_keys, hidden.chain)))
        return hidden

    async def close(self) -> None:
        """Release sockets."""
        await self.below.close()

    async def _turn(self, name: str) -> None:
        """Wait for it; lists of one registered domain share theirs."""
        operator = ".".join(name.rstrip(".").rsplit(".", 2)[-2:])
        turns = self.turns.setdefault(operator, Turns(slack=0))
        wait = turns.take(self.monotonic(), LIST_RATE) - self.monotonic()
        if wait <= 0:
            return
        if self.budget is None:
            await asyncio.sleep(wait)
            return
        with self.budget.stopped():
            await asyncio.sleep(wait)

    def _with_keys(self, name: str) -> str:
        for each, key in self.keys.pairs:
            name = name.replace(f".{key_label(each)}.", f".{key}.")
        return name

    def _without_keys(self, text: str) -> str:
        for each, key in self.keys.pairs:
            text = text.replace(key, key_label(each)).replace(key.lower(), key_label(each))
        return text
