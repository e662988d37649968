"""deliv: a sender-side email deliverability auditor. The public API for programs; all of it is loaded on first use.

`audit` makes a `Report` of a domain, a message or both. What it asks is chosen by `open_ports` (live DNS, zone files,
recordings), what is known of the mail by `Subject`, what is required by `load_rules`; `render_json` writes the report.
The protocols stand by themselves, over any resolver: `evaluate_spf`, `verify_dkim`, `verify_arc`, `discover_dmarc`,
`evaluate_dmarc`, `discover_mta_sts`, `discover_tls_rpt`, `discover_dane`, `verify_dane`, `discover_bimi`, `ask_list`.
Unusable input raises `InputError`, unusable rule files `RuleError`, which is one of these; nothing else escapes,
whatever DNS or a mail holds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from deliverability.core.errors import InputError
    from deliverability.core.inputs import Subject
    from deliverability.core.model.report import Report
    from deliverability.core.net.open import PortSettings, open_ports
    from deliverability.core.net.ports import Permissions, Ports
    from deliverability.core.net.static import StaticResolver
    from deliverability.core.protocols.bimi import BimiDiscovery, discover_bimi
    from deliverability.core.protocols.dane import DaneDiscovery, discover_dane, verify_dane
    from deliverability.core.protocols.dkim.arc import ArcResult, verify_arc
    from deliverability.core.protocols.dkim.verify import DkimResult, verify_dkim
    from deliverability.core.protocols.dmarc.discover import Discovery, discover_dmarc
    from deliverability.core.protocols.dmarc.evaluate import DmarcEvaluation, evaluate_dmarc
    from deliverability.core.protocols.dnsbl import ListAnswers, ask_list
    from deliverability.core.protocols.mta_sts import MtaStsDiscovery, discover_mta_sts
    from deliverability.core.protocols.spf.evaluate import SpfEvaluation, evaluate_spf
    from deliverability.core.protocols.tls_rpt import TlsRptDiscovery, discover_tls_rpt
    from deliverability.core.report.formats.json import render_json
    from deliverability.core.rules.problems import RuleError
    from deliverability.engine.audit import audit
    from deliverability.engine.rules import load_rules

_HOME = {
    "audit": "engine.audit",
    "open_ports": "core.net.open",
    "PortSettings": "core.net.open",
    "Ports": "core.net.ports",
    "Permissions": "core.net.ports",
    "Subject": "core.inputs",
    "InputError": "core.errors",
    "load_rules": "engine.rules",
    "RuleError": "core.rules.problems",
    "render_json": "core.report.formats.json",
    "Report": "core.model.report",
    "StaticResolver": "core.net.static",
    "evaluate_spf": "core.protocols.spf.evaluate",
    "SpfEvaluation": "core.protocols.spf.evaluate",
    "verify_dkim": "core.protocols.dkim.verify",
    "DkimResult": "core.protocols.dkim.verify",
    "discover_dmarc": "core.protocols.dmarc.discover",
    "Discovery": "core.protocols.dmarc.discover",
    "evaluate_dmarc": "core.protocols.dmarc.evaluate",
    "DmarcEvaluation": "core.protocols.dmarc.evaluate",
    "verify_arc": "core.protocols.dkim.arc",
    "ArcResult": "core.protocols.dkim.arc",
    "discover_mta_sts": "core.protocols.mta_sts",
    "MtaStsDiscovery": "core.protocols.mta_sts",
    "discover_tls_rpt": "core.protocols.tls_rpt",
    "TlsRptDiscovery": "core.protocols.tls_rpt",
    "discover_dane": "core.protocols.dane",
    "DaneDiscovery": "core.protocols.dane",
    "verify_dane": "core.protocols.dane",
    "discover_bimi": "core.protocols.bimi",
    "BimiDiscovery": "core.protocols.bimi",
    "ask_list": "core.protocols.dnsbl",
    "ListAnswers": "core.protocols.dnsbl",
}

__all__ = [
    "ArcResult",
    "BimiDiscovery",
    "DaneDiscovery",
    "Discovery",
    "DkimResult",
    "DmarcEvaluation",
    "InputError",
    "ListAnswers",
    "MtaStsDiscovery",
    "Permissions",
    "PortSettings",
    "Ports",
    "Report",
    "RuleError",
    "SpfEvaluation",
    "StaticResolver",
    "Subject",
    "TlsRptDiscovery",
    "__version__",
    "ask_list",
    "audit",
    "discover_bimi",
    "discover_dane",
    "discover_dmarc",
    "discover_mta_sts",
    "discover_tls_rpt",
    "evaluate_dmarc",
    "evaluate_spf",
    "load_rules",
    "open_ports",
    "render_json",
    "verify_arc",
    "verify_dane",
    "verify_dkim",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used, so that `import deliverability` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"deliverability.{_HOME[name]}"), name)
