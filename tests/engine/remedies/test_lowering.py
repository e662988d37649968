"""What an edit takes away: only from what is in force, and only where less is stopped or told afterwards."""

from __future__ import annotations

import pytest

from deliverability.core.model.report import RecordEdit
from deliverability.engine.remedies.plan import lowers

KEY = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

DMARC = {
    "reject to quarantine": ("p=reject", "p=quarantine", True),
    "quarantine to none": ("p=quarantine", "p=none", True),
    "none to quarantine": ("p=none", "p=quarantine", False),
    "subdomains": ("p=reject", "p=reject; sp=none", True),
    "absent names": ("p=reject; np=reject; sp=quarantine", "p=reject; sp=quarantine", True),
    "subdomains as the domain": ("p=reject; sp=none", "p=reject", False),
    "a share of the mail": ("p=reject", "p=reject; pct=50", True),
    "all of the mail": ("p=reject; pct=50", "p=reject", False),
    "a share of nothing": ("p=none", "p=none; pct=50", False),
    "into test mode": ("p=reject", "p=reject; t=y", True),
    "out of test mode": ("p=reject; t=y", "p=reject", False),
    "strict DKIM": ("p=none; adkim=s", "p=none", True),
    "strict SPF": ("p=none; aspf=s", "p=none; aspf=r", True),
    "reports": ("p=none; rua=mailto:a@example.com", "p=none", True),
    "another address": ("p=none; rua=mailto:a@example.com", "p=none; rua=mailto:b@example.com", False),
    "what nobody reads": ("p=rejct", "p=none", False),
}


@pytest.mark.parametrize(("old", "new", "less"), DMARC.values(), ids=list(DMARC))
def test_a_dmarc_record(old: str, new: str, less: bool) -> None:
    edit = RecordEdit("_dmarc.example.com", "TXT", (f"v=DMARC1; {old}",), (f"v=DMARC1; {new}",))
    assert lowers([edit]) is less


SPF = {
    "-all to ~all": ("-all", "~all", True),
    "~all to ?all": ("~all", "?all", True),
    "?all to +all": ("?all", "+all", True),
    "no all at all": ("~all", "", True),
    "~all to -all": ("~all", "-all", False),
    "+all to ~all": ("+all", "~all", False),
    "a term less": ("a -all", "-all", False),
    "what ends in an error": ("ip4:x -all", "~all", False),
    "a redirect": ("redirect=x.example", "~all", False),
}


@pytest.mark.parametrize(("old", "new", "less"), SPF.values(), ids=list(SPF))
def test_an_spf_record(old: str, new: str, less: bool) -> None:
    edit = RecordEdit("example.com", "TXT", (f"v=spf1 mx {old}",), (f"v=spf1 mx {new}",))
    assert lowers([edit]) is less


def test_what_receivers_ignore_is_not_lowered() -> None:
    """Of two records none is in force: whatever stays is more than that."""
    two = ("v=DMARC1; p=reject", "v=DMARC1; p=none")
    assert not lowers([RecordEdit("_dmarc.example.com", "TXT", two, two[1:])])
    assert not lowers([RecordEdit("example.com", "TXT", ("v=spf1 -all", "v=spf1 mx ~all"), ("v=spf1 mx ~all",))])
    assert not lowers([RecordEdit("_dmarc.example.com", "TXT", (), ("v=DMARC1; p=none",))])


def test_a_key_that_goes() -> None:
    name = "s1._domainkey.example.com"
    assert lowers([RecordEdit(name, "TXT", (KEY,), ("v=DKIM1; p=",))])
    assert lowers([RecordEdit(name, "TXT", (KEY,), ())])
    assert not lowers([RecordEdit(name, "TXT", (f"{KEY}; t=y",), (KEY,))])
    assert lowers([RecordEdit("_dmarc.example.com", "TXT", ("v=DMARC1; p=none",), ())])
