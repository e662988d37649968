"""What features give to core, engine and console: ``module:name`` entries, so that none of these imports a feature.

Entries are loaded when they are asked for; a test loads every one. The commands are in the table of `cli`.
"""

from __future__ import annotations

import importlib
from typing import Any

AUDITORS = (
    "engine.auditors.purpose:subject_audit",
    "engine.auditors.purpose:audit",
    "engine.auditors.purpose:streams_audit",
    "engine.auditors.message:audit",
    "engine.auditors.format:audit",
    "engine.auditors.format:japanese_audit",
    "engine.auditors.html:weight_audit",
    "engine.auditors.attachments:attachments_audit",
    "engine.auditors.attachments:password_mail_audit",
    "engine.auditors.attachments:images_audit",
    "engine.auditors.attachments:audit",
    "engine.auditors.html:audit",
    "engine.auditors.clients:audit",
    "engine.auditors.envelope:audit",
    "engine.auditors.forwarding:audit",
    "engine.auditors.message:addresses_audit",
    "engine.auditors.domain:audit",
    "engine.auditors.mx:audit",
    "engine.auditors.transport:audit",
    "engine.auditors.transport:mta_sts_audit",
    "engine.auditors.transport:tls_rpt_audit",
    "engine.auditors.mx:smtp_audit",
    "engine.auditors.spf:audit",
    "engine.auditors.dkim:audit",
    "engine.auditors.forwarding:arc_audit",
    "engine.auditors.dmarc:audit",
    "engine.auditors.ownership:alignment_audit",
    "engine.auditors.recorded:audit",
    "engine.auditors.dmarc:bimi_audit",
    "engine.auditors.takeover:audit",
    "engine.auditors.misplaced:audit",
    "engine.auditors.identity:audit",
    "engine.auditors.unsubscribe:audit",
    "engine.auditors.imprint:audit",
    "engine.auditors.senders:audit",
    "engine.auditors.ownership:audit",
    "engine.auditors.ownership:chain_audit",
    "dmarc_reports.facts:audit",
    "dmarc_reports.facts:tls_reports_audit",
    "deliveries.facts:audit",
    "deliveries.facts:volume_audit",
    "deliveries.facts:postmaster_audit",
    "deliveries.facts:snds_audit",
    "dmarc_reports.facts:gate_audit",
    "blocklists.facts:audit",
    "lists.facts:audit",
    "warm_up.facts:audit",
)
"""All auditors, in the order of the catalogue."""

READ_WARM_UP_PLAN = "warm_up.facts:read_plan"
READ_LIST_SUMS = "lists.facts:read_sums"
OBSERVING, WITH_OBSERVED = "observing:observing", "observing:with_observed"
LIST_SETUP = "blocklists.setup:list_setup"
AUDIENCE_GIVEN = "lists.audience:audience_given"
"""What turns an option or a setting into what an audit is given."""
NOTICE_KIND = "core.replies.notice:notice_kind"
"""What is sure whether a message is a bounce, a complaint or a report."""


def load(entry: str) -> Any:
    """What an entry names."""
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(f"deliverability.{module}"), name)
