"""`import deliverability` for programs: light to import, and usable as the README shows."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import deliverability
from deliverability import (
    InputError,
    StaticResolver,
    Subject,
    discover_dmarc,
    evaluate_spf,
    load_rules,
    verify_arc,
    verify_dkim,
)
from deliverability.core.model.report import VerdictKind
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.ports import Ports
from tests.signing import MESSAGE, published, rsa_key, seal_arc, sign

HEAVY = (
    "checkdmarc",
    "cryptography",
    "dkim",
    "dns",
    "httpx",
    "httpx2",
    "jinja2",
    "publicsuffixlist",
    "sqlalchemy",
    "PIL",
)
MAIL = Path(__file__).parent / "mails" / "japanese.eml"

KEY = rsa_key(1024)
WORLD = StaticResolver(
    {
        ("example.com", "MX"): ["10 mail.example.com"],
        ("mail.example.com", "A"): ["192.0.2.25"],
        ("example.com", "TXT"): ["v=spf1 mx -all"],
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@example.com"],
        ("s1._domainkey.example.com", "TXT"): [(published(KEY)[:200], published(KEY)[200:])],
    }
)


def loaded_by(code: str, *, whole: bool = False) -> set[str]:
    """The modules that are loaded after `code` ran in a fresh interpreter: the top-level ones, or all as a whole."""
    names = "set(sys.modules)" if whole else "{name.partition('.')[0] for name in sys.modules}"
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted({names})))"
    root = str(Path(deliverability.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
        timeout=60,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import deliverability",
        "from deliverability.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
    ],
    ids=["import", "version"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert loaded_by(code) & set(HEAVY) == set()


REPORT = f"""
from deliverability.cli import main
try: main(['audit', '--eml', {str(MAIL)!r}, '--offline'])
except SystemExit: pass"""


def test_a_report_loads_nothing_heavy_but_what_it_needs() -> None:
    """Rules and words come from the cache but in the first run, and what reads them is not loaded."""
    loaded_by(REPORT)
    assert loaded_by(REPORT) & {*HEAVY, "alembic", "pygal"} == {"publicsuffixlist"}
    assert "deliverability.core.rules.load" not in loaded_by(REPORT, whole=True)


def test_help_that_was_read_before_loads_no_reader() -> None:
    help_ = "from deliverability.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    loaded_by(help_)
    assert loaded_by(help_) & set(HEAVY) == set()


def test_the_fact_catalogue_is_light() -> None:
    loaded = loaded_by("from deliverability.engine.base import catalogue\ncatalogue()")
    assert loaded & set(HEAVY) == set()


def test_every_public_name_loads() -> None:
    for name in deliverability.__all__:
        assert getattr(deliverability, name) is not None
    assert sorted(deliverability.__all__) == sorted(set(deliverability.__all__))


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    """`from deliverability import x` is typed by the imports for type checkers; they and the real homes agree."""
    tree = ast.parse(Path(deliverability.__file__).read_text("utf-8"))
    typed = {
        alias.name: str(node.module).removeprefix("deliverability.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == deliverability._HOME
    assert {*typed, "__version__"} == set(deliverability.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = deliverability.no_such_name  # type: ignore[attr-defined]


async def test_audit_of_a_domain_and_a_message() -> None:
    mail = b"Return-Path: <ann@example.com>\r\n" + sign(MESSAGE, KEY)
    ports = Ports(WORLD, SystemClock(), sources=("static",))
    report = await deliverability.audit("example.com", message=mail, ports=ports)
    assert report.domain == "example.com"
    assert {verdict.receiver for verdict in report.verdicts} == set(load_rules().providers)
    assert all(isinstance(verdict.verdict, VerdictKind) for verdict in report.verdicts)
    assert report.facts.value("dmarc.result") == "pass"
    assert report.bugs == ()


async def test_audit_takes_the_domain_from_the_message() -> None:
    ports = Ports(WORLD, SystemClock(), sources=("static",))
    report = await deliverability.audit(message=MESSAGE, ports=ports)
    assert report.domain == "example.com"


async def test_audit_over_zone_files_with_what_is_known_of_the_mail_as_json(tmp_path: Path) -> None:
    zone = tmp_path / "example.com.zone"
    zone.write_text('$ORIGIN example.com.\n@ 60 IN SOA ns h 1 1 1 1 1\n@ 60 IN NS ns\n@ 60 IN TXT "v=spf1 -all"\n')
    ports = deliverability.open_ports(deliverability.PortSettings(zones=[zone]))
    report = await deliverability.audit(Subject("Example.com.", sending_ips=("192.0.2.25",)), ports=ports)
    assert report.facts.value("spf.result") == "fail"
    assert json.loads(deliverability.render_json(report))["subject"]["domain"] == "example.com"


def test_unusable_rules_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("- id: 1\n")
    with pytest.raises(deliverability.RuleError, match=r"own\.yaml:1"):
        deliverability.load_rules([tmp_path])


async def test_audit_needs_something() -> None:
    with pytest.raises(InputError, match="give a domain, a message, or both"):
        await deliverability.audit()


async def test_evaluate_spf() -> None:
    passed = await evaluate_spf("192.0.2.25", "ann@example.com", "mail.example.com", WORLD)
    failed = await evaluate_spf("198.51.100.1", "ann@example.com", "mail.example.com", WORLD)
    assert (passed.result, failed.result) == ("pass", "fail")


async def test_verify_dkim() -> None:
    (result,) = await verify_dkim(sign(MESSAGE, KEY), WORLD)
    assert result.result == "pass"
    (changed,) = await verify_dkim(sign(MESSAGE, KEY).replace(b"bread", b"wine"), WORLD)
    assert changed.result == "fail"


async def test_verify_arc() -> None:
    assert (await verify_arc(MESSAGE, WORLD)).result == "none"
    sealed = seal_arc(sign(MESSAGE, KEY), KEY, domain="example.com")
    assert (await verify_arc(sealed, WORLD)).result == "pass"
    assert (await verify_arc(sealed.replace(b"bread", b"wine"), WORLD)).result == "fail"


async def test_discover_dmarc() -> None:
    found = await discover_dmarc("news.example.com", WORLD)
    assert (found.location, found.organizational_domain, found.policy) == ("example.com", "example.com", "reject")
