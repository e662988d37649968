"""The pages of `deliv listen`: a list of what was caught, each message with its size and look, two of them compared.

They work without script; only the list renews itself with one. What changes something is a form, and the guard sees
to it that no other site sends it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from deliverability.core.codes import Detail
from deliverability.core.errors import InputError
from deliverability.core.net.clock import stamp
from deliverability.core.phrases import LANGUAGES, detail_words, phrases
from deliverability.core.report.preview import ColourScheme
from deliverability.core.words.sentences import moment_words, visible
from deliverability.core.words.sentences import octets as octets_words
from deliverability.listen.api import event_stream, language_of, report_response, service_of
from deliverability.listen.guard import refusal
from deliverability.listen.look import row_of
from deliverability.listen.store import CaughtMail
from deliverability.listen.templates import POLICY, PagePlace, list_page, note_page, script, style_sheet

if TYPE_CHECKING:
    from starlette.types import Scope

_TOO_LARGE = "listen.too-large"
_SCREENS = "deliverability.listen.screens"
_OTHERS = 30
_WIDTHS = ("375", "1280")
_YEAR = 365 * 24 * 3600  # seconds that a browser remembers the language

_Handler = Callable[[Request], Awaitable[Response]]
_PERMITS, _FRAMES = 100, 4


class _RefusedError(Exception):
    """A page cannot be shown: the phrase that says why, and the status (RFC 9110)."""

    def __init__(self, key: str, status: int) -> None:
        super().__init__(key)
        self.key, self.status = key, status


def page_routes() -> list[BaseRoute]:
    """Routes of the pages. A request has the CaptureService as ``request.app.state.service``."""
    permits = ImagePermits()

    async def images(request: Request) -> Response:
        """The page again, with images on the web loaded: the user asked for it, this once."""
        mail = _mail(request)
        if request.method == "GET":
            return RedirectResponse(f"{_place(request).root}/messages/{mail.capture.id}?{request.url.query}", 303)
        return await _look_page(request, mail, permits.grant(mail.capture.id))

    async def preview(request: Request) -> Response:
        mail = _mail(request)
        return await _frame(request, mail, remote=permits.use(mail.capture.id, request.query_params.get("once", "")))

    return [
        Route("/", _answering(_list)),
        Route("/messages", _answering(_upload), methods=["POST"]),
        Route("/messages", _to_list),
        Route("/messages/{id}", _answering(_look)),
        Route("/messages/{id}/images", _answering(images), methods=["GET", "POST"]),
        Route("/messages/{id}/preview", _answering(preview)),
        Route("/messages/{id}/picture", _answering(_screenshot)),
        Route("/messages/{id}/report", _answering(_report)),
        Route("/messages/{id}/raw.eml", _answering(_raw)),
        Route("/messages/{id}/slim.eml", _answering(_slim)),
        Route("/messages/{id}/delete", _answering(_delete), methods=["POST"]),
        Route("/tests", _answering(_reserve), methods=["POST"]),
        Route("/tests", _to_list),
        Route("/compare", _answering(_compare)),
        Route("/events", _events),
        Route("/assets/listen.css", _style),
        Route("/assets/listen.js", _script),
    ]


class ImagePermits:
    """Permits to load the images of a message from the web: each for the frames of one page, once."""

    def __init__(self) -> None:
        self._granted: OrderedDict[str, tuple[str, set[str]]] = OrderedDict()

    def grant(self, ident: str) -> str:
        """A permit for the previews of that message."""
        token = secrets.token_urlsafe(16)
        self._granted[token] = (ident, set())
        while len(self._granted) > _PERMITS:
            self._granted.popitem(last=False)
        return token

    def use(self, ident: str, shown: str) -> bool:
        """Whether a frame of that message, which shows ``TOKEN.FRAME``, may load them; the same one may not again."""
        token, _, frame = shown.partition(".")
        granted, used = self._granted.get(token, ("", set()))
        if granted != ident or frame in used or len(used) >= _FRAMES:
            return False
        used.add(frame)
        return True


async def _list(request: Request) -> Response:
    return _list_page(request)


def _list_page(request: Request, key: str = "", status: int = 200, *, reserved: tuple[str, str] = ("", "")) -> Response:
    """The list; `key` is the phrase of what went wrong with the last wish, `reserved` see list_page."""
    return _noted_list(request, _note_text(request, key) if key else "", status, reserved)


def _noted_list(request: Request, note: str, status: int, reserved: tuple[str, str] = ("", "")) -> Response:
    place, service = _place(request), service_of(request)
    say = phrases(place.lang)
    rows = [row_of(each, say) for each in service.store]
    smtp = "" if service.public else service.smtp
    page = list_page(place, rows, smtp=smtp, public=service.public, reserved=reserved, note=note)
    return _html(request, page, status)


async def _to_list(request: Request) -> Response:
    """From the address of a form, as when its answer is asked for in the other language."""
    return RedirectResponse(f"{_home(request)}?{request.url.query}", 303)


async def _reserve(request: Request) -> Response:
    """An address to send a test to, where mail to others is refused."""
    made = service_of(request).reservations.reserve(datetime.now(UTC))
    if made is None:
        return _list_page(request, "listen.too-many", 429)
    until = moment_words(stamp(made.until), phrases(_place(request).lang))
    return _list_page(request, reserved=(made.address, until))


async def _upload(request: Request) -> Response:
    service = service_of(request)
    async with request.form(max_files=1, max_fields=10) as form:
        file = form.get("message")
        name, octets = ("", b"") if file is None or isinstance(file, str) else (file.filename or "", await file.read())
    if not octets.strip():
        return _list_page(request, "listen.no-file", 400)
    if len(octets) > service.max_octets:
        return _list_page(request, _TOO_LARGE, 413)
    try:
        await service.take(octets, None, name=name)
    except InputError as error:
        say = phrases(_place(request).lang)
        problems = say("punctuation.clauses").join(visible(detail_words(each, say)) for each in error.details)
        return _noted_list(request, problems, 422)
    except OSError:
        return _list_page(request, "listen.not-kept", 507)
    return RedirectResponse(_home(request), 303)


async def _look(request: Request) -> Response:
    return await _look_page(request, _mail(request), "")


async def _look_page(request: Request, mail: CaughtMail, once: str) -> Response:
    if mail.capture.summary is None:
        raise _RefusedError("listen.not-audited" if mail.capture.waits else "listen.unusable", 409)
    others = [each for each in service_of(request).store if each.summary and each.id != mail.capture.id]
    others.sort(key=lambda each: each.subject != mail.capture.subject)  # what was sent again comes first
    return _html(request, await _screen(request, "look", mail, _place(request), others[:_OTHERS], once))


async def _frame(request: Request, mail: CaughtMail, *, remote: bool) -> Response:
    """A message for a frame that runs nothing; the policy says the same to whoever opens it by itself."""
    scheme = ColourScheme(_one_of(request, "scheme", tuple(ColourScheme)))
    document, policy = await _screen(request, "preview", mail, _place(request).lang, scheme, remote)
    if not document:
        raise _RefusedError("look.no-html", 404)
    response = HTMLResponse(document)
    response.headers["content-security-policy"] = f"{policy}; sandbox; frame-ancestors 'self'"
    return response


async def _screenshot(request: Request) -> Response:
    mail, width = _mail(request), _one_of(request, "width", _WIDTHS)
    scheme = ColourScheme(_one_of(request, "scheme", tuple(ColourScheme)))
    png = await _screen(request, "picture", mail, _place(request).lang, scheme, int(width))
    if png is None:
        raise _RefusedError("listen.no-picture", 404)
    return _file(png, "image/png", f"{mail.capture.id}-{width}-{scheme.value}.png")


async def _report(request: Request) -> Response:
    text = await service_of(request).report(_mail(request).capture.id, "html", _place(request).lang)
    if text is None:
        raise _RefusedError("listen.gone", 404)
    return report_response(text, "html")


async def _raw(request: Request) -> Response:
    mail = _mail(request)
    return _file(await asyncio.to_thread(mail.octets), "message/rfc822", f"{mail.capture.id}.eml")


async def _slim(request: Request) -> Response:
    mail = _mail(request)
    return _file(await _screen(request, "lighter", mail), "message/rfc822", f"{mail.capture.id}-slim.eml")


async def _delete(request: Request) -> Response:
    await service_of(request).delete(request.path_params["id"])
    return RedirectResponse(_home(request), 303)


async def _compare(request: Request) -> Response:
    asked = list(dict.fromkeys(request.query_params.getlist("id")))
    mails = [mail for each in asked[:3] if (mail := service_of(request).store.mail(each)) and mail.capture.summary]
    if len(mails) != 2:
        return _list_page(request, "listen.compare-two", 400)
    older, newer = sorted(mails, key=lambda mail: (mail.capture.at, mail.capture.id))
    return _html(request, await _screen(request, "compare", (older, newer), _place(request)))


async def _events(request: Request) -> Response:
    """Says that the list has changed; what is new, the list tells."""
    return event_stream(service_of(request), lambda news: {"data": news.change.value})


async def _style(request: Request) -> Response:
    return Response(style_sheet(), media_type="text/css")


async def _script(request: Request) -> Response:
    return Response(script(), media_type="text/javascript")


# --- what they share ---


def _answering(handler: _Handler) -> _Handler:
    """The handler with its refusals, and what an audit raises, as pages."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except _RefusedError as error:
            return _note(request, error.key, error.status)
        except InputError as error:
            return _note(request, "listen.unusable", 422, error.details)

    return answer


