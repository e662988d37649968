"""The pytest plugin. Every test run loads this module, so it loads nothing else of deliv before a fixture is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from deliverability.testing.audits import MailAuditor, MailAudits
    from deliverability.testing.listener import MailListener

_MARKER = (
    "deliv(domain, zone, receivers, purpose, ip, daily_volume, signed, select, ignore): "
    "what deliv_audit takes for granted in this test"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Flags and ini options."""
    group = parser.getgroup("deliv", "mail that receivers accept (deliv)")
    group.addoption(
        "--deliv-zone",
        action="append",
        default=[],
        metavar="FILE",
        help="zone file that answers DNS questions of deliv_audit; repeatable",
    )
    group.addoption("--deliv-live", action="store_true", help="deliv_audit asks live DNS (else it asks nobody)")
    group.addoption(
        "--deliv-report", metavar="DIR", help="write the report of each deliv_audit as HTML into this folder"
    )
    parser.addini("deliv_zone", "zone files that answer DNS questions of deliv_audit", type="paths", default=[])
    parser.addini("deliv_receivers", "receivers that deliv_audit judges for", type="args", default=[])
    parser.addini("deliv_config", "settings file of deliv (deliv.toml); else the nearest one")
    parser.addini("deliv_lang", "language of what deliv_audit says: en or ja")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def _deliv_audits(pytestconfig: pytest.Config) -> Iterator[MailAudits]:
    from deliverability import InputError
    from deliverability.testing.audits import AuditSettings, MailAudits, read_settings_file

    flags = pytestconfig.option
    here = pytestconfig.invocation_params.dir
    zones = tuple(here / each for each in flags.deliv_zone)
    if not zones and not flags.deliv_live:
        zones = tuple(pytestconfig.getini("deliv_zone"))
    named = pytestconfig.getini("deliv_config")
    try:
        audits = MailAudits(
            AuditSettings(
                read_settings_file(pytestconfig.rootpath / named if named else None),
                tuple(pytestconfig.getini("deliv_receivers")),
                zones,
                flags.deliv_live,
                here / flags.deliv_report if flags.deliv_report else None,
                pytestconfig.getini("deliv_lang"),
            )
        )
    except InputError as error:
        raise pytest.fail.Exception(f"deliv: {error}", pytrace=False) from None
    yield audits
    audits.close()


@pytest.fixture
def deliv_audit(request: pytest.FixtureRequest, _deliv_audits: MailAudits) -> MailAuditor:
    """Audits a mail: ``deliv_audit(message, domain="shop.example").assert_accepted()``."""
    from deliverability import InputError

    marked: dict[str, object] = {}
    for marker in reversed(list(request.node.iter_markers("deliv"))):
        if marker.args:
            pytest.fail(f"{_MARKER.partition(':')[0]}: give each value by its name", pytrace=False)
        marked |= marker.kwargs
    try:
        return _deliv_audits.auditor(request.node.nodeid, marked)
    except InputError as error:
        raise pytest.fail.Exception(f"pytest.mark.deliv: {error}", pytrace=False) from None


@pytest.fixture
def deliv_listener() -> Iterator[MailListener]:
    """An SMTP server on loopback: ``deliv_listener.port``, ``deliv_listener.wait(1)``, ``deliv_listener.messages``."""
    pytest.importorskip(
        "aiosmtpd",
        reason="deliv_listener needs deliv's listen extra (in its checkout: pip install '.[listen]')",
    )
    from deliverability.testing.listener import MailListener

    with MailListener() as listener:
        yield listener
