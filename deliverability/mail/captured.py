"""The envelope that `deliv listen` kept beside a message: ``DIR/ID/raw.eml`` has its ``meta.json``."""

from __future__ import annotations

from pathlib import Path

from deliverability.model.envelope import SmtpEnvelope

RAW, META = "raw.eml", "meta.json"
_MAX_OCTETS = 1_000_000


def envelope_beside(message: Path) -> SmtpEnvelope | None:
    """What our own server saw of the message in that file; None where it is no file of `deliv listen`."""
    if message.name != RAW:
        return None
    import json

    try:
        with (message.parent / META).open("rb") as file:
            found = json.loads(file.read(_MAX_OCTETS))
        return SmtpEnvelope.of(found["envelope"]) if found["envelope"] is not None else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
