"""The Model Context Protocol over standard input and output, as far as a server of tools needs it.

JSON-RPC 2.0, one message a line in UTF-8. Versions up to 2025-11-25 begin with `initialize`; 2026-07-28 has no
beginning: each request names its version, and `server/discover` tells which there are.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, BinaryIO

from msgspec import Struct

from deliverability import __version__
from deliverability.core.codec import json_text

MOST_OCTETS = 4_000_000  # of a request
AT_ONCE = 4
SECONDS = 30.0
NEWEST = "2026-07-28"
WITH_HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_VERSION = "io.modelcontextprotocol/protocolVersion"
_SERVER = "io.modelcontextprotocol/serverInfo"
_PARSE, _REQUEST, _METHOD, _PARAMS, _INTERNAL, _UNSUPPORTED = -32700, -32600, -32601, -32602, -32603, -32022
_CACHE = {"ttlMs": 3_600_000, "cacheScope": "public"}


class ToolAnswer(Struct, frozen=True):
    """What a tool says: `text` in our own words, and the same as data; `failed`: why it has nothing to say."""

    text: str
    data: dict[str, Any] | None = None
    failed: bool = False


class Tools(Struct, frozen=True):
    """What a server offers.

    Attributes:
        listed: the tools as `tools/list` gives them.
        call: runs one by name; raises LookupError where there is none of that name.
        instructions: how to use them.

    """

    listed: tuple[dict[str, Any], ...]
    call: Callable[[str, Mapping[str, Any]], Awaitable[ToolAnswer]]
    instructions: str


class _Refused(Exception):
    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class Server:
    """Answers requests; several at a time, each whole and on a line of its own.

    `late` is what a tool says that takes longer than SECONDS.
    """

    def __init__(self, tools: Tools, write: Callable[[bytes], None], late: str) -> None:
        self._tools, self._write, self._late = tools, write, late
        self._places = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str | int, asyncio.Task[None]] = {}

    async def serve(self, lines: BinaryIO) -> None:
        """Answer until the input ends; what is still at work then is answered first."""
        while line := await asyncio.to_thread(_line, lines):
            self.take(line)
            await asyncio.sleep(0)
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def take(self, line: bytes) -> None:
        """Take a line; its answer is written when it is there."""
        if len(line) > MOST_OCTETS:
            self._refuse(None, _Refused(_REQUEST, f"a request has at most {MOST_OCTETS} octets"))
            return
        if not line.strip():
            return
        try:
            message = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            self._refuse(None, _Refused(_PARSE, "not JSON"))
            return
        if not isinstance(message, dict):
            self._refuse(None, _Refused(_REQUEST, "a request is an object; there are no batches"))
            return
        ident, method, params = message.get("id"), message.get("method"), message.get("params", {})
        if method is None and ("result" in message or "error" in message):
            return  # nothing was asked of the client
        if isinstance(ident, bool) or not isinstance(ident, str | int | None) or message.get("jsonrpc") != "2.0":
            self._refuse(None, _Refused(_REQUEST, "not a request of JSON-RPC 2.0"))
        elif not isinstance(method, str) or not isinstance(params, dict):
            self._refuse(ident, _Refused(_REQUEST, "not a request of JSON-RPC 2.0"))
        elif ident is None:
            self._notified(method, params)
        elif ident in self._running:
            self._refuse(ident, _Refused(_REQUEST, "a request with this id is at work"))
        else:
            task = asyncio.create_task(self._answer(ident, method, params))
            self._running[ident] = task
            task.add_done_callback(lambda _: self._running.pop(ident, None))

    def _notified(self, method: str, params: Mapping[str, Any]) -> None:
        cancelled = params.get("requestId")
        if method == "notifications/cancelled" and isinstance(cancelled, str | int) and cancelled in self._running:
            self._running[cancelled].cancel()

    async def _answer(self, ident: str | int, method: str, params: Mapping[str, Any]) -> None:
        try:
            result = await self._result(method, params)
        except _Refused as refused:
            self._refuse(ident, refused)
        except Exception:
            self._refuse(ident, _Refused(_INTERNAL, "an internal error; the log has it"))
            raise
        else:
            self._send({"jsonrpc": "2.0", "id": ident, "result": result})

    async def _result(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if method == "initialize":
            asked = params.get("protocolVersion")
            version = asked if asked in WITH_HANDSHAKE else WITH_HANDSHAKE[0]
            return {"protocolVersion": version, "serverInfo": _info(), **self._offers()}
        modern = self._is_modern(params)
        if method == "ping":
            found: dict[str, Any] = {}
        elif method == "server/discover":
            modern = True
            found = {"supportedVersions": [NEWEST], **self._offers(), **_CACHE}
        elif method == "tools/list":
            found = {"tools": list(self._tools.listed)} | (_CACHE if modern else {})
        elif method == "tools/call":
            found = await self._called(params)
        else:
            raise _Refused(_METHOD, "there is no such method")
        return found | {"resultType": "complete", "_meta": {_SERVER: _info()}} if modern else found

    def _is_modern(self, params: Mapping[str, Any]) -> bool:
        meta = params.get("_meta")
        version = meta.get(_VERSION) if isinstance(meta, dict) else None
        if version is None:
            return False
        if version != NEWEST:
            raise _Refused(_UNSUPPORTED, "this version is not supported", {"supported": [NEWEST], "requested": version})
        return True

    def _offers(self) -> dict[str, Any]:
        return {"capabilities": {"tools": {}}, "instructions": self._tools.instructions}

    async def _called(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name, given = params.get("name"), params.get("arguments", {})
        if not isinstance(name, str) or not isinstance(given, dict):
            raise _Refused(_PARAMS, "tools/call needs name and arguments")
        try:
            async with self._places, asyncio.timeout(SECONDS):
                answer = await self._tools.call(name, given)
        except LookupError:
            raise _Refused(_PARAMS, "there is no such tool") from None
        except TimeoutError:
            answer = ToolAnswer(self._late, failed=True)
        said: dict[str, Any] = {"content": [{"type": "text", "text": answer.text}], "isError": answer.failed}
        return said if answer.data is None else said | {"structuredContent": answer.data}

    def _refuse(self, ident: str | int | None, refused: _Refused) -> None:
        data = {} if refused.data is None else {"data": refused.data}
        error = {"code": refused.code, "message": refused.message, **data}
        self._send({"jsonrpc": "2.0", "id": ident, "error": error})

    def _send(self, message: dict[str, Any]) -> None:
        self._write(json_text(message).encode("utf-8", "replace") + b"\n")


def serve(make: Callable[[], Tools], late: str) -> None:
    """Serve on standard input and output until the input ends; whatever else is printed goes to standard error."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr

    def write(octets: bytes) -> None:
        out.write(octets)
        out.flush()

    async def run() -> None:
        await Server(make(), write, late).serve(sys.stdin.buffer)

    try:
        asyncio.run(run())
    except BrokenPipeError:  # the client is gone
        sys.stdout = sys.stderr


def _line(lines: BinaryIO) -> bytes:
    """The next line; of one that is too long the beginning, which is too long as well. Empty at the end."""
    line = lines.readline(MOST_OCTETS + 1)
    rest = line
    while rest and not rest.endswith(b"\n"):
        rest = lines.readline(MOST_OCTETS)
    return line


def _info() -> dict[str, str]:
    return {"name": "deliv", "version": __version__}


def _no_constant(text: str) -> float:
    raise ValueError(text)
