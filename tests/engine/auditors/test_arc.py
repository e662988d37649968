"""The ARC chain (RFC 8617): made here and checked by dkimpy too, and chains of the real world."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import dkim
import pytest

from deliverability import verify_arc
from deliverability.core.codes import ABOUT, VERBATIM, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.base import Answer, Failed
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.protocols.dkim.arc import (
    BROKEN,
    CV_UNREADABLE,
    IN_SET,
    INSTANCE,
    INSTANCE_MISSING,
    INSTANCE_TWICE,
    MAX_SETS,
    NO_FIT,
    NO_INSTANCE,
    STRAY_TAG,
    ArcResult,
)
from deliverability.core.protocols.dkim.verify import BODY, HEADER
from deliverability.core.protocols.text_record import TAG_VALUE
from deliverability.engine.auditors.forwarding import arc_audit
from deliverability.engine.base import gather
from tests.corpus import corpus_root, suite
from tests.facts_of import by_fields
from tests.signing import MESSAGE, Rule, TableResolver, published, rsa_key, seal_arc, sign

KEY = rsa_key(2048)
NAME = "s1._domainkey.relay.example"
SEAL_WRONG = ABOUT(what="ARC-Seal", detail=NO_FIT())
TABLE: dict[str, Rule] = {NAME: published(KEY), "s1._domainkey.example.com": published(KEY)}


def seal(message: bytes, cv: str | None = None) -> bytes:
    """One more ARC set on top, by relay.example."""
    return seal_arc(message, KEY, domain="relay.example", cv=cv)


def signature_wrong(detail: Detail) -> Detail:
    return ABOUT(what="ARC-Message-Signature", detail=detail)


def of_first(detail: Detail) -> Detail:
    return IN_SET(n=1, detail=detail)


def sealed(times: int) -> bytes:
    message = sign(MESSAGE, KEY)
    for _ in range(times):
        message = seal(message)
    return message


def dkimpy_dns(name: bytes, timeout: float = 5) -> bytes:
    return str(TABLE[name.decode().rstrip(".")]).encode()


async def result_of(message: bytes, table: dict[str, Rule] | None = None) -> ArcResult:
    return await verify_arc(message, TableResolver(TABLE if table is None else table))


async def test_a_message_without_arc() -> None:
    assert (await result_of(MESSAGE)).result == "none"


@pytest.mark.parametrize("times", [1, 2, 4])
async def test_intact_chains_pass(times: int) -> None:
    message = sealed(times)
    assert dkim.ARC(message).verify(dnsfunc=dkimpy_dns)[0] == b"pass"
    found = await result_of(message)
    assert found.result == "pass", found
    assert [(each.instance, each.domain, each.seal, each.signature) for each in found.sets] == [
        (number, "relay.example", "pass", "pass") for number in range(1, times + 1)
    ]
    assert found.oldest_pass == 0


async def test_all_keys_are_asked_for_once() -> None:
    resolver = TableResolver(TABLE)
    await verify_arc(sealed(3), resolver)
    assert resolver.asked == [NAME]


async def test_a_change_after_the_last_seal_breaks_the_chain() -> None:
    found = await result_of(sealed(2).replace(b"bread", b"cake"))
    assert found.result == "fail"
    assert found.reason == IN_SET(n=2, detail=signature_wrong(BODY()))


async def test_a_change_between_two_seals_is_told_by_oldest_pass() -> None:
    """A list may change the mail before it seals: the chain holds, the older signature does not."""
    once = sealed(1).replace(b"Subject: A ", b"Subject: [list] A ")
    found = await result_of(seal(once))
    assert found.result == "pass"
    assert found.sets[0].signature == "fail"
    assert found.oldest_pass == 2


async def test_a_changed_seal_breaks_the_chain() -> None:
    """Results that a sealer wrote down cannot be improved afterwards."""
    found = await result_of(sealed(2).replace(b"spf=pass", b"spf=fail", 1))
    assert found.result == "fail"
    assert "fail" in {each.seal for each in found.sets}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (
            rb"(?im)^ARC-Authentication-Results:.*\r\n(?:[ \t].*\r\n)*",
            b"",
            INSTANCE_MISSING(n=1, field="arc-authentication-results"),
        ),
        (rb"(?im)^ARC-Seal:(.*)\bi=1;", rb"ARC-Seal:\1i=2;", INSTANCE_MISSING(n=1, field="arc-seal")),
        (rb"(?im)^ARC-Seal:(.*)\bi=1;", rb"ARC-Seal:\1i=51;", INSTANCE(n=51, field="ARC-Seal")),
        (rb"(?im)^ARC-Seal:(.*)\bi=1;", rb"ARC-Seal:\1i=x;", NO_INSTANCE(field="ARC-Seal")),
        (rb"(?i)cv=none", b"cv=pass", of_first(TAG_VALUE(name="cv", value="pass"))),
        (rb"(?i)cv=none", b"cv=maybe", of_first(CV_UNREADABLE())),
        (rb"(?i)cv=none", b"cv=fail", of_first(BROKEN())),
        (
            rb"(?im)^ARC-Seal:",
            b"ARC-Seal: h=from;",
            of_first(ABOUT(what="ARC-Seal", detail=STRAY_TAG(tag="h", field="ARC-Seal"))),
        ),
    ],
)
async def test_what_makes_no_chain(before: bytes, after: bytes, reason: Detail) -> None:
    message = re.sub(before, after, sealed(1), count=1)
    assert message != sealed(1) or before == b""
    found = await result_of(message)
    assert found.result == "fail"
    assert found.reason == reason


async def test_a_seal_that_marks_the_chain_as_broken_is_checked_over_its_own_set() -> None:
    """Section 5.1.2: what lies below is broken and left out."""
    broken = sealed(1).replace(b"spf=pass", b"spf=fail")
    found = await result_of(seal(broken, cv="fail"))
    assert (found.result, found.sets[-1].seal) == ("fail", "pass")


async def test_a_doubled_set_is_no_chain() -> None:
    message = sealed(1)
    head = message[: message.index(b"DKIM-Signature")]
    assert (await result_of(head + message)).reason == INSTANCE_TWICE(n=1, field="ARC-Seal")


async def test_more_sets_than_the_standard_allows_are_refused_unread() -> None:
    fields = "".join(
        f"ARC-Seal: i={n}; cv=pass\r\nARC-Message-Signature: i={n}\r\nARC-Authentication-Results: i={n}; x\r\n"
        for n in range(1, MAX_SETS + 2)
    )
    resolver = TableResolver(TABLE)
    found = await verify_arc(fields.encode() + MESSAGE, resolver)
    assert (found.result, resolver.asked) == ("fail", [])


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.OFFLINE])
async def test_a_failed_key_look_up_is_unknown_and_a_certain_fault_still_counts(reason: Reason) -> None:
    found = await result_of(sealed(1), {NAME: reason})
    assert isinstance(found.result, Unknown)
    assert found.result.reason is reason
    broken = await result_of(sealed(1).replace(b"bread", b"cake"), {NAME: reason})
    assert broken.result == "fail"  # the body hash needs no key


async def test_weak_and_missing_keys_fail() -> None:
    assert (await result_of(sealed(1), {})).result == "fail"
    assert (await result_of(sealed(1), {NAME: "v=DKIM1; p="})).result == "fail"
    assert (await result_of(sealed(1), {NAME: [published(KEY), published(KEY)]})).result == "fail"


async def test_a_file_of_header_fields_only_proves_nothing_about_the_body() -> None:
    head = sealed(1).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert isinstance((await result_of(head)).result, Unknown)


HOSTILE = (
    b"ARC-Seal:",
    b"ARC-Seal: i=1",
    b"ARC-Seal: ;;;==",
    b"ARC-Seal: i=\xff\x00; cv=none",
    b"arc-seal : i=0; cv=none",
    b"ARC-Message-Signature: i=1; h=" + b"a:" * 40_000,
    b"ARC-Authentication-Results: i=999999999999",
)


@pytest.mark.parametrize("field", HOSTILE)
async def test_hostile_fields_give_a_result(field: bytes) -> None:
    for message in (field + b"\r\n" + MESSAGE, field + b"\r\n" + sealed(1)):
        assert (await result_of(message)).result == "fail"


# --- the auditor ---------------------------------------------------------------------------------------------------


async def facts(message: bytes | None) -> dict[str, Any]:
    parsed = read(message) if message is not None else None
    gathered = await gather(
        [arc_audit], Subject("example.com"), Ports(TableResolver(TABLE), FixedClock(datetime.now(UTC))), parsed
    )
    assert gathered.crashes == ()
    return {fact.path: by_fields(fact.value) for fact in gathered.facts}


async def test_facts_of_a_chain() -> None:
    found = await facts(sealed(2))
    assert (found["arc.result"], found["arc.set_count"], found["arc.oldest_pass"]) == ("pass", 2, 0)
    assert [(each["instance"], each["cv"]) for each in found["arc.sets"]] == [(1, "none"), (2, "pass")]


async def test_without_a_message_nothing_is_known() -> None:
    assert {value.reason for value in (await facts(None)).values()} == {Reason.NO_MESSAGE}


@pytest.mark.parametrize(
    ("fields", "forwarded"),
    [
        (b"", False),
        (b"Return-Path: <ann@example.com>\r\n", False),
        (b"X-Forwarded-To: bob@example.net\r\n", True),
        (b"Resent-From: bob@example.net\r\n", True),
        (b"List-Post: <mailto:list@example.net>\r\n", True),
        (b"Return-Path: <SRS0=abcd=XY=example.com=ann@relay.example>\r\n", True),
    ],
)
async def test_signs_of_forwarding(fields: bytes, forwarded: bool) -> None:
    assert (await facts(fields + MESSAGE))["arc.forwarded"] is forwarded


# --- chains of the real world --------------------------------------------------------------------------------------


class SuiteKeys(TableResolver):
    """The keys that the suites have. Of any other nobody knows whether it exists: it is not in them."""

    async def query(self, name: str, rdtype: str) -> Answer:
        answer = await super().query(name, rdtype)
        if answer.name not in self.table:
            return Failed(answer.name, rdtype, Reason.OFFLINE, VERBATIM(text="not in the suites"))
        return answer


def suite_keys() -> SuiteKeys:
    table: dict[str, Rule] = {}
    for path in suite("dkim", "blaze").glob("*.dns"):
        lines = path.read_text().splitlines()
        table[path.name.removesuffix(".dns")] = [line[4:] for line in lines if line.startswith("txt:")]
    for entry in json.loads(suite("dkim", "rspamd", "dns.json").read_text()):
        if entry["type"] == "txt" and "replies" in entry:
            table.setdefault(entry["name"], entry["replies"])
    return SuiteKeys(table)


# Result, and the reason in the set that it is about.
# EDITED: the test mail was edited after Google sealed it. NO_KEY: the key is not in
# the suites. A name that says pass or fail is about ARC in the mailauth set only.
EXPECTED: dict[str, tuple[str, Detail | None]] = {
    "blaze/002.mail": ("pass", None),
    "blaze/004.mail": ("pass", None),
    "blaze/005.mail": ("pass", None),
    "blaze/006.mail": ("fail", BROKEN()),
    "mailauth/arc-fail.eml": ("fail", SEAL_WRONG),
    "mailauth/arc-fail2.eml": ("fail", SEAL_WRONG),
    "mailauth/arc-fail3.eml": ("fail", BROKEN()),
    "mailauth/arc-pass.eml": ("pass", None),
    "mailauth/arc-pass2.eml": ("pass", None),
    "mailauth/authtest.eml": ("pass", None),
    "mailauth/bimi.eml": ("pass", None),
    "mailauth/message3.eml": ("pass", None),
    "mailauth/zbimi.eml": ("pass", None),
    "rspamd/dmarc__bad_dkim_highsecure.eml": ("fail", signature_wrong(BODY())),  # EDITED
    "rspamd/dmarc__bad_dkim_rspamd.eml": ("fail", signature_wrong(BODY())),  # EDITED
    "rspamd/dmarc__good_dkim_highsecure.eml": ("fail", signature_wrong(HEADER())),  # EDITED: re-signed, From replaced
    "rspamd/dmarc__good_dkim_rspamd.eml": ("fail", signature_wrong(HEADER())),  # EDITED
    "rspamd/dmarc__no_dkim_valid_spf.eml": ("fail", signature_wrong(HEADER())),  # EDITED
    # rspamd allows it; Microsoft's key of the oldest set is NO_KEY, all that can be checked holds.
    "rspamd/messages__arcallow.eml": ("unknown", None),
    "rspamd/messages__arcbad.eml": ("fail", INSTANCE_TWICE(n=1, field="ARC-Message-Signature")),
    "kumomta/arc-example.eml": ("unknown", None),  # NO_KEY
    "kumomta/arc-example-2.eml": ("unknown", None),  # NO_KEY
}


@pytest.mark.parametrize("name", EXPECTED)
async def test_chains_of_the_suites(name: str) -> None:
    message = suite("dkim", *name.split("/")).read_bytes()
    found = await verify_arc(message, suite_keys())
    result, reason = EXPECTED[name]
    assert ("unknown" if isinstance(found.result, Unknown) else found.result) == result, found
    told = found.reason
    assert (told.arg("detail") if told is not None and IN_SET.matches(told) else told) == reason


async def test_a_real_chain_that_its_last_sealer_found_broken() -> None:
    """kernel.org's seal covers its own set only."""
    found = await verify_arc(suite("dkim", "blaze", "006.mail").read_bytes(), suite_keys())
    assert (found.sets[-1].cv, found.sets[-1].seal) == ("fail", "pass")


async def test_every_message_with_a_seal_gives_a_result() -> None:
    keys = suite_keys()
    checked = 0
    root = corpus_root()
    more = sorted((root / "mails").rglob("*")) if root else []
    for path in [*sorted(suite("dkim").rglob("*")), *more]:
        data = path.read_bytes() if path.is_file() else b""
        if b"ARC-Seal" in data:
            checked += 1
            assert isinstance((await verify_arc(data, keys)).result, (str, Unknown))
    assert checked >= len(EXPECTED)
