"""The facts that the DKIM auditor states, and what becomes of them when DNS or the message does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from deliverability.core.codec import encode
from deliverability.core.facts.base import KeySeen, Reason, Unknown, Value
from deliverability.core.facts.dkim import Dkim, FailedProbe
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.model.topic import specs_of
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.protocols.dkim.verify import MAX_SIGNATURES
from deliverability.core.protocols.text_record import TAG_BASE64
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.auditors import dkim as under_test
from deliverability.engine.auditors.dkim import MAX_LISTED, NO_NAME_BELOW, PROBES_FAILED, PROBES_MISSED, selector_date
from deliverability.engine.base import Execution, Gathered, gather
from tests.facts_of import by_fields, stating
from tests.signing import MESSAGE, Rule, TableResolver, ed25519_key, published, rsa_key, sign

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = "s1._domainkey.example.com"
GOOD = published(rsa_key(1024))
# The organizational domain is found where DMARC records are.
ORGANIZATION: dict[str, Rule] = {"_dmarc.example.com": "v=DMARC1; p=none"}
PROVIDES = specs_of(Dkim)


async def run(
    table: dict[str, Rule],
    message: bytes | None = None,
    *,
    author: Value = "example.com",
    domain: str = "example.com",
    resolver: TableResolver | None = None,
    selectors: tuple[str, ...] = (),
    keys_seen: tuple[KeySeen, ...] = (),
    before: Mapping[str, Execution] | None = None,
) -> Gathered:
    given = encode(author if message is not None else Unknown(Reason.NO_MESSAGE))
    sample = Sample("sample.eml", data=message) if message else None
    subject = Subject(domain, sample, selectors, keys_seen=keys_seen)
    gathered = await gather(
        [stating({"message.from_domain": given}, under_test.audit), under_test.audit],
        subject,
        Ports(resolver or TableResolver(ORGANIZATION | table), FixedClock(NOW)),
        read(message) if message else None,
        before=before,
    )
    assert gathered.crashes == ()
    return gathered


def value(gathered: Gathered, path: str) -> Any:
    return by_fields(gathered.facts.value(path))


# --- without a message --------------------------------------------------------------------------------------------


async def test_without_a_message_keys_are_still_probed() -> None:
    gathered = await run({"google._domainkey.example.com": GOOD})
    for path in ("signature_count", "result", "aligned_pass", "passing_key_types", "signatures"):
        assert value(gathered, f"dkim.{path}") == Unknown(Reason.NO_MESSAGE)
    (key,) = value(gathered, "dkim.keys")
    assert (key["selector"], key["found_by"], key["bits"], key["present"]) == ("google", "probe", 1024, True)
    assert value(gathered, "dkim.published") is True
    assert value(gathered, "dkim.wildcard") is False


async def test_a_weak_key_is_told_however_long_it_is() -> None:
    known = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    gathered = await run({KEY: GOOD, "google._domainkey.example.com": known}, selectors=("s1",))
    healthy, weak = value(gathered, "dkim.keys")
    assert (healthy["breakable"], healthy["weaknesses"], healthy["exponent"]) == ((), (), 65537)
    assert [each.code for each in weak["breakable"]] == ["key-known"]
    assert (weak["weaknesses"], weak["exponent"]) == ((), None)


async def test_every_promised_field_is_stated_and_no_other() -> None:
    gathered = await run({KEY: GOOD, "google._domainkey.example.com": Reason.TIMEOUT}, sign(MESSAGE, rsa_key(1024)))
    for listed in ("dkim.signatures", "dkim.keys"):
        promised = {each.path.removeprefix(f"{listed}[].") for each in PROVIDES if each.path.startswith(f"{listed}[].")}
        for item in value(gathered, listed):
            assert set(item) == promised


async def test_closed_sets_of_values_are_kept() -> None:
    from deliverability.core.facts.dkim import DkimReason, DkimStatus

    values = {each.path: set(each.values) for each in PROVIDES}
    assert values["dkim.signatures[].reason"] == {reason.value for reason in DkimReason}
    assert values["dkim.signatures[].result"] == {status.value for status in DkimStatus}


# --- published keys -----------------------------------------------------------------------------------------------


async def test_missed_probes_are_unknown_and_not_listed() -> None:
    resolver = TableResolver(ORGANIZATION, nodata=["_domainkey.example.com"])
    gathered = await run({}, resolver=resolver)
    assert value(gathered, "dkim.keys") == ()
    published_ = value(gathered, "dkim.published")
    assert published_.reason is Reason.NOT_FOUND
    assert published_.detail == PROBES_MISSED(n=len(shipped().selectors))


async def test_no_name_below_domainkey_is_told_but_never_taken_for_no_dkim() -> None:
    """Some servers answer NXDOMAIN for names that have others below them."""
    published_ = value(await run({}), "dkim.published")
    assert published_.reason is Reason.NOT_FOUND
    assert published_.detail == NO_NAME_BELOW(n=len(ALWAYS), name="_domainkey.example.com")


async def test_a_failed_probe_is_told_and_leaves_open_whether_there_are_keys() -> None:
    gathered = await run({"google._domainkey.example.com": Reason.SERVFAIL})
    assert value(gathered, "dkim.keys").reason is Reason.SERVFAIL
    assert value(gathered, "dkim.published").reason is Reason.NOT_FOUND
    assert value(gathered, "dkim.published").detail == PROBES_FAILED(n=len(shipped().selectors), m=1, why="servfail")


async def test_keys_that_were_found_stay_listed_where_another_probe_fails() -> None:
    gathered = await run({"s1._domainkey.example.com": GOOD, "google._domainkey.example.com": Reason.SERVFAIL})
    assert [key["selector"] for key in value(gathered, "dkim.keys")] == ["s1"]
    assert gathered.facts.value("dkim.failed_probes") == (FailedProbe(selector="google", reason="servfail"),)


async def test_a_key_of_an_earlier_run_that_cannot_be_asked_for_is_listed_as_unknown() -> None:
    """It must not look as if it had been removed."""
    seen = (KeySeen("example.com", "google", "f", "2026-01-10T06:00:00Z", "2026-11-17T06:00:00Z"),)
    table: dict[str, Rule] = {"s1._domainkey.example.com": GOOD, "google._domainkey.example.com": Reason.SERVFAIL}
    keys = {key["selector"]: key for key in value(await run(table, keys_seen=seen), "dkim.keys")}
    assert sorted(keys) == ["google", "s1"]
    assert keys["google"]["present"].reason is keys["google"]["fingerprint"].reason is Reason.SERVFAIL


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.OFFLINE])
async def test_in_an_outage_it_is_unknown_whether_there_are_keys(reason: Reason) -> None:
    class Dead(TableResolver):
        async def query(self, name: str, rdtype: str) -> Any:
            self.table = {name: reason}
            return await super().query(name, rdtype)

    assert value(await run({}, resolver=Dead({})), "dkim.keys").reason is reason


async def test_which_keys_the_message_uses() -> None:
    table: dict[str, Rule] = {KEY: GOOD, "s2._domainkey.example.com": GOOD, "mine._domainkey.example.com": GOOD}

    async def used(message: bytes | None) -> dict[str, bool | None]:
        return {
            key["selector"]: key["used"] for key in value(await run(table, message, selectors=("mine",)), "dkim.keys")
        }

    assert await used(sign(MESSAGE, rsa_key(1024))) == {"s1": True, "s2": False, "mine": False}
    assert await used(None) == {"s1": None, "s2": None, "mine": None}


async def test_when_every_look_up_fails_nothing_is_said_to_be_missing() -> None:
    class Dead(TableResolver):
        async def query(self, name: str, rdtype: str) -> Any:
            self.table = {name: Reason.TIMEOUT}
            return await super().query(name, rdtype)

    gathered = await run({}, sign(MESSAGE, rsa_key(1024)), resolver=Dead({}), selectors=("mine",))
    assert value(gathered, "dkim.published").reason is Reason.TIMEOUT
    assert value(gathered, "dkim.wildcard").reason is Reason.TIMEOUT
    assert [(key["selector"], key["present"].reason) for key in value(gathered, "dkim.keys")] == [
        ("s1", Reason.TIMEOUT),
        ("mine", Reason.TIMEOUT),
    ]
    (signature,) = value(gathered, "dkim.signatures")
    assert (signature["result"], signature["reason"]) == ("temperror", "dns-failure")
    for field in ("bits", "key_type", "testing", "revoked", "key_count", "key_allows"):
        assert signature[field].reason is Reason.TIMEOUT
    assert value(gathered, "dkim.result").reason is Reason.TIMEOUT
    assert value(gathered, "dkim.aligned_pass").reason is Reason.TIMEOUT
    assert value(gathered, "dkim.passing_key_types").reason is Reason.TIMEOUT


async def test_named_selectors_are_listed_even_where_they_are_missing() -> None:
    gathered = await run({"b._domainkey.example.com": GOOD}, selectors=("A", "b."))
    missing, there = value(gathered, "dkim.keys")
    assert (missing["selector"], missing["found_by"], missing["present"]) == ("a", "option", False)
    assert (missing["record_count"], missing["record"], missing["bits"], missing["valid"]) == (0, None, None, None)
    assert (there["selector"], there["present"], there["record"]) == ("b", True, GOOD)
    assert value(gathered, "dkim.published") is True
    # The domain has other names below _domainkey, but not the one that the user named.
    resolver = TableResolver({}, nodata=["_domainkey.example.com"])
    assert value(await run({}, resolver=resolver, selectors=("a",)), "dkim.published") is False


async def test_what_is_read_from_the_keys() -> None:
    table: dict[str, Rule] = {
        "a._domainkey.example.com": "v=DKIM1; p=",
        "b._domainkey.example.com": published(rsa_key(512), "t=y; h=sha1; "),
        "c._domainkey.example.com": [GOOD, published(ed25519_key())],
        "d._domainkey.example.com": "v=DKIM1; p=junk!",
        "e.host.example": published(ed25519_key()),
    }
    resolver = TableResolver(table, aliases={"e._domainkey.example.com": "e.host.example"})
    gathered = await run({}, resolver=resolver, selectors=("a", "b", "c", "d", "e"))
    revoked, small, double, broken, hosted = value(gathered, "dkim.keys")
    assert (revoked["revoked"], revoked["valid"], revoked["bits"]) == (True, True, None)
    assert (small["bits"], small["testing"], small["sha1_only"]) == (512, True, True)
    assert (double["record_count"], double["record"]) == (2, GOOD)
    assert (broken["present"], broken["valid"], broken["errors"]) == (True, False, (TAG_BASE64(name="p"),))
    assert (hosted["alias"], hosted["type"], hosted["bits"]) == ("e.host.example", "ed25519", 256)


async def test_a_revoked_key_alone_is_not_a_published_one() -> None:
    gathered = await run({"google._domainkey.example.com": "v=DKIM1; p="})
    assert value(gathered, "dkim.published").reason is Reason.NOT_FOUND


@pytest.mark.parametrize("record", ["v=spf1 -all", "v=DKIM1; p=", GOOD])
async def test_wildcard_answers_are_not_taken_for_keys(record: str) -> None:
    gathered = await run({"*": record})
    assert value(gathered, "dkim.wildcard") is True
    assert value(gathered, "dkim.keys") == ()
    assert value(gathered, "dkim.published").reason is Reason.NOT_FOUND


async def test_a_key_of_its_own_is_distinct_from_a_wildcard() -> None:
    gathered = await run({"*": "v=DKIM1; p=", "k1._domainkey.example.com": GOOD})
    assert [key["selector"] for key in value(gathered, "dkim.keys")] == ["k1"]
    assert value(gathered, "dkim.published") is True


async def test_the_names_asked_are_the_same_in_every_run() -> None:
    runs = [TableResolver({}, nodata=["_domainkey.example.com"]) for _ in range(2)]
    for resolver in runs:
        await run({}, resolver=resolver)
    assert runs[0].asked == runs[1].asked
    assert len(keys_asked(runs[0])) == len(set(keys_asked(runs[0]))) == len(shipped().selectors) + 1


# --- which selectors are asked for ----------------------------------------------------------------------------------

BELOW = "._domainkey.example.com"
EXISTS = ["_domainkey.example.com"]
# Services that need not stand in SPF, so that nothing but a key shows them: one name of each is always asked for.
HIDDEN = {"k2", "omdk", "pm", "resend", "brevo1", "kl", "ctct1", "cm"}
ALWAYS = {*shipped().common_selectors, *HIDDEN}
RARE = [each for each in shipped().selectors if each not in ALWAYS]


def keys_asked(resolver: TableResolver) -> list[str]:
    """The selectors asked for, with the one that nobody publishes."""
    return [name.removesuffix(BELOW) for name in resolver.asked if name.endswith(BELOW)]


async def guessed(table: dict[str, Rule], **options: Any) -> tuple[set[str], TableResolver]:
    """What the facts say was guessed."""
    resolver = TableResolver(ORGANIZATION | table, nodata=EXISTS, aliases=options.pop("aliases", None))
    gathered = await run({}, resolver=resolver, **options)
    found = value(gathered, "dkim.guessed")
    assert {each for each in keys_asked(resolver) if each in shipped().selectors} >= set(found)
    return set(found), resolver


async def test_where_a_common_name_leads_to_a_key_the_rare_ones_are_left_alone() -> None:
    found, resolver = await guessed({"google._domainkey.example.com": GOOD})
    assert found == ALWAYS
    assert len(keys_asked(resolver)) == len(found) + 1


async def test_the_selectors_of_services_in_spf_are_asked_for_beside_a_key() -> None:
    """Also of those that a record of the domain's own includes, and of what stands behind its CNAME."""
    found, _ = await guessed(
        {
            "google._domainkey.example.com": GOOD,
            "example.com": "v=spf1 include:spf.mailjet.com include:_spf.example.com redirect=alias.example.com",
            "_spf.example.com": "v=spf1 include:servers.mcsv.net -all",
            "spf.brevo.com": "v=spf1 -all",
        },
        aliases={"alias.example.com": "spf.brevo.com"},
    )
    assert found - ALWAYS == {"mailjet", "k3", "brevo2"}


