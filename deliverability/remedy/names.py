"""The names of all remedies: what a rule may put under `remedy`, and what drafts answer to.

A remedy may be drafted in several ways; the code of a draft says which one it was.
"""

from __future__ import annotations

from typing import Literal, get_args

RemedyName = Literal[
    "bimi-repair",
    "dkim-end-test",
    "dkim-one-key",
    "dkim-open-key",
    "dkim-repair-key",
    "dmarc-add-reports",
    "dmarc-begin",
    "dmarc-below-reject",
    "dmarc-closed",
    "dmarc-drop-pct",
    "dmarc-end-test",
    "dmarc-mend-reports",
    "dmarc-one-record",
    "dmarc-own-record",
    "dmarc-quarantine",
    "dmarc-recognised",
    "dmarc-reject",
    "dmarc-relax-alignment",
    "dmarc-repair",
    "dmarc-report-consent",
    "dmarc-state-policy",
    "dmarc-subdomains",
    "dmarc-tidy",
    "mta-sts-begin",
    "mta-sts-repair",
    "mx-repair",
    "ptr-confirm",
    "ptr-publish",
    "spf-add-all",
    "spf-add-sender",
    "spf-addresses",
    "spf-close-open",
    "spf-drop-broken",
    "spf-drop-covered",
    "spf-drop-dead",
    "spf-drop-loop",
    "spf-drop-spare",
    "spf-drop-void",
    "spf-fewer-lookups",
    "spf-fix-syntax",
    "spf-merge",
    "spf-name-senders",
    "spf-narrow",
    "spf-park",
    "spf-park-unused",
    "spf-publish",
    "spf-recognise",
    "spf-replace-ptr",
    "spf-shorten",
    "spf-split",
    "tls-rpt-repair",
]

REMEDIES: tuple[RemedyName, ...] = get_args(RemedyName)
