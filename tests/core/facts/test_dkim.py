"""Signatures and keys as they are read from the facts."""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.core.codes import ASKED, VERBATIM
from deliverability.core.facts.base import Reason, Unknown, Value
from deliverability.core.facts.dkim import keys_of, signatures_of

LOST = Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="s1._domainkey.example.com"))
SIGNATURE: Mapping[str, Value] = {
    "domain": "example.com",
    "selector": "s1",
    "key_name": "s1._domainkey.example.com",
    "result": "temperror",
    "bits": LOST,
    "key_type": LOST,
    "aligned": True,
    "errors": (VERBATIM(text="late"),),
    "signed_headers": ("from", "subject"),
}


def test_what_could_not_be_told_stays_unknown_and_what_is_missing_is_none() -> None:
    (read,) = signatures_of((SIGNATURE,))
    assert (read.domain, read.selector, read.signed_headers) == ("example.com", "s1", ("from", "subject"))
    assert (read.bits, read.key_type, read.aligned, read.errors) == (LOST, LOST, True, (VERBATIM(text="late"),))
    assert (read.reason, read.reasons, read.expires, read.key_allows) == (None, (), None, None)


def test_a_temporary_error_is_no_result() -> None:
    (read,) = signatures_of((SIGNATURE,))
    (passed,) = signatures_of((SIGNATURE | {"result": "pass", "bits": 2048},))
    (bare,) = signatures_of((SIGNATURE | {"bits": None},))
    assert (read.settled, passed.settled) == (LOST, "pass")
    assert bare.settled == LOST


def test_lists_that_are_unknown_or_no_lists_hold_nothing() -> None:
    for value in (LOST, None, "text", ("text", LOST)):
        assert (signatures_of(value), keys_of(value)) == ((), ())