async def test_a_key_that_shows_its_service_leads_to_the_others_of_it() -> None:
    found, _ = await guessed({"k1.host.mcsv.net": GOOD}, aliases={"k1._domainkey.example.com": "k1.host.mcsv.net"})
    assert found - ALWAYS == {"k3"}


async def test_where_no_key_was_found_all_are_guessed() -> None:
    assert (await guessed({"example.com": "v=spf1 include:spf.mailjet.com -all"}))[0] == set(shipped().selectors)
    assert (await guessed({f"{RARE[-1]}{BELOW}": GOOD}))[0] == set(shipped().selectors)


async def test_where_spf_cannot_be_asked_for_all_are_guessed() -> None:
    table: dict[str, Rule] = {"example.com": Reason.SERVFAIL, "google._domainkey.example.com": GOOD}
    assert (await guessed(table))[0] == set(shipped().selectors)


async def test_spf_that_leads_through_too_many_own_names_shows_no_service() -> None:
    chain = {f"{n}.example.com": f"v=spf1 include:{n + 1}.example.com -all" for n in range(1, 100)}
    table: dict[str, Rule] = {"example.com": "v=spf1 include:1.example.com -all", f"google{BELOW}": GOOD, **chain}
    found, resolver = await guessed(table)
    assert found == set(shipped().selectors)
    assert "50.example.com" not in resolver.asked


