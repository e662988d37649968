"""Signatures and keys as they are read from the facts."""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.core.codes import ASKED, VERBATIM
from deliverability.core.facts.base import Reason, Unknown, Value
from deliverability.core.model.dkim import DkimKey, keys_of, signatures_of
from deliverability.engine.base import catalogue

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
    assert (read.domain, read.selector, read.signed) == ("example.com", "s1", ("from", "subject"))
    assert (read.bits, read.key_type, read.aligned, read.errors) == (LOST, LOST, True, (VERBATIM(text="late"),))
    assert (read.reason, read.reasons, read.expires, read.key_allows) == ("", (), None, None)


def test_a_temporary_error_is_no_result() -> None:
    (read,) = signatures_of((SIGNATURE,))
    (passed,) = signatures_of((SIGNATURE | {"result": "pass", "bits": 2048},))
    (bare,) = signatures_of((SIGNATURE | {"bits": None},))
    assert (read.settled, passed.settled) == (LOST, "pass")
    assert bare.settled == LOST


def test_lists_that_are_unknown_or_no_lists_hold_nothing() -> None:
    for value in (LOST, None, "text", ("text", LOST)):
        assert (signatures_of(value), keys_of(value)) == ((), ())


def test_a_hand_made_record_is_read_as_far_as_it_makes_sense() -> None:
    (read,) = signatures_of(({"domain": 3, "result": None, "bits": "many", "errors": "none"},))
    assert (read.domain, read.result, read.bits, read.errors) == (None, Unknown(Reason.NOT_CONFIGURED), None, ())
    assert keys_of(({"present": LOST, "fingerprint": LOST},)) == (DkimKey("", "", "", False, LOST, "", "", ""),)


class Asked(dict[str, Value]):
    """A record that notes which of its fields are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> None:  # type: ignore[override]
        self.names.add(name)


def test_every_field_that_is_read_is_in_the_catalogue() -> None:
    for path, read in (("dkim.signatures", signatures_of), ("dkim.keys", keys_of)):
        record = Asked()
        read((record,))
        assert len(record.names) > 5
        assert {f"{path}[].{name}" for name in record.names} <= catalogue().keys()
