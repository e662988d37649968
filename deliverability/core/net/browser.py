"""A headless Chromium that can reach nothing: prints a report to PDF, takes a picture of a message."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path

from deliverability.core.codes import Code
from deliverability.core.errors import InputError, file_error

SECONDS = 120.0
_LEAST = 500
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_QUIET = (
    "background-networking",
    "breakpad",
    "component-update",
    "default-apps",
    "dev-shm-usage",
    "extensions",
    "gpu",
    "sync",
)
NO_BROWSER = Code("no-browser", ("file", "names"))
NO_PROGRAM = Code("no-program", ("file", "name"))
NOT_PRINTED = Code("pdf-not-printed", ("file", "browser", "why"))
PRINTED_TOO_LONG = Code("pdf-too-long", ("file", "browser", "n"))
NO_SCREENSHOT = Code("no-picture", ("browser",))


def browser_here() -> str | None:
    """The browser that prints: the one that DELIV_CHROMIUM names, else the first known one; None: it is not there."""
    names = (os.environ["DELIV_CHROMIUM"],) if os.environ.get("DELIV_CHROMIUM") else NAMES
    return next((found for name in names if (found := shutil.which(name))), None)


def find_browser(path: Path) -> str:
    """The browser that prints; `path` is named in the error. Raises InputError where there is none."""
    if found := browser_here():
        return found
    if named := os.environ.get("DELIV_CHROMIUM"):
        raise InputError(NO_PROGRAM(file=str(path), name=named))
    raise InputError(NO_BROWSER(file=str(path), names=NAMES))


def print_pdf(browser: str, html: str, path: Path, *, seconds: float = SECONDS) -> bytes:
    """`html` as a PDF, printed by a browser with a profile of its own that can reach nothing outside.

    The page holds values of strangers, so the browser keeps its sandbox; only root cannot have one.
    Raises InputError where the browser fails or needs longer than `seconds`; `path` is named in it.
    """
    with _page(browser, html) as (page, command):
        printed = page.with_name("report.pdf")
        command += ["--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri()]
        try:
            code, output = _run(command, page.parent, seconds)
        except OSError as error:
            raise InputError(file_error(f"-o {path}: {browser}", error)) from None
        except subprocess.TimeoutExpired:
            raise InputError(PRINTED_TOO_LONG(file=str(path), browser=Path(browser).name, n=f"{seconds:g}")) from None
        if not printed.is_file() or not printed.stat().st_size:
            last = next((line for line in reversed(output.splitlines()) if line.strip()), f"exit code {code}")
            raise InputError(NOT_PRINTED(file=str(path), browser=Path(browser).name, why=last[:300]))
        return printed.read_bytes()


def take_screenshot(browser: str, document: str, width: int, *, height: int = 6_000, seconds: float = SECONDS) -> bytes:
    """A document as it is shown in a frame of `width` pixels that runs nothing, as PNG; below it, `height` is filled.

    Raises InputError where the browser fails or needs longer than `seconds`.
    """
    # A window has a least width, a frame has none.
    frame = (
        '<!doctype html><meta charset="utf-8">'
        "<style>body{margin:0;background:#fff}iframe{display:block;border:0}</style>"
        f'<iframe sandbox="" width="{width}" height="{height}" srcdoc="{escape(document)}"></iframe>'
    )
    with _page(browser, frame) as (page, command):
        shot = page.with_name("picture.png")
        command += [
            "--hide-scrollbars",
            # A frame in a process of its own may be painted after the picture was taken.
            "--disable-features=IsolateSandboxedIframes",
            f"--window-size={max(width, _LEAST)},{height}",
            f"--screenshot={shot}",
            page.as_uri(),
        ]
        try:
            _run(command, page.parent, seconds)
            return shot.read_bytes()
        except (OSError, subprocess.TimeoutExpired):
            raise InputError(NO_SCREENSHOT(browser=Path(browser).name)) from None


@contextmanager
def _page(browser: str, html: str) -> Iterator[tuple[Path, list[str]]]:
    """A page of its own folder, and the command of a browser with a fresh profile there."""
    with tempfile.TemporaryDirectory(prefix="deliv-browser-", ignore_cleanup_errors=True) as name:
        page = Path(name) / "report.html"
        page.write_text(html, "utf-8", errors="backslashreplace")
        yield (
            page,
            [
                browser,
                "--headless=new",
                *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
                "--no-first-run",
                "--no-default-browser-check",
                *(f"--disable-{feature}" for feature in _QUIET),
                f"--user-data-dir={page.with_name('profile')}",
                # No name resolves and every connection goes to a proxy that is not there.
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--proxy-server=127.0.0.1:9",
            ],
        )


def _run(command: list[str], folder: Path, seconds: float) -> tuple[int, str]:
    """Run the browser and end all of its processes. Gives exit code and what it said.

    Raises OSError where it cannot be run, subprocess.TimeoutExpired where it does not end.
    """
    output = folder / "said"
    with output.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - a program that the user installed, with arguments of ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out, start_new_session=True
        )
    try:
        code = process.wait(seconds)
    finally:
        _end(process)
    return code, output.read_text("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the browser and the helpers it started, all of which are in a group of their own."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
