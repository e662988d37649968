"""The plugin in test runs of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from tests import ROOT

pytest_plugins = ("pytester",)
pytestmark = pytest.mark.long

SHOP = '''
import smtplib
import pytest

ORDER = b"""\\
From: Shop <orders@shop.example>
To: Ann <ann@gmail.com>
Subject: Your order 42
Date: Sun, 29 Nov 2026 06:00:00 +0000
Message-ID: <42@shop.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Thank you for your order 42. It is on its way to you and will arrive tomorrow.
"""
'''
NO_NETWORK = """
import socket
import pytest

@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refused(*args, **kwargs):
        raise SystemError(f"asked the network: {args}")
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
"""
INI = "[pytest]\nfilterwarnings = error\nasyncio_mode = strict\nasyncio_default_fixture_loop_scope = function\n"
LOADED = ("deliv",) if any(each.name == "deliv" for each in entry_points(group="pytest11")) else ()
PLUGIN = () if LOADED else ("-p", "deliverability.testing.plugin")


@pytest.fixture
def shop(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(INI)
    return pytester


def run(shop: pytest.Pytester, tests: str, *args: str) -> pytest.RunResult:
    shop.makepyfile(test_shop=SHOP + tests)
    return shop.runpytest_subprocess(*PLUGIN, *args)


def test_mails_are_judged_without_the_network(shop: pytest.Pytester) -> None:
    shop.makeconftest(NO_NETWORK)
    done = run(
        shop,
        """
def test_order(deliv_audit):
    deliv_audit(ORDER, purpose="transactional").assert_accepted()

def test_news(deliv_audit):
    deliv_audit(ORDER, purpose="bulk").assert_accepted()

@pytest.mark.deliv(purpose="bulk", receivers=["au", "gmail"])
class TestMarked:
    def test_taken(self, deliv_audit):
        report = deliv_audit(ORDER)
        assert sorted(report.report.verdicts) == ["au", "gmail"]

    @pytest.mark.deliv(receivers=["yahoo"])
    def test_nearer(self, deliv_audit):
        assert list(deliv_audit(ORDER).report.verdicts) == ["yahoo"]
        assert list(deliv_audit(ORDER, receivers=["au"]).report.verdicts) == ["au"]
""",
        "--strict-markers",
    )
    done.assert_outcomes(passed=3, failed=1)
    failure = done.stdout.str().partition("test_news ___")[2].partition("short test summary")[0]
    told = [line for line in failure.splitlines() if line.startswith("E ")]
    assert len(told) <= 25
    assert "deliv: iCloud and Yahoo may reject this mail" in told[0]
    assert re.findall(r"^\S+\.py:\d+", failure, re.MULTILINE) == re.findall(
        r"^test_shop\.py:\d+", failure, re.MULTILINE
    )


@pytest.mark.slow
def test_a_wrong_marker_or_option_is_told_in_a_line(shop: pytest.Pytester) -> None:
    done = run(
        shop,
        """
@pytest.mark.deliv(receiverz=["gmail"])
def test_name(deliv_audit): ...

@pytest.mark.deliv("gmail")
def test_place(deliv_audit): ...
""",
    )
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(["*'receiverz' is not one of: domain, zone, receivers,*"])
    assert "audits.py" not in done.stdout.str()
    shop.makeini(INI + "deliv_lang = fr\n")
    done = run(shop, "def test_order(deliv_audit): ...")
    done.stdout.fnmatch_lines(["deliv: 'fr' is not one of: en, ja"])


@pytest.mark.slow
def test_ini_and_flags_name_zone_receivers_settings_and_folder(shop: pytest.Pytester) -> None:
    """A flag wins over the ini file, whose paths begin where it stands."""
    shop.makeini(INI + "deliv_zone = zones/shop.zone\ndeliv_receivers = gmail au\ndeliv_config = shop.toml\n")
    shop.makefile(".toml", shop='ignore = ["UNS"]\n')
    shop.mkdir("zones")
    zone = (
        '$ORIGIN shop.example.\n@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.1\n@ 60 TXT "v=spf1 a:{} -all"\n'
    )
    (shop.path / "zones" / "shop.zone").write_text(zone.format("ini"))
    (shop.path / "other.zone").write_text(zone.format("flag"))
    test = """
