"""The API of `deliv listen`. Its description for programs: reports/listen.openapi.json."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from deliverability.core.codec import encode
from deliverability.core.errors import InputError
from deliverability.core.files import locate
from deliverability.core.net.clock import stamp
from deliverability.core.phrases import LANGUAGES
from deliverability.listen.guard import refusal
from deliverability.listen.service import CaptureChange, CaptureNews, CaptureService
from deliverability.listen.store import Capture

DESCRIPTION = "listen.openapi.json"
MEDIA_TYPES = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "sarif": "application/sarif+json",
    "xml": "application/xml",
}
WAIT_SECONDS = 300.0
_JSON_OCTETS = 100_000
_SPOOLED_OCTETS = 1_000_000


class _AskedFaults(Struct, frozen=True, forbid_unknown_fields=True):
    fail: tuple[str, ...]
    seed: int = 0


def api_routes() -> list[BaseRoute]:
    """All routes of the API."""
    return [
        Route("/api/openapi.json", _description),
        Route("/api/messages", _messages, methods=["GET"]),
        Route("/api/messages", _upload, methods=["POST"]),
        Route("/api/messages/{id}", _message, methods=["GET"]),
        Route("/api/messages/{id}", _delete, methods=["DELETE"]),
        Route("/api/messages/{id}/raw", _raw),
        Route("/api/messages/{id}/report.{ending}", _report),
        Route("/api/wait", _wait),
        Route("/api/events", _events),
        Route("/api/tests", _reserve, methods=["POST"]),
        Route("/api/audits", _audit, methods=["POST"]),
        Route("/api/chaos", _faults, methods=["GET"]),
        Route("/api/chaos", _change_faults, methods=["PUT"]),
    ]


def service_of(request: Request) -> CaptureService:
    """The service behind a request."""
    service: CaptureService = request.app.state.service
    return service


def language_of(request: Request) -> str:
    """The language of an answer: ``?lang=``, then Accept-Language (RFC 9110 section 12.5.4), then that of the run."""
    asked = request.query_params.get("lang", "")
    if asked in LANGUAGES:
        return asked
    best, weight = service_of(request).lang, 0.0
    for each in request.headers.get("accept-language", "")[:1000].split(","):
        name, _, quality = each.partition(";")
        lang = name.strip().lower().partition("-")[0]
        found = re.fullmatch(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", quality)
        own = float(found[1]) if found else 0.0 if quality else 1.0
        if lang in LANGUAGES and own > weight:
            best, weight = lang, own
    return best


async def _description(request: Request) -> Response:
    return Response((locate("reports") / DESCRIPTION).read_bytes(), media_type="application/json")


async def _messages(request: Request) -> Response:
    wanted = request.query_params.get("match", "")
    found = [each.document() for each in service_of(request).store if matches(each, wanted)]
    return JSONResponse({"messages": found})


async def _upload(request: Request) -> Response:
    """A message as the body, or as the file ``message`` of a form."""
    service = service_of(request)
    name, octets = "", b""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("message")
            if file is None or isinstance(file, str):
                return refusal(400, "no-message")
            name, octets = file.filename or "", await file.read()
    else:
        octets = await _body(request)
    if not octets.strip():
        return refusal(400, "no-message")
    if len(octets) > service.max_octets:
        return refusal(413, "too-large")
    try:
        made = await service.take(octets, None, name=name)
    except InputError as error:
        return unusable(error)
    except OSError:
        return refusal(507, "not-kept")
    return JSONResponse(made.document(), 201, {"location": f"/api/messages/{made.id}"})


async def _body(request: Request) -> bytes:
    """The body, which is in memory once, as a file of a form is."""
    with tempfile.SpooledTemporaryFile(_SPOOLED_OCTETS) as file:
        async for piece in request.stream():
            file.write(piece)
        file.seek(0)
        return file.read()


async def _message(request: Request) -> Response:
    found = service_of(request).store.get(request.path_params["id"])
    return refusal(404, "no-such-message") if found is None else JSONResponse(found.document())


async def _delete(request: Request) -> Response:
    if not await service_of(request).delete(request.path_params["id"]):
        return refusal(404, "no-such-message")
    return Response(status_code=204)


async def _raw(request: Request) -> Response:
    ident = request.path_params["id"]
    octets = await asyncio.to_thread(service_of(request).store.raw, ident)
    if octets is None:
        return refusal(404, "no-such-message")
    headers = {"content-disposition": f'attachment; filename="{ident}.eml"'}
    return Response(octets, media_type="message/rfc822", headers=headers)


async def _report(request: Request) -> Response:
    ident, ending = request.path_params["id"], request.path_params["ending"]
    if ending not in MEDIA_TYPES:
        return refusal(404, "no-such-format")
    try:
        text = await service_of(request).report(ident, ending, language_of(request))
    except InputError as error:
        return unusable(error)
    return refusal(404, "no-such-message") if text is None else report_response(text, ending)


def report_response(text: str, ending: str) -> Response:
    """A report, the very octets that `deliv audit -o` writes."""
    response = Response(text.encode("utf-8", "backslashreplace"), media_type=MEDIA_TYPES[ending])
    if ending == "html":
        # It brings its own policy along; what a page may load is said there.
        response.headers["content-security-policy"] = "frame-ancestors 'self'"
    return response


def unusable(error: InputError) -> Response:
    """What is wrong with an input, as codes."""
    return JSONResponse({"error": "unusable", "details": [encode(each) for each in error.details]}, 422)


async def _wait(request: Request) -> Response:
    """Wait for an audited message that matches; those that are there already count."""
    service = service_of(request)
    try:
        seconds = float(request.query_params.get("timeout", "60"))
    except ValueError:
        return refusal(400, "timeout")
    if not 0 <= seconds <= WAIT_SECONDS:
        return refusal(400, "timeout")
    wanted, since = request.query_params.get("match", ""), request.query_params.get("since", "")

    def found() -> Capture | None:
        return next(
            (each for each in service.store if not each.waits and each.id > since and matches(each, wanted)), None
        )

    async with service.feed.follow() as news:
        capture = found()
        try:
            async with asyncio.timeout(seconds):
                while capture is None:
                    if (await anext(news, None)) is None:
                        return refusal(503, "ends")
                    capture = found()
        except TimeoutError:
            return refusal(408, "timeout")
    return JSONResponse(capture.document())


def matches(capture: Capture, wanted: str) -> bool:
    """Whether the text is in a recipient, the sender, the From or the subject, whatever its case."""
    envelope = capture.envelope
    texts = [capture.id, capture.subject, capture.author, capture.name]
    texts += [envelope.mail_from, *envelope.rcpt] if envelope else []
    return any(wanted.casefold() in each.casefold() for each in texts)


async def _events(request: Request) -> Response:
    """Server-sent events: what comes, is audited and goes, each with the message where it is there."""
    service = service_of(request)

    def event(news: CaptureNews) -> dict[str, str]:
        capture = None if news.change is CaptureChange.GONE else service.store.get(news.id)
        data: dict[str, Any] = {"id": news.id, "message": capture and capture.document()}
        return {"event": news.change.value, "data": json.dumps(data)}

    return event_stream(service, event)


def event_stream(service: CaptureService, event: Callable[[CaptureNews], dict[str, str]]) -> Response:
    """Server-sent events, one for each change."""
    from sse_starlette import EventSourceResponse

    async def events() -> AsyncIterator[dict[str, str]]:
        async with service.feed.follow() as news:
            async for each in news:
                yield event(each)

    return EventSourceResponse(events(), ping=15)


async def _reserve(request: Request) -> Response:
    made = service_of(request).reservations.reserve(datetime.now(UTC))
    if made is None:
        return refusal(429, "too-many-tests")
    return JSONResponse({"address": made.address, "until": stamp(made.until)}, 201)


async def _audit(request: Request) -> Response:
    try:
        asked = json.loads(await _small_body(request))
    except (ValueError, RecursionError):
        return refusal(400, "json")
    if not isinstance(asked, dict) or not isinstance(asked.get("domain"), str):
        return refusal(400, "domain")
    try:
        asked["domain"].encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return refusal(400, "domain")
    ending = asked.get("format", "json")
    if not isinstance(ending, str) or ending not in MEDIA_TYPES:
        return refusal(400, "no-such-format")
    try:
        text = await service_of(request).domain_report(asked["domain"], ending, language_of(request))
    except InputError as error:
        return unusable(error)
    return report_response(text, ending)


async def _faults(request: Request) -> Response:
    faults = service_of(request).faults
    return refusal(404, "no-faults") if faults is None else JSONResponse(faults.document())


async def _change_faults(request: Request) -> Response:
    """What goes wrong from now on, in place of what did."""
    faults = service_of(request).faults
    if faults is None:
        return refusal(404, "no-faults")
    try:
        asked = msgspec.json.decode(await _small_body(request), type=_AskedFaults)
    except (ValueError, RecursionError):
        return refusal(400, "json")
    try:
        await asyncio.to_thread(faults.change, asked.fail, asked.seed)
    except InputError as error:
        return unusable(error)
    return JSONResponse(faults.document())


async def _small_body(request: Request) -> bytes:
    """The body of a call. Raises ValueError where it is larger than any can be."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _JSON_OCTETS:
            raise ValueError("too large")
    return bytes(body)
