"""Zones and plans as other tools write them, read into one normal form: what there will be, and what there was."""

from __future__ import annotations

MASTER, OCTODNS, OCTODNS_PLAN, DNSCONTROL, TERRAFORM, ROUTE53, CLOUDFLARE = FORMATS = (
    "bind",
    "octodns",
    "octodns-plan",
    "dnscontrol",
    "terraform-plan",
    "route53",
    "cloudflare",
)
"""The formats by name, as somebody may say which one a file has."""