async def test_a_name_that_exists_speaks_against_a_server_that_denies_what_lies_above_it() -> None:
    resolver = TableResolver(ORGANIZATION, nodata=["default._domainkey.example.com"])
    assert len(value(await run({}, resolver=resolver), "dkim.guessed")) == len(shipped().selectors)


async def test_of_a_wildcard_alone_no_key_is_taken_so_all_are_guessed() -> None:
    assert (await guessed({"*": "v=DKIM1; p="}))[0] == set(shipped().selectors)


async def test_keys_of_earlier_runs_are_asked_for_again() -> None:
    seen = (KeySeen("example.com", RARE[0], "f", "2026-01-10T06:00:00Z", "2026-11-17T06:00:00Z"),)
    found, _ = await guessed({f"google{BELOW}": GOOD, f"{RARE[0]}{BELOW}": GOOD}, keys_seen=seen)
    assert found == {*ALWAYS, RARE[0]}


async def test_where_nobody_answers_no_more_is_asked() -> None:
    class Dead(TableResolver):
        async def query(self, name: str, rdtype: str) -> Any:
            self.table = {name: Reason.TIMEOUT}
            return await super().query(name, rdtype)

    resolver = Dead({})
    await run({}, resolver=resolver)
    assert set(RARE).isdisjoint(keys_asked(resolver))


