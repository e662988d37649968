"""The servers that answer DNS questions: how the user names them, and which ones this machine is set up to use."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.errors import InputError

NO_DOH_URL = Code("no-doh-url", ("text",))
NO_RESOLVER = Code("no-resolver", ("text",))
NO_PORT = Code("no-port", ("text",))

_PORTS = {"udp": 53, "tls": 853, "https": 443}


class Server(Struct, frozen=True):
    """One resolver to ask: `transport` is ``udp`` (TCP on truncation), ``tls`` or ``https``.

    `host` is an IP address, or for https the host of `url`; `tls_name` the name that the certificate must carry.
    """

    transport: str
    host: str
    port: int
    url: str = ""
    tls_name: str = ""

    def __str__(self) -> str:
        if self.transport == "https":
            return self.url
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.transport] else f":{self.port}"
        prefix = "" if self.transport == "udp" else "tls://"
        name = f"#{self.tls_name}" if self.tls_name else ""
        return f"{prefix}{host if port or prefix else self.host}{port}{name}"


def parse_server(text: str) -> Server:
    """Read a resolver to ask: ``ADDR``, ``ADDR:PORT``, ``[V6]:PORT``, ``tls://ADDR[:PORT][#NAME]`` or ``https://URL``.

    Raises:
        InputError: with a sentence that says what is wrong.

    """
    given = text.strip()
    if given.lower().startswith("https://"):
        try:
            parts = urlsplit(given)
            port = parts.port or _PORTS["https"]
        except ValueError:
            parts, port = None, 0
        if parts is None or not parts.hostname or parts.username is not None:
            raise InputError(NO_DOH_URL(text=text))
        return Server("https", parts.hostname, port, url=given)
    transport, rest, tls_name = "udp", given, ""
    if given.lower().startswith("tls://"):
        transport = "tls"
        rest, _, tls_name = given[len("tls://") :].partition("#")
    if rest.startswith("["):
        match = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?", rest)
    elif rest.count(":") > 1:
        match = re.fullmatch(r"(.*)()", rest)  # an IPv6 address without brackets, so without a port
    else:
        match = re.fullmatch(r"([^:]*)(?::(\d{1,5}))?", rest)
    host = match[1] if match else ""
    port = int(match[2] or _PORTS[transport]) if match else 0
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise InputError(NO_RESOLVER(text=text)) from None
    if not 0 < port < 65536:
        raise InputError(NO_PORT(text=text))
    return Server(transport, host, port, tls_name=tls_name)


def system_servers() -> tuple[Server, ...]:
    """The resolvers this machine is set up to use; empty where it has none."""
    import dns.resolver

    try:
        configured = dns.resolver.Resolver(configure=True)
    except dns.resolver.NoResolverConfiguration:
        return ()
    return tuple(Server("udp", str(address), 53) for address in configured.nameservers)