def refused(scope: Scope, status: int, code: str, headers: Mapping[str, str]) -> Response:
    """What the guard says: as JSON to users of the API, else as a page."""
    if scope["path"].removeprefix(scope.get("root_path", "")).startswith("/api/"):
        return refusal(status, code, headers)
    response = _note(Request(scope), f"listen.{code}", status)
    response.headers.update(headers)
    return response


async def not_there(request: Request, error: Exception) -> Response:
    """The answer where no route leads, or none with that method (RFC 9110 sections 15.5.5 and 15.5.6)."""
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    return refused(request.scope, getattr(error, "status_code", 404), "no-such-page", headers)


def _note(request: Request, key: str, status: int, details: Sequence[Detail] = ()) -> Response:
    place = _place(request)
    say = phrases(place.lang)
    lines = [visible(detail_words(each, say)) for each in details]
    return _html(request, note_page(place, say("listen.title"), [_note_text(request, key), *lines]), status)


def _note_text(request: Request, key: str) -> str:
    say = phrases(_place(request).lang)
    return say(key, limit=octets_words(service_of(request).max_octets, say)) if key == _TOO_LARGE else say(key)


def _place(request: Request) -> PagePlace:
    """The language is that of the query, of the last such query of this browser, or what it prefers."""
    cookie = request.cookies.get("lang", "")
    lang = cookie if cookie in LANGUAGES and request.query_params.get("lang") not in LANGUAGES else language_of(request)
    rest = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != "lang"])
    return PagePlace(lang, quote(request.scope.get("root_path", "")), f"{rest}&" if rest else "")