async def test_in_a_rehearsal_the_same_names_are_asked_for_whatever_spf_says_then() -> None:
    table: dict[str, Rule] = {"google._domainkey.example.com": GOOD, "mailjet._domainkey.example.com": GOOD}
    included: dict[str, Rule] = {"example.com": "v=spf1 include:spf.mailjet.com -all"}
    first = await run(table | included)
    changed: dict[str, Rule] = {"selector1._domainkey.example.com": GOOD, "example.com": "v=spf1 -all"}
    again = await run(table | changed, before=first.executions)
    assert {key["selector"] for key in value(again, "dkim.keys")} == {"google", "mailjet", "selector1"}
    assert value(again, "dkim.guessed") == value(first, "dkim.guessed")


# --- signatures ---------------------------------------------------------------------------------------------------


async def test_facts_of_a_passing_signature() -> None:
    gathered = await run({KEY: GOOD}, sign(MESSAGE, rsa_key(1024), identity="ann@example.com"))
    (signature,) = value(gathered, "dkim.signatures")
    expected = {
        "domain": "example.com",
        "selector": "s1",
        "key_name": KEY,
        "identity": "ann@example.com",
        "algorithm": "rsa-sha256",
        "canonicalization": "relaxed/relaxed",
        "key_type": "rsa",
        "bits": 1024,
        "result": "pass",
        "reason": None,
        "aligned": True,
        "from_signed": True,
        "from_oversigned": True,
        "body_length_limit": None,
        "unsigned_body_octets": None,
        "expired": False,
        "testing": False,
        "revoked": False,
        "key_count": 1,
        "key_allows": True,
    }
    assert {name: signature[name] for name in expected} == expected
    assert value(gathered, "dkim.signature_count") == 1
    assert value(gathered, "dkim.result") == "pass"
    assert value(gathered, "dkim.aligned_pass") is True
    assert value(gathered, "dkim.passing_key_types") == ("rsa",)
    (key,) = value(gathered, "dkim.keys")
    assert (key["found_by"], key["selector"]) == ("message", "s1")


