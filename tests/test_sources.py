"""`.ci/sources.py`: quotes are looked for on the pages of today, and what cannot be read is never called gone."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from deliverability.engine.rules import load_rules
from tests import ROOT
from tests.sampled import sampled

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sources() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sources", ROOT / ".ci" / "sources.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sources"] = module
    spec.loader.exec_module(module)
    return module


class Site(ThreadingHTTPServer):
    """Pages by path, on loopback; any other path is 404."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.moved: dict[str, tuple[int, str]] = {}
        self.drips = False
        self.done = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path in self.server.moved:
            code, target = self.server.moved[self.path]
            self.send_response(code)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        kind, body = self.server.pages.get(self.path, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body) + self.server.drips))
        self.end_headers()
        self.wfile.write(body)
        if self.server.drips:  # what was announced does not come
            self.server.done.wait(30)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.done.set()
        server.shutdown()


PAGE = """<html><head><title>x</title><script>We refuse mail.</script></head><body><h1>For senders</h1>
<p>We   refuse mail <b>without</b> DMARC. It&#8217;s been so since 2025.</p><p>Other matters.</p>
<ul><li>PTR is needed</li><li>SPF too</li></ul></body></html>"""
RECEIVER = """\
id: acme
name: {{en: Acme, ja: アクメ}}
default: false
sources: [{{ref: acme-page}}]
pages:
  acme-page: {{title: For senders, url: "{url}/page", publisher: Acme, checked: "2026-11-28", read_as: original}}
rules:
  DMARC-001:
    severity: error
    effect: reject
    quote: "{quote}"
    sources: [{{ref: acme-page}}]
"""


