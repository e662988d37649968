"""The pages of `deliv listen` in a real browser.

A hostile message asks for nothing and runs nothing; pages fit a phone and are accessible; the list is live, and files
can be dropped on it. Screenshots are kept in the folder that DELIV_SCREENSHOTS names.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from deliverability.core.net.browser import take_screenshot
from deliverability.core.report.preview import ColourScheme, Showing, preview
from deliverability.listen.service import CaptureService
from deliverability.seeds.values import Folder
from tests.browser import find_chromium
from tests.core.report.test_browser import HOSTILE
from tests.devtools import DESKTOP, PHONE, Tab, browser, patiently, violations_shown
from tests.listen.listening import DEMO, serving
from tests.listen.test_landed import MAIL, keep, row, service_over
from tests.sampled import sampled

pytestmark = pytest.mark.system

LETTER = "From: a@sakura-shop.example\r\nSubject: {}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{}"
SCRIPTS = """<script>document.title = "ran"; new Image().src = "http://probe.example/ran"</script>
<img src=x onerror="top.location = 'http://probe.example/top'"><svg onload="fetch('http://probe.example/svg')"></svg>
<iframe srcdoc="<script>parent.postMessage(1, '*')</script>"></iframe><a href="javascript:alert(1)" id=a>a</a>
<meta http-equiv="refresh" content="0; url=http://probe.example/refresh">"""


class Trap:
    """Answers for every name of the web, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        trap = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers.get("host") == "probe.example":  # the browser has errands of its own
                    trap.asked.append(self.path)
                self.send_response(404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_address[1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    made = Trap()
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> CaptureService:
    """With two mailboxes in its history that a marked message was read in."""
    folder = tmp_path_factory.mktemp("history")
    keep(folder, row("gmail-1", Folder.SPAM), row("a-mailbox-with-a-very-long-name-" * 4, Folder.INBOX))
    return service_over(folder, smtp="127.0.0.1:1025")


@pytest.fixture(scope="module")
def root(service: CaptureService) -> Iterator[str]:
    with serving(service) as address:
        yield address


@pytest.fixture(scope="module")
def window(trap: Trap, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser for which the whole web, but for this machine, is the trap."""
    rules = f"MAP *:80 127.0.0.1:{trap.port}, MAP *:443 127.0.0.1:{trap.port}, EXCLUDE 127.0.0.1"
    with browser(find_chromium(), tmp_path_factory.mktemp("browser"), rules) as running, running.tab() as made:
        yield made


def sent(root: str, service: CaptureService, octets: bytes, name: str = "mail.eml") -> str:
    """The id of a message that was uploaded and audited."""
    ident = httpx2.post(f"{root}/api/messages", files={"message": (name, octets)}).json()["id"]
    patiently(lambda: service.store.get(ident).summary, "the audit")  # type: ignore[union-attr]
    return str(ident)


@pytest.fixture(scope="module")
def pages(root: str, service: CaptureService) -> dict[str, str]:
    """A page of each kind."""
    demo = sent(root, service, (DEMO / "newsletter.eml").read_bytes())
    heavy = LETTER.format("Heavy " * 30, "<p style='display:flex'>" + "tea " * 40_000 + "</p>").encode()
    large = sent(root, service, heavy, name="a-file-with-a-very-long-name-" * 5 + ".eml")
    return {
        "list": f"{root}/?",
        "look": f"{root}/messages/{demo}?",
        "heavy": f"{root}/messages/{large}?",
        "landed": f"{root}/messages/{sent(root, service, MAIL)}?",
        "compare": f"{root}/compare?id={demo}&id={large}&",
        "gone": f"{root}/messages/x?",
    }


KINDS = ("list", "look", "heavy", "landed", "compare", "gone")


@pytest.mark.parametrize(("kind", "lang"), sampled([*product(KINDS, ("en", "ja"))], 2))
def test_pages_are_accessible_and_fit_their_window(
    window: Tab, pages: dict[str, str], axe: str, kind: str, lang: str
) -> None:
    for width, dark in ((DESKTOP, False), (DESKTOP, True), (PHONE, False)):
        window.open(f"{pages[kind]}lang={lang}", width, dark=dark)
        assert window.run("document.documentElement.scrollWidth - innerWidth") <= 0
        assert violations_shown(window, axe) == []
        if kept := os.environ.get("DELIV_SCREENSHOTS"):
            scheme = "dark" if dark else "light"
            (Path(kept) / f"listen-{kind}-{lang}-{scheme}-{width}.png").write_bytes(window.picture())


def test_a_hostile_message_asks_for_nothing_and_runs_nothing(
    window: Tab, trap: Trap, root: str, service: CaptureService
) -> None:
    ident = sent(root, service, LETTER.format("Hostile", SCRIPTS + HOSTILE).encode())
    trap.asked.clear()
    page = f"{root}/messages/{ident}"
    window.open(page)
    window.run("document.querySelector('.of-dark').click()")
    titles = window.run("[...document.querySelectorAll('iframe')].map((each) => each.title).length")
    assert titles == 4
    for scheme in ("light", "dark"):
        window.open(f"{page}/preview?scheme={scheme}")
        assert window.run("document.title") == ""
        assert "text" in window.run("document.body.innerText")
        window.run("document.querySelectorAll('a').forEach((each) => each.click())")
    assert trap.asked == []


def test_the_button_loads_images_and_nothing_else(window: Tab, trap: Trap, root: str, service: CaptureService) -> None:
    ident = sent(root, service, LETTER.format("Hostile", SCRIPTS + HOSTILE).encode())
    trap.asked.clear()
    page = f"{root}/messages/{ident}"
    window.open(page)
    window.run("document.querySelector('.l-load button').click()")
    window.wait_for("location.pathname.endsWith('/images') && document.readyState === 'complete'")
    patiently(lambda: trap.asked, "the images are asked for")
    window.open(page)
    assert set(trap.asked) <= {"/i.png", "/p.png", "/noscript.png", "/plain.png"}


def test_the_list_shows_what_comes_while_it_is_looked_at(window: Tab, root: str, service: CaptureService) -> None:
    window.open(f"{root}/?lang=en")
    window.wait_for("document.getElementById('live').textContent !== ''")
    ident = sent(root, service, LETTER.format("While you look", "<p>Hello</p>").encode())
    window.wait_for(f"document.querySelector('a[href=\"/messages/{ident}\"]')?.textContent === 'While you look'")
    httpx2.post(f"{root}/messages/{ident}/delete")
    window.wait_for(f"!document.querySelector('a[href=\"/messages/{ident}\"]')")


def test_a_file_dropped_on_the_page_is_taken(window: Tab, root: str, service: CaptureService) -> None:
    window.open(f"{root}/?lang=en")
    text = LETTER.format("Dropped", "<p>Hello</p>").replace("\r\n", "\\r\\n")
    window.run(
        f"(() => {{ const data = new DataTransfer(); data.items.add(new File([\"{text}\"], 'dropped.eml'));"
        "document.dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true, bubbles: true})) })()"
    )
    patiently(lambda: any(each.name == "dropped.eml" for each in service.store), "the file arrives")
    assert next(iter(service.store)).subject == "Dropped"


@pytest.mark.slow
def test_a_picture_is_as_wide_as_asked_and_dark_where_asked() -> None:
    html = "<body bgcolor='#ffffff'><p>Hello</p></body>"
    found = {}
    for scheme in ColourScheme:
        document = preview(html, Showing(scheme=scheme)).document
        with Image.open(io.BytesIO(take_screenshot(find_chromium(), document, 375, height=400))) as image:
            found[scheme] = image.convert("RGB").getpixel((370, 300))
    assert found == {ColourScheme.LIGHT: (255, 255, 255), ColourScheme.DARK: (0, 0, 0)}