@pytest.mark.parametrize(
    ("signed", "core", "listed", "recommended"),
    [
        # What Microsoft 365 signs of a plain mail: nothing that matters is missing, Reply-To and To are recommended.
        (
            ("from", "date", "subject", "message-id", "content-type", "mime-version"),
            (),
            ("list-unsubscribe", "list-unsubscribe-post"),
            ("reply-to", "to", "list-unsubscribe", "list-unsubscribe-post"),
        ),
        (
            ("from", "to", "reply-to", "list-unsubscribe"),
            ("subject", "date"),
            ("list-unsubscribe-post",),
            ("subject", "date", "list-unsubscribe-post"),
        ),
        (("from", "to", "reply-to", "subject", "date", "list-unsubscribe", "list-unsubscribe-post"), (), (), ()),
    ],
)
async def test_fields_left_unsigned_by_what_that_means(
    signed: tuple[str, ...], core: tuple[str, ...], listed: tuple[str, ...], recommended: tuple[str, ...]
) -> None:
    """RFC 6376 section 5.4.1 names no Message-ID, MIME or Content fields: leaving those out is no fault."""
    head = b"Reply-To: a@example.com\r\nList-Unsubscribe: <https://example.com/u>\r\n"
    head += b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\n"
    message = sign(head + MESSAGE, rsa_key(1024), headers=signed)
    (signature,) = value(await run({KEY: GOOD}, message), "dkim.signatures")
    assert (signature["unsigned_core"], signature["unsigned_list"]) == (core, listed)
    assert signature["unsigned_headers"] == recommended


