"""What a proposed text replaces: the record of its own kind, at whatever name it stands, and no other text."""

from __future__ import annotations

import pytest

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Answer, Failed, Found
from deliverability.core.net.overlay import OverlayResolver, parse_proposal
from deliverability.core.net.static import StaticResolver

PAIRS = {
    "spf": ("v=spf1 a -all", "v=spf1 -all"),
    "spf with a slip": ("v = spf 1 a -all", "v=spf1 -all"),
    "dmarc": ("v=DMARC1; p=none", "v=DMARC1; p=reject"),
    "dmarc with a slip": ('"v=dmarc1; p=none"', "v=DMARC1; p=reject"),
    "dkim": ("v=DKIM1; t=y; p=AAAA", "v=DKIM1; p=AAAA"),
    "mta-sts": ("v=STSv1; id=1", "v=STSv1; id=2"),
    "tls-rpt": ("v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"),
    "bimi": ("v=BIMI1; l=", "v=BIMI1; l=https://example.com/l.svg"),
}


@pytest.mark.parametrize(("old", "new"), PAIRS.values(), ids=PAIRS)
async def test_a_proposal_replaces_its_own_kind(old: str, new: str) -> None:
    others = [each for each, _ in PAIRS.values() if each[:6].lower() != old[:6].lower() and not each.startswith("v =")]
    base = StaticResolver({("host.example.com", "TXT"): ["verification=1", old, *others]})
    answer = await OverlayResolver(base, [parse_proposal(f"host.example.com TXT {new}")]).query(
        "host.example.com", "TXT"
    )
    assert isinstance(answer, Found)
    assert old not in answer.values
    assert new in answer.values
    assert "verification=1" in answer.values
    assert len(answer.values) == len(answer.string_octets)


async def test_text_of_no_kind_replaces_nothing() -> None:
    base = StaticResolver({("example.com", "TXT"): ["verification=1", "v=spf1 -all"]})
    answer = await OverlayResolver(base, [parse_proposal("example.com TXT verification=2")]).query("example.com", "TXT")
    assert isinstance(answer, Found)
    assert answer.values == ("verification=1", "v=spf1 -all", "verification=2")


RECORDS = {
    ("example.com", "TXT"): ["v=spf1 include:_spf.example.com -all"],
    ("_spf.example.com", "TXT"): ["v=spf1 -all"],
    ("alias.example.com", "CNAME"): ["_dmarc.example.com"],
    ("far.example.net", "CNAME"): ["alias.example.com"],
    ("mx.example.com", "A"): ["192.0.2.1"],
}
NAMES = [*{name for name, _ in RECORDS}, "_dmarc.example.com", "none.example.com", "a.b.example.com", "b.example.com"]
QUESTIONS = [(name, kind) for name in [*NAMES, "EXAMPLE.com."] for kind in ("TXT", "A", "CNAME", "MX")]


@pytest.mark.parametrize(
    "proposal",
    [
        "_dmarc.example.com TXT v=DMARC1; p=none",
        "a.b.example.com TXT v=TLSRPTv1; rua=mailto:a@example.com",
        "none.example.com CNAME far.example.net",
        "example.com MX 10 mx.example.com",
    ],
)
async def test_what_a_proposal_does_not_reach_is_answered_as_before(proposal: str) -> None:
    base = StaticResolver(RECORDS)
    overlay = OverlayResolver(base, [parse_proposal(proposal)])
    reached = 0
    for name, kind in QUESTIONS:
        before = await base.query(name, kind)
        if overlay.reaches(name, before):
            reached += 1
        else:
            assert await overlay.query(name, kind) == before
    assert 0 < reached < len(QUESTIONS)


async def test_a_question_that_failed_may_be_answered_by_any_proposal() -> None:
    overlay = OverlayResolver(StaticResolver(RECORDS), [parse_proposal("example.com MX 10 mx.example.com")])
    assert overlay.reaches("far.example.net", Failed("far.example.net", "A", Reason.TIMEOUT))


async def test_what_failed_elsewhere_is_not_asked_about_again_for_a_draft() -> None:
    asked: list[tuple[str, str]] = []

    class Refusing:
        async def query(self, name: str, rdtype: str) -> Answer:
            asked.append((name, rdtype))
            return Failed(name, rdtype, Reason.REFUSED)

        async def close(self) -> None: ...

    overlay = OverlayResolver(Refusing(), [parse_proposal("_dmarc.example.com TXT v=DMARC1;p=none")], "example.com")
    for name in ("_dmarc.com", "vendor.example.net", "notexample.com"):
        assert await overlay.query(name, "TXT") == Failed(name, "TXT", Reason.REFUSED)
        assert not overlay.reaches(name, Failed(name, "TXT", Reason.REFUSED))
    assert asked == [("_dmarc.com", "TXT"), ("vendor.example.net", "TXT"), ("notexample.com", "TXT")]
    assert overlay.reaches("sub.example.com", Failed("sub.example.com", "TXT", Reason.REFUSED))
    assert isinstance(await overlay.query("_dmarc.example.com", "TXT"), Found)
