"""deliv.toml: what it may say, and how mistakes in it are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliverability.config import MAX_OCTETS, ConfigError, DomainSettings, Settings, load


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "deliv.toml"


def settings(path: Path, text: str) -> Settings:
    path.write_text(text, "utf-8")
    return load(path)


def test_an_empty_file_sets_nothing(toml: Path) -> None:
    assert settings(toml, "# nothing\n") == Settings()


def test_all_settings(toml: Path) -> None:
    got = settings(
        toml,
        'domains = ["example.com"]\nreceivers = ["gmail"]\nrules = ["own"]\nselect = ["SPF"]\nignore = ["SPF-001"]\n'
        'resolvers = ["9.9.9.9"]\nlang = "ja"\nfail_on = "warning"\ntimeout = 3\nselectors = ["s1"]\n'
        'sending_ips = ["192.0.2.1"]\nmail_from = "a@example.com"\nhelo = "mx.example.com"\npurpose = "bulk"\n'
        "daily_volume = 5000\n",
    )
    common = DomainSettings(("s1",), ("192.0.2.1",), "a@example.com", "mx.example.com", "bulk", 5000)
    assert got == Settings(
        domains=("example.com",),
        receivers=("gmail",),
        rules=(toml.parent / "own",),
        select=("SPF",),
        ignore=("SPF-001",),
        resolvers=("9.9.9.9",),
        lang="ja",
        fail_on="warning",
        timeout=3.0,
        common=common,
    )


def test_a_domains_own_table_is_filled_up_from_the_common_values(toml: Path) -> None:
    got = settings(
        toml,
        'purpose = "users"\nselectors = ["common"]\ndaily_volume = 100\n'
        '[domain."News.Example.com."]\npurpose = "bulk"\nselectors = ["own"]\n'
        '[domain."quiet.example.com"]\ndaily_volume = 0\n',
    )
    assert got.of("news.example.com") == DomainSettings(selectors=("own",), purpose="bulk", daily_volume=100)
    assert got.of("example.com") == got.common
    assert got.of("quiet.example.com").daily_volume == 0, "nought is a value and not a gap"


def test_an_empty_mail_from_is_the_null_sender_and_not_a_gap(toml: Path) -> None:
    got = settings(toml, 'mail_from = "a@example.com"\n[domain."bounces.example.com"]\nmail_from = ""\n')
    assert got.of("bounces.example.com").mail_from == ""


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('lang = "en"\nselectrs = ["s1"]\n', 2, "unknown key 'selectrs'; did you mean selectors?"),
        ("zzzz = 1\n", 1, "unknown key 'zzzz'"),
        ('domains = "example.com"\n', 1, "domains is a list of texts"),
        ("domains = [1]\n", 1, "domains is a list of texts"),
        ('lang = "fr"\n', 1, "lang is one of en, ja"),
        ("lang = 1\n", 1, "lang is a text"),
        ('fail_on = "info"\n', 1, "fail_on is one of error, warning, never"),
        ('purpose = "spam"\n', 1, "purpose is one of users, bulk, transactional, parked"),
        ('daily_volume = "many"\n', 1, "daily_volume is a whole number"),
        ("daily_volume = true\n", 1, "daily_volume is a whole number"),
        ("daily_volume = -1\n", 1, "daily_volume is a whole number"),
        ("timeout = 0\n", 1, "timeout is a number of seconds"),
        ("timeout = nan\n", 1, "timeout is a number of seconds"),
        ("timeout = inf\n", 1, "timeout is a number of seconds"),
        ("helo = 5\n", 1, "helo is a text"),
        ("domain = 5\n", 1, "settings of a domain are a table"),
        ("[domain]\nexample = 5\n", 1, "settings of a domain are a table"),
        ('[domain."a.example"]\nlang = "en"\n', 2, "unknown key 'lang'"),
        ('[domain."a.example"]\n\npurpos = "bulk"\n', 3, "unknown key 'purpos'; did you mean purpose?"),
    ],
)
def test_mistakes_are_told_with_file_line_and_what_to_write(toml: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        settings(toml, text)
    assert str(told.value).startswith(f"{toml}:{line}: ")
    assert words in str(told.value)


def test_the_line_is_that_of_the_key_and_not_of_one_that_begins_alike(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r":2: settings of a domain"):
        settings(toml, 'domains = ["a.example"]\ndomain = 5\n')


def test_the_line_is_that_of_the_key_in_its_own_table(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r":5: daily_volume is"):
        settings(
            toml, 'daily_volume = 1\n[domain."a.example"]\ndaily_volume = 2\n[domain."b.example"]\ndaily_volume = "x"\n'
        )


def test_what_is_no_toml_is_told_with_its_place(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r"deliv\.toml:2: "):
        settings(toml, 'lang = "en"\nselectors = [,]\n')


def test_a_file_that_cannot_be_read(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r"deliv\.toml"):
        load(toml)
    toml.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"deliv\.toml"):
        load(toml)
    toml.write_text("#" * (MAX_OCTETS + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(toml)
