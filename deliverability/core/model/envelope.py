"""What our own SMTP server saw of a message: who sent it, from where, to whom, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

ORIGINAL_RESULTS = "original-results"
ARC = "arc"
EARLIER_RESULTS = "earlier-results"
OTHER_RECIPIENT = "other-recipient"
RESENT = "resent"
GATEWAY = "gateway"
SPF_PASS = "spf-pass"  # noqa: S105 (a code)
"""Codes of what shows that the mail was passed on after a hop."""
SIGNS = (ORIGINAL_RESULTS, ARC, EARLIER_RESULTS, OTHER_RECIPIENT, RESENT, GATEWAY, SPF_PASS)
WEAK = frozenset({ARC, EARLIER_RESULTS})
"""Those that the sender's own servers leave as well: nothing by themselves where SPF of the last hop is not known."""


class SmtpEnvelope(Struct, frozen=True):
    """The envelope and the connection of a message that `deliv listen` received.

    Attributes:
        peer: the connecting address.
        helo: HELO or EHLO name; empty where none was said.
        mail_from: the reverse-path without brackets; empty for the null one.
        rcpt: the recipients that were accepted.
        tls: version, for example TLSv1.3; None: it came without TLS.
        public: it came to a listener that others reach, so that the connection is the one that a receiver would see.

    """

    peer: str
    helo: str
    mail_from: str
    rcpt: tuple[str, ...]
    tls: str | None
    public: bool

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "peer": self.peer,
            "helo": self.helo,
            "mail_from": self.mail_from,
            "rcpt": list(self.rcpt),
            "tls": self.tls,
            "public": self.public,
        }

    @classmethod
    def of(cls, document: Any) -> SmtpEnvelope:
        """The reverse of `document`. Raises ValueError on anything else."""
        if not isinstance(document, Mapping):
            raise ValueError("expected an envelope")
        texts = [document.get(name) for name in ("peer", "helo", "mail_from")]
        rcpt, tls, public = (document.get(name) for name in ("rcpt", "tls", "public"))
        if not (
            all(isinstance(each, str) for each in texts)
            and isinstance(rcpt, list)
            and all(isinstance(each, str) for each in rcpt)
            and (tls is None or isinstance(tls, str))
            and isinstance(public, bool)
        ):
            raise ValueError("expected an envelope")
        peer, helo, mail_from = map(str, texts)
        return cls(peer, helo, mail_from, tuple(rcpt), tls, public)
