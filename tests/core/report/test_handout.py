"""The hand-out: the same in both languages, its facts exact, on a page of its own and in every report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import asdict

from deliverability.cli import deliv
from deliverability.core.report.formats.html import render_handout
from deliverability.core.report.handout import Handout, handout_text, load_handout
from tests.fixtures_report import make_report, speaker
from tests.speaking import written


def shape(value: Any) -> Any:
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, tuple):
        return [shape(each) for each in value]
    return {name: shape(each) for name, each in asdict(value).items()}


def test_both_languages_say_the_same_things() -> None:
    english, japanese = load_handout("en"), load_handout("ja")

    assert shape(english) == shape(japanese)
    assert [each.side for each in english.symptoms] == [each.side for each in japanese.symptoms]


def servers(handout: Handout) -> list[tuple[str, str, str]]:
    return [(each.host, each.port, each.security) for each in handout.servers]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_servers_are_those_of_icloud_mail(lang: str) -> None:
    assert servers(load_handout(lang)) == [
        ("imap.mail.me.com", "993", "TLS"),
        ("smtp.mail.me.com", "587", "STARTTLS"),
        ("smtp.mail.me.com", "465", "TLS"),
    ]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_page_and_the_text_hold_every_step(lang: str) -> None:
    page, text = render_handout(lang), handout_text(lang)
    handout = load_handout(lang)

    steps = [step for symptom in handout.symptoms for step in symptom.steps]
    assert len(steps) == 9
    for step in (*steps, *handout.before):
        assert step in text
        assert step in page
    assert f'<html lang="{lang}">' in page
    assert "<script" not in page


def test_no_report_holds_it() -> None:
    page = written("html", make_report(), speaker("en"))
    assert load_handout("en").title not in page
    assert "imap.mail.me.com" not in page


def test_the_command_prints_it_or_writes_a_page(tmp_path: Path) -> None:
    shown = CliRunner().invoke(deliv, ["handout", "--lang", "ja"])
    assert load_handout("ja").title in shown.output

    page = tmp_path / "handout.html"
    CliRunner().invoke(deliv, ["handout", "-o", str(page)])
    assert page.read_text("utf-8") == render_handout("en")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(deliv, ["handout", "-o", str(tmp_path / "handout.docx")])

    assert result.exit_code != 0
    assert not (tmp_path / "handout.docx").exists()
