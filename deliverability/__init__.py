"""deliv: a sender-side e-mail deliverability auditor. The public API for programs; all of it is loaded on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from deliverability.app import audit, load_rules
    from deliverability.dkim.verify import DkimResult, verify_dkim
    from deliverability.dmarc.discover import Discovery, discover_dmarc
    from deliverability.dmarc.evaluate import DmarcEvaluation, evaluate_dmarc
    from deliverability.model.report import Report
    from deliverability.ports.static import StaticResolver
    from deliverability.spf.evaluate import SpfEvaluation, evaluate_spf

_HOME = {
    "audit": "app",
    "load_rules": "app",
    "Report": "model.report",
    "StaticResolver": "ports.static",
    "evaluate_spf": "spf.evaluate",
    "SpfEvaluation": "spf.evaluate",
    "verify_dkim": "dkim.verify",
    "DkimResult": "dkim.verify",
    "discover_dmarc": "dmarc.discover",
    "Discovery": "dmarc.discover",
    "evaluate_dmarc": "dmarc.evaluate",
    "DmarcEvaluation": "dmarc.evaluate",
}

__all__ = [
    "Discovery",
    "DkimResult",
    "DmarcEvaluation",
    "Report",
    "SpfEvaluation",
    "StaticResolver",
    "__version__",
    "audit",
    "discover_dmarc",
    "evaluate_dmarc",
    "evaluate_spf",
    "load_rules",
    "verify_dkim",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used, so that `import deliverability` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"deliverability.{_HOME[name]}"), name)
