"""What users and programs give, made clean or refused: domains, DKIM selectors, sending addresses, MAIL FROM,
secrets.

The command line, the settings, the weekly run and the Python API read their inputs here, so that all of them take the
same spellings.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

from deliverability.model.codes import ABOUT, VERBATIM, Code
from deliverability.model.errors import DetailError, InputError
from deliverability.model.names import is_address

NO_DOMAIN = Code("not-a-domain", ("text",))
NO_SELECTOR = Code("no-selector", ("text",))
NO_ADDRESS = Code("no-ip-address", ("text",))
NO_MAIL_FROM = Code("no-mail-from", ("text",))
VARIABLE_UNSET = Code("variable-unset", ("name",))

_SELECTOR = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_URL = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]+)(?::[0-9]*)?(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)


def parse_domain(text: str) -> str:
    """A domain as A-label, lower case, without trailing dot: of a name, an address at it, or a web address.

    Raises InputError where it is none that could send mail.
    """
    from deliverability.mail.addresses import to_a_label

    given = text.strip()
    web = _URL.fullmatch(given)
    name = web[1] if web else given.removeprefix("mailto:").rpartition("@")[2].strip("<>")
    domain = to_a_label(name)
    if domain is None or "." not in domain or is_address(domain):
        raise InputError(NO_DOMAIN(text=text))
    return domain


def is_plain(text: str, domain: str) -> bool:
    """Whether `text`, from which `domain` was read, is just that name and not an address that it was taken out of."""
    return not (_URL.fullmatch(text.strip()) or "@" in text) or text.strip() == domain


def parse_selector(text: str) -> str:
    """A DKIM selector in lower case (RFC 6376 section 3.1). Raises InputError."""
    selector = text.strip().rstrip(".").lower()
    if not _SELECTOR.fullmatch(selector) or "_domainkey" in selector:
        raise InputError(NO_SELECTOR(text=text))
    return selector


def parse_ip(text: str) -> str:
    """An IPv4 or IPv6 address in its usual spelling. Raises InputError."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise InputError(NO_ADDRESS(text=text)) from None


def parse_mail_from(text: str) -> str:
    """An envelope sender without its brackets; empty for the null reverse-path. Raises InputError."""
    address = text.strip().removeprefix("<").removesuffix(">")
    local, _, domain = address.rpartition("@")
    if address and not (local and domain):
        raise InputError(NO_MAIL_FROM(text=text))
    return address


class SecretError(DetailError):
    """A password or key that the settings name cannot be read; `detail` says which."""


def secret(variable: str, file: str, folder: Path) -> str:
    """A secret from an environment variable or a file; empty where the settings name neither. Raises SecretError."""
    if variable:
        value = os.environ.get(variable)
        if not value:
            raise SecretError(VARIABLE_UNSET(name=variable))
        return value
    if file:
        try:
            return (folder / file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise SecretError(ABOUT(what=VERBATIM(text=file), detail=VERBATIM(text=why))) from None
    return ""
