"""A DNS server on loopback for tests and benchmarks: answers from any resolver, and misbehaves as scripted.

    async with DnsServer(StaticResolver({("example.com", "A"): ["192.0.2.1"]}), {"bad.example": "servfail"}) as server:
        resolver = LiveResolver([server.server])

Scripted behaviours, by name, or by ``*`` for all: see BEHAVIOURS, and `Reply` for those that tests.hostiledns writes
themselves. The log has one (name, type, transport) for each question received.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable, Mapping
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from deliverability.core.net.base import Absent, Failed, Found, Resolver
from deliverability.core.net.servers import Server

Reply = Callable[[dns.message.Message, dns.message.Message, str], list[bytes]]
"""What a server of its own kind sends: of the question, the honest answer, and the transport (udp, tcp or https)."""

BEHAVIOURS = {
    "servfail": "rcode SERVFAIL",
    "refused": "rcode REFUSED",
    "silent": "no reply",
    "silent-once": "no reply to the first question, then answers",
    "truncated": "TC over UDP, the answer over TCP",
    "truncated-no-tcp": "TC over UDP, the TCP connection is closed",
    "garbage": "octets that are no DNS message, then nothing",
    "garbage-first": "octets that are no DNS message, then the answer",
    "forged-first": "a denial with another id and a reply to another question, then the answer",
    "no-edns": "FORMERR to a question with EDNS",
    "referral": "no answer, NS of somebody else",
    "cname-only": "of a CNAME answer only the first CNAME, nothing on its target",
}


class DnsServer:
    """See the module. `delay` is the time in seconds before every reply; `tls` adds DNS over TLS and over HTTPS."""

    def __init__(
        self,
        source: Resolver,
        script: Mapping[str, str | Reply] | None = None,
        *,
        delay: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._source = source
        self._script = dict(script or {})
        unknown = {each for each in self._script.values() if isinstance(each, str)} - BEHAVIOURS.keys()
        if unknown:
            raise ValueError(f"no such behaviour: {unknown}")
        self._delay = delay
        self._tls = tls
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.log: list[tuple[str, str, str]] = []
        self.edns: list[int] = []  # EDNS version of each question, -1 without
        self.payloads: list[int] = []
        self.peers: list[Any] = []  # whence each question over UDP came
        self.connections = 0  # over TCP, TLS or HTTPS
        self.open = 0
        self.most_open = 0

    async def __aenter__(self) -> DnsServer:
        loop = asyncio.get_running_loop()
        for _ in range(20):  # the free UDP port may be taken for TCP
            self._udp, _protocol = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=("127.0.0.1", 0))
            self.port: int = self._udp.get_extra_info("sockname")[1]
            try:
                await self._listen(self._serve_tcp, self.port)
                break
            except OSError:
                self._udp.close()
        self.server = Server("udp", "127.0.0.1", self.port)
        if self._tls is not None:
            self.tls_server = Server("tls", "127.0.0.1", await self._listen(self._serve_tcp, 0, self._tls))
            port = await self._listen(self._serve_https, 0, self._tls)
            self.https_server = Server("https", "127.0.0.1", port, url=f"https://127.0.0.1:{port}/dns-query")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        for listener in self._servers:
            listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, serve: Any, port: int, tls: ssl.SSLContext | None = None) -> int:
        listener = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
        self._servers.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        return bound

    def asked(self, name: str, rdtype: str | None = None) -> int:
        """How many times a question arrived."""
        return sum(entry[0] == name and rdtype in (None, entry[1]) for entry in self.log)

    def start(self, wire: bytes, address: Any) -> None:
        self.peers.append(address)
        task = asyncio.create_task(self._serve_udp(wire, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_udp(self, wire: bytes, address: Any) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        for reply in await self._replies(wire, "udp"):
            self._udp.sendto(reply, address)
        self.open -= 1

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                for reply in await self._replies(await reader.readexactly(length), "tcp"):
                    writer.write(struct.pack("!H", len(reply)) + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve_https(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                replies = await self._replies(await reader.readexactly(length), "https")
                status, body = ("200 OK", replies[0]) if replies else ("502 Bad Gateway", b"no")
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _replies(self, wire: bytes, transport: str) -> list[bytes]:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        rdtype = dns.rdatatype.to_text(question.rdtype)
        self.log.append((name, rdtype, transport))
        self.edns.append(query.edns)
        self.payloads.append(query.payload)
        if self._delay:
            await asyncio.sleep(self._delay)
        behaviour = self._script.get(name) or self._script.get("*", "")
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        match behaviour:
            case "silent":
                return []
            case "silent-once" if self.asked(name) == 1:
                return []
            case "servfail" | "refused":
                response.set_rcode(dns.rcode.from_text(behaviour))
                return [response.to_wire()]
            case "truncated" | "truncated-no-tcp" if transport == "udp":
                response.flags |= dns.flags.TC
                return [response.to_wire()]
            case "truncated-no-tcp":
                raise ConnectionResetError
            case "garbage":
                return [b"\x00\x01garbage"]
            case "no-edns" if query.edns >= 0:
                response.set_rcode(dns.rcode.FORMERR)
                response.use_edns(-1)
                return [response.to_wire()]
            case "referral":
                response.authority.append(dns.rrset.from_text("example.", 60, "IN", "NS", "ns.example."))
                return [response.to_wire()]
        await self._fill(response, name, rdtype, first_only=behaviour == "cname-only")
        # Not shuffled, so that tests can compare whole answers.
        answer = response.to_wire(max_size=65535, want_shuffle=False)
        if transport == "udp" and len(answer) > max(query.payload, 512):
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
            answer = response.to_wire()
        if not isinstance(behaviour, str):
            return behaviour(query, response, transport)
        if behaviour == "garbage-first":
            return [b"", b"\xff" * 40, answer]
        if behaviour == "forged-first":
            denial = dns.message.make_response(query)
            denial.set_rcode(dns.rcode.NXDOMAIN)
            other_id = struct.pack("!H", query.id ^ 1) + denial.to_wire()[2:]
            forged = dns.message.make_response(dns.message.make_query("other.example", rdtype, id=query.id))
            return [other_id, forged.to_wire(), answer]
        return [answer]

    async def _fill(self, response: dns.message.Message, name: str, rdtype: str, *, first_only: bool) -> None:
        answer = await self._source.query(name, rdtype)
        if isinstance(answer, Failed):
            response.set_rcode(dns.rcode.REFUSED if answer.reason == "refused" else dns.rcode.SERVFAIL)
            return
        owner = name
        for target in answer.chain:
            response.answer.append(dns.rrset.from_text(f"{owner}.", answer.ttl, "IN", "CNAME", f"{target}."))
            owner = target
            if first_only:
                return
        if isinstance(answer, Absent):
            if answer.nxdomain:
                response.set_rcode(dns.rcode.NXDOMAIN)
            soa = f"ns.invalid. root.invalid. 1 2 3 4 {answer.ttl}"
            zone = owner.rpartition(".")[2] if "." in owner else ""
            response.authority.append(dns.rrset.from_text(f"{zone}.", answer.ttl, "IN", "SOA", soa))
            return
        rdatas = [
            dns.rdata.from_text("IN", rdtype, text, origin=dns.name.root, relativize=False)
            for text in _master_file_texts(answer)
        ]
        response.answer.append(dns.rrset.from_rdata_list(dns.name.from_text(owner), answer.ttl, rdatas))


def _master_file_texts(answer: Found) -> list[str]:
    """The values in the form that dnspython reads."""
    if answer.rdtype == "TXT":
        texts = []
        for value, lengths in zip(answer.values, answer.string_octets, strict=True):
            octets, parts = value.encode(), []
            for length in lengths:
                parts.append('"' + "".join(f"\\{octet:03d}" for octet in octets[:length]) + '"')
                octets = octets[length:]
            texts.append(" ".join(parts))
        return texts
    if answer.rdtype in ("MX", "CNAME", "NS", "PTR"):
        return [value if value.endswith(".") else f"{value}." for value in answer.values]
    return list(answer.values)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.start(data, addr)
