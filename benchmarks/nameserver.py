"""A fast name server on loopback: answers of any resolver, remembered as octets, after a delay of choice.

    python benchmarks/nameserver.py --domains 50000 --delay 0.02 --port 5300     the domains of benchmarks/lab.py

It must not be what a benchmark measures: an answer is written out once, by hand for the usual types, and later only its
id is changed (6 microseconds of processor time a question); several processes share the port (SO_REUSEPORT). A
question whose answer is Failed(timeout) gets none. Where a reply is too large, it comes over TCP. Record sets rotate
from one reply to the next, as unbound's and BIND's do, and one reply in `_SLOW_ONE_IN` takes three times as long.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from msgspec import Struct

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver

_MOST_REMEMBERED = 200_000
_PLAIN_PAYLOAD = 512  # octets, without EDNS
_TURNS = 4  # orders in which a record set is given
_SLOW_ONE_IN = 50
_AT_ONCE = 64  # datagrams read before the loop has its turn
_BUFFER = 8 * 1024 * 1024  # octets that wait in the socket
_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA"}
_OTHER_TYPES = {43: "DS", 46: "RRSIG", 48: "DNSKEY", 52: "TLSA", 65: "HTTPS", 99: "SPF", 255: "ANY"}
_NUMBERS = {name: number for number, name in (_TYPES | _OTHER_TYPES).items()}
_QR_RD_RA, _TC = 0x8180, 0x0200
_SERVFAIL, _NXDOMAIN, _REFUSED = 2, 3, 5
_OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
_QUESTION_NAME = 0xC000 | 12  # a pointer to it


class Load(Struct, frozen=True):
    """What a server has done since it began: questions, and seconds of processor time."""

    questions: int
    seconds: float


def wire_reply(query: bytes, resolver: Resolver, *, limit: int | None = None, turn: int = 0) -> bytes:
    """The reply to a question, of at most `limit` octets (None: what the question allows); empty where none comes.

    The record set begins with its record number `turn`.
    """
    end = 12
    labels = []
    while length := query[end]:
        labels.append(query[end + 1 : end + 1 + length])
        end += 1 + length
    end += 5
    kind = int.from_bytes(query[end - 4 : end - 2], "big")
    edns = query[10:12] != b"\0\0" and query[end : end + 3] == b"\0\0\x29"
    allowed = limit or (
        max(_PLAIN_PAYLOAD, int.from_bytes(query[end + 3 : end + 5], "big")) if edns else _PLAIN_PAYLOAD
    )
    rdtype = _TYPES.get(kind) or _OTHER_TYPES.get(kind) or f"TYPE{kind}"
    answer = _now(resolver, b".".join(labels).decode("ascii", "replace").lower(), rdtype)
    question, options = query[12:end], _OPT if edns else b""

    def message(flags: int, answers: int, authority: int, body: bytes) -> bytes:
        head = struct.pack("!HHHHHH", 0, flags, 1, answers, authority, 1 if edns else 0)
        return query[:2] + head[2:] + question + body + options

    if isinstance(answer, Failed):
        if answer.reason is Reason.TIMEOUT:
            return b""
        return message(_QR_RD_RA | (_REFUSED if answer.reason is Reason.REFUSED else _SERVFAIL), 0, 0, b"")
    body, owner = bytearray(), _QUESTION_NAME
    for target in answer.chain:
        data = _name(target)
        body += _record(owner, 5, answer.ttl, data)
        owner = 0xC000 | end + len(body) - len(data)
    if isinstance(answer, Absent):
        soa = _name("ns.invalid") + _name("root.invalid") + struct.pack("!IIIII", 1, 2, 3, 4, answer.ttl)
        zone = (answer.chain[-1] if answer.chain else answer.name).rpartition(".")[2]
        body += _name(zone) + struct.pack("!HHIH", 6, 1, answer.ttl, len(soa)) + soa
        return message(_QR_RD_RA | (_NXDOMAIN if answer.nxdomain else 0), len(answer.chain), 1, bytes(body))
    records = list(_data(answer))
    turn %= len(records)
    for data in records[turn:] + records[:turn]:
        body += _record(owner, _NUMBERS.get(answer.rdtype, kind), answer.ttl, data)
    whole = message(_QR_RD_RA, len(answer.chain) + len(answer.values), 0, bytes(body))
    return whole if len(whole) <= allowed else message(_QR_RD_RA | _TC, 0, 0, b"")


def _now(resolver: Resolver, name: str, rdtype: str) -> Answer:
    """The answer of a resolver that waits for nothing."""
    asking = resolver.query(name, rdtype)
    try:
        asking.__await__().send(None)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    raise TypeError("this resolver has to wait for its answers")


def _record(owner: int, kind: int, ttl: int, data: bytes) -> bytes:
    return struct.pack("!HHHIH", owner, kind, 1, ttl, len(data)) + data


def _name(text: str) -> bytes:
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _data(answer: Found) -> Iterator[bytes]:
    """The records as octets."""
    match answer.rdtype:
        case "TXT":
            for value, lengths in zip(answer.values, answer.string_octets, strict=True):
                octets, at, data = value.encode(), 0, b""
                for length in lengths:
                    data += bytes((length,)) + octets[at : at + length]
                    at += length
                yield data
        case "A" | "AAAA":
            yield from (ip_address(value).packed for value in answer.values)
        case "NS" | "CNAME" | "PTR":
            yield from map(_name, answer.values)
        case "MX":
            for value in answer.values:
                preference, host = value.split(" ")
                yield struct.pack("!H", int(preference)) + _name(host)
        case "SOA":
            for value in answer.values:
                primary, mailbox, *numbers = value.split(" ")
                yield _name(primary) + _name(mailbox) + struct.pack("!IIIII", *map(int, numbers))
        case other:
            import dns.rdata

            yield from (dns.rdata.from_text("IN", other, value).to_digestable() for value in answer.values)


class Server:
    """One process: UDP and TCP on a port of loopback."""

    def __init__(self, resolver: Resolver, delay: float) -> None:
        self._resolver, self._delay = resolver, delay
        self._known: dict[bytes, tuple[bytes, ...]] = {}
        self._waiting: deque[tuple[float, bytes, Any]] = deque()
        self.questions = 0

    async def open(self, port: int) -> int:
        """Listen; with port 0 on a free one, which is returned."""
        for _ in range(20):  # the free UDP port may be taken for TCP
            udp = _socket(socket.SOCK_DGRAM, port)
            chosen: int = udp.getsockname()[1]
            try:
                tcp = _socket(socket.SOCK_STREAM, chosen)
                break
            except OSError:
                udp.close()
        self._udp = udp
        self._listener = await asyncio.start_server(self._connected, sock=tcp, backlog=512)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(udp, self._readable)
        return chosen

    def _readable(self) -> None:
        receive, send = self._udp.recvfrom, self._udp.sendto
        due = self._loop.time() + self._delay
        for _ in range(_AT_ONCE):
            try:
                query, address = receive(4096)
            except BlockingIOError:
                break
            reply = self._reply(query)
            if not reply:
                continue
            if not self._delay:
                send(query[:2] + reply[2:], address)
                continue
            if self.questions % _SLOW_ONE_IN == 0:
                self._loop.call_later(3 * self._delay, self._udp.sendto, query[:2] + reply[2:], address)
                continue
            if not self._waiting:
                self._loop.call_at(due, self._due)
            self._waiting.append((due, query[:2] + reply[2:], address))

    def _due(self) -> None:
        """Send what has waited long enough; the delay is the same for all, so the first to come is the first to go."""
        now = self._loop.time() + 0.0002
        while self._waiting and self._waiting[0][0] <= now:
            _, reply, address = self._waiting.popleft()
            self._udp.sendto(reply, address)
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self._due)

    def _reply(self, query: bytes) -> bytes:
        self.questions += 1
        asked = query[2:]
        replies = self._known.get(asked)
        if replies is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            try:
                replies = tuple([wire_reply(query, self._resolver, turn=turn) for turn in range(_TURNS)])
            except (IndexError, struct.error):
                replies = (b"",)
            if len(set(replies)) == 1:
                replies = replies[:1]
            self._known[asked] = replies
        return replies[self.questions % len(replies)]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                self.questions += 1
                await asyncio.sleep(self._delay)
                reply = wire_reply(query, self._resolver, limit=0xFFFF)
                if reply:
                    writer.write(struct.pack("!H", len(reply)) + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _socket(kind: socket.SocketKind, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        made.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
    made.setblocking(False)
    made.bind(("127.0.0.1", port))
    return made


def serve(make: Callable[[], Resolver], delay: float, port: int, pipe: Connection) -> None:
    """Serve in this process: tells the port through `pipe`, and its Load whenever something arrives there."""

    async def run() -> None:
        server = Server(make(), delay)
        pipe.send(await server.open(port))
        loop = asyncio.get_running_loop()

        def asked() -> None:
            try:
                pipe.recv()
                pipe.send(Load(server.questions, time.process_time()))
            except (EOFError, OSError):  # whoever started this is gone
                loop.stop()

        loop.add_reader(pipe.fileno(), asked)
        await asyncio.Event().wait()

    with suppress(RuntimeError):  # stopped
        asyncio.run(run())


class Serving(Struct, frozen=True):
    """A name server that runs: its port, as `--resolver` takes it, and the pipes to its processes."""

    port: int
    pipes: tuple[Connection, ...]

    @property
    def resolver(self) -> str:
        """The server as an option names it."""
        return f"127.0.0.1:{self.port}"

    def load(self) -> Load:
        """What all its processes have done since they began."""
        each = []
        for pipe in self.pipes:
            pipe.send("load")
            each.append(pipe.recv())
        return Load(sum(one.questions for one in each), sum(one.seconds for one in each))


@contextmanager
def serving(
    make: Callable[[], Resolver], *, delay: float = 0.0, processes: int = 1, port: int = 0
) -> Iterator[Serving]:
    """A name server in processes of its own, so that it does not share the client's time.

    `make` is called in each and must be known to a new interpreter: a class, or a partial of one; its resolver must
    answer without waiting. `delay` in seconds.
    """
    context = multiprocessing.get_context("spawn")
    pipes, started = [], []
    try:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(make, delay, port, theirs), daemon=True)
            process.start()
            theirs.close()
            started.append(process)
            pipes.append(ours)
            port = ours.recv()
        yield Serving(port, tuple(pipes))
    finally:
        for process in started:
            process.terminate()
            process.join()
        for pipe in pipes:
            pipe.close()


def main() -> None:
    from benchmarks.lab import DOMAINS, SEED, Lab

    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--domains", type=int, default=DOMAINS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    with serving(
        partial(Lab, given.domains, given.seed), delay=given.delay, processes=given.processes, port=given.port
    ) as server:
        print(server.resolver, flush=True)
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    main()