def test_order(deliv_audit):
    found = deliv_audit(ORDER, purpose="bulk").report
    print(sorted(each.rule for each in found.findings if each.rule.startswith("UNS")))
    facts = str(found.to_dict())
    print("zone:", [each for each in ("a:ini", "a:flag") if each in facts], list(found.receivers))
"""
    done = run(shop, test, "-s")
    done.stdout.fnmatch_lines(["*[[][]]", "zone: [[]'a:ini'[]] *"])
    done = run(shop, test, "-s", "--deliv-zone", "other.zone", "--deliv-report", "out")
    done.stdout.fnmatch_lines(["zone: [[]'a:flag'[]] *"])
    (page,) = (shop.path / "out").iterdir()
    assert re.fullmatch(r"test_order-[0-9a-f]{6}\.html", page.name)


@pytest.mark.slow
def test_the_listener_receives_and_its_mails_are_judged(shop: pytest.Pytester) -> None:
    done = run(
        shop,
        """
import asyncio

def test_order(deliv_listener, deliv_audit):
    with smtplib.SMTP(deliv_listener.host, deliv_listener.port) as smtp:
        for rcpt in ("ann@gmail.com", "bob@example.org"):
            smtp.sendmail("orders@shop.example", [rcpt], ORDER.replace(b"\\n", b"\\r\\n"))
    first, second = deliv_listener.wait(2)
    assert (first.mail_from, first.rcpt) == ("orders@shop.example", ("ann@gmail.com",))
    assert first.octets == ORDER.replace(b"\\n", b"\\r\\n")
    deliv_audit(second, purpose="transactional").assert_accepted()

def test_nothing_came(deliv_listener):
    assert deliv_listener.messages == ()
    with pytest.raises(AssertionError, match="0 of 1 mails came within 0.01 s"):
        deliv_listener.wait(timeout=0.01)

def test_left_open(deliv_listener):
    smtp = smtplib.SMTP(deliv_listener.host, deliv_listener.port)
    smtp.ehlo()
    smtp.sock.close()
    smtp.file.close()

@pytest.mark.asyncio
async def test_within_a_loop(deliv_listener, deliv_audit):
    def send():
        with smtplib.SMTP(deliv_listener.host, deliv_listener.port) as smtp:
            smtp.sendmail("", ["ann@gmail.com"], ORDER.replace(b"\\n", b"\\r\\n"))
    await asyncio.to_thread(send)
    deliv_audit(deliv_listener.wait()[0], purpose="transactional").assert_accepted()
""",
    )
    done.assert_outcomes(passed=4)


def test_without_the_extra_the_listener_skips_and_tells_how_to_install_it(shop: pytest.Pytester) -> None:
    shop.makeconftest("import sys\nsys.modules['aiosmtpd'] = None\n")
    done = run(shop, "def test_order(deliv_listener): ...", "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*deliv's listen extra*.[[]listen[]]*"])


@pytest.mark.slow
def test_workers_of_xdist_write_each_their_own_reports(shop: pytest.Pytester) -> None:
    done = run(
        shop,
        """
@pytest.mark.parametrize("number", range(4))
def test_order(deliv_audit, number):
    deliv_audit(ORDER, purpose="transactional").assert_accepted()
    deliv_audit(ORDER, purpose="transactional").assert_accepted()
""",
        *("-n", "2", "--deliv-report", "out"),
    )
    done.assert_outcomes(passed=4)
    assert len(list((shop.path / "out").iterdir())) == 8


def test_a_run_that_uses_none_of_it_loads_none_of_it() -> None:
    code = "import sys, pytest\nimport deliverability.testing.plugin\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    ours = {each for each in done.stdout.split() if each.partition(".")[0] == "deliverability"}
    assert ours == {"deliverability", "deliverability.testing", "deliverability.testing.plugin"}
    assert not {"msgspec", "click", "dns", "yaml"} & set(done.stdout.split())


def test_the_project_declares_the_plugin() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert '[project.entry-points.pytest11]\ndeliv = "deliverability.testing.plugin"\n' in text
