"""Whose the things are that a report speaks of: the domain, From, MAIL FROM, the sending host. Asks nothing of its own.

Decided once, from evidence. Nothing is drafted for what is not the organization's own, and nobody is asked to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.core.facts.base import FactType, Unknown, Value, records_of, text_of, texts_of
from deliverability.core.mail.addresses import to_a_label
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, spec

OWN, SERVICE, PROVIDER, RECEIVING = "own", "service", "provider", "receiving"
FOREIGN, UNKNOWN = "foreign", "unknown"

PROVIDES = (
    spec(
        "ownership.domain",
        FactType.STR,
        "The audited domain: foreign where a message at hand has its From at a mailbox provider and the domain is that "
        "one.",
        values=[OWN, FOREIGN],
    ),
    spec(
        "ownership.author",
        FactType.STR,
        "The domain in From: own is a name of the audited organization (public suffix list); foreign belongs to a "
        "mailbox provider or another organization, and neither SPF nor DKIM shows that the mail may use it. Where one "
        "does, it is the provider's, or unknown: the other organization may be the sender's as well.",
        values=[OWN, PROVIDER, FOREIGN, UNKNOWN],
        optional=True,
    ),
    spec(
        "ownership.author_mailbox",
        FactType.BOOL,
        "The domain in From is one at which a provider or carrier gives addresses to its customers.",
    ),
    spec(
        "ownership.mail_from",
        FactType.STR,
        "The domain of MAIL FROM: own; of the sending service that was recognized; of who passed the mail on, and "
        "rewrote it; else of another organization.",
        values=[OWN, SERVICE, RECEIVING, FOREIGN],
        optional=True,
    ),
    spec(
        "ownership.sending_host",
        FactType.STR,
        "The host that the mail was sent from: own as ownership.addresses tells it, or of the sending service that was "
        "recognized; unknown where nothing tells.",
        values=[OWN, SERVICE, UNKNOWN],
        optional=True,
    ),
    spec(
        "ownership.addresses",
        FactType.LIST_STR,
        "Sending addresses known to be the organization's: named by the user, or with a confirmed reverse name, or a "
        "HELO name that leads to them, of the organization.",
    ),
)

NEEDS = (
    *("message.from_domain", "message.forward_signs", "message.list_post"),
    *("envelope.mail_from_domain", "envelope.helo", "envelope.ip", "envelope.ip_source"),
    *("identity.ips", "senders.message_service", "alignment.spf_pass", "alignment.dkim_pass"),
)


@auditor("ownership", provides=PROVIDES, needs=NEEDS)
async def audit(ctx: Context) -> None:
    """Decide for each of them whose it is."""
    author = ctx.value("message.from_domain")
    waits = isinstance(author, Unknown) and author.reason.waits_for_input
    mailbox = author if isinstance(author, Unknown) and not waits else _is_mailbox(ctx, author)
    ctx.put("ownership.author_mailbox", mailbox)
    taken = mailbox is True and _is_mailbox(ctx, ctx.subject.domain)
    ctx.put("ownership.domain", FOREIGN if taken else OWN)
    ctx.put("ownership.author", OWN if waits else _author(ctx, author, mailbox))
    ctx.put("ownership.mail_from", _mail_from(ctx))
    addresses = _addresses(ctx)
    ctx.put("ownership.addresses", addresses)
    ctx.put("ownership.sending_host", _host(ctx, addresses))


def _is_mailbox(ctx: Context, domain: Value) -> bool:
    return isinstance(domain, str) and domain in ctx.knowledge.mailboxes


def _is_home(ctx: Context, domain: str) -> bool:
    """Whether it is a name of the audited organization."""
    home = ctx.subject.domain
    return bool(home) and registrable_domain(domain) == registrable_domain(home)


def _author(ctx: Context, author: Value, mailbox: Value) -> Value:
    if not isinstance(author, str):
        return author
    if mailbox is False and _is_home(ctx, author):
        return OWN
    if True not in (ctx.value("alignment.spf_pass"), ctx.value("alignment.dkim_pass")):
        return FOREIGN
    return PROVIDER if mailbox is True else UNKNOWN


def _mail_from(ctx: Context) -> Value:
    domain = ctx.value("envelope.mail_from_domain")
    if not isinstance(domain, str):
        return domain
    if _is_home(ctx, domain) and not _is_mailbox(ctx, domain):
        return OWN
    if "rewritten-sender" in texts_of(ctx.value("message.forward_signs")) or ctx.value("message.list_post") is True:
        return RECEIVING
    service = ctx.knowledge.services.get(text_of(ctx.value("senders.message_service")))
    known = service is not None and any(each.fits(domain) for each in service.return_path.domains)
    return SERVICE if known else FOREIGN


def _addresses(ctx: Context) -> Value:
    """The user's word counts, and what DNS says of an address; never that it stands in a header."""
    found = ctx.value("identity.ips")
    if isinstance(found, Unknown):
        return found
    ips = records_of(found)
    if ctx.value("envelope.ip_source") == "option":
        return tuple(text_of(each.get("ip")) for each in ips)
    helo = to_a_label(text_of(ctx.value("envelope.helo")))
    ours = helo is not None and "." in helo and _is_home(ctx, helo)
    judged = [(text_of(each.get("ip")), _is_ours(ctx, each, helo_is_ours=ours)) for each in ips]
    open_ = next((is_ours for _, is_ours in judged if isinstance(is_ours, Unknown)), None)
    return open_ or tuple(ip for ip, is_ours in judged if is_ours is True)


def _is_ours(ctx: Context, address: Mapping[str, Value], *, helo_is_ours: bool) -> bool | Unknown:
    """Unknown where neither the reverse name nor HELO shows it and a look-up behind one of them failed."""
    name, confirmed, matches = address.get("name"), address.get("confirmed"), address.get("helo_matches")
    home = isinstance(name, str) and bool(name) and _is_home(ctx, name)
    if (home and confirmed is True) or (helo_is_ours and matches is True):
        return True
    signs = [*([confirmed] if home else [name]), *([matches] if helo_is_ours else [])]
    return next((each for each in signs if isinstance(each, Unknown)), False)


def _host(ctx: Context, addresses: Value) -> Value:
    ip = ctx.value("envelope.ip")
    if not isinstance(ip, str):
        return ip
    if isinstance(addresses, tuple) and ip in addresses:
        return OWN
    return SERVICE if isinstance(ctx.value("senders.message_service"), str) else UNKNOWN