@pytest.fixture
def check(sources: ModuleType, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    site.pages["/page"] = ("text/html; charset=utf-8", PAGE.encode())
    return Check(sources, site, tmp_path, capsys)


class Check:
    """Runs the program for one receiver whose page is on loopback."""

    def __init__(self, sources: ModuleType, site: Site, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._sources, self._site, self._folder, self._capsys = sources, site, folder, capsys

    def __call__(self, *args: str, quote: str = "We refuse mail without DMARC. It's been so") -> tuple[int, str]:
        receivers = self._folder / "receivers"
        receivers.mkdir(exist_ok=True)
        (receivers / "acme.yaml").write_text(RECEIVER.format(url=self._site.url, quote=quote), "utf-8")
        options = ("--rules", str(self._folder), "--receiver", "acme", "--kept", str(self._folder / "kept.json"))
        code = self._sources.main([*options, *args])
        return code, self._capsys.readouterr().out

    def show(self, page: str | bytes, kind: str = "text/html") -> None:
        self._site.pages["/page"] = (kind, page.encode() if isinstance(page, str) else page)


def test_what_stands_is_new_once_and_then_says_nothing(check: Check) -> None:
    code, out = check("--write")
    assert (code, out.split()[0]) == (0, "new")
    assert check() == (0, "1 stands, 0 new, 0 changed, 0 gone, 0 unread, 0 moved\n")


def test_another_look_of_the_same_words_changes_nothing(check: Check) -> None:
    check("--write")
    check.show(PAGE.replace("<b>without</b>", "<em class=x>without</em>").replace("We   refuse", "We\n refuse"))
    assert check()[0] == 0


def test_a_passage_that_says_more_than_before_has_changed_though_the_quote_stands(check: Check) -> None:
    check("--write")
    check.show(PAGE.replace("since 2025.", "since 2025, except for forwarded mail."))
    code, out = check()
    assert (code, out.split()[:3]) == (1, ["changed", "acme", "DMARC-001:"])


def test_what_changed_elsewhere_on_the_page_does_not_matter(check: Check) -> None:
    check("--write")
    check.show(PAGE.replace("Other matters.", "Quite other matters."))
    assert check()[0] == 0


def test_a_quote_that_no_longer_stands_is_gone(check: Check) -> None:
    check("--write")
    check.show(PAGE.replace("refuse", "welcome"))
    code, out = check()
    assert (code, out.split()[0]) == (1, "gone")
    assert "We refuse mail without DMARC" in out


def test_what_nobody_sees_on_a_page_is_no_passage(check: Check) -> None:
    assert check(quote="We refuse mail.")[1].split()[0] == "gone"


@pytest.mark.parametrize(("quote", "code"), [("PTR is needed … SPF too", 0), ("SPF too … PTR is needed", 1)])
def test_the_parts_of_a_quote_stand_in_its_order(check: Check, quote: str, code: int) -> None:
    assert check(quote=quote)[0] == code


def test_a_page_that_cannot_be_read_is_unread_and_keeps_its_digest(check: Check, site: Site, tmp_path: Path) -> None:
    check("--write")
    before = json.loads((tmp_path / "kept.json").read_text("utf-8"))
    for page in (None, ("text/html", b"<script>x</script>"), ("text/html", b"x" * 5_000_001)):
        site.pages.pop("/page", None)
        if page is not None:
            site.pages["/page"] = page
        code, out = check("--write")
        assert (code, out.split()[0]) == (3, "unread")
    assert json.loads((tmp_path / "kept.json").read_text("utf-8")) == before


def test_plain_text_is_read_by_its_paragraphs(check: Check) -> None:
    check.show("For senders\n\nWe refuse mail without\nDMARC. It's been so since 2025.\n\nOther matters.", "text/plain")
    assert check()[0] == 0


def test_a_page_that_is_gone_is_told_with_its_status_and_its_statement_is_not_called_gone(
    check: Check, site: Site
) -> None:
    check("--write")
    site.pages.clear()
    code, out = check()
    assert (code, out.split()[0], "404" in out) == (3, "unread", True)


@pytest.mark.parametrize(("code", "told"), [(301, True), (308, True), (302, False), (307, False)])
def test_a_redirect_is_followed_and_told_where_it_is_for_good(
    check: Check, site: Site, code: int, *, told: bool
) -> None:
    check("--write")
    site.pages["/new"] = site.pages.pop("/page")
    site.moved["/page"] = (code, "/new")
    done, out = check()
    assert (done, out.startswith("moved"), "/new" in out) == (0, told, told)
    assert "1 stands" in out


@pytest.mark.parametrize("target", ["/page", "ftp://127.0.0.1/page", "http://127.0.0.1:0/", "http://[", ""])
def test_a_redirect_that_leads_nowhere_is_unread(check: Check, site: Site, target: str) -> None:
    site.moved["/page"] = (302, target)
    code, out = check()
    assert (code, out.split()[0]) == (3, "unread")


def test_a_page_that_its_script_makes_is_unread_and_not_gone(check: Check) -> None:
    check("--write")
    check.show("<html><noscript>You need to enable JavaScript.</noscript><div id=root>Loading</div><script>1</script>")
    code, out = check()
    assert (code, out.split()[0], "made by a script" in out) == (3, "unread", True)
    check.show(PAGE.replace("<body>", "<body><noscript>Enable JavaScript for more.</noscript>"))
    assert check()[0] == 0, "where the words stand, the page was read"


def test_a_pdf_has_no_text_to_look_in(check: Check) -> None:
    check("--write")
    check.show(b"%PDF-1.7 \xff\xfe We refuse mail without DMARC", "application/pdf")
    code, out = check()
    assert (code, out.split()[0], "application/pdf" in out) == (3, "unread", True)


def test_of_a_page_without_a_quote_a_pdf_counts_by_its_octets(sources: ModuleType) -> None:
    url = "https://acme.example/rules.pdf"
    kept = {url: "old"}
    for octets, state in (("old", "stands"), ("new", "changed")):
        page = sources.Page(octets=octets, why="no text: application/pdf")
        assert [each.state for each in sources.compared((), (url,), {url: page}, kept)] == [state]


def test_a_server_that_says_nothing_more_is_unread(
    check: Check, site: Site, sources: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SECONDS", 0.2)
    site.drips = True
    code, out = check()
    assert (code, out.split()[0]) == (3, "unread")


def test_a_page_that_takes_too_long_as_a_whole_is_unread(
    check: Check, sources: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_SECONDS", -1.0)
    code, out = check()
    assert (code, "more than -1 seconds" in out) == (3, True)


JAPANESE = "<html><head>{meta}</head><body><p>逆引きのないIPアドレスからのメールを拒否します。</p></body></html>"
META = '<meta http-equiv="Content-Type" content="text/html; charset={0}">'


@pytest.mark.parametrize(
    ("kind", "meta", "charset"),
    sampled(
        [
            ("text/html; charset=Shift_JIS", "", "cp932"),
            ("text/html", META.format("Shift_JIS"), "cp932"),
            ("text/html", '<meta charset="EUC-JP">', "euc-jp"),
            ("text/html; charset=utf-8", "", "utf-8"),
            ("text/html", "", "utf-8"),
            ("text/html", "", "utf-8-sig"),
            ("text/html", "", "utf-16"),
            ("text/html; charset=EUC-JP", '<meta charset="utf-8">', "euc-jp"),
        ],
        3,
    ),
)
def test_a_page_is_read_in_its_charset(check: Check, kind: str, meta: str, charset: str) -> None:
    check.show(JAPANESE.format(meta=meta).encode(charset), kind)
    assert check(quote="逆引きのないIPアドレスからのメールを拒否します。")[0] == 0


def test_a_charset_that_nobody_knows_is_unread(check: Check) -> None:
    check.show(PAGE, "text/html; charset=x-nothing")
    assert check()[1].split()[0] in ("unread", "new")
    check.show('<meta charset="x-nothing">' + PAGE)
    assert check()[1].split()[0] == "unread"


def test_every_quote_that_is_shipped_has_a_page_to_be_looked_for_on(sources: ModuleType) -> None:
    quoted = sources.quotes_of(load_rules())
    assert len(quoted) > 100
    assert all(each.urls for each in quoted)