def _home(request: Request) -> str:
    return f"{_place(request).root}/"


def _mail(request: Request) -> CaughtMail:
    """The message of the path. Raises _RefusedError where it is not there."""
    mail = service_of(request).store.mail(request.path_params["id"])
    if mail is None:
        raise _RefusedError("listen.gone", 404)
    return mail


async def _screen(request: Request, name: str, *args: Any) -> Any:
    """What a function of capture/screens.py makes in the worker. Raises InputError."""
    return await service_of(request).call(f"{_SCREENS}:{name}", *args)


def _one_of(request: Request, name: str, values: tuple[str, ...]) -> str:
    """A value of the query; the first one where it is none of them."""
    asked = request.query_params.get(name, "")
    return asked if asked in values else values[0]


def _html(request: Request, page: str, status: int = 200) -> Response:
    response = HTMLResponse(page, status)
    response.headers["content-security-policy"] = f"{POLICY}; frame-ancestors 'none'"
    response.headers["referrer-policy"] = "same-origin"  # without one a browser hides the origin of forms, too
    if (lang := request.query_params.get("lang", "")) in LANGUAGES:
        response.set_cookie("lang", lang, max_age=_YEAR, httponly=True, samesite="lax")
    return response


def _file(octets: bytes, media_type: str, name: str) -> Response:
    return Response(octets, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})
