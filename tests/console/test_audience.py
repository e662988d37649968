"""`deliv audit --to`: the recipients decide for whom the mail is judged, and no address of theirs is shown."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from deliverability.core.report.formats.json import SCHEMA
from tests.console.test_cli import BROKEN, BROKEN_MAIL, GOOD, GOOD_MAIL, Deliv, deliv, one_line_saying

__all__ = ["deliv"]

ADDRESSES = [
    *(f"subscriber{n}@gmx.de" for n in range(6)),
    *(f"subscriber{n}@gmail.com" for n in range(3)),
    "subscriber@no-zone.example",
]


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """A list of ten recipients, one of them at a domain that cannot be looked up."""
    (tmp_path / "list.csv").write_text("\n".join(["email", *ADDRESSES, "nobody"]) + "\n", "utf-8")


def test_the_share_of_the_recipients_is_said_in_every_format_and_language(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "list.csv", "-o", "r.html", "-o", "r.md", "--lang", "en")
    assert done.code == 1, done.err
    for name in ("r.html", "r.md"):
        text = Path(name).read_text("utf-8")
        assert all(words in text for words in ("Of your 10 recipients", "60%", "Lookup failed")), name
    assert "Of your 10 recipients" in deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "list.csv").out
    assert "宛先10件のうち" in deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "list.csv", "--lang", "ja").out


def test_json_has_the_numbers_and_the_verdicts_of_those_receivers(deliv: Deliv) -> None:
    report = deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "list.csv", "--format", "json").json
    jsonschema.validate(report, json.loads(SCHEMA.read_text("utf-8")))
    assert [each["receiver"] for each in report["verdicts"]] == ["gmail", "gmx"]
    assert report["audience"] == {
        "recipients": 10,
        "domains": 3,
        "receivers": [
            {"receiver": "gmx", "recipients": 6, "domains": 1},
            {"receiver": "gmail", "recipients": 3, "domains": 1},
        ],
        "elsewhere": {"recipients": 0, "domains": 0},
        "no_mail": {"recipients": 0, "domains": 0},
        "failed": {"recipients": 1, "domains": 1},
        "not_asked": {"recipients": 0, "domains": 0},
        "unreadable": 1,
    }


@pytest.mark.parametrize("form", ["text", "markdown", "json", "csv", "junit", "sarif"])
def test_no_address_of_a_recipient_is_in_any_output(form: str, deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "list.csv", "--format", form, "--record", "r.json")
    assert "subscriber" not in done.out + done.err
    assert "no-zone.example" not in done.out + done.err + Path("r.json").read_text("utf-8")


def test_named_domains_are_no_recipients(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "gmx.de,gmail.com,nifty.com")
    assert "Of the 3 recipient domains you specified" in done.out
    assert "recipients" not in done.out
    report = deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "gmx.de", "--format", "json").json
    jsonschema.validate(report, json.loads(SCHEMA.read_text("utf-8")))
    assert report["audience"]["recipients"] is None


def test_recipients_that_could_not_be_looked_up_are_no_success(deliv: Deliv) -> None:
    known, unknown = (deliv("audit", *GOOD, *GOOD_MAIL, "--to", to).code for to in ("gmail.com", "no-zone.example"))
    assert (known, unknown) == (deliv("audit", *GOOD, *GOOD_MAIL, "--receiver", "gmail").code, 3)


def test_filters_leave_recipients_without_a_verdict_and_that_is_said(deliv: Deliv) -> None:
    out = deliv("audit", *BROKEN, *BROKEN_MAIL, "--to", "list.csv", "--select", "DMARC").out
    assert "none use a receiver with a verdict" in out
    assert "Without a verdict in this run (9 at 2 domains)" in " ".join(out.split())


def test_a_domain_that_told_nothing_says_nothing_of_recipients(deliv: Deliv) -> None:
    done = deliv("audit", "elsewhere.example", "--zone", GOOD[2], "--to", "gmx.de")
    assert (done.code, "recipient" in done.out) == (3, False)


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("to", ["", " ", ",", "no.such/file", "list.txt", "a b"])
def test_what_is_neither_a_list_nor_a_domain_is_refused(deliv: Deliv, to: str, lang: str) -> None:
    done = deliv("audit", *GOOD, "--to", to, "--lang", lang)
    assert (done.code, done.out, "Traceback" in done.err) == (2, "", False)


def test_a_region_adds_its_receivers_to_those_used_everywhere(deliv: Deliv) -> None:
    def judged(*args: str) -> list[str]:
        report = deliv("audit", *GOOD, *GOOD_MAIL, "--format", "json", *args).json
        assert report["judged"]["default"] is not bool(args)
        return [each["receiver"] for each in report["verdicts"]]

    everywhere = ["icloud", "gmail", "yahoo", "outlook"]
    assert judged("--region", "de") == [*everywhere, "gmx", "tonline", "freenet"]
    assert {"nifty", "gmx", "seznam"} < {*judged("--region", "DE,cz", "--receiver", "nifty")}
    Path("deliv.toml").write_text('regions = ["kr"]\n', "utf-8")
    assert judged("--config", "deliv.toml") == [*everywhere, "naver", "daum"]
    assert judged("--config", "deliv.toml", "--receiver", "gmx") == ["gmx"], "the command line wins"


def test_the_default_set_is_said(deliv: Deliv) -> None:
    assert "8 receivers (default)" in deliv("audit", *GOOD, *GOOD_MAIL).out
    assert "既定の8サービス" in deliv("audit", *GOOD, *GOOD_MAIL, "--lang", "ja").out
    assert "(default)" not in deliv("audit", *GOOD, *GOOD_MAIL, "--region", "jp").out


def test_an_unknown_region_is_told_with_those_there_are(deliv: Deliv) -> None:
    one_line_saying(deliv("audit", *GOOD, "--region", "xx"), "--region xx", "jp")
    one_line_saying(deliv("audit", *GOOD, "--to", "missing.csv"), "missing.csv")


NEXT = """\
id: acme
name: {en: Acme Mail, ja: アクメメール}
about: {en: Takes mail for acme.example., ja: acme.example宛てのメールを受け取ります。}
default: false
domains: [acme.example]
mx_suffixes: [mx.acme.example]
regions: [zz]
sources: [{ref: acme-page}]
pages:
  acme-page:
    {title: For senders, url: "https://acme.example/", publisher: Acme, checked: "2026-11-28", read_as: original}
rules:
  DMARC-001:
    severity: error
    effect: reject
    quote: "We refuse mail without DMARC."
    sources: [{ref: acme-page}]
    note: {en: Acme refuses mail without DMARC., ja: Acmeは、DMARCのないメールを拒否します。}
"""
"""The whole of a receiver that nobody knew before."""
CUSTOMER = "$ORIGIN customer.example.\n@ 3600 IN SOA ns. host. 1 1 1 1 1\n@ IN MX 5 a.mx.acme.example.\n"


@pytest.mark.slow
def test_the_next_receiver_is_one_file(deliv: Deliv) -> None:
    Path("own/receivers").mkdir(parents=True)
    Path("own/receivers/acme.yaml").write_text(NEXT, "utf-8")
    Path("customer.zone").write_text(CUSTOMER, "utf-8")
    audit = ("audit", *BROKEN, *BROKEN_MAIL, "--zone", "customer.zone", "--rules", "own")
    assert deliv("rules", "--check", "--rules", "own").code == 0
    done = deliv(*audit, "--to", "acme.example,customer.example")
    assert "Acme Mail 100% (2 domains)" in done.out, done.out
    assert "acme" in [each["receiver"] for each in deliv(*audit, "--region", "zz", "--format", "json").json["verdicts"]]
