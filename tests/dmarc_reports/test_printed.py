"""What DMARC reports lead to, as it is printed: numbers and days as people write them, words in place of codes.

The reports are of a domain with much mail, so that every sum has five digits and more; no message is at hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.core.model.observed import FeedbackKind, Trust
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.report.traffic import would_words
from tests.dmarc_reports.test_gate import folder, read_in, unsigned
from tests.fixtures_report import facts
from tests.intake.reports import record
from tests.speaking import prose, raw

pytestmark = pytest.mark.long

__all__ = ["folder"]

FAILED = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
MAILCHIMP = record(
    ip="198.2.128.10",
    count=2345,
    evaluated=FAILED,
    results="<dkim><domain>mcsv.net</domain><selector>k1</selector><result>pass</result></dkim>"
    "<spf><domain>mail9.mcsv.net</domain><result>pass</result></spf>",
)
FORGED = record(
    ip="203.0.113.99",
    count=1500,
    evaluated=FAILED,
    results="<spf><domain>host.invalid</domain><result>none</result></spf>",
)
COMMANDS = {
    "gate": ("gate", "example.com"),
    "reject": ("gate", "example.com", "--to", "reject"),
    "every gate": ("gate", "--all"),
    "sources": ("sources", "example.com"),
    "every source": ("sources", "example.com", "--all"),
    "page of sources": ("sources", "example.com", "-o", "sources.html"),
    "audit": ("audit", "example.com", "--all"),
    "page": ("audit", "example.com", "-o", "audit.html"),
    "markdown": ("audit", "example.com", "--format", "markdown"),
    "plan": ("fix", "example.com"),
    "weekly": ("weekly", "--fail-on", "never"),
}
CODES = re.compile(rf"[^\n]*(?<![\w.-])(?:{'|'.join(each.value for each in (*FeedbackKind, *Trust))})(?![\w.-])[^\n]*")
THIS_MESSAGE = re.compile(r"[^\n]*(?:[Tt]his (?:message|mail)\b|このメール(?!ボックス))[^\n]*")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What each command prints or writes, by language and command."""
    with pytest.MonkeyPatch.context() as patch:
        made = folder.__wrapped__(tmp_path_factory.mktemp("printed"), patch)  # type: ignore[attr-defined]
        patch.setenv("XDG_STATE_HOME", str(made / "state"))
        read_in(made, unsigned("198.51.100.20", 1234), MAILCHIMP, FORGED, own=2500)
        return {lang: dict(_printed(lang)) for lang in LANGUAGES}


def _printed(lang: str):
    for name, command in COMMANDS.items():
        done = CliRunner().invoke(deliv, [*command, "--zone", "example.zone", "--lang", lang], standalone_mode=False)
        assert done.exception is None, done.output
        pages = [Path(command[-1])] if command[-2] == "-o" else []
        if name == "weekly":
            pages = [
                page for page in Path("deliv-reports/latest").rglob("*.html") if (".ja." in page.name) == (lang == "ja")
            ]
            assert len(pages) > 1
        yield name, "\n".join([done.output, *(page.read_text("utf-8") for page in pages)])
    table = CliRunner().invoke(deliv, ["show-report", "google.com-1.xml", "--lang", lang], standalone_mode=False)
    yield "report", table.output


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", [*COMMANDS, "report"])
def test_numbers_and_days_are_written_for_people(printed: dict[str, dict[str, str]], name: str, lang: str) -> None:
    assert raw(printed[lang][name]) == []


@pytest.mark.parametrize("name", [*COMMANDS, "report"])
def test_japanese_names_no_code_of_the_program(printed: dict[str, dict[str, str]], name: str) -> None:
    assert CODES.findall(prose(printed["ja"][name])) == []


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "203.0.113.99 sent 15,000"), ("ja", "203.0.113.99が自社ドメイン名義で")]
)
@pytest.mark.parametrize("name", ["gate", "reject", "audit"])
def test_a_source_that_is_one_address_is_named_by_it_once(
    printed: dict[str, dict[str, str]], name: str, lang: str, said: str
) -> None:
    sentence = re.split(r"[.。](?![0-9])", " ".join(printed[lang][name].split()).partition(said)[2])[0]
    assert sentence
    assert "203.0.113.99" not in sentence


@pytest.mark.parametrize(
    ("lang", "count", "left"),
    [("en", r"answer: (\d+) source", r"and (\d+) more"), ("ja", r"必要：(\d+)件", r"ほか(\d+)件")],
)
def test_each_source_that_needs_an_answer_has_lines_to_paste_or_is_counted(
    printed: dict[str, dict[str, str]], lang: str, count: str, left: str
) -> None:
    for name in ("sources", "every source"):
        text = printed[lang][name]
        needed = re.search(count, text)
        behind = text.partition("[[source]]")[2]
        more = re.search(left, behind)
        assert needed is not None
        assert 1 + behind.count("[[source]]") + int(more[1] if more else 0) == int(needed[1]) == 2


def test_where_a_number_is_from_is_told_in_words(printed: dict[str, dict[str, str]]) -> None:
    english, japanese = (" ".join(printed[lang]["audit"].split()) for lang in LANGUAGES)
    assert "had 5,000 (DMARC reports). [REP-008]" in english
    assert "（DMARCレポート）。 [REP-008]" in japanese


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_cell_of_a_narrow_table_has_the_head_of_its_column(printed: dict[str, dict[str, str]], lang: str) -> None:
    head = {"en": "disposition", "ja": "処理"}[lang]
    assert re.findall(r"^.*\bnone$", printed[lang]["report"], re.MULTILINE) == [f"  {head} none"] * 4


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_said_of_a_message_where_there_is_none(
    printed: dict[str, dict[str, str]], name: str, lang: str
) -> None:
    assert THIS_MESSAGE.findall(prose(printed[lang][name])) == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_sums_are_there_with_their_separators(printed: dict[str, dict[str, str]], lang: str) -> None:
    for name in ("gate", "sources", "weekly"):
        assert "140,000" in printed[lang][name]
        assert "23,450" in printed[lang][name]
    day = r"\d{1,2} [A-Z][a-z]{2} 20\d\d" if lang == "en" else r"20\d\d年\d{1,2}月\d{1,2}日"
    assert re.search(rf"12,340.*(?:the last on |最終：){day}", " ".join(printed[lang]["gate"].split())), "GATE-005"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_only_what_was_stopped_is_counted(lang: str) -> None:
    say = phrases(lang)

    def told(forged: int) -> str:
        sums = {"traffic.span_days": 28, "traffic.yours": 900, "traffic.would_fail": 0, "traffic.forged": forged}
        return would_words(facts(sums, ()), "quarantine", say)

    assert told(0)
    assert "0" not in told(0).replace("900", "")
    assert say.count("gate.stopped", 1) in told(1)
