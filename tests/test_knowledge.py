"""What auditors look things up in: how mistakes in its files are told, and that no name is there twice in a folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deliverability.contact.gather import ContactError, load_contacts
from deliverability.core.files import locate
from deliverability.core.replies.match import ReplyError, load_replies
from deliverability.core.rules.knowledge import load_knowledge
from deliverability.core.rules.problems import RuleError, read_guide
from deliverability.core.senders.recognise import CatalogueError
from deliverability.engine.rules import load_rules
from deliverability.lists.catalogue import ListDataError, load_list_data

SOURCE = 'sources: [{url: "https://a.example/", checked: "2026-11-29", read_as: original}]'
REPORTER = f"- id: acme\n  names: [Acme]\n  from: [Acme.example]\n  {SOURCE}\n"
PROVIDER = f"- id: acme\n  name: Acme\n  name_servers: [ns.acme.example]\n  console: DNS\n  {SOURCE}\n"
LIST = f"""\
- id: acme
  name: Acme
  operator: acme
  zone: bl.acme.example
  codes: {{127.0.0.2: {{key: spam, weight: listing, text: spam}}}}
  remove: {{en: [Ask.], ja: [頼む。]}}
  {SOURCE}
"""
CONTACT = """\
- receiver: icloud
  channel: none
  address: https://a.example/
  language: en
  note: {en: None., ja: なし。}
  sources: [{ref: rfc5321}]
"""
MEASURES = (locate("rules") / "measures.yaml").read_text("utf-8")
WARM_UP = (locate("rules") / "warm-up.yaml").read_text("utf-8")


def told(folder: Path, files: dict[str, str]) -> str:
    """What is said of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    try:
        load_knowledge([folder])
        load_replies([folder], load_rules())
        load_contacts([folder], load_rules())
        read_guide([folder])
        load_list_data([folder])
    except (CatalogueError, ContactError, ReplyError, RuleError, ListDataError) as error:
        return str(error).replace(f"{folder}/", "")
    return ""


