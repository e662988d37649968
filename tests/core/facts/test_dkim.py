"""Signatures as they are read from the facts."""

from __future__ import annotations

from msgspec.structs import replace

from deliverability.core.codes import ASKED
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import DkimSignature, DkimStatus
from tests.facts_of import whole

LOST = Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="s1._domainkey.example.com"))


def test_a_temporary_error_is_no_result() -> None:
    read = whole(DkimSignature, {"key_name": "s1._domainkey.example.com", "result": DkimStatus.TEMPERROR, "bits": LOST})
    assert read.settled == LOST
    assert replace(read, bits=None).settled == LOST
    assert replace(read, result=DkimStatus.PASS, bits=2048).settled == "pass"
