"""The facts of BIMI: the record, where it is looked for, and the logo."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.codes import VERBATIM, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.base import Fetched, NoPage, Page, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.net.static import OFFLINE, StaticResolver
from deliverability.engine.auditors import dmarc, message
from deliverability.engine.base import gather
from tests.core.protocols.test_bimi import LOGO, PEM, RECORD, SVG


class Web:
    def __init__(self, **pages: Fetched | bytes) -> None:
        urls = {"logo": LOGO, "pem": PEM}
        self.pages = {
            urls[name]: Page(urls[name], 200, "image/svg+xml", page) if isinstance(page, bytes) else page
            for name, page in pages.items()
        }

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        return self.pages[url]


async def of(
    records: dict[tuple[str, str], Any], domain: str = "example.com", mail: bytes | None = None, web: Web | None = None
) -> dict[str, Any]:
    parsed = read(mail) if mail is not None else None
    now = datetime(2026, 11, 24, tzinfo=UTC)
    resolver = StaticResolver(records)
    gathered = await gather(
        [message.audit, dmarc.bimi_audit],
        Subject(domain),
        Ports(resolver, FixedClock(now), http=web or OFFLINE, permissions=Permissions(fetch=web is not None)),
        parsed,
    )
    assert gathered.crashes == ()
    return {fact.path.removeprefix("bimi."): fact.value for fact in gathered.facts if fact.path.startswith("bimi.")}


async def test_a_record_at_the_domain() -> None:
    facts = await of({("default._bimi.example.com", "TXT"): [RECORD]})
    assert facts | {"present": True} == {
        "domain": "example.com",
        "selector": "default",
        "present": True,
        "record": RECORD,
        "name": "default._bimi.example.com",
        "declined": False,
        "errors": (),
        "logo": LOGO,
        "certificate": PEM,
        "logo_octets": Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH)),
        "logo_errors": Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH)),
        "certificate_found": Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH)),
    }


async def test_the_organization_s_record_is_the_second_place() -> None:
    records = {
        ("default._bimi.example.com", "TXT"): [RECORD],
        ("news.example.com", "A"): ["192.0.2.1"],
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject"],
    }
    facts = await of(records, "news.example.com")
    assert (facts["domain"], facts["name"]) == ("news.example.com", "default._bimi.example.com")
    own = await of(records | {("default._bimi.news.example.com", "TXT"): ["v=BIMI1; l=; a="]}, "news.example.com")
    assert (own["name"], own["declined"]) == ("default._bimi.news.example.com", True)


async def test_no_record() -> None:
    facts = await of({("example.com", "A"): ["192.0.2.1"]})
    assert (facts["present"], facts["record"], facts["declined"], facts["logo_errors"]) == (False, None, False, ())


@pytest.mark.parametrize(
    ("field", "selector"),
    [
        (b"BIMI-Selector: v=BIMI1; s=brand;\r\n", "brand"),
        (b"BIMI-Selector: v=BIMI1; s=a b\r\n", "a"),
        (b"BIMI-Selector: v=BIMI1; s=../x\r\n", "default"),
        (b"BIMI-Selector: nonsense\r\n", "default"),
        (b"", "default"),
    ],
)
async def test_the_message_may_name_a_selector(field: bytes, selector: str) -> None:
    facts = await of({}, mail=field + b"From: a@example.com\r\n\r\nx\r\n")
    assert facts["selector"] == selector


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failure_is_never_taken_for_absence(fault: str) -> None:
    for question in ("default._bimi.example.com", "_dmarc.example.com"):
        facts = await of({(question, "TXT"): fault, ("example.com", "A"): ["192.0.2.1"]})
        assert isinstance(facts["present"], Unknown), question
        assert facts["present"].reason is Reason(fault)


async def test_logo_and_certificate_are_looked_at_with_leave() -> None:
    web = Web(logo=SVG, pem=b"-----BEGIN CERTIFICATE-----\n...")
    facts = await of({("default._bimi.example.com", "TXT"): [RECORD]}, web=web)
    assert (facts["logo_octets"], facts["logo_errors"], facts["certificate_found"]) == (len(SVG), (), True)


async def test_a_logo_that_does_not_come() -> None:
    records = {("default._bimi.example.com", "TXT"): [RECORD]}
    web = Web(
        logo=NoPage(LOGO, Reason.REFUSED, VERBATIM(text="it leads to 10.0.0.1"), certain=True),
        pem=Page(PEM, 404, "text/html", b""),
    )
    facts = await of(records, web=web)
    assert (facts["logo_errors"], facts["certificate_found"]) == ((VERBATIM(text="it leads to 10.0.0.1"),), False)
    web = Web(logo=NoPage(LOGO, Reason.TIMEOUT, VERBATIM(text="no answer")), pem=Page(PEM, 503, "text/html", b""))
    facts = await of(records, web=web)
    assert isinstance(facts["logo_errors"], Unknown)
    assert isinstance(facts["certificate_found"], Unknown)