async def test_evidence_is_the_field_and_the_key() -> None:
    gathered = await run({KEY: GOOD}, sign(MESSAGE, rsa_key(1024)))
    fact = gathered.facts.facts["dkim.signatures"]
    assert fact.evidence == ("header:dkim-signature:1", f"dns:TXT:{KEY}")
    header, record = (gathered.facts.evidence[each] for each in fact.evidence)
    assert header.got[0].startswith("DKIM-Signature: v=1;")
    assert "sample.eml" in header.asked
    assert record.got == (GOOD,)


async def test_message_without_a_signature() -> None:
    gathered = await run({}, MESSAGE)
    assert value(gathered, "dkim.signature_count") == 0
    assert value(gathered, "dkim.signatures") == ()
    assert value(gathered, "dkim.result") == "none"
    assert value(gathered, "dkim.aligned_pass") is False
    assert value(gathered, "dkim.passing_key_types") == ()


@pytest.mark.parametrize(
    ("signer", "author", "aligned"),
    [
        ("example.com", "example.com", True),
        ("mail.example.com", "example.com", True),
        ("example.com", "news.example.com", True),
        ("esp.example.net", "example.com", False),
        ("notexample.com", "example.com", False),
        ("example.com", None, None),
    ],
)
async def test_alignment_is_by_organizational_domain(signer: str, author: str | None, aligned: bool | None) -> None:
    table: dict[str, Rule] = {f"s1._domainkey.{signer}": GOOD, "_dmarc.example.net": "v=DMARC1; p=none"}
    gathered = await run(table, sign(MESSAGE, rsa_key(1024), domain=signer), author=author)
    (signature,) = value(gathered, "dkim.signatures")
    assert (signature["result"], signature["aligned"]) == ("pass", aligned)
    assert value(gathered, "dkim.aligned_pass") is (aligned is True)


@pytest.mark.parametrize(("signer", "aligned"), [("bounce.example.com", True), ("esp.example.net", False)])
async def test_without_a_dmarc_record_the_public_suffix_list_tells_who_signs(signer: str, aligned: bool) -> None:
    resolver = TableResolver({f"s1._domainkey.{signer}": GOOD})
    message = sign(MESSAGE, rsa_key(1024), domain=signer)
    gathered = await run({}, message, author="news.example.com", resolver=resolver)
    (signature,) = value(gathered, "dkim.signatures")
    assert (signature["result"], signature["aligned"]) == ("pass", aligned)


async def test_alignment_is_unknown_where_dmarc_cannot_be_looked_up() -> None:
    table: dict[str, Rule] = {
        "s1._domainkey.mail.example.com": GOOD,
        "_dmarc.mail.example.com": Reason.SERVFAIL,
        "_dmarc.example.com": Reason.SERVFAIL,
    }
    gathered = await run(table, sign(MESSAGE, rsa_key(1024), domain="mail.example.com"))
    (signature,) = value(gathered, "dkim.signatures")
    assert signature["aligned"].reason is Reason.SERVFAIL
    assert value(gathered, "dkim.aligned_pass").reason is Reason.SERVFAIL


