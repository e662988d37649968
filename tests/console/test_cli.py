"""The command line as a person and a script meet it: streams, exit codes, options, and every input that goes wrong."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

import deliverability.demo
from deliverability.cli import main
from deliverability.core.inputs import Sample
from deliverability.core.net.clock import FixedClock, SystemClock
from deliverability.demo.command import ARRIVED
from tests import TESTS
from tests.corpus import corpus
from tests.sampled import sampled

pytestmark = pytest.mark.long

GOLDEN = TESTS / "golden"
GOOD = ("good.example", "--zone", str(GOLDEN / "good.zone"))
BROKEN = ("broken.example", "--zone", str(GOLDEN / "broken.zone"))
BOTH = ("--zone", str(GOLDEN / "good.zone"), "--zone", str(GOLDEN / "broken.zone"))
GOOD_MAIL = ("--eml", str(GOLDEN / "good.eml"))
BROKEN_MAIL = ("--eml", str(GOLDEN / "broken.eml"))


class Done(Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Deliv:
    """Runs the command line in this process, with standard streams that are no terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *args: str, stdin: bytes = b"") -> Done:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as left:
                main(list(args))
        code = left.value.code
        assert isinstance(code, int)
        read = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
        return Done(code, *read)


@pytest.fixture
def deliv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deliv:
    """The command line in an empty folder, so that no deliv.toml of this machine plays a part."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("DELIV_LANG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Deliv(monkeypatch)


def outcomes(report: Any) -> dict[str, str]:
    """Outcomes by rule and item; what is about the audited domain goes by the rule alone."""
    items = {"", report["subject"]["domain"]}
    return {f["rule"] if f["item"] in items else f"{f['rule']} {f['item']}": f["outcome"] for f in report["findings"]}


def process(*args: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "deliverability", *args]
    return subprocess.run(
        command, capture_output=True, timeout=600, check=False, env={**os.environ, **(env or {})}, **more
    )


def one_line_saying(done: Done, *words: str) -> None:
    """The run was refused with exit code 2 and one clear line; usage hints of the option parser may stand above it."""
    assert (done.code, done.out) == (2, "")
    lines = [line for line in done.err.splitlines() if line.strip()]
    assert "Traceback" not in done.err
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:]
    for word in words:
        assert word in lines[-1], done.err


# --- What is right and what is wrong -----------------------------------------------------------------------------


def test_a_good_domain_and_message_leave_with_0(deliv: Deliv) -> None:
    done = deliv("audit", *GOOD, *GOOD_MAIL, "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert {verdict["receiver"]: verdict["verdict"] for verdict in done.json["verdicts"]} == dict.fromkeys(
        ("icloud", "gmail", "yahoo", "outlook", "docomo", "au", "softbank", "yahoo-japan"), "accepted"
    )


def test_findings_leave_with_1_and_name_the_rules(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, *BROKEN_MAIL, "--format", "json")
    assert (done.code, done.err) == (1, "")
    found = outcomes(done.json)
    # Twelve look-ups (mx, ptr, ten includes), of which one leads nowhere; ptr; ?all; two From fields; p=none unwatched.
    for rule in ("SPF-003", "SPF-007", "SPF-008", "SPF-010", "MSG-001", "MSG-003", "DMARC-005"):
        assert found[rule] == "unmet", rule
    lookups = next(f for f in done.json["findings"] if f["rule"] == "SPF-003")
    assert (lookups["observed"]["item.lookups"], lookups["limits"]) == (12, {"max_lookups": 10})
    assert {verdict["receiver"]: verdict["verdict"] for verdict in done.json["verdicts"]} == {
        **dict.fromkeys(("icloud", "gmail", "yahoo"), "rejected"),
        # May refuse it, or shows a warning.
        **dict.fromkeys(("outlook", "docomo", "softbank", "yahoo-japan"), "at-risk"),
        # Names nothing of all this, nor what becomes of mail that passes neither SPF nor DKIM: that is not accepted.
        "au": "cannot-tell",
    }


def test_the_threshold_decides_what_counts_as_finding(deliv: Deliv) -> None:
    domain = ("watching.example", "--zone", "w.zone")
    Path("w.zone").write_text(
        "$ORIGIN watching.example.\n$TTL 60\n@ IN SOA ns h 1 1 1 1 1\n@ IN MX 0 mx\nmx IN A 192.0.2.1\n"
        '@ IN TXT "v=spf1 mx ptr -all"\n_dmarc IN TXT "v=DMARC1; p=none"\n'
    )
    assert deliv("audit", *domain).code == 0
    assert deliv("audit", *domain, "--fail-on", "warning").code == 1, "receivers skip ptr"
    assert deliv("audit", *domain, "--fail-on", "warning", "--ignore", "SPF-008").code == 0, (
        "no reports, no MTA-STS: warnings that are not about delivery"
    )
    assert deliv("audit", *BROKEN, "--fail-on", "never").code == 0


@pytest.mark.parametrize(
    "domain", ["good.example", "GOOD.example.", "postmaster@good.example", "Post <postmaster@Good.Example>"]
)
def test_a_domain_may_be_written_in_many_ways(deliv: Deliv, domain: str) -> None:
    done = deliv("audit", domain, *GOOD[1:], "--format", "json")
    assert done.json["subject"]["domain"] == "good.example"


def test_an_internationalized_domain_is_audited_by_its_a_label(deliv: Deliv) -> None:
    done = deliv("audit", "Bücher.example", "--offline", "--format", "json")
    assert (done.code, done.json["subject"]["domain"]) == (3, "xn--bcher-kva.example")


# --- Inputs that go wrong ----------------------------------------------------------------------------------------


def test_a_domain_that_does_not_exist_is_said_to_be_none(deliv: Deliv) -> None:
    done = deliv("audit", "no-such-name.good.example", *GOOD[1:])
    assert (done.code, done.err) == (1, "")
    assert "no-such-name.good.example doesn't exist in DNS" in " ".join(done.out.split())


def test_a_domain_without_mail_records_is_audited(deliv: Deliv) -> None:
    done = deliv("audit", "ns.good.example", *GOOD[1:], "--format", "json")
    found = outcomes(done.json)
    assert found["SPF-001"] == "unmet"
    assert "domain-nonexistent" not in [note["code"] for note in done.json["notes"]]


def test_what_lies_outside_of_the_zones_is_unknown_and_not_missing(deliv: Deliv) -> None:
    done = deliv("audit", "example.org", *GOOD[1:], "--format", "json")
    assert done.code == 3
    assert "unmet" not in outcomes(done.json).values()
    (spf,) = (finding for finding in done.json["findings"] if finding["rule"] == "SPF-001")
    assert spf["unknown"]["unknown"] == "offline"


def test_offline_asks_nobody_and_concludes_nothing(deliv: Deliv) -> None:
    done = deliv("audit", "example.org", "--offline", "--format", "json")
    assert done.code == 3
    assert "unmet" not in outcomes(done.json).values()
    assert {verdict["verdict"] for verdict in done.json["verdicts"]} == {"cannot-tell"}


def test_no_reachable_resolver_is_no_missing_record(deliv: Deliv) -> None:
    done = deliv("audit", "example.org", "--resolver", "127.0.0.1:1", "--timeout", "2", "--format", "json")
    assert done.code == 3
    assert "unmet" not in outcomes(done.json).values()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["example"], ["'example' is not a domain", "such as example.com"]),
        ([""], ["is not a domain"]),
        (["two words.example"], ["is not a domain"]),
        (["192.0.2.1"], ["'192.0.2.1' is not a domain"]),
        (["ftp://good.example/"], ["is not a domain"]),
        (["a..example"], ["is not a domain"]),
        (["x" * 64 + ".example"], ["is not a domain"]),
        ([], ["nothing to audit", "DOMAIN", "--eml"]),
        (["-", "--eml", "-"], ["standard input (-) can be read only once"]),
        ([*GOOD, "--ip", "192.0.2.300"], ["'192.0.2.300' is not an IP address"]),
        ([*GOOD, "--ip", "192.0.2.0/24"], ["without a prefix length"]),
        ([*GOOD, "--mail-from", "nobody"], ["'nobody' is not an address for MAIL FROM", "null sender"]),
        ([*GOOD, "--selector", "s1._domainkey"], ["is not a DKIM selector", "the part before ._domainkey"]),
        ([*GOOD, "--selector", "../.."], ["'../..' is not a DKIM selector"]),
        ([*GOOD, "--selector", ""], ["is not a DKIM selector"]),
        ([*GOOD, "--purpose", "spam"], ["--purpose", "users", "bulk"]),
        ([*GOOD, "--daily-volume", "-1"], ["--daily-volume"]),
        ([*GOOD, "--daily-volume", "many"], ["--daily-volume"]),
        ([*GOOD, "--timeout", "0"], ["--timeout"]),
        ([*GOOD, "--receiver", "nowhere"], ["--receiver nowhere: no such receiver", "gmail", "icloud"]),
        ([*GOOD, "--select", "NO-SUCH"], ["--select NO-SUCH", "`deliv rules` lists all"]),
        ([*GOOD, "--ignore", "NO-SUCH"], ["--ignore NO-SUCH"]),
        ([*GOOD, "--with", "good.example"], ["--with", "NAME TYPE VALUE"]),
        ([*GOOD, "--with", "good.example MX mail"], ["--with", "preference and a host"]),
        ([*GOOD, "--with", "good.example A 2001:db8::1"], ["--with", "not an IPv4 address"]),
        ([*GOOD, "--resolver", "127.0.0.1"], ["use only one of these: --zone, --resolver"]),
        (["a.example", "--resolver", "no address"], ["--resolver", "is not a resolver"]),
        ([*GOOD, "--fetch"], ["use only one of these: --fetch, --zone"]),
        ([*GOOD, "--probe-unsubscribe"], ["use only one of these: --probe-unsubscribe, --zone"]),
        ([*GOOD, "--record", "r.json", "--replay", __file__], ["use only one of these"]),
        ([*GOOD, "--replay", __file__], ["use only one of these"]),
        (["a.example", "--replay", __file__], ["is not a recording"]),
        (["a.example", "--replay", "gone.json"], ["gone.json: no such file"]),
        (["a.example", "--zone", "gone.zone"], ["gone.zone: no such file"]),
        (["a.example", "--zone", __file__], [f"{__file__}:"]),
        ([*GOOD, "--rules", "gone"], ["--rules gone: no such file"]),
        ([*GOOD, "--config", "gone.toml"], ["gone.toml: no such file"]),
        ([*GOOD, "--eml", "gone.eml"], ["gone.eml: no such file"]),
        ([*GOOD, "--eml", "/"], ["/ is a folder without messages"]),
        ([*GOOD, "--format", "pdf"], ["--format", "text", "json", "html"]),
        ([*GOOD, "-o", "report.docx"], ["-o report.docx", ".txt, .json, .html, .pdf, .md, .csv", ".prom"]),
        ([*GOOD, "-o", "no/folder/report.json"], ["-o no/folder/report.json: no such folder"]),
        ([*GOOD, "--record", "no/folder/record.json"], ["no/folder/record.json"]),
        ([*GOOD, "--lang", "xx"], ["--lang", "en", "ja"]),
        ([*GOOD, "--no-such-option"], ["--no-such-option"]),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, list) else "",
)
def test_what_cannot_be_used_is_refused_in_one_clear_line(deliv: Deliv, args: list[str], words: list[str]) -> None:
    if "--record" in args and "--replay" not in args:
        # The recording is written at the end; by then the report has been printed.
        done = deliv("audit", *args)
        assert done.code == 2
        assert words[0] in done.err
        return
    one_line_saying(deliv("audit", *args), *words)


def test_an_unreadable_message_is_refused(deliv: Deliv, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.eml").write_bytes(b"From: a@good.example\r\n\r\n")
    opened = Path.open

    def refuse(self: Path, *args: Any, **more: Any) -> Any:
        if self.name == "x.eml":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **more)

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read everything
    one_line_saying(deliv("audit", *GOOD, "--eml", "x.eml"), "x.eml: Permission denied")


def test_a_wrong_zone_file_is_told_with_its_line(deliv: Deliv) -> None:
    Path("x.zone").write_text("$ORIGIN x.example.\n$TTL 60\n@ IN SOA ns h 1 1 1 1 1\n@ IN A 192.0.2.300\n")
    one_line_saying(deliv("audit", "x.example", "--zone", "x.zone"), "x.zone:4: ")


def test_wrong_rules_are_told_with_file_line_and_a_suggestion(deliv: Deliv) -> None:
    Path("own").mkdir()
    Path("own/x.yaml").write_text(
        "- id: OWN-001\n  name: own\n  since: '0.1'\n  scope: delivery\n  severity: error\n  level: MUST\n"
        "  effort: low\n  confidence: high\n  require: {fact: spf.lookup, le: 10}\n  sources: [{ref: rfc7208}]\n"
        "  text:\n    en: {title: t, short: s, noun: n, met: m, unmet: u, why: w, fix: [f]}\n"
        "    ja: {title: t, short: s, noun: n, met: m, unmet: u, why: w, fix: [f]}\n"
    )
    for args in (["audit", *GOOD, "--rules", "own"], ["rules", "--check", "--rules", "own"]):
        done = deliv(*args)
        assert (done.code, done.out) == (2, "")
        assert "own/x.yaml:" in done.err
        assert "own/x.yaml:9: " in done.err
        assert "spf.lookups" in done.err, "the nearest fact is suggested"
        assert "Traceback" not in done.err


def test_a_wrong_name_in_a_list_is_told_with_its_line(deliv: Deliv) -> None:
    done = deliv("audit", "-", *GOOD[1:], stdin=b"good.example\nnonsense\n")
    assert (done.code, "standard input, line 2" in done.err) == (3, True), done.err
    one_line_saying(deliv("audit", "-", *GOOD[1:], stdin=b"nonsense\n"), "standard input, line 1")


MESSAGES = {
    "truncated": b"From: a@good.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: te",
    "no body": b"From: a@good.example\r\nSubject: x",
    "broken MIME": b"From: a@good.example\r\nContent-Type: multipart/mixed\r\n\r\n--\r\n----\r\n",
    "hostile charset": b"From: =?\xff?Q?=00?= <a@good.example>\r\n"
    b'Content-Type: text/html; charset="\x00../x"\r\n\r\n\xff\x1b[2J',
    "no From": b"Subject: x\r\n\r\nhello\r\n",
    "two From": b"From: a@good.example\r\nFrom: b@good.example\r\n\r\nhello\r\n",
    "From without address": b"From: nobody\r\n\r\nhello\r\n",
    "header without end": b"From: a@good.example\r\nX: " + b"a" * 200_000,
}


@pytest.mark.parametrize("name", sampled([*MESSAGES], 3))
@pytest.mark.parametrize("domain", [("good.example",), ()], ids=["domain", "no domain"])
def test_a_broken_message_is_audited_as_far_as_it_goes(deliv: Deliv, name: str, domain: tuple[str, ...]) -> None:
    for style in ("json", "text", "html"):
        done = deliv("audit", *domain, *GOOD[1:], "--eml", "-", "--format", style, stdin=MESSAGES[name])
        assert done.code in (1, 3), done.err
        assert done.err == ""
        assert "\x1b" not in done.out
        if style == "json":
            assert done.json["findings"]
            assert not any((f.get("unknown") or {}).get("unknown") == "bug" for f in done.json["findings"])


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"
MBOX = b"From a@good.example Wed Nov 25 09:00:00 2026\nFrom: a@good.example\n\nhello\n\n"
NOT_MAIL = {
    "x.png": (PNG, "x.png is not an email but a PNG image. Save the message as .eml"),
    "x.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n", "but a file of type PDF"),
    "x.msg": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "but an Outlook message, .msg"),
    "x.zip": (b"PK\x03\x04" + bytes(26), "but a file of type ZIP"),
    "x.mbox": (MBOX * 2, "x.mbox contains several messages (mbox). Save one of them as .eml"),
    "x.zone": (
        b'; mine\n$ORIGIN good.example.\n@ IN TXT "v=spf1 -all"\n',
        "looks like a zone file; use it with --zone",
    ),
    "plain.zone": (b"@ 3600 IN SOA ns1 h 1 2 3 4 5\n", "looks like a zone file"),
    "x.txt": (b"Lorem ipsum\ndolor sit amet: that\n", "is not an email (it doesn't start with a header field)"),
    "x.bin": (bytes(range(256)) * 20, "is not an email"),
    "empty.eml": (b"", "empty.eml is empty"),
    "lines.eml": (b"\r\n" * 100, "lines.eml is empty"),
}


@pytest.mark.parametrize(
    ("command", "name"),
    [(command, name) for command in ("audit", "slim") for name in NOT_MAIL if (command, name) != ("audit", "x.mbox")],
)
def test_what_is_no_message_is_refused_with_what_it_is(deliv: Deliv, name: str, command: str) -> None:
    octets, words = NOT_MAIL[name]
    Path(name).write_bytes(octets)
    one_line_saying(deliv(*(["slim", name] if command == "slim" else ["audit", *GOOD, "--eml", name])), words)
    piped = ["slim", "-"] if command == "slim" else ["audit", *GOOD, "--eml", "-"]
    one_line_saying(deliv(*piped, stdin=octets), words.removeprefix(name))


@pytest.mark.parametrize(
    ("octets", "english", "japanese"),
    [
        (b"From: MAILER-DAEMON@h.example\nSubject: failure notice\n\nx\n", "is a bounce", "不達通知"),
        (
            b"Subject: complaint about message from 192.0.2.1\n\nx\n",
            "a complaint or a failure report",
            "迷惑メール報告",
        ),
        (
            b"Subject: Report Domain: a.example Submitter: b.example\n\nx\n",
            "a DMARC or TLS report",
            "DMARCまたはTLSのレポート",
        ),
    ],
)
def test_a_message_about_another_one_is_named_with_the_command_that_reads_it(
    deliv: Deliv, octets: bytes, english: str, japanese: str
) -> None:
    Path("x.eml").write_bytes(octets)
    for language, words in (("en", english), ("ja", japanese)):
        done = deliv("audit", *GOOD, "--eml", "x.eml", "--lang", language)
        assert done.code == 2
        assert words in done.err
        assert "deliv explain x.eml" in done.err or "deliv show-report x.eml" in done.err


@pytest.mark.parametrize("before", [b"", b"\n", b"\xef\xbb\xbf", b"From a@good.example Wed Nov 25 09:00:00 2026\n"])
def test_a_message_after_what_programs_put_before_it_is_one(deliv: Deliv, before: bytes) -> None:
    assert deliv("slim", "-", stdin=before + b"X-Odd: 1\nSubject: x\n\nhello\n").code == 0


def test_a_message_given_as_a_zone_is_refused_with_the_way_out(deliv: Deliv) -> None:
    mail = str(GOLDEN / "good.eml")
    one_line_saying(deliv("audit", "good.example", "--zone", mail), f"{mail} looks like an email; use it with --eml")
    done = deliv("audit", "good.example", "--zone", mail, "--lang", "ja")
    assert (done.code, done.err) == (2, f"エラー：{mail}はメールのようです。--emlで指定してください\n")


def test_a_web_address_is_audited_as_its_host(deliv: Deliv) -> None:
    done = deliv("audit", "https://Good.Example/contact?x=1", *GOOD[1:], "--format", "json")
    assert done.json["subject"]["domain"] == "good.example"


def test_a_message_that_names_no_domain_says_so_and_claims_no_look_ups(deliv: Deliv) -> None:
    report = deliv("audit", *GOOD[1:], "--eml", "-", "--format", "json", stdin=b"Subject: x\r\n\r\nhello\r\n").json
    codes = [note["code"] for note in report["notes"]]
    assert "no-author-domain" in codes
    assert "probes-missed" not in codes, "no selector was tried"


def test_two_from_fields_are_a_defect_that_is_reported(deliv: Deliv) -> None:
    report = deliv("audit", *GOOD, "--eml", "-", "--format", "json", stdin=MESSAGES["two From"]).json
    assert outcomes(report)["MSG-001"] == "unmet"


def test_a_message_over_150_mb_is_refused_and_the_limit_named(deliv: Deliv) -> None:
    with Path("big.eml").open("wb") as file:
        file.write(b"Subject: x\n\n")
        file.truncate(150_000_001)
    one_line_saying(deliv("audit", *GOOD, "--eml", "big.eml"), "big.eml", "150 MB")


NESTED = (
    b"From: a@good.example\r\nMIME-Version: 1.0\r\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(130))
    + b"Content-Type: text/html\r\n\r\n<p>hello\r\n"
)


def test_mime_nested_too_deeply_is_audited_outside_and_said_plainly(deliv: Deliv) -> None:
    report = deliv("audit", *GOOD, "--eml", "-", "--format", "json", stdin=NESTED).json
    assert "nesting-limited" in [note["code"] for note in report["notes"]]
    assert outcomes(report)["MSG-001"] == "met"


def test_what_lies_deeper_than_the_limit_is_unknown(deliv: Deliv) -> None:
    facts = deliv("facts", *GOOD, "--eml", "-", stdin=NESTED).json["facts"]
    assert facts["html.present"].get("unknown") == "limit"
    assert facts["message.attachments"].get("unknown") == "limit"


def test_another_author_domain_is_said_plainly(deliv: Deliv) -> None:
    done = deliv("audit", "good.example", *BOTH, *BROKEN_MAIL)
    assert done.code == 1
    assert "The message is from broken.example, but the audit is about good.example" in " ".join(done.out.split())


def test_a_subdomain_as_author_is_no_difference(deliv: Deliv) -> None:
    mail = b"From: a@news.good.example\r\n\r\nhello\r\n"
    report = deliv("audit", *GOOD, "--eml", "-", "--format", "json", stdin=mail).json
    assert "author-domain-differs" not in [note["code"] for note in report["notes"]]


# --- Domains and messages in one run -----------------------------------------------------------------------------


def test_without_a_domain_the_author_domain_is_audited(deliv: Deliv) -> None:
    report = deliv("audit", *GOOD[1:], *GOOD_MAIL, "--format", "json").json
    assert report["subject"] == {"domain": "good.example", "message": GOOD_MAIL[1]}


def test_several_domains_from_standard_input(deliv: Deliv) -> None:
    text = b"\xef\xbb\xbfgood.example\r\n\r\n  broken.example good.example\n"
    done = deliv("audit", "-", *BOTH, "--format", "json", stdin=text)
    assert [report["subject"]["domain"] for report in done.json] == ["good.example", "broken.example"]
    assert done.code == 1


def test_one_subject_gives_an_object_and_several_an_array(deliv: Deliv) -> None:
    assert isinstance(deliv("audit", *GOOD, "--format", "json").json, dict)
    assert isinstance(deliv("audit", "good.example", "broken.example", *BOTH, "--format", "json").json, list)


def test_messages_go_to_the_domain_of_their_author(deliv: Deliv) -> None:
    done = deliv("audit", "broken.example", "good.example", *BOTH, *GOOD_MAIL, *BROKEN_MAIL, "--format", "json")
    assert [(each["subject"]["domain"], each["subject"]["message"]) for each in done.json] == [
        ("broken.example", BROKEN_MAIL[1]),
        ("good.example", GOOD_MAIL[1]),
    ]


def folder_of_messages() -> Path:
    folder = Path("mails")
    folder.mkdir()
    for name in ("2.eml", "10.EML", "1.eml"):
        (folder / name).write_bytes(f"From: a@good.example\r\nSubject: {name}\r\n\r\nhello\r\n".encode())
    (folder / "notes.txt").write_text("not a message")
    return folder


def test_of_a_folder_every_message_gets_a_report(deliv: Deliv) -> None:
    done = deliv("audit", "good.example", *BOTH, "--eml", str(folder_of_messages()), "--format", "json")
    assert [each["subject"]["message"] for each in done.json] == ["mails/1.eml", "mails/10.EML", "mails/2.eml"]


def test_of_a_maildir_every_message_gets_a_report(deliv: Deliv) -> None:
    for part in ("cur", "new", "tmp"):
        Path("Maildir", part).mkdir(parents=True)
    Path("Maildir/cur/1:2,S").write_bytes(b"From: a@good.example\n\nhello\n")
    Path("Maildir/new/2").write_bytes(b"From: a@good.example\n\nhello\n")
    Path("Maildir/tmp/3").write_bytes(b"From: a@good.example\n\nhel")
    done = deliv("audit", "good.example", *BOTH, "--eml", "bulk:Maildir", "--format", "json")
    assert [each["subject"]["message"] for each in done.json] == ["Maildir/cur/1:2,S", "Maildir/new/2"]


def test_of_a_mailbox_every_message_gets_a_report(deliv: Deliv) -> None:
    """As the sender made it: a mailbox puts ">" before a line that begins with "From "."""
    quoted = MBOX.replace(b"hello\n", b">From here on\n>>From there\n")
    Path("x.mbox").write_bytes(MBOX + quoted + MBOX)
    done = deliv("audit", "good.example", *BOTH, "--eml", "x.mbox", "--format", "json")
    assert [each["subject"]["message"] for each in done.json] == [f"x.mbox #{n}" for n in (1, 2, 3)]
    assert not any("mbox-line" in json.dumps(each) for each in done.json)
    begin = len(MBOX) + len(MBOX.partition(b"\n")[0]) + 1
    sample = Sample("x.mbox #2", Path("x.mbox"), span=(begin, len(MBOX) + len(quoted)))
    assert sample.read() == b"From: a@good.example\n\nFrom here on\n>From there\n\n"


def test_what_is_no_message_in_a_folder_is_told_and_the_others_are_audited(deliv: Deliv) -> None:
    folder = folder_of_messages()
    (folder / "3.eml").write_bytes(PNG)
    done = deliv("audit", "good.example", *BOTH, "--eml", str(folder), "--format", "json")
    assert done.code == 1
    assert len(done.json) == 3
    assert "mails/3.eml is not an email but a PNG image" in done.err


def test_a_message_of_nobody_in_the_run_gets_a_report_of_its_own(deliv: Deliv) -> None:
    Path("other.eml").write_bytes(b"From: a@elsewhere.example\r\n\r\nhello\r\n")
    done = deliv("audit", "broken.example", "good.example", *BOTH, "--eml", "other.eml", "--format", "json")
    assert [each["subject"]["domain"] for each in done.json] == [
        "broken.example",
        "good.example",
        "elsewhere.example",
    ]


def test_several_subjects_end_with_a_summary(deliv: Deliv) -> None:
    done = deliv("audit", "good.example", "broken.example", *BOTH)
    summary = done.out.rpartition("Summary")[2]
    assert "good.example" in summary
    assert "broken.example" in summary


# --- Where answers come from -------------------------------------------------------------------------------------


def test_a_proposal_mends_the_finding_and_keeps_other_text(deliv: Deliv) -> None:
    before = deliv("audit", *BROKEN, "--format", "json").json
    proposal = "broken.example TXT v=spf1 mx ip4:198.51.100.0/24 ~all"
    after = deliv("audit", *BROKEN, "--with", proposal, "--format", "json").json
    mended = ("SPF-003", "SPF-007", "SPF-008", "SPF-010")
    assert {outcomes(before)[rule] for rule in mended} == {"unmet"}
    assert {rule: outcomes(after)[rule] for rule in mended} == {
        **dict.fromkeys(mended, "met"),
        "SPF-010": "not-applicable",  # no include is left
    }
    assert "with-proposals" in [note["code"] for note in after["notes"]]


def test_a_proposed_spf_record_replaces_the_old_one_only(deliv: Deliv) -> None:
    demo = Path(deliverability.demo.__file__).parent / "example.zone"
    args = ("sakura-shop.example", "--zone", str(demo))
    facts = deliv("facts", *args, "--with", "sakura-shop.example TXT v=spf1 mx -all").json
    assert facts["facts"]["spf.record"]["value"] == "v=spf1 mx -all"
    (answer,) = (item["got"] for item in facts["evidence"] if item["id"] == "dns:TXT:sakura-shop.example")
    assert sorted(answer) == ["site-verification=2f1c9a7e", "v=spf1 mx -all"]


@pytest.mark.parametrize(
    "args",
    [
        (*GOOD, *GOOD_MAIL),
        (*BROKEN, "--with", "broken.example TXT v=spf1 mx -all"),
        ("good.example", "broken.example", *BOTH, *GOOD_MAIL),
        ("nowhere.example", *GOOD[1:]),
    ],
    ids=["domain and message", "with a proposal", "several", "failures"],
)
def test_a_replay_gives_the_same_json_byte_by_byte(deliv: Deliv, args: tuple[str, ...]) -> None:
    recorded = deliv("audit", *args, "--record", "run.json", "--format", "json")
    kept = [arg for n, arg in enumerate(args) if arg != "--zone" and args[n - 1] != "--zone"]
    replayed = deliv("audit", *kept, "--replay", "run.json", "--format", "json")
    assert (replayed.out, replayed.code) == (recorded.out, recorded.code)
    again = deliv("audit", *kept, "--replay", "run.json", "--format", "json")
    assert again.out == replayed.out


def test_what_was_not_recorded_is_unknown(deliv: Deliv) -> None:
    deliv("audit", *GOOD, "--record", "run.json")
    done = deliv("audit", "broken.example", "--replay", "run.json", "--format", "json")
    assert done.code == 3
    assert "unmet" not in outcomes(done.json).values()


@pytest.mark.parametrize(
    ("lang", "says"), [("en", "not JSON (line 2, column 1)"), ("ja", "JSONではありません（2行1文字目）")]
)
def test_what_is_no_json_is_told_with_its_place(deliv: Deliv, lang: str, says: str) -> None:
    Path("facts.json").write_text('{"a":\n', "utf-8")
    assert says in deliv("judge", "facts.json", "--lang", lang).err


def test_saved_facts_are_judged_as_the_audit_did(deliv: Deliv) -> None:
    audited = deliv("audit", "good.example", "broken.example", *BOTH, *BROKEN_MAIL, "--format", "json")
    deliv("facts", "good.example", "broken.example", *BOTH, *BROKEN_MAIL, "-o", "facts.json")
    judged = deliv("judge", "facts.json", "--format", "json")
    assert [each["findings"] for each in judged.json] == [each["findings"] for each in audited.json]
    assert [each["verdicts"] for each in judged.json] == [each["verdicts"] for each in audited.json]
    assert judged.code == audited.code == 1


def test_facts_state_value_reason_and_evidence(deliv: Deliv) -> None:
    done = deliv("facts", *GOOD)
    facts = done.json["facts"]
    assert facts["spf.present"]["value"] is True
    assert facts["message.size_octets"]["unknown"] == "no-message"
    ids = {item["id"] for item in done.json["evidence"]}
    assert set(facts["spf.record"]["evidence"]) <= ids


def test_facts_leave_with_3_where_a_look_up_failed(deliv: Deliv) -> None:
    assert deliv("facts", "nowhere.example", *GOOD[1:]).code == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"facts": []}',
        '{"facts": {"spf.present": 1}}',
        '{"facts": {"spf.present": {"unknown": "nonsense"}}}',
        '{"facts": {}, "evidence": 5}',
        '{"facts": {}, "evidence": [{"id": {}}]}',
        '{"facts": {}, "evidence": [{"id": "a", "kind": "dns", "asked": "x", "got": 5}]}',
        '{"facts": {"spf.tree": {"value": ' + "[" * 700 + "]" * 700 + "}}}",
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_facts_that_are_none_are_refused(deliv: Deliv, text: str) -> None:
    Path("facts.json").write_text(text)
    done = deliv("judge", "facts.json")
    if "700" not in text and "[[[[" in text and text.startswith('{"facts"') and done.code != 2:
        assert done.code in (0, 1, 3)  # nested deeply, but still a value
        assert "Traceback" not in done.err
        return
    one_line_saying(done, "facts.json")


def test_facts_may_come_from_standard_input(deliv: Deliv) -> None:
    facts = deliv("facts", *GOOD).out
    done = deliv("judge", "-", "--select", "SPF", "--format", "json", stdin=facts.encode())
    assert done.code == 0
    assert {finding["rule"].partition("-")[0] for finding in done.json["findings"]} == {"SPF"}


# --- What is judged ----------------------------------------------------------------------------------------------


def test_select_and_ignore_take_ids_and_prefixes_in_any_case(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, "--select", "spf", "--ignore", "SPF-003", "--format", "json")
    rules = {finding["rule"] for finding in done.json["findings"]}
    assert rules
    assert all(rule.startswith("SPF-") for rule in rules)
    assert "SPF-003" not in rules


def test_saved_facts_have_a_plan_without_numbers(deliv: Deliv) -> None:
    """No record can be rehearsed on them: `deliv fix` numbers other steps, and may be asked for one by its number."""
    deliv("facts", "broken.example", *BOTH, *BROKEN_MAIL, "-o", "facts.json")
    audited = deliv("audit", "broken.example", *BOTH, *BROKEN_MAIL, "--all").out
    assert "step 1" in audited
    for style in ("text", "html", "markdown"):
        judged = deliv("judge", "facts.json", "--format", style, *(["--all"] if style == "text" else [])).out
        assert not re.search(r"\bsteps? [0-9]|--hand-over|^### [0-9]|^[0-9]  \S", judged, re.MULTILINE), style


def test_a_receiver_judges_alone(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, "--receiver", "icloud", "--format", "json")
    assert [verdict["receiver"] for verdict in done.json["verdicts"]] == ["icloud"]


def test_all_stands_for_every_receiver(deliv: Deliv) -> None:
    done = deliv("audit", *GOOD, *GOOD_MAIL, "--receiver", "all", "--format", "json")
    named = [verdict["receiver"] for verdict in done.json["verdicts"]]
    assert {"icloud", "gmx", "nifty", "orange", "naver"} <= set(named)
    assert "strict" not in named
    assert len(named) == len(set(named)) > 30


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ("May be rejected by GMX, @nifty and Orange", "because DKIM doesn't pass for good.example")),
        ("ja", ("拒否の可能性：GMX、@nifty、Orange", "good.exampleでDKIMに合格していないため")),
    ],
)
def test_a_mail_without_dkim_is_refused_by_those_who_demand_it_of_everybody(
    deliv: Deliv, tmp_path: Path, lang: str, words: tuple[str, ...]
) -> None:
    signed = (GOLDEN / "good.eml").read_text("utf-8")
    unsigned = tmp_path / "unsigned.eml"
    unsigned.write_text(re.sub(r"(?ms)^DKIM-Signature:.*?\n(?=\S)", "", signed), "utf-8")
    receivers = [part for each in ("gmail", "gmx", "nifty", "orange") for part in ("--receiver", each)]
    options = ("--purpose", "users", "--daily-volume", "50", "--lang", lang)
    out = deliv("audit", *GOOD, "--eml", str(unsigned), *receivers, *options).out
    for each in words:
        assert each in out


@pytest.mark.parametrize("given", ["https://www.good.example/shop?a=1", "info@good.example"])
def test_a_domain_taken_out_of_an_address_is_said_so(deliv: Deliv, given: str) -> None:
    domain = "www.good.example" if "www" in given else "good.example"
    top = deliv("audit", given, "--zone", GOOD[GOOD.index("--zone") + 1]).out.splitlines()[0]
    assert top.startswith(f"{domain} · taken from {given} · DNS only")
    assert "taken from" not in deliv("audit", "Good.Example.", *GOOD[1:]).out


@pytest.mark.parametrize("begin", ["", "From ann@good.example Tue Nov 24 01:00:02 2026\n"])
def test_a_file_with_mail_is_no_domain(deliv: Deliv, tmp_path: Path, begin: str) -> None:
    (tmp_path / "message.eml").write_text(f"{begin}From: ann@good.example\n\nx\n", "utf-8")
    file = str(tmp_path / "message.eml")
    ended = deliv("audit", file)
    assert f"{file} looks like an email; use it with --eml" in " ".join(ended.err.split())


def test_purpose_and_volume_decide_what_applies(deliv: Deliv) -> None:
    def unsubscribe(*options: str) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
        """By receiver the verdict, with what was assumed and the outcomes, of mail that lacks List-Unsubscribe."""
        report = deliv("audit", *GOOD, *GOOD_MAIL, *options, "--format", "json").json
        assumed = {each["input"]: each["value"] for each in report["answer"]["assumed"]}
        chosen = {key: assumed[key] for key in ("purpose", "daily-volume") if key in assumed}
        return {each["receiver"]: each["verdict"] for each in report["verdicts"]}, chosen, outcomes(report)

    verdicts, assumed, found = unsubscribe()
    assert (assumed, found["UNS-005"]) == ({"daily-volume": "small-or-bulk"}, "unknown")
    assert set(verdicts.values()) == {"accepted"}, "what is asked of newsletters is not asked of this mail"
    verdicts, assumed, found = unsubscribe("--purpose", "transactional", "--daily-volume", "10000")
    assert (assumed, found["UNS-005"]) == ({}, "not-applicable")
    assert set(verdicts.values()) == {"accepted"}
    verdicts, assumed, found = unsubscribe("--purpose", "bulk", "--daily-volume", "10000")
    assert (assumed, found["UNS-005"]) == ({}, "unmet")
    assert {ident for ident, verdict in verdicts.items() if verdict == "at-risk"} == {"icloud", "yahoo"}
    verdicts, assumed, _ = unsubscribe("--purpose", "bulk")
    assert assumed == {}, "a declared newsletter counts as bulk mail"
    assert {ident for ident, verdict in verdicts.items() if verdict == "at-risk"} == {"icloud", "yahoo"}


def test_a_verdict_on_mail_of_no_stated_kind_says_what_a_newsletter_would_get(deliv: Deliv, tmp_path: Path) -> None:
    unstated = deliv("audit", *GOOD, *GOOD_MAIL, "--format", "json").json["answer"]["mail"]
    declared = deliv("audit", *GOOD, *GOOD_MAIL, "--purpose", "bulk", "--format", "json").json
    assert {key: unstated[key] for key in ("purpose", "basis", "signs")} == {
        "purpose": None,
        "basis": None,
        "signs": [],
    }
    worse = [(each["kind"], each["receivers"]) for each in unstated["as_bulk"]]
    assert worse == [
        (each["kind"], each["receivers"]) for each in declared["answer"]["groups"] if each["kind"] != "accepted"
    ]
    assert declared["answer"]["mail"] == {"purpose": "bulk", "basis": "declared", "signs": [], "as_bulk": None}
    top = " ".join(deliv("audit", *GOOD, *GOOD_MAIL).out.partition("✓")[0].split())
    assert "As a newsletter: iCloud → may be rejected; Yahoo → spam folder. If it is one, set --purpose bulk." in top
    for purpose in ("users", "bulk", "transactional"):
        assert "newsletter" not in deliv("audit", *GOOD, *GOOD_MAIL, "--purpose", purpose).out.partition("✓")[0]
    assert "a link that newsletters have" not in top
    linked = tmp_path / "linked.eml"
    linked.write_text(
        "From: shop@good.example\nSubject: Sale\n\nSale!\n\nUnsubscribe: https://good.example/u\n", "utf-8"
    )
    for lang, words in (("en", "a link that newsletters have (“unsubscribe”)"), ("ja", "リンク（「unsubscribe」）")):
        out = deliv("audit", *GOOD, "--eml", str(linked), "--lang", lang).out
        assert words in "".join(out.split("\n")) or words in " ".join(out.split())
    same = deliv("audit", *GOOD, *GOOD_MAIL, "--receiver", "docomo").out
    assert "As a newsletter, it does no worse at any of these receivers." in " ".join(same.split())


def test_the_envelope_comes_from_the_options_before_the_message(deliv: Deliv) -> None:
    options = ("--ip", "192.0.2.25", "--mail-from", "<>", "--helo", "mx.good.example")
    facts = deliv("facts", *GOOD, *BROKEN_MAIL, *options).json["facts"]
    assert facts["envelope.ip"]["value"] == "192.0.2.25"
    assert facts["envelope.mail_from"]["value"] == ""
    assert {facts[f"envelope.{name}_source"]["value"] for name in ("ip", "mail_from", "helo")} == {"option"}


def test_the_report_says_which_envelope_it_used(deliv: Deliv) -> None:
    text = " ".join(deliv("audit", *GOOD, *GOOD_MAIL, "--all").out.split())
    assert "MAIL FROM hello@good.example (from Return-Path), sending IP address 192.0.2.25 (from Received)" in text


def test_a_named_selector_without_a_key_is_missing(deliv: Deliv) -> None:
    report = deliv("audit", *GOOD, "--selector", "gone", "--format", "json").json
    assert outcomes(report)["DKIM-003 good.example/gone"] == "unmet"


# --- Output ------------------------------------------------------------------------------------------------------


def test_several_files_by_their_endings(deliv: Deliv) -> None:
    done = deliv("audit", *GOOD, "-o", "r.json", "-o", "r.html", "-o", "r.txt")
    assert (done.code, done.out) == (0, "")
    told = done.err.splitlines()
    assert told[0].startswith("good.example: ")
    assert told[-3:] == ["Wrote r.json", "Wrote r.html", "Wrote r.txt"]
    assert json.loads(Path("r.json").read_text("utf-8"))["subject"]["domain"] == "good.example"
    assert Path("r.html").read_text("utf-8").startswith("<!doctype html>")
    assert Path("r.txt").read_text("utf-8").startswith("good.example · DNS only · ")


def test_a_format_beside_a_file_is_printed_as_well(deliv: Deliv) -> None:
    done = deliv("audit", *GOOD, "--format", "json", "-o", "r.html")
    assert done.err == "Wrote r.html\n", "the answer is on standard output"
    assert done.json["subject"]["domain"] == "good.example"
    assert Path("r.html").is_file()


def test_a_bad_path_is_told_before_the_work_begins(deliv: Deliv, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the audit began")

    monkeypatch.setattr("deliverability.audits.command.write_reports", refuse)
    one_line_saying(deliv("audit", *GOOD, "-o", "no/folder/r.txt"), "-o no/folder/r.txt")


def test_a_file_alone_leaves_the_answer_and_the_first_step_on_standard_error(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, "-o", "r.html")
    answer, first, written = done.err.splitlines()
    assert (done.code, done.out, written) == (1, "", "Wrote r.html")
    assert answer.startswith("broken.example: ")
    assert first.startswith("First step: ")
    japanese = deliv("audit", *BROKEN, "-o", "r.html", "--lang", "ja").err.splitlines()
    assert japanese[0].startswith("broken.example：")
    assert japanese[2] == "書き出しました：r.html"


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["fix", *BROKEN, "-o", "r.zone", "--format", "zone"], "r.zone"),
        (["facts", *GOOD, "-o", "facts.json"], "facts.json"),
        (["handout", "-o", "h.html"], "h.html"),
        (["slim", str(GOLDEN / "good.eml"), "-o", "light.eml"], "light.eml"),
        (["dkim-keygen", "good.example", "--selector", "s9"], "dkim-keys/s9._domainkey.good.example.pem"),
        (["docs", "-o", "site"], "site/index.html"),
        (["init", "good.example", *GOOD[1:]], "deliv.toml"),
        (["schedule", "--systemd", "--config", "d.toml", "-o", "units"], "units/deliv-weekly.timer"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_command_that_writes_says_what_it_wrote(deliv: Deliv, command: list[str], file: str) -> None:
    Path("d.toml").write_text('domains = ["good.example"]\n')
    done = deliv(*command)
    assert done.code in (0, 3), done.err
    assert f"Wrote {file}" in done.err.splitlines()
    assert Path(file).is_file()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--daily-volume", "lots"], "--daily-volume: 'lots' is not a number of messages per day, such as 5000"),
        (["--purpose", "newsleter"], "did you mean newsletter?"),
        (["--purpos", "bulk"], "there is no option --purpos; did you mean --purpose? `deliv audit --help` lists all"),
        (["--helo"], "--helo needs a value; see `deliv audit --help`"),
        (["--offline=yes"], "--offline does not take a value"),
    ],
)
def test_a_mistake_is_told_with_the_way_out(deliv: Deliv, args: list[str], words: str) -> None:
    one_line_saying(deliv("audit", *GOOD, *args), words)


def test_newsletter_is_another_word_for_bulk(deliv: Deliv) -> None:
    reports = [deliv("audit", *GOOD, "--purpose", word, "--format", "json").json for word in ("newsletter", "bulk")]
    assert reports[0]["findings"] == reports[1]["findings"]


def test_the_report_speaks_japanese(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, "--lang", "ja")
    assert done.code == 1
    assert "すべての内容：" in done.out
    assert deliv("audit", *BROKEN, "--lang", "ja", "--format", "html").out.startswith(
        '<!doctype html>\n<html lang="ja"'
    )


def test_the_language_may_come_from_the_environment(deliv: Deliv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELIV_LANG", "ja")
    assert "すべての内容：" in deliv("audit", *GOOD).out


@pytest.mark.parametrize(("width", "lang"), sampled([*product((40, 60, 100), ("en", "ja"))], 2))
def test_no_line_is_wider_than_the_terminal(
    deliv: Deliv, monkeypatch: pytest.MonkeyPatch, lang: str, width: int
) -> None:
    from wcwidth import wcswidth

    monkeypatch.setenv("COLUMNS", str(width))
    lines = deliv("audit", *BROKEN, *BROKEN_MAIL, "--lang", lang).out.splitlines()
    # What is to be copied (records, addresses of pages) is never broken.
    whole = ("v=", "http", "_dmarc", "@")
    too_wide = [line for line in lines if wcswidth(line) > width and not any(each in line for each in whole)]
    assert too_wide == []


def test_a_pipe_gets_no_escape_sequences(deliv: Deliv) -> None:
    assert "\x1b" not in deliv("audit", *BROKEN).out


def on_a_terminal(*args: str, env: dict[str, str] | None = None) -> tuple[str, str]:
    """What a terminal gets as standard output and as standard error, each a terminal of its own."""
    masters, slaves = zip(*(pty.openpty() for _ in range(2)), strict=True)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "90", **(env or {})}
    environment.pop("NO_COLOR", None) if not (env or {}).get("NO_COLOR") else None
    command = [sys.executable, "-m", "deliverability", *args]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=slaves[0], stderr=slaves[1], env=environment)
    for slave in slaves:
        os.close(slave)
    got = dict.fromkeys(masters, b"")
    left = set(masters)
    while left:
        ready, _, _ = select.select(list(left), [], [], 60)
        assert ready, "the command is silent"
        for master in ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                data = b""
            if not data:
                left.discard(master)
            got[master] += data
    child.wait(600)
    for master in masters:
        os.close(master)
    return got[masters[0]].decode(), got[masters[1]].decode()


def test_progress_and_colour_are_for_terminals(deliv: Deliv) -> None:
    out, err = on_a_terminal("audit", *GOOD)
    assert "\x1b[" in out
    assert "Auditing good.example" in err
    assert deliv("audit", *GOOD).err == ""


def test_no_color_is_respected() -> None:
    out, _ = on_a_terminal("audit", *GOOD, env={"NO_COLOR": "1"})
    assert "\x1b[" not in out


@pytest.mark.parametrize(
    ("environment", "colors"),
    [({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ({"FORCE_COLOR": ""}, False)],
)
def test_colors_may_be_wanted_in_a_pipe(
    deliv: Deliv, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], colors: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in deliv("audit", *BROKEN).out) is colors


def test_several_domains_show_a_progress_bar_on_a_terminal() -> None:
    _, err = on_a_terminal("audit", "good.example", "broken.example", *BOTH)
    assert "Auditing: 2 of 2, 0:" in err


def test_a_terminal_that_knows_ascii_only_gets_a_readable_report() -> None:
    done = process("audit", *GOOD, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"good.example" in done.stdout
    done.stdout.decode("ascii")


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    names = "\n".join(f"n{number}.good.example" for number in range(60))
    command = [sys.executable, "-m", "deliverability", "audit", "-", *GOOD[1:], "--format", "json"]
    with (tmp_path / "errors").open("wb") as errors:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(names.encode())
        child.stdin.close()
        assert child.stdout.read(2) == b"[\n"
        child.stdout.close()
        child.wait(600)
    assert (tmp_path / "errors").read_text() == ""
    assert child.returncode == 0


# --- Settings ----------------------------------------------------------------------------------------------------


def test_settings_of_this_folder_are_used_and_options_win(deliv: Deliv) -> None:
    Path("deliv.toml").write_text(
        'domains = ["broken.example"]\nlang = "ja"\nfail_on = "never"\nreceivers = ["icloud"]\nselect = ["SPF"]\n'
    )
    done = deliv("audit", *BROKEN[1:])
    assert done.code == 0
    assert "すべての内容：" in done.out
    done = deliv(
        "audit", *BROKEN[1:], "--fail-on", "error", "--select", "DMARC", "--select", "SPF-010", "--format", "json"
    )
    assert done.code == 1
    assert {finding["rule"][:5] for finding in done.json["findings"]} == {"DMARC", "SPF-0"}
    judging = {each["receiver"] for finding in done.json["findings"] for each in finding.get("judgements", ())}
    assert (judging, done.json["verdicts"]) == ({"icloud"}, []), "of one kind of rules alone, no receiver has a verdict"


def test_a_table_of_a_domain_wins_over_the_common_values(deliv: Deliv) -> None:
    Path("own.toml").write_text(
        'purpose = "users"\nselectors = ["common"]\n[[domain]]\nname = "broken.example"\npurpose = "bulk"\n'
    )
    done = deliv("facts", "good.example", "broken.example", *BOTH, "--config", "own.toml")
    purposes = [each["facts"]["subject.purpose"]["value"] for each in done.json]
    assert purposes == ["users", "bulk"]


def test_an_unknown_setting_is_told_with_line_and_suggestion(deliv: Deliv) -> None:
    Path("deliv.toml").write_text('lang = "en"\nselectrs = ["s1"]\n')
    one_line_saying(deliv("audit", *GOOD), "deliv.toml:2: unknown key 'selectrs'; did you mean selectors?")


# --- Other commands ----------------------------------------------------------------------------------------------


def test_findings_of_the_demo_leave_with_0(deliv: Deliv) -> None:
    done = deliv("demo", "--format", "text", "-o", "demo.html")
    assert done.code == 0
    assert done.err.splitlines()[-1] == "Wrote demo.html"
    assert "sakura-shop.example" in done.out
    assert Path("demo.html").is_file()
    one_line_saying(deliv("demo", "--fail-on", "warning"), "--fail-on")


@pytest.mark.parametrize(("lang", "words"), [("en", "20,000 bulk messages per day"), ("ja", "一斉配信、1日20,000通")])
def test_the_demo_names_what_it_assumes(deliv: Deliv, lang: str, words: str) -> None:
    done = deliv("demo", "--lang", lang, "--format", "json")
    assert words in done.err
    assert done.json["subject"]["domain"] == "sakura-shop.example"


def test_the_saved_demo_audited_by_hand_says_the_same(deliv: Deliv, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = deliv("demo", "--save", ".")
    assert [line.rpartition(" ")[2] for line in saved.err.splitlines()] == ["example.zone", "newsletter.eml"]
    command = shlex.split(saved.out[saved.out.index("deliv audit") :])[1:]
    monkeypatch.setattr(SystemClock, "now", FixedClock(ARRIVED).now)
    by_hand, shown = deliv(*command), deliv("demo")
    assert by_hand.out == shown.out
    assert (saved.code, by_hand.code, shown.code) == (0, 1, 0)


def test_the_demo_is_saved_again_but_over_no_file_of_the_users(deliv: Deliv) -> None:
    assert deliv("demo", "--save", ".").code == 0
    assert deliv("demo", "--save", ".").code == 0
    Path("example.zone").write_text("mine", "utf-8")
    done = deliv("demo", "--save", ".")
    assert (done.code, Path("example.zone").read_text("utf-8")) == (2, "mine")
    assert "example.zone" in done.err


def test_rules_are_listed_and_explained(deliv: Deliv) -> None:
    listed = deliv("rules")
    assert listed.code == 0
    assert sum(line.startswith("  ") for line in listed.out.splitlines()) >= 45
    one = deliv("rules", "SPF-003")
    assert "SPF-003" in one.out
    assert "RFC 7208" in one.out
    assert "SPF" in deliv("rules", "spf-003", "--lang", "ja").out
    ids = [rule["id"] for rule in deliv("rules", "DMARC", "--format", "json").json]
    assert ids
    assert all(each.startswith("DMARC-") for each in ids)


def found(deliv: Deliv, *words: str) -> list[str]:
    done = deliv("rules", *words)
    assert done.code == 0, done.err
    return [line.split()[0] for line in done.out.splitlines() if line]


def test_rules_are_found_by_words_of_both_languages_the_best_first(deliv: Deliv) -> None:
    assert found(deliv, "unsubscribe")[0].startswith("UNS-")
    assert set(found(deliv, "unsubscribe")) > set(found(deliv, "unsubscribe", "clips")) > set()
    assert found(deliv, "配信停止")[0].startswith("UNS-")
    assert found(deliv, "SPF")[0].startswith("SPF-"), "the beginning of an id comes before a search"
    assert "SPF-003" in found(deliv, "spf-lookup-limit")[0], "a name"
    titles = [rule["id"] for rule in deliv("rules", "clips", "--format", "json").json]
    assert titles == found(deliv, "clips")


def test_a_word_that_no_rule_has_names_the_nearest(deliv: Deliv) -> None:
    one_line_saying(deliv("rules", "unsubscrbe"), "no rule is about 'unsubscrbe'; nearest: unsubscribe")
    one_line_saying(deliv("rules", "zzzzqq"), "no rule is about 'zzzzqq'; `deliv rules` lists all")


def test_the_shipped_rules_are_valid(deliv: Deliv) -> None:
    done = deliv("rules", "--check")
    assert done.code == 0
    assert "all valid" in done.out
    assert done.err.count("not read again") == 1, "these are counted; only what is old is named"


def test_a_domain_instead_of_a_command_gets_a_hint(deliv: Deliv) -> None:
    one_line_saying(deliv("good.example"), "To audit a domain: `deliv audit good.example`")
    one_line_saying(deliv("adit"), "Did you mean 'audit'?")


def test_shell_completion_prints_a_script() -> None:
    script = "import sys; sys.argv[0] = 'deliv'; from deliverability.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "_DELIV_COMPLETE": "zsh_source"},
        timeout=600,
        check=False,
    )
    assert done.returncode == 0
    assert b"#compdef deliv" in done.stdout
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "_DELIV_COMPLETE": "bash_complete", "COMP_WORDS": "deliv au", "COMP_CWORD": "1"},
        timeout=600,
        check=False,
    )
    assert done.stdout.strip() == b"plain,audit"


@pytest.mark.parametrize("args", [GOOD, ("good.example", "--offline")], ids=["zone", "offline"])
def test_zones_and_offline_never_open_a_socket(
    deliv: Deliv, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    import socket

    def refuse(self: socket.socket, address: Any, *_: Any) -> None:
        raise AssertionError(f"{address} was contacted")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    assert deliv("audit", *args, *GOOD_MAIL).code in (0, 3)


# --- Verdicts on real zones, checked by hand ---------------------------------------------------------------------

BY_HAND = {
    "akaa.fi": ({"SPF-003", "DMARC-001"}, {"SPF-007"}),  # 12 look-ups, no DMARC
    "kajaani.fi": ({"SPF-003", "DMARC-001"}, set[str]()),  # 15
    "helsingor.dk": ({"DMARC-005"}, {"SPF-003"}),  # exactly 10
    "avry.ch": ({"SPF-011"}, {"DMARC-001"}),  # ipv4: for ip4:
    "nesseby.kommune.no": ({"SPF-011", "DMARC-001"}, set[str]()),  # a blank after include:
    "bellinzona.ch": ({"SPF-008", "DMARC-005"}, set[str]()),  # ptr
    "ballens.ch": ({"SPF-007", "DMARC-001"}, {"SPF-003"}),  # ?all
    "duggingen.ch": ({"SPF-007", "DMARC-001"}, set[str]()),  # no all
    "odpm.gov.uk": ({"DMARC-001"}, {"SPF-001", "SPF-003"}),  # SPF, no DMARC
    "petp.co.uk": ({"DMARC-006"}, {"DMARC-001", "DMARC-005"}),  # monitoring, with reports
    "hack.club": ({"SPF-001", "DMARC-001"}, set[str]()),
    "kk.dk": (set[str](), {"SPF-001", "SPF-003", "SPF-007", "SPF-011", "DMARC-001"}),
}


def test_the_verdicts_on_real_zones_are_right(deliv: Deliv) -> None:
    zones = str(corpus("zones"))
    done = deliv("audit", *BY_HAND, "--zone", zones, "--format", "json")
    assert done.err == ""
    for report in done.json:
        wrong, right = BY_HAND[report["subject"]["domain"]]
        found = outcomes(report)
        assert {rule: found[rule] for rule in wrong} == dict.fromkeys(wrong, "unmet"), report["subject"]
        assert {rule: found[rule] for rule in right} == dict.fromkeys(right, "met"), report["subject"]


def test_parked_domains_get_no_advice_for_senders(deliv: Deliv) -> None:
    zones = str(corpus("zones"))
    # The mail server of the first has an address for documentation in these zones: told, but for mail it receives.
    for domain, told in (("sifocc.org", ["NET-009"]), ("dca.gov.uk", [])):
        report = deliv("audit", domain, "--zone", zones, "--purpose", "parked", "--format", "json").json
        assert [f["rule"] for f in report["findings"] if f["outcome"] == "unmet"] == told, domain
        assert (report["closed"], report["grade"]) == (True, "A")


def test_an_include_outside_of_the_zones_is_not_called_broken(deliv: Deliv) -> None:
    report = deliv("audit", "chamoson.net", "--zone", str(corpus("zones")), "--format", "json").json
    assert outcomes(report)["SPF-010"] == "unknown"
    verdicts = {verdict["receiver"]: verdict["verdict"] for verdict in report["verdicts"]}
    asking = ("icloud", "gmail", "yahoo", "outlook", "softbank")
    # The others ask for no working include; whether anybody may send is in it, and nobody is told to be ready for that.
    assert verdicts == {**dict.fromkeys(verdicts, "dns-partly"), **dict.fromkeys(asking, "cannot-tell")}
    assert (report["dns"], report["grade"]) == ("cannot-tell", None)
    assert report["ungraded"]["requirement"] == "grade-settled"
    assert report["grade_open"] > 0


def test_what_is_open_for_bulk_mail_alone_is_not_called_partly_checked(deliv: Deliv) -> None:
    """iCloud states its demands on SPF for bulk mail: what is open there leaves its verdict open."""
    Path("w.zone").write_text(
        "$ORIGIN waiting.example.\n$TTL 60\n@ IN SOA ns h 1 1 1 1 1\n"
        '@ IN TXT "v=spf1 include:spf.elsewhere.example ~all"\n_dmarc IN TXT "v=DMARC1; p=none"\n'
    )
    report = deliv("audit", "waiting.example", "--zone", "w.zone", "--receiver", "icloud", "--format", "json").json
    assert [each["verdict"] for each in report["verdicts"]] == ["cannot-tell"]


def test_only_news_in_the_settings_means_errors_where_there_is_no_run_before(deliv: Deliv) -> None:
    Path("deliv.toml").write_text('fail_on = "new"\n')
    assert deliv("audit", *BROKEN).code == 1
    assert deliv("audit", *GOOD).code == deliv("audit", *GOOD, "--fail-on", "error").code


@pytest.mark.parametrize("command", ["audit", "weekly"])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('[[waiver]]\nrule = "SPF-03"\nreason = "accepted-risk"\n', "refers to the rule 'SPF-03', which does not"),
        ('receivers = ["gmial"]\n', "receivers gmial: no such receiver"),
        ('select = ["NOPE"]\n', "select NOPE: no rule ID starts with this text"),
    ],
)
def test_names_in_the_settings_that_do_not_exist_are_told(
    deliv: Deliv, command: str, settings: str, words: str
) -> None:
    Path("deliv.toml").write_text(f'domains = ["good.example"]\n{settings}')
    one_line_saying(deliv(command, "--offline"), words)