@pytest.mark.parametrize(
    "files",
    [
        {"reporters.yaml": REPORTER},
        {"dns-providers.yaml": PROVIDER},
        {"blocklists/a.yaml": LIST},
        {"contacts.yaml": CONTACT},
        {"measures.yaml": MEASURES},
        {"warm-up.yaml": WARM_UP},
    ],
    ids=lambda files: next(iter(files)),
)
def test_the_samples_are_accepted(tmp_path: Path, files: dict[str, str]) -> None:
    """So that each refusal below is caused by its one change."""
    assert told(tmp_path, files) == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"reporters.yaml": REPORTER * 2}, "reporters.yaml:5: acme is already defined in reporters.yaml:1"),
        ({"dns-providers.yaml": PROVIDER * 2}, "dns-providers.yaml:6: acme is already defined in dns-providers.yaml:1"),
        (
            {"blocklists/a.yaml": LIST, "blocklists/b.yaml": LIST},
            "blocklists/b.yaml:1: acme is already defined in blocklists/a.yaml:1",
        ),
        (
            {"clients/a.yaml": "layout: [css-x]\n", "clients/b.yaml": "look: [css-x]\n"},
            "clients/b.yaml:1: css-x is already defined in clients/a.yaml:1",
        ),
        ({"contacts.yaml": CONTACT * 2}, "contacts.yaml:7: icloud is already defined in contacts.yaml:1"),
        (
            dict.fromkeys(("replies/a.yaml", "replies/b.yaml"), "receiver: acme\nname: {en: A, ja: A}\n"),
            "replies/b.yaml:1: acme is already defined in replies/a.yaml:1",
        ),
        ({"guide.yaml": "- {key: a, step: {en: A}}\n" * 2}, "guide.yaml:2: a appears twice"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_name_that_is_there_twice_in_a_folder_is_told_with_both_places(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    assert words in told(tmp_path, files)


def test_a_later_folder_may_replace_what_an_earlier_one_says(tmp_path: Path) -> None:
    (tmp_path / "reporters.yaml").write_text(REPORTER.replace("id: acme", "id: google"), "utf-8")
    known = load_knowledge([locate("rules"), tmp_path]).reporters
    assert known["google"].names == ("acme",)
    assert known["google"].senders == ("acme.example",)
    assert len(known) > 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("reporters.yaml", REPORTER.replace("names", "nmes"), "0.nmes: unknown field; did you mean names?"),
        ("reporters.yaml", REPORTER.replace("  names: [Acme]\n", ""), "reporters.yaml:1: 0: names is missing"),
        ("reporters.yaml", REPORTER.replace("https:", "http:"), "an address that begins with https:// is needed here"),
        ("dns-providers.yaml", PROVIDER.replace("console: DNS", "console: {en: DNS}"), "0.console: ja is missing"),
        ("dns-providers.yaml", PROVIDER + "  longest: 3\n", "dns-providers.yaml:6: 0.longest: at least 255 is needed"),
        ("measures.yaml", MEASURES.replace("wide_ip4", "wide_ip"), "did you mean wide_ip4?"),
        ("measures.yaml", MEASURES.replace("wide_ip4", "wide_ip"), "wide_ip4 is missing"),
        ("measures.yaml", MEASURES.replace("sending_ranges", "sending_rangs"), "did you mean sending_ranges?"),
        ("warm-up.yaml", re.sub("hold: [0-9.]+", "hold: 0", WARM_UP), "hold: more than 0 is needed here"),
        ("warm-up.yaml", WARM_UP.replace("spam:", "spm:", 1), "stops.spm: unknown field; did you mean spam?"),
        ("unsubscribe-words.yaml", 'in_link: ["("]\n', "in_link.0: this is not a valid regular expression: "),
        (
            "imprint/signs.yaml",
            'phone: ["("]\n',
            "imprint/signs.yaml:1: phone.0: this is not a valid regular expression: ",
        ),
        ("imprint/signs.yaml", "phones: []\n", "phones: unknown field; did you mean phone?"),
        ("mailboxes.yaml", "- example.com\n- example\n", "mailboxes.yaml:2: 1: 'example' is not allowed here"),
        ("contacts.yaml", CONTACT.replace("icloud", "icloudd"), "did you mean icloud?"),
        ("contacts.yaml", CONTACT.replace("rfc5321", "rfc5321x"), "did you mean rfc5321?"),
        ("contacts.yaml", CONTACT.replace("language: en", "language: de"), "0.language: 'de' is not one of en, ja"),
        ("guide.yaml", "- {key: a, stap: {en: A}}\n", "0.stap: unknown field; did you mean step?"),
        (
            "lists/a.yaml",
            "kind: rolls\nsources: []\n",
            "kind: 'rolls' is not one of roles, disposable, well-kn",
        ),
        ("lists/a.yaml", "sources: []\n", "lists/a.yaml:1: kind is missing"),
        (
            "lists/a.yaml",
            "kind: roles\nsources: []\nname: []\n",
            "lists/a.yaml:3: name: unknown field",
        ),
    ],
)
def test_mistakes_are_told_with_line_and_the_nearest_name(tmp_path: Path, name: str, text: str, words: str) -> None:
    assert words in told(tmp_path, {name: text})


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        {
            "reporters.yaml": REPORTER.replace("id: acme", "id: Acme").replace("from", "form"),
            "measures.yaml": MEASURES.replace("wide_ip4: ", "wide_ip4: 1"),
            "mailboxes.yaml": "- 5\n- example\n",
        },
    )
    assert [line.partition(": ")[0] for line in found.splitlines()].count("mailboxes.yaml:2") == 1
    for place in ("0.id", "0.form", "0: from", "wide_ip4", "mailboxes.yaml:1: 0: a string"):
        assert place in found
