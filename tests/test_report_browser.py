"""The HTML report in a real browser: it fits a phone, is not blank, is dark where asked, and asks the network nothing.

Screenshots of all variants are kept in the folder that DELIV_SCREENSHOTS names (for example .ci/out).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from deliverability.app import catalogue, rule_folders
from deliverability.judge.load import load_guide
from deliverability.render.html import render_html
from tests.test_golden import _report as report_of

pytestmark = pytest.mark.system

DESKTOP, PHONE = 1280, 390
SUBJECTS = ("demo", "good", "broken")
# The reports run no script themselves; this page around them measures each in a frame of a given width and scheme.
WRAPPER = """<!doctype html><meta charset="utf-8"><title>wrapper</title>
<style>body {{ margin: 0 }} iframe {{ border: 0; display: block }} pre {{ display: none }}</style>
<pre id="result"></pre><script>
const frames = {frames}, result = [];
for (const [number, frame] of frames.entries()) {{
  const element = document.createElement("iframe");
  element.style.cssText = `width: ${{frame.width}}px; height: {height}px; color-scheme: ${{frame.scheme}}`;
  element.onload = () => {{
    const page = element.contentDocument, root = page.documentElement;
    const outside = [...page.body.querySelectorAll("*")].filter((each) => {{
      const box = each.getBoundingClientRect();
      if (box.right <= root.clientWidth + 1 || !box.width || !box.height) return false;
      for (let up = each; up && up !== page.body; up = up.parentElement)
        if (getComputedStyle(up).overflowX !== "visible") return false;
      return true;
    }}).map((each) => each.outerHTML.slice(0, 200));
    result[number] = {{
      overflow: root.scrollWidth - root.clientWidth,
      outside: outside.slice(0, 5),
      background: getComputedStyle(page.body).backgroundColor + getComputedStyle(root).backgroundColor,
      words: page.body.innerText.split(/\\s+/).length,
      height: root.scrollHeight,
    }};
    document.getElementById("result").textContent = JSON.stringify(result);
  }};
  element.srcdoc = frame.html;
  document.body.append(element);
}}
</script>"""


class Variant(NamedTuple):
    subject: str
    lang: str
    scheme: str
    width: int

    def __str__(self) -> str:
        return "-".join(map(str, self))


VARIANTS = tuple(Variant(*each) for each in product(SUBJECTS, ("en", "ja"), ("light", "dark"), (DESKTOP, PHONE)))


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser; without it the tests are skipped, or fail where DELIV_REQUIRE_SYSTEM=1."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail("no chromium, and DELIV_REQUIRE_SYSTEM=1 demands it (Debian: apt install chromium)")
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    return found


def browse(chromium: str, folder: Path, page: Path, *args: str) -> str:
    """Load a page in a fresh, offline browser and give what it prints."""
    quiet = ("background-networking", "component-update", "sync", "default-apps", "extensions", "gpu", "dev-shm-usage")
    command = [
        chromium,
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        "--hide-scrollbars",
        *(f"--disable-{feature}" for feature in quiet),
        f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=10000",
        *args,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    return done.stdout.decode("utf-8")


def html_of(subject: str, lang: str) -> str:
    guide = load_guide(rule_folders())
    return render_html(report_of(subject), lang=lang, catalogue=catalogue(), guide=guide)


def wrapped(path: Path, frames: list[tuple[str, str, int]], height: int = 900) -> Path:
    """A page with a frame for each (html, scheme, width)."""
    listed = [{"html": html, "scheme": scheme, "width": width} for html, scheme, width in frames]
    path.write_text(WRAPPER.format(frames=json.dumps(listed).replace("</", "<\\/"), height=height), "utf-8")
    return path


def measured(chromium: str, folder: Path, frames: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    dom = browse(chromium, folder, wrapped(folder / "wrapper.html", frames), "--dump-dom", "--window-size=1400,900")
    text = dom.partition('<pre id="result">')[2].partition("</pre>")[0]
    assert text, dom[:500]
    result = json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert isinstance(result, list)
    assert len(result) == len(frames)
    return result


@pytest.fixture(scope="module")
def measures(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> dict[Variant, dict[str, Any]]:
    """All variants, measured in one go."""
    frames = [(html_of(each.subject, each.lang), each.scheme, each.width) for each in VARIANTS]
    return dict(zip(VARIANTS, measured(chromium, tmp_path_factory.mktemp("measure"), frames), strict=True))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_nothing_runs_over_the_edge(measures: dict[Variant, dict[str, Any]], variant: Variant) -> None:
    measure = measures[variant]
    assert measure["outside"] == []
    assert measure["overflow"] <= 0
    assert measure["words"] > (300 if variant.lang == "en" else 80)


def test_dark_is_dark_and_light_is_light(measures: dict[Variant, dict[str, Any]]) -> None:
    for subject, lang, width in product(SUBJECTS, ("en", "ja"), (DESKTOP, PHONE)):
        light, dark = (measures[Variant(subject, lang, scheme, width)]["background"] for scheme in ("light", "dark"))
        assert light != dark


def test_the_measure_sees_what_is_too_wide(chromium: str, tmp_path: Path) -> None:
    wide = '<!doctype html><body style="margin: 0"><div style="width: 500px">wide</div>'
    scrolls = f'<!doctype html><body style="margin: 0"><div style="overflow-x: auto">{wide[41:]}</div>'
    first, second = measured(chromium, tmp_path, [(wide, "light", PHONE), (scrolls, "light", PHONE)])
    assert first["overflow"] > 0
    assert first["outside"]
    assert (second["overflow"], second["outside"]) == (0, [])


def rows_of(png: bytes) -> list[bytes]:
    """The rows of a picture as PNG filters them; the same content gives the same rows."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    data, position = b"", 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        kind = png[position + 4 : position + 8]
        body = png[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, channels = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big"), body[9]
        if kind == b"IDAT":
            data += body
        position += 12 + length
    stride = width * {2: 3, 6: 4}[channels] + 1
    pixels = zlib.decompress(data)
    return [pixels[start : start + stride] for start in range(0, height * stride, stride)]


@pytest.mark.parametrize(
    "variant",
    VARIANTS
    if os.environ.get("DELIV_SCREENSHOTS")
    else [Variant("demo", "en", "light", DESKTOP), Variant("demo", "ja", "dark", PHONE)],
    ids=str,
)
def test_the_page_is_not_blank(chromium: str, tmp_path: Path, variant: Variant) -> None:
    frame = (html_of(variant.subject, variant.lang), variant.scheme, variant.width)
    page = wrapped(tmp_path / "wrapper.html", [frame], height=2000)
    kept = os.environ.get("DELIV_SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    picture = (folder / f"{variant}.png").resolve()
    browse(chromium, tmp_path, page, f"--screenshot={picture}", f"--window-size={max(variant.width, 500)},2000")
    rows = rows_of(picture.read_bytes())
    assert len(set(rows)) > 200, "hardly anything is drawn"


def requests(log: Path) -> Iterator[str]:
    """The hosts of every http request that the browser began."""
    text = log.read_text("utf-8", "replace")
    # The browser may be stopped before it closes the document.
    data = json.loads(text if text.rstrip().endswith("}") else text.rstrip().rstrip(",") + "]}")
    for event in data["events"]:
        url = event.get("params", {}).get("url", "") if isinstance(event.get("params"), dict) else ""
        if urlsplit(url).scheme in ("http", "https", "ws", "wss"):
            yield urlsplit(url).hostname or ""


def asked_hosts(chromium: str, folder: Path, html: str) -> set[str]:
    folder.mkdir()
    page, log = folder / "page.html", folder / "net.json"
    page.write_text(html, "utf-8")
    browse(chromium, folder, page, "--dump-dom", f"--log-net-log={log}")
    return set(requests(log))


def test_the_report_asks_nothing_of_the_network(chromium: str, tmp_path: Path) -> None:
    of_the_browser = asked_hosts(chromium, tmp_path / "empty", "<!doctype html><title>empty</title>")
    probe = '<!doctype html><img src="http://probe.example/x.png">'
    assert "probe.example" in asked_hosts(chromium, tmp_path / "probe", probe), "the log shows requests"
    for subject in SUBJECTS:
        asked = asked_hosts(chromium, tmp_path / subject, html_of(subject, "en"))
        # The browser's own services come and go between runs; no page of ours names them.
        own = {host for host in asked if host.endswith((".googleapis.com", ".gvt1.com")) or host in BROWSER_HOSTS}
        assert asked - of_the_browser - own == set()


BROWSER_HOSTS = {"accounts.google.com", "android.clients.google.com", "clients2.google.com", "www.google.com"}