async def test_one_passing_signature_settles_the_best_result_but_not_all_key_types() -> None:
    message = sign(sign(MESSAGE, rsa_key(1024)), ed25519_key(), selector="ed")
    table: dict[str, Rule] = {KEY: Reason.TIMEOUT, "ed._domainkey.example.com": published(ed25519_key())}
    gathered = await run(table, message)
    assert value(gathered, "dkim.result") == "pass"
    assert value(gathered, "dkim.aligned_pass") is True
    assert value(gathered, "dkim.passing_key_types").reason is Reason.TIMEOUT


async def test_size_of_the_key_is_a_fact_even_where_it_is_too_small() -> None:
    gathered = await run({KEY: published(rsa_key(512))}, sign(MESSAGE, rsa_key(512)))
    (signature,) = value(gathered, "dkim.signatures")
    assert (signature["result"], signature["reason"], signature["bits"]) == ("fail", "key-too-small", 512)


async def test_signatures_beyond_the_limit_are_unknown() -> None:
    junk = b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=b; h=from; bh=AAAA; b=AAAA\r\n"
    count = MAX_LISTED + 10
    gathered = await run({}, junk * count + MESSAGE)
    signatures = value(gathered, "dkim.signatures")
    assert value(gathered, "dkim.signature_count") == count
    assert len(signatures) == MAX_LISTED
    assert signatures[MAX_SIGNATURES - 1]["result"] == "permerror"
    assert signatures[MAX_SIGNATURES]["result"].reason is Reason.LIMIT
    assert signatures[MAX_SIGNATURES]["domain"] == "a.example"
    for path in ("result", "aligned_pass", "passing_key_types"):
        assert value(gathered, f"dkim.{path}").reason is Reason.LIMIT


@pytest.mark.parametrize("end", [b"\r\n", b"\r\n\r\n"])
async def test_header_saved_without_its_body_leaves_the_result_unknown(end: bytes) -> None:
    header = sign(MESSAGE, rsa_key(1024)).partition(b"\r\n\r\n")[0] + end
    gathered = await run({KEY: GOOD}, header)
    (signature,) = value(gathered, "dkim.signatures")
    assert (signature["result"].reason, signature["reason"].reason) == (Reason.NO_MESSAGE, Reason.NO_MESSAGE)
    assert (signature["bits"], signature["from_signed"], signature["key_allows"]) == (1024, True, True)
    for path in ("result", "aligned_pass", "passing_key_types"):
        assert value(gathered, f"dkim.{path}").reason is Reason.NO_MESSAGE


# --- dates in selectors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("20230601", ("2023-06-01", 1272)),
        ("s20150108", ("2015-01-08", 4338)),
        ("Mail-20261123.eu", ("2026-11-23", 1)),
        ("20261124", ("2026-11-24", 0)),
        ("20230913174421pm", ("2023-09-13", 1168)),
        ("20130625210023.pm", ("2013-06-25", 4900)),
        # Without a day the age counts from the last day of the month, and is never below none.
        ("202306", ("2023-06", 1243)),
        ("s202402x", ("2024-02", 999)),
        ("202611", ("2026-11", 0)),
        ("scph0920", ("2020-09", 2246)),
        ("scph1206", ("2006-12", 7268)),
    ],
)
def test_a_date_in_the_name_of_a_selector(selector: str, expected: tuple[str, int]) -> None:
    assert selector_date(selector, NOW.date()) == expected


