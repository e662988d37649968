"""The HTML that a message shows, taken apart once for all who look at it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from deliverability.mail.html.accounting import HtmlAccount
from deliverability.mail.html.markup import tokens
from deliverability.mail.structure import body_texts

if TYPE_CHECKING:
    from deliverability.mail.html.markup import Token
    from deliverability.mail.reader import Message

MAX_CHARACTERS = 10 << 20
"""Longer HTML is not accounted for; it is a hundred times what receivers show."""


class ShownHtml:
    """The text/html body parts of a message; each thing is worked out when it is first asked for, and kept.

    Attributes:
        leaves: the parts, in the order of the file.

    """

    def __init__(self, message: Message) -> None:
        """Nothing is decoded yet."""
        self.leaves = body_texts(message, "text/html")

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """What is in each part."""
        return tuple(leaf.part.text() for leaf in self.leaves)

    @cached_property
    def characters(self) -> int:
        """Characters of all of them."""
        return sum(map(len, self.texts))

    @cached_property
    def tokens(self) -> tuple[tuple[Token, ...], ...]:
        """The tokens of each text."""
        return tuple(tuple(tokens(text)) for text in self.texts)

    @cached_property
    def account(self) -> HtmlAccount:
        """What all of them are made of."""
        account = HtmlAccount()
        for text, cut in zip(self.texts, self.tokens, strict=True):
            account.add(text, cut)
        return account
