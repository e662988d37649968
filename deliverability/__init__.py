"""deliv: a sender-side email deliverability auditor. The public API for programs; all of it is loaded on first use.

`audit` makes a `Report` of a domain, a message or both; `diff` says what a change of zones does to mail, which
`read_zone` reads; `explain` says what a receiver's reply means. Each has a twin for event loops (`audit_async`,
`diff_async`, `explain_async`), and a `Session` keeps rules and sockets between calls.
The protocols stand by themselves, over any `Resolver`: `evaluate_spf`, `verify_dkim`, `verify_arc`, `discover_dmarc`,
`evaluate_dmarc`, `discover_mta_sts`, `discover_tls_rpt`, `discover_dane`, `verify_dane`, `discover_bimi`, `ask_list`.
Unusable input raises `InputError`, unusable rule files `RuleError`; both are `DelivError`. Nothing else escapes,
whatever DNS or a mail holds. docs/python.md has examples, and says what stays as it is.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # type checkers take it for true; the module that has it takes longer to load than all of this
__version__ = "1.0.0rc1"

if TYPE_CHECKING:
    from deliverability.api.answers import Explanation, Gate
    from deliverability.api.changes import read_zone
    from deliverability.api.report import Finding, ReceiverVerdict, Remedy, Report
    from deliverability.api.session import Session, audit, audit_async, diff, diff_async, explain, explain_async
    from deliverability.core.errors import DelivError, InputError
    from deliverability.core.facts.base import Purpose, Reason
    from deliverability.core.model.report import Outcome
    from deliverability.core.model.report import VerdictKind as Verdict
    from deliverability.core.model.rules import Severity
    from deliverability.core.net.base import Absent, Failed, Found, Resolver
    from deliverability.core.net.static import StaticResolver
    from deliverability.core.net.zones.base import ZoneInput
    from deliverability.core.protocols.bimi import BimiDiscovery, discover_bimi
    from deliverability.core.protocols.dane import DaneDiscovery, discover_dane, verify_dane
    from deliverability.core.protocols.dkim.arc import ArcResult, verify_arc
    from deliverability.core.protocols.dkim.verify import DkimResult, verify_dkim
    from deliverability.core.protocols.dmarc.evaluate import DmarcEvaluation, evaluate_dmarc
    from deliverability.core.protocols.dmarc.record import Discovery, discover_dmarc
    from deliverability.core.protocols.dnsbl import ListAnswers, ask_list
    from deliverability.core.protocols.mta_sts import (
        MtaStsDiscovery,
        TlsRptDiscovery,
        discover_mta_sts,
        discover_tls_rpt,
    )
    from deliverability.core.protocols.spf.evaluate import SpfEvaluation, evaluate_spf
    from deliverability.core.rules.problems import RuleError
    from deliverability.differences.run import Diff

_NAMES = {
    "api.answers": ("Explanation", "Gate"),
    "api.changes": ("read_zone",),
    "api.report": ("Finding", "ReceiverVerdict", "Remedy", "Report"),
    "api.session": ("Session", "audit", "audit_async", "diff", "diff_async", "explain", "explain_async"),
    "core.errors": ("DelivError", "InputError"),
    "core.facts.base": ("Purpose", "Reason"),
    "core.model.report": ("Outcome",),
    "core.model.rules": ("Severity",),
    "core.net.base": ("Absent", "Failed", "Found", "Resolver"),
    "core.net.static": ("StaticResolver",),
    "core.net.zones.base": ("ZoneInput",),
    "core.protocols.bimi": ("BimiDiscovery", "discover_bimi"),
    "core.protocols.dane": ("DaneDiscovery", "discover_dane", "verify_dane"),
    "core.protocols.dkim.arc": ("ArcResult", "verify_arc"),
    "core.protocols.dkim.verify": ("DkimResult", "verify_dkim"),
    "core.protocols.dmarc.evaluate": ("DmarcEvaluation", "evaluate_dmarc"),
    "core.protocols.dmarc.record": ("Discovery", "discover_dmarc"),
    "core.protocols.dnsbl": ("ListAnswers", "ask_list"),
    "core.protocols.mta_sts": ("MtaStsDiscovery", "TlsRptDiscovery", "discover_mta_sts", "discover_tls_rpt"),
    "core.protocols.spf.evaluate": ("SpfEvaluation", "evaluate_spf"),
    "core.rules.problems": ("RuleError",),
    "differences.run": ("Diff",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_HOME["Verdict"] = "core.model.report:VerdictKind"

__all__ = [
    "Absent",
    "ArcResult",
    "BimiDiscovery",
    "DaneDiscovery",
    "DelivError",
    "Diff",
    "Discovery",
    "DkimResult",
    "DmarcEvaluation",
    "Explanation",
    "Failed",
    "Finding",
    "Found",
    "Gate",
    "InputError",
    "ListAnswers",
    "MtaStsDiscovery",
    "Outcome",
    "Purpose",
    "Reason",
    "ReceiverVerdict",
    "Remedy",
    "Report",
    "Resolver",
    "RuleError",
    "Session",
    "Severity",
    "SpfEvaluation",
    "StaticResolver",
    "TlsRptDiscovery",
    "Verdict",
    "ZoneInput",
    "__version__",
    "ask_list",
    "audit",
    "audit_async",
    "diff",
    "diff_async",
    "discover_bimi",
    "discover_dane",
    "discover_dmarc",
    "discover_mta_sts",
    "discover_tls_rpt",
    "evaluate_dmarc",
    "evaluate_spf",
    "explain",
    "explain_async",
    "read_zone",
    "verify_arc",
    "verify_dane",
    "verify_dkim",
]

if not TYPE_CHECKING:  # else any name would have a type

    def __getattr__(name: str) -> object:
        """Load a public name from its module when it is first used, so that `import deliverability` stays light."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, inner = _HOME[name].partition(":")
        return getattr(importlib.import_module(f"deliverability.{module}"), inner or name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