@pytest.mark.parametrize(
    "selector",
    [
        *("", "google", "selector1", "s1024", "s2048", "key2024", "0920", "1122", "sig0920"),
        *("20261125", "202612", "20041231", "19991231", "21000101"),  # to come, or before DKIM
        *("20231301", "20230230", "202313", "202300", "20230913256161pm"),  # no such date
        *("2023060", "202306011", "2023060112", "1685577600pm", "46576765765735.pm"),  # other numbers
        *("200608", "201212"),  # August 2006, or 8 June 2020
        *("scph1320", "scph0004", "scph2020", "scph09201", "xscph0920"),
        *("a20230601b7", "0f20230601", "7v7vs6w47njt4pimodk5mmttbegzsi6n"),  # digits of a token
        "20230601-20240601",  # which of the two?
        "２０２３０６０１",
        "a" * 100_000 + "20230601",
    ],
)
def test_digits_that_are_no_certain_date(selector: str) -> None:
    assert selector_date(selector, NOW.date()) is None


def test_the_first_day_of_all_is_not_too_early() -> None:
    assert selector_date("20050101", date(2005, 1, 1)) == ("2005-01-01", 0)


async def test_the_date_is_stated_with_the_key() -> None:
    records: dict[str, Rule] = {"20230601._domainkey.example.com": GOOD, "s1._domainkey.example.com": GOOD}
    gathered = await run(records, selectors=("20230601",))
    stated = {key["selector"]: (key["selector_date"], key["selector_age_days"]) for key in value(gathered, "dkim.keys")}
    assert stated == {"20230601": ("2023-06-01", 1272), "s1": (None, None)}


# --- What earlier runs saw ---


async def test_the_age_of_a_key_is_counted_from_the_first_run_that_saw_it() -> None:
    records = {"20230601._domainkey.example.com": GOOD, "s1._domainkey.example.com": GOOD}
    (first, *_) = value(await run(records), "dkim.keys")
    fingerprint = str(first["fingerprint"])
    seen = tuple(
        KeySeen("example.com", selector, which, "2026-01-10T06:00:00Z", "2026-11-17T06:00:00Z")
        for selector, which in (("s1", fingerprint), ("20230601", fingerprint), ("s1", "of another key"))
    )
    gathered = await run(records, keys_seen=seen)
    stated = {key["selector"]: (key["known_since"], key["age_days"]) for key in value(gathered, "dkim.keys")}
    assert stated == {"20230601": ("2023-06-01", 1272), "s1": ("2026-01-10", 318)}, "the earlier of both dates counts"


async def test_a_key_that_was_exchanged_under_its_selector_is_young() -> None:
    seen = (KeySeen("example.com", "s1", "of the key before", "2020-01-10T06:00:00Z", "2026-11-17T06:00:00Z"),)
    gathered = await run({"s1._domainkey.example.com": GOOD}, keys_seen=seen)
    (key,) = value(gathered, "dkim.keys")
    assert (key["first_seen"], key["age_days"]) == (None, None)


async def test_the_same_key_under_several_names_is_noticed() -> None:
    gathered = await run({"s1._domainkey.example.com": GOOD, "s2._domainkey.example.com": GOOD})
    twins = {key["selector"]: key["same_as"] for key in value(gathered, "dkim.keys")}
    assert twins == {"s1": ("s2._domainkey.example.com",), "s2": ("s1._domainkey.example.com",)}


async def test_the_same_key_at_another_domain_is_noticed_where_a_history_is_kept() -> None:
    (first, *_) = value(await run({"s1._domainkey.example.com": GOOD}), "dkim.keys")
    seen = (
        KeySeen("other.example", "k", str(first["fingerprint"]), "2026-01-10T06:00:00Z", "2026-11-17T06:00:00Z"),
        KeySeen("gone.example", "k", str(first["fingerprint"]), "2025-01-10T06:00:00Z", "2025-11-17T06:00:00Z"),
    )
    (key,) = value(await run({"s1._domainkey.example.com": GOOD}, keys_seen=seen), "dkim.keys")
    assert key["same_as"] == ("k._domainkey.other.example",)
