"""`deliv doctor`: every check in every state, with an outside world that is written here; mail servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability import doctor
from deliverability.cli import deliv
from deliverability.core.facts.base import Reason
from deliverability.core.model.knowledge import Outside
from deliverability.core.net.base import Fetched, MailHost, NoMailHost, NoPage, Page, Probed, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.http import NO_PAGE_YET
from deliverability.core.net.ports import Ports
from deliverability.core.net.public import LATE
from deliverability.core.net.static import OFFLINE, Records, StaticResolver
from deliverability.core.phrases import phrases
from deliverability.core.store.store import History
from deliverability.doctor import CheckState, MachineCheck, check_pdf, check_text
from deliverability.engine.rules import load_rules
from tests import ROOT
from tests.speaking import english
from tests.weekly.notify.test_smtp_faults import CLOSE, Script, serving

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
OUTSIDE = Outside({}, ("one.example", "two.example"), ("invalid", "example.com"), ("https://a/", "https://b/"), 300)
DNS: dict[tuple[str, str], Records] = {
    ("one.example", "MX"): ["20 later.one.example", "10 mx.one.example"],
    ("two.example", "MX"): ["10 mx.two.example"],
}


class Web(Struct):
    """Answers each address with a moment as its Date, with other words as its Date, or not at all."""

    dates: Mapping[str, datetime | str]

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        if url not in self.dates:
            return NoPage(url, Reason.TIMEOUT, NO_PAGE_YET(n="8"))
        date = self.dates[url]
        return Page(url, 204, "", b"", date=date if isinstance(date, str) else format_datetime(date))

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        raise AssertionError("nothing is posted")


class Mail(Struct):
    """Mail servers by name: whether they take connections; others are silent."""

    hosts: Mapping[str, bool] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        self.asked.append(host)
        if host in self.hosts:
            return MailHost(host, "192.0.2.1", reachable=self.hosts[host])
        return NoMailHost(host, Reason.TIMEOUT, LATE(server=host, n="10"))


def world(records: Mapping[tuple[str, str], Records] = DNS, web: Web | None = None, mail: Mail | None = None) -> Ports:
    good = Web({"https://a/": NOW, "https://b/": NOW})
    return Ports(StaticResolver(records), FixedClock(NOW), web or good, mail or Mail({"mx.one.example": True}))


async def test_dns_is_good_where_one_of_the_domains_is_answered() -> None:
    assert (await doctor.check_dns(world(), OUTSIDE)).state is CheckState.GOOD
    partly = await doctor.check_dns(world({**DNS, ("one.example", "MX"): "servfail"}), OUTSIDE)
    assert (partly.state, english(partly.met)) == (CheckState.GOOD, "static returned the mail servers of two.example")


async def test_dns_that_fails_or_denies_what_exists_makes_audits_suffer() -> None:
    failing = await doctor.check_dns(world(dict.fromkeys(DNS, "timeout")), OUTSIDE)
    assert (failing.state, english(failing.met)) == (CheckState.BAD, "MX one.example")
    denied = await doctor.check_dns(world({}), OUTSIDE)
    assert (denied.state, english(denied.met)) == (
        CheckState.BAD,
        "static incorrectly reports that one.example has no mail servers",
    )


async def test_a_resolver_that_makes_up_addresses_is_found_out_below_either_name() -> None:
    for below in OUTSIDE.no_names_below:
        lying = world({(f"deliv-x1.{below}", "A"): ["192.0.2.80"]})
        found = await doctor.check_resolver(lying, OUTSIDE, "x1")
        assert found.state is CheckState.BAD
        assert english(found.met) == f"static resolves deliv-x1.{below}, which does not exist, to 192.0.2.80"


async def test_a_resolver_that_denies_is_truthful_and_one_that_fails_says_nothing() -> None:
    good = await doctor.check_resolver(world(), OUTSIDE, "x1")
    assert (good.state, good.met.arg("names")) == (CheckState.GOOD, ("deliv-x1.invalid", "deliv-x1.example.com"))
    silent = world({("deliv-x1.invalid", "A"): "timeout", ("deliv-x1.example.com", "A"): "timeout"})
    unknown = await doctor.check_resolver(silent, OUTSIDE, "x1")
    assert unknown.state is CheckState.UNKNOWN
    told = doctor.check_text(unknown, phrases("en"), width=200, unicode=True)
    assert "Check the network and the firewall" in told
    assert "invents" not in told, "nobody has seen it do so"


async def test_port_25_is_tried_at_the_first_host_and_then_at_the_next_domain() -> None:
    mail = Mail({"mx.two.example": True})
    found = await doctor.check_port_25(world(mail=mail), OUTSIDE)
    assert (found.state, mail.asked) == (CheckState.GOOD, ["mx.one.example", "mx.two.example"])


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ({}, "mx.one.example did not answer within 10 s"),
        ({"mx.one.example": False}, "mx.one.example (192.0.2.1) refuses the connection"),
    ],
)
async def test_a_closed_port_25_limits_and_does_no_more(hosts: dict[str, bool], words: str) -> None:
    found = await doctor.check_port_25(world(mail=Mail(hosts)), OUTSIDE)
    assert (found.state, english(found.met)) == (CheckState.LIMITED, words)


async def test_without_dns_port_25_is_not_tried() -> None:
    mail = Mail()
    found = await doctor.check_port_25(world({}, mail=mail), OUTSIDE)
    assert (found.state, mail.asked) == (CheckState.UNKNOWN, [])


@pytest.mark.parametrize(
    ("dates", "state", "words"),
    [
        ({"https://a/": NOW - timedelta(seconds=300)}, CheckState.GOOD, "differs from that of https://a/ by 300 s"),
        ({"https://a/": NOW - timedelta(seconds=301)}, CheckState.BAD, "301 s ahead of that of https://a/"),
        ({"https://b/": NOW + timedelta(days=1)}, CheckState.BAD, "86,400 s behind that of https://b/"),
        # One of them is wrong, and it is not ours.
        (
            {"https://a/": NOW + timedelta(days=1), "https://b/": NOW},
            CheckState.GOOD,
            "differs from that of https://b/ by 0 s",
        ),
        (
            {},
            CheckState.UNKNOWN,
            "no time server answered (https://a/: no answer within 8 s)",
        ),
        ({"https://a/": "yesterday"}, CheckState.UNKNOWN, "no time server answered (https://a/ did not"),
    ],
)
async def test_the_clock_is_held_against_the_nearest_server(
    dates: dict[str, datetime | str], state: CheckState, words: str
) -> None:
    found = await doctor.check_clock(world(web=Web(dates)), OUTSIDE)
    assert found.state is state
    assert english(found.met).startswith(words)


async def test_without_servers_named_the_clock_is_not_claimed_to_be_right() -> None:
    assert (await doctor.check_clock(world(), replace(OUTSIDE, clocks=()))).state is CheckState.UNKNOWN


def test_the_server_of_the_weekly_mail_is_greeted_and_gets_no_mail(tmp_path: Path) -> None:
    assert doctor.check_mail(None, tmp_path).state is CheckState.SPARED
    script = Script()
    with serving(script) as channel:
        found = doctor.check_mail(replace(channel.settings, username="u", password_file="secret"), tmp_path)
        assert found.state is CheckState.LIMITED, "the password cannot be read"
        (tmp_path / "secret").write_text("p")
        found = doctor.check_mail(replace(channel.settings, username="u", password_file="secret"), tmp_path)
    assert found.state is CheckState.GOOD, "a login would have failed: the server knows none"
    assert script.taken == []


@pytest.mark.parametrize(
    ("fault", "security", "words"),
    [
        ({"CONNECT": "554 Not here"}, "none", "554 Not here (port "),
        ({"CONNECT": CLOSE}, "none", "127.0.0.1: "),
        ({}, "starttls", "127.0.0.1: STARTTLS extension not supported by server. (port "),
    ],
)
def test_a_server_that_does_not_do_as_the_settings_say_is_told(
    fault: dict[str, str], security: str, words: str, tmp_path: Path
) -> None:
    with serving(Script(fault), security) as channel:
        found = doctor.check_mail(channel.settings, tmp_path)
    assert found.state is CheckState.LIMITED
    assert english(found.met).startswith(words)


def test_a_history_is_read_and_none_is_made(tmp_path: Path) -> None:
    url, file = "sqlite:///history.db", tmp_path / "history.db"
    assert doctor.check_history(url, tmp_path).state is CheckState.SPARED
    assert not any(tmp_path.iterdir())
    History.open(url, folder=tmp_path).close()
    assert english(doctor.check_history(url, tmp_path).met) == "readable (weekly runs: 0)"
    file.write_bytes(b"this is no database, and longer than the head of one" * 9)
    assert doctor.check_history(url, tmp_path).state is CheckState.BAD
    assert doctor.check_history("mysql://x", tmp_path).state is CheckState.BAD


def test_chromium_has_to_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELIV_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = check_pdf()
    assert (missing.state, "chromium" in english(missing.met)) == (CheckState.LIMITED, True)
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    assert english(check_pdf().met) == "-o report.pdf: chromium produced no PDF: exit code 7"
    program.write_text('#!/bin/sh\nfor a; do case $a in --print-to-pdf=*) echo x > "${a#*=}";; esac; done\n')
    assert (check_pdf().state, english(check_pdf().met)) == (CheckState.GOOD, f"{program} printed a page")


async def test_checks_are_told_in_their_order_however_long_each_takes() -> None:
    extra = MachineCheck("pdf", CheckState.GOOD, doctor.NO_MAIL())
    told = [each.name async for each in doctor.examine(world(), OUTSIDE, "x1", [lambda: extra])]
    assert told == ["dns", "resolver", "port-25", "clock", "pdf"]


# --- The command ---


@pytest.fixture
def outside_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Ports]:
    """The command with the shipped list of whom to ask, in an empty folder; the ports may be replaced."""
    known = load_rules().knowledge.outside
    records: dict[tuple[str, str], Records] = {(domain, "MX"): [f"10 mx.{domain}"] for domain in known.mail_domains}
    mail = Mail({f"mx.{domain}": True for domain in known.mail_domains})
    held = {"ports": world(records, Web(dict.fromkeys(known.clocks, NOW)), mail)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DELIV_CHROMIUM", "/gone")
    monkeypatch.delenv("DELIV_LANG", raising=False)
    monkeypatch.setattr("deliverability.doctor.open_doors", lambda resolvers: held["ports"])
    return held


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(deliv, ["doctor", *args], standalone_mode=False)
    assert done.exception is None, done.output
    return done.return_value, done.output


def test_a_good_machine_leaves_with_0_whatever_it_does_without(outside_world: dict[str, Ports]) -> None:
    code, output = run()
    marks = [line[0] for line in output.splitlines() if not line.startswith(" ")]
    assert (code, marks) == (0, ["✓", "✓", "✓", "✓", "▲", "–", "–"])
    assert "→ Only `-o report.pdf` needs Chromium." in output


def test_where_an_audit_would_suffer_it_leaves_with_3(outside_world: dict[str, Ports]) -> None:
    outside_world["ports"] = replace(outside_world["ports"], dns=OFFLINE)
    code, output = run("--lang", "ja")
    assert code == 3
    assert output.startswith("✗ DNS：")
    assert "→ ネットワークとファイアウォール" in output


def test_settings_name_the_mail_server_the_history_and_the_language(outside_world: dict[str, Ports]) -> None:
    Path("deliv.toml").write_text(
        'lang = "ja"\nhistory = "mysql://x"\n'
        '[notify.email]\nto = ["a@example.com"]\nsender = "b@example.com"\npassword_env = "DELIV_NOT_SET"\n'
    )
    code, output = run()
    assert code == 3, "the weekly run would not begin"
    assert "▲ 週次メール：環境変数DELIV_NOT_SETが設定されていません" in output
    assert "✗ 履歴：" in output


def test_for_programs_there_is_json(outside_world: dict[str, Ports]) -> None:
    code, output = run("--format", "json")
    checks = {each["check"]: each for each in json.loads(output)["checks"]}
    assert code == 0
    assert list(checks) == ["dns", "resolver", "port-25", "clock", "pdf", "mail", "history"]
    assert checks["pdf"]["state"] == "limited"
    assert checks["clock"]["detail"] == {
        "code": "doctor-clock",
        "args": {"host": load_rules().knowledge.outside.clocks[0], "n": 0},
    }
    assert checks["dns"]["advice"] is None


def test_a_wrong_resolver_is_told_by_its_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(deliv, ["doctor", "--resolver", "nowhere"])
    assert "--resolver: 'nowhere' is not a resolver" in done.output


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_lines_fit_and_do_without_fancy_marks(lang: str) -> None:
    lying = MachineCheck(
        "resolver", CheckState.BAD, doctor.UNTRUTHFUL(name="x\x1b[2J", addresses=("a",) * 40, server="s")
    )
    text = check_text(lying, phrases(lang), width=60, unicode=False)
    assert text.startswith("x ")
    assert "\x1b" not in text
    assert "  -> " in text


@pytest.mark.parametrize(("page", "lang"), [("docs/doctor.md", "en"), ("docs/ja/doctor.md", "ja")])
def test_the_page_shows_what_it_prints(page: str, lang: str) -> None:
    checks = [
        MachineCheck("dns", CheckState.GOOD, doctor.DNS_ANSWERED(name="gmail.com", server="192.0.2.53")),
        MachineCheck("resolver", CheckState.GOOD, doctor.TRUTHFUL(names=("deliv-….invalid", "deliv-….example.com"))),
        MachineCheck("port-25", CheckState.LIMITED, LATE(server="gmail-smtp-in.l.google.com", n="10")),
        MachineCheck("clock", CheckState.GOOD, doctor.CLOCK_RIGHT(host=load_rules().knowledge.outside.clocks[0], n=0)),
        MachineCheck("pdf", CheckState.GOOD, doctor.PRINTED(program="/usr/bin/chromium")),
        MachineCheck("mail", CheckState.SPARED, doctor.NO_MAIL()),
        MachineCheck("history", CheckState.SPARED, doctor.NO_HISTORY(file="/home/you/.local/state/deliv/history.db")),
    ]
    printed = "".join(check_text(each, phrases(lang), width=150, unicode=True) for each in checks)
    assert f"```text\n{printed}```\n" in (ROOT / page).read_text("utf-8")
