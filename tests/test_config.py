"""deliv.toml: what it may say, and how mistakes in it are told."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.console.settings import (
    MAX_OCTETS,
    ConfigError,
    DomainSettings,
    EmailSettings,
    MailSettings,
    NotifySettings,
    Settings,
    WaiverSettings,
    domain_places,
    load,
    schema,
)
from deliverability.core.model.observed import SourceOwner, SourceWord
from deliverability.core.phrases import detail_words, phrases


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
        'resolvers = ["9.9.9.9"]\nlang = "ja"\nfail_on = "new"\ntimeout = 3\nselectors = ["s1"]\n'
        'sending_ips = ["192.0.2.1"]\nmail_from = "a@example.com"\nhelo = "mx.example.com"\npurpose = "bulk"\n'
        'daily_volume = 5000\nmessages = ["mails/*.eml"]\nhistory = "sqlite:///h.db"\noutput = "out"\nkeep = 10\n'
        '[[domain]]\nname = "example.jp"\nmessages = ["jp.eml"]\n'
        '[[waiver]]\nrule = "SPF-003"\nreason = "accepted-risk"\nuntil = 2027-03-31\n'
        '[notify]\nprometheus = "deliv.prom"\n'
        '[notify.email]\nto = ["ops@example.com"]\nsender = "deliv@example.com"\nport = 2525\n',
    )
    assert got == Settings(
        domains=("example.com",),
        receivers=("gmail",),
        rules=(toml.parent / "own",),
        select=("SPF",),
        ignore=("SPF-001",),
        resolvers=("9.9.9.9",),
        lang="ja",
        fail_on="new",
        timeout=3.0,
        selectors=("s1",),
        sending_ips=("192.0.2.1",),
        mail_from="a@example.com",
        helo="mx.example.com",
        purpose="bulk",
        daily_volume=5000,
        messages=(str(toml.parent / "mails/*.eml"),),
        history="sqlite:///h.db",
        output=toml.parent / "out",
        keep=10,
        domain=(DomainSettings(name="example.jp", messages=(str(toml.parent / "jp.eml"),)),),
        waiver=(WaiverSettings("SPF-003", "accepted-risk", until=date(2027, 3, 31)),),
        notify=NotifySettings(EmailSettings(("ops@example.com",), "deliv@example.com", port=2525), None, "deliv.prom"),
    )
    assert got.names == ("example.com", "example.jp")


def test_a_domains_own_table_is_filled_up_from_the_common_values(toml: Path) -> None:
    got = settings(
        toml,
        'purpose = "users"\nselectors = ["common"]\ndaily_volume = 100\n'
        '[[domain]]\nname = "News.Example.com."\npurpose = "bulk"\nselectors = ["own"]\n'
        '[[domain]]\nname = "quiet.example.com"\ndaily_volume = 0\n',
    )
    assert got.of("news.example.com") == MailSettings(selectors=("own",), purpose="bulk", daily_volume=100)
    assert got.of("example.com") == MailSettings(selectors=("common",), purpose="users", daily_volume=100)
    assert got.of("quiet.example.com").daily_volume == 0, "nought is a value and not a gap"


def test_an_empty_mail_from_is_the_null_sender_and_not_a_gap(toml: Path) -> None:
    got = settings(toml, 'mail_from = "a@example.com"\n[[domain]]\nname = "bounces.example.com"\nmail_from = ""\n')
    assert got.of("bounces.example.com").mail_from == ""


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('lang = "en"\nselectrs = ["s1"]\n', 2, "unknown key 'selectrs'; did you mean selectors?"),
        ("zzzz = 1\n", 1, "unknown key 'zzzz'"),
        ('domains = "example.com"\n', 1, "domains must be a list of strings"),
        ("domains = [1]\n", 1, "domains must be a list of strings"),
        ('lang = "fr"\n', 1, "lang must be one of en, ja"),
        ("lang = 1\n", 1, "lang must be one of en, ja"),
        ('fail_on = "info"\n', 1, "fail_on must be one of error, warning, never, new"),
        ('purpose = "newsletter"\n', 1, 'use purpose = "bulk" instead of purpose = "newsletter"'),
        ('purpose = "spam"\n', 1, "purpose must be one of users, bulk, transactional, parked"),
        ('daily_volume = "many"\n', 1, "daily_volume must be a whole number"),
        ("daily_volume = true\n", 1, "daily_volume must be a whole number"),
        ("daily_volume = -1\n", 1, "daily_volume must be a number, 0 or more"),
        ("timeout = 0\n", 1, "timeout must be a number, 0.1 to 86400"),
        ("timeout = nan\n", 1, "timeout must be a number, 0.1 to 86400"),
        ("timeout = inf\n", 1, "timeout must be a number, 0.1 to 86400"),
        ('timeout = "3"\n', 1, "timeout must be a number"),
        ("helo = 5\n", 1, "helo must be a string"),
        ('rules = "own"\n', 1, "rules must be a list of strings"),
        ("output = 5\n", 1, "output must be a string"),
        ("domain = 5\n", 1, "domain as [[domain]]"),
        ("domain = [5]\n", 1, "domain as [[domain]]"),
        ('[domain."a.example"]\npurpose = "bulk"\n', 1, 'write domain as [[domain]] name = "a.example"'),
        ('[[domain]]\nname = "a.example"\nlang = "en"\n', 3, "unknown key 'lang'"),
        ('[[domain]]\nname = "a.example"\n\npurpos = "bulk"\n', 4, "unknown key 'purpos'; did you mean purpose?"),
        ('[[domain]]\npurpose = "bulk"\n', 1, '[[domain]] needs name = "example.com"'),
        ('[[waiver]]\nrule = "SPF-003"\n', 1, "needs reason, one of accepted-risk, handled-elsewhere"),
        ('[[waiver]]\nreason = "accepted-risk"\n', 1, "needs rule"),
        ('[[waiver]]\nrule = "SPF-003"\nreason = "tired"\n', 3, "reason must be one of accepted-risk, handled-else"),
        ('[[waiver]]\nrule = "SPF-003"\nreason = "accepted-risk"\nuntil = "soon"\n', 4, "until must be a date such as"),
        ('[notify.mail]\nto = ["a@b.example"]\n', 1, "unknown key 'mail'; did you mean email?"),
        ('[notify.email]\nhost = "mx.example"\n', 1, "needs to = [...], sender"),
        (
            '[notify.email]\nto = ["a@b.example"]\nsender = "d@b.example"\nport = 70000\n',
            4,
            "port must be a number, 1 to",
        ),
        (
            '[notify.email]\nto = ["a@b.example"]\nsender = "d@b.example"\npassword_env = "A"\npassword_file = "b"\n',
            5,
            "password_env or password_file, not both",
        ),
        ('[notify.webhook]\nurl = "ftp://a.example"\n', 1, "[notify.webhook] needs url"),
        ('[notify.webhook]\nurl = "https://[::1/x"\n', 2, "url cannot be used: "),
        ('[notify.webhook]\nurl = "https://a.example:99999/"\n', 2, "url cannot be used: "),
        ('[notify.webhook]\nurl = "https://a.example/\\u0007"\n', 2, "url cannot be used: "),
        ('[notify.webhook]\nurl = "https://-..example/"\n', 2, "url cannot be used: "),
        ('[notify.webhook]\nurl = "https://999.999.1.1/"\n', 2, "url cannot be used: "),
        ('[notify.webhook]\nurl = "https://a.example:0/"\n', 2, "url cannot be used: port 0"),
        (
            '[notify.email]\nto = ["a@b.example", "nobody"]\nsender = "d@b.example"\n',
            2,
            "to: 'nobody' is not a valid email address",
        ),
        (
            '[notify.email]\nto = ["a@b.example"]\nsender = "d@b.example\\nBcc: x@y.example"\n',
            3,
            "is not a valid email address",
        ),
        ("notify = 5\n", 1, "notify must be a table"),
        ("[feedback]\ndays = 0\n", 2, "days must be a number, 1 to 366"),
        ('[feedback]\ntrust = "all"\n', 2, "trust must be one of verified, authenticated, any"),
        ('[feedback]\nplace = ["a"]\n', 2, "unknown key 'place'; did you mean places?"),
        ('[feedback.mailbox]\nname = "a"\n', 1, "mailbox as [[feedback.mailbox]]"),
        ('[[feedback.mailbox]]\nname = "a"\nhost = "h"\nusername = "u"\n', 1, "needs one of password_env, password_fi"),
        (
            '[[feedback.mailbox]]\nname = "a"\nhost = "h"\nusername = "u"\npassword_env = "A"\ndone = "trash"\n',
            6,
            "done must be one of keep, delete, move:FOLDER",
        ),
        (
            '[[feedback.mailbox]]\nname = "a"\nhost = "h"\nusername = "u"\npassword_env = "A"\nfailed = "delete"\n',
            6,
            "failed must be one of keep, move:FOLDER",
        ),
        ('[[feedback.mailbox]]\nhost = "h"\nusername = "u"\npassword_env = "A"\n', 1, "needs name"),
        ('[[source]]\nis = "ours"\n', 1, "[[source]] needs match"),
        ('[[source]]\nmatch = ["192.0.2.1"]\n', 1, "[[source]] needs is, one of ours, forwarder, not-ours"),
        ('[[source]]\nmatch = ["192.0.2.1"]\nis = "mine"\n', 3, "is must be one of ours, forwarder, not-ours"),
        ('[[source]]\nmatch = ["192.0.2.1"]\nis = "ours"\nowner = "ours"\n', 4, "unknown key 'owner'"),
        ('[reputation.keys]\nspamhaus = {enf = "KEY"}\n', 2, "unknown key 'enf'; did you mean env?"),
        ('[notify.email]\nsecurity = "ssl"\n', 2, "security must be one of starttls, tls, none"),
        ('[[feedback.mailbox]]\nname = "a"\nsecurity = "ssl"\n', 3, "security must be one of tls, starttls, none"),
        ('[[waiver]]\nrule = "SPF-003"\nreason = "accepted-risk"\nnote = 2026-01-01\n', 4, "note must be a string"),
        ('[[source]]\nmatch = ["192.0.2.0/33"]\nis = "ours"\n', 2, "'192.0.2.0/33' is not an address, range"),
        ('[[source]]\nmatch = ["host:a"]\nis = "ours"\n', 2, "'host:a' is not an address, range"),
        ('rare = ["invoices"]\n', 1, "rare: 'invoices' is not a date and a description, such as '2026-12-25 invoices'"),
        (
            '[[domain]]\nname = "example.com"\nrare = ["2026-13-01 x"]\n',
            3,
            "rare: '2026-13-01 x' is not a date and",
        ),
    ],
)
def test_mistakes_are_told_with_file_line_and_what_to_write(toml: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        settings(toml, text)
    assert str(told.value).startswith(f"{toml}:{line}: ")
    assert words in str(told.value)


def test_feedback_and_sources(toml: Path) -> None:
    found = settings(
        toml,
        '[feedback]\nplaces = ["reports/*.gz", "/var/x"]\ntrust = "any"\nauthserv = ["mx.example.com"]\n'
        '[[feedback.mailbox]]\nname = "dmarc"\nhost = "imap.example.com"\nusername = "u"\n'
        'token_command = ["oauth2l", "fetch"]\ndone = "move:Done"\n'
        '[[source]]\nmatch = ["192.0.2.0/24", "ptr:a.example", "2001:db8::/32"]\nis = "not-ours"\nname = "Them"\n'
        'domain = "Example.COM."\nuntil = 2027-06-30\n',
    )
    assert found.feedback.places == (str(toml.parent / "reports/*.gz"), "/var/x")
    assert (found.feedback.days, found.feedback.keep_days, found.feedback.trust) == (28, 400, "any")
    (box,) = found.feedback.mailbox
    assert (box.token_command, box.done, box.failed, box.most) == (("oauth2l", "fetch"), "move:Done", "keep", 2000)
    match = ("192.0.2.0/24", "ptr:a.example", "2001:db8::/32")
    assert found.source_words == (SourceWord(match, SourceOwner.NOT_OURS, "Them", "example.com", "2027-06-30"),)
    assert "is" in schema()["$defs"]["SourceSettings"]["properties"]


def test_all_mistakes_are_told_at_once_by_line_each_with_its_suggestion(toml: Path) -> None:
    text = (
        'lang = "fr"\nselectrs = ["s1"]\ntimeout = 0\n'
        '[[domain]]\nname = "a.example"\nselectors = "s1"\ndaily_volume = -1\n'
        '[[domain]]\npurpos = "bulk"\n'
        '[[waiver]]\nrule = "SPF-003"\nreason = "tired"\n'
        '[notify.email]\nto = ["nobody"]\nsender = "d@b.example"\n'
    )
    with pytest.raises(ConfigError) as told:
        settings(toml, text)
    lines = [line.removeprefix(f"{toml}:") for line in str(told.value).splitlines()]
    assert [line.partition(": ")[0] for line in lines] == ["1", "2", "3", "6", "7", "9", "12", "14"]
    assert lines[1] == "2: unknown key 'selectrs'; did you mean selectors?"
    assert lines[5].endswith("did you mean purpose?"), "and not that a name is missing, which may be what was misspelt"
    assert lines[6].startswith("12: reason must be one of "), "and not that it is missing"


def test_the_line_is_that_of_the_key_and_not_of_one_that_begins_alike(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r":2: write domain as"):
        settings(toml, 'domains = ["a.example"]\ndomain = 5\n')


def test_the_line_is_that_of_the_key_in_its_own_table(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r":7: daily_volume must be"):
        settings(
            toml,
            'daily_volume = 1\n[[domain]]\nname = "a.example"\ndaily_volume = 2\n'
            '[[domain]]\nname = "b.example"\ndaily_volume = "x"\n',
        )


def test_the_schema_for_editors_knows_every_key_and_what_it_means() -> None:
    made = schema()
    assert set(made["properties"]) == set(Settings.__struct_fields__)
    for shape in (made, *made["$defs"].values()):
        assert shape["additionalProperties"] is False
        assert all(entry["description"] for entry in shape["properties"].values())
    assert made["$defs"]["EmailSettings"]["properties"]["port"]["maximum"] == 65535


def test_what_is_no_toml_is_told_with_its_place(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r"deliv\.toml:2: "):
        settings(toml, 'lang = "en"\nselectors = [,]\n')


@pytest.mark.parametrize(("text", "line"), [('lang = "en"\nselectors = [\n', 2), ("lang =", 1), ('lang = "en', 1)])
def test_a_file_that_breaks_off_is_told_in_the_language_of_the_reader(toml: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigError) as told:
        settings(toml, text)
    words = detail_words(told.value.details[0], phrases("ja"))
    assert words.startswith(f"{toml}:{line}：")
    assert re.findall(r"[A-Za-z]{4,}", words.partition("：")[2]) == []


@pytest.mark.parametrize("key", ["none", "str", "Domains", '"a[b"', "int"])
def test_a_key_that_is_called_as_a_type_is_told_as_any_other(toml: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=r"deliv\.toml:2: ") as told:
        settings(toml, f'lang = "en"\n{key} = 1\n')
    assert key.strip('"') in str(told.value)


def test_a_file_that_cannot_be_read(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r"deliv\.toml"):
        load(toml)
    toml.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"deliv\.toml"):
        load(toml)
    toml.write_text("#" * (MAX_OCTETS + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(toml)


def test_a_tilde_is_the_users_home_and_other_paths_are_meant_from_the_file(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = (
        'messages = ["~/Maildir", "bulk:~/News", "transactional:samples/*.eml", "~no-such-user-here/x"]\n'
        'output = "~/pages"\nrules = ["~/rules"]\n'
    )
    read = settings(toml, text)
    assert read.messages == (
        "/home/me/Maildir",
        "bulk:/home/me/News",
        f"transactional:{toml.parent}/samples/*.eml",
        f"{toml.parent}/~no-such-user-here/x",
    )
    assert read.output == Path("/home/me/pages")
    assert read.rules == (Path("/home/me/rules"),)


def test_where_a_file_names_each_domain(toml: Path) -> None:
    toml.write_text(
        'lang = "en"\n'
        "domains = [\n"
        '  "One.example",\n'
        "  'two.example.',\n"
        '  "not a domain",\n'
        "]\n"
        "\n"
        "[[domain]]\n"
        'purpose = "bulk"\n'
        'name = "three.example"\n'
        "[[domain]]\n"
        'name = "日本語.example"\n'
    )
    assert domain_places(toml) == {
        "one.example": f"{toml}:3",
        "two.example": f"{toml}:4",
        "three.example": f"{toml}:10",
        "xn--wgv71a119e.example": f"{toml}:12",
    }


@pytest.mark.parametrize("text", ["[", "domain = 3", "domains = 5", "[[domain]]\nname = 3", "domain = [1]"])
def test_a_file_that_names_none_has_no_places(toml: Path, text: str) -> None:
    toml.write_text(text)
    assert domain_places(toml) == {}
    assert domain_places(toml.with_name("missing.toml")) == {}


@pytest.mark.parametrize(
    ("text", "line", "english", "japanese"),
    [
        ("lang\n", 1, "a key needs = and a value after it", "キーの後に「=」と値が必要です"),
        ("lang = ja\n", 1, "this is not a valid value. ", "値が正しくありません。"),
        ('domains = ["a.example"\nlang = "ja"\n', 2, "a list is not closed. Add ]", "リストが閉じられていません。"),
        ('lang = "ja\n', 1, "a string is not closed", "文字列が閉じられていない"),
        ('lang = "ja" x\n', 1, "more text follows the value. ", "値の後に文字が続いています。"),
        ("[feedback\n", 1, "a table header is not closed. ", "見出しが閉じられていません。"),
        ('lang = "ja"\nlang = "en"\n', 2, "this key or table appears twice", "2回書かれています"),
        ("lang = 1_\n", 1, "", ""),
    ],
)
def test_a_file_that_is_no_toml_is_told_in_the_readers_language(
    tmp_path: Path, text: str, line: int, english: str, japanese: str
) -> None:
    (tmp_path / "deliv.toml").write_text(text, "utf-8")
    for lang, words in (("en", english), ("ja", japanese)):
        said = CliRunner().invoke(
            deliv, ["config", "--check", "--config", str(tmp_path / "deliv.toml"), "--lang", lang]
        )
        assert said.exit_code == 2
        assert words in said.output
        assert f"deliv.toml:{line}" in said.output
