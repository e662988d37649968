"""The hand-out: one page a receiver, the same in both languages, its facts exact, and in no report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from markupsafe import escape
from msgspec.structs import asdict

from deliverability.cli import deliv
from deliverability.core.report.formats.html import render_handout
from deliverability.core.report.handout import ICLOUD, RECEIVERS, Handout, handout_text, load_handout
from deliverability.engine.rules import load_rules
from tests.fixtures_report import make_report, speaker
from tests.speaking import written


def handout(lang: str, receiver: str = ICLOUD, domain: str = "shop.example") -> Handout:
    return load_handout(lang, receiver, load_rules().receivers[receiver].name[lang], domain)


def shape(value: Any) -> Any:
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, tuple):
        return [shape(each) for each in value]
    return {name: shape(each) for name, each in asdict(value).items()}


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_both_languages_say_the_same_things(receiver: str) -> None:
    english, japanese = handout("en", receiver), handout("ja", receiver)

    assert shape(english) == shape(japanese)
    assert [each.side for each in english.symptoms] == [each.side for each in japanese.symptoms]


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("receiver", RECEIVERS)
def test_a_page_names_its_receiver_the_domain_and_the_receivers_own_pages(receiver: str, lang: str) -> None:
    made = handout(lang, receiver)
    text = handout_text(made, lang)

    assert load_rules().receivers[receiver].name[lang] in made.title
    assert any("shop.example" in step for step in made.steps)
    assert all(each.url.startswith("https://") for each in made.links)
    assert not re.search(r"\{\w+\}", text)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_servers_are_those_of_icloud_mail_and_of_no_other_receiver(lang: str) -> None:
    assert [(each.host, each.port, each.security) for each in handout(lang).servers] == [
        ("imap.mail.me.com", "993", "TLS"),
        ("smtp.mail.me.com", "587", "STARTTLS"),
        ("smtp.mail.me.com", "465", "TLS"),
    ]
    others = [handout(lang, receiver) for receiver in RECEIVERS if receiver != ICLOUD]
    assert not any(each.servers or "Apple" in handout_text(each, lang) for each in others)


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("receiver", RECEIVERS)
def test_the_page_and_the_text_hold_every_step(receiver: str, lang: str) -> None:
    made = handout(lang, receiver)
    page, text = render_handout(made, lang), handout_text(made, lang)

    for step in (*made.steps, *made.device, *made.before, *(one for each in made.symptoms for one in each.steps)):
        assert step in text
        assert escape(step) in page
    assert f'<html lang="{lang}">' in page
    assert "<script" not in page


def test_the_domain_is_described_where_it_is_not_named() -> None:
    assert any("our sending domain" in step for step in handout("en", domain="").steps)


def test_no_report_holds_it() -> None:
    page = written("html", make_report(), speaker("en"))
    assert handout("en").title not in page
    assert "imap.mail.me.com" not in page


def test_the_command_prints_it_or_writes_a_page(tmp_path: Path) -> None:
    shown = CliRunner().invoke(deliv, ["handout", "shop.example", "--receiver", "docomo", "--lang", "ja"])
    assert shown.output == handout_text(handout("ja", "docomo"), "ja")

    page = tmp_path / "handout.html"
    CliRunner().invoke(deliv, ["handout", "shop.example", "-o", str(page)])
    assert page.read_text("utf-8") == render_handout(handout("en"), "en")


def test_another_ending_or_receiver_is_refused(tmp_path: Path) -> None:
    for arguments in (["-o", str(tmp_path / "handout.docx")], ["--receiver", "nobody"]):
        assert CliRunner().invoke(deliv, ["handout", *arguments]).exit_code != 0
    assert not (tmp_path / "handout.docx").exists()
