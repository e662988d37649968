"""Makes docs/report.png, the picture of the README: the report of `deliv demo` as a browser shows it.

Without --write it makes the picture elsewhere and says whether it would do: fonts differ, so pixels are not compared.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "report.png"
WIDTH, HEIGHT, MOST_OCTETS = 1280, 900, 300_000
COLOURS_OF_A_PAGE = 50  # letters have soft edges; an empty or broken page has a handful


def take(folder: Path) -> Path:
    """The picture, in a scratch folder."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("no chromium on this machine")
    page, shot = folder / "report.html", folder / "report.png"
    demo = [sys.executable, "-m", "deliverability", "demo", "--lang", "en", "-o", str(page)]
    subprocess.run(demo, check=True, capture_output=True)  # noqa: S603 - our own command
    options = ("--headless=new", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--disable-gpu")
    subprocess.run(  # noqa: S603 - the browser of this machine
        [
            browser,
            *options,
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={shot}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=180,
    )
    with Image.open(shot) as image:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(shot, optimize=True)
    return shot


def trouble(shot: Path) -> str:
    """What is wrong with a picture, or nothing."""
    if shot.stat().st_size > MOST_OCTETS:
        return f"{shot.stat().st_size} octets, at most {MOST_OCTETS} are good for a README"
    with Image.open(shot) as image:
        if image.size != (WIDTH, HEIGHT):
            return f"its size is {image.size}"
        if len(image.convert("RGB").getcolors(1 << 24) or ()) < COLOURS_OF_A_PAGE:
            return "it shows no page"
    return ""


def main() -> int:
    """0 where the picture could be made, and the one of the README is good."""
    with tempfile.TemporaryDirectory() as name:
        made = take(Path(name))
        if "--write" in sys.argv[1:]:
            shutil.copy(made, TARGET)
        found = {shot: wrong for shot in (made, TARGET) if (wrong := trouble(shot))}
        for shot, wrong in found.items():
            print(f"{shot.name}: {wrong}", file=sys.stderr)
        print(f"{TARGET.relative_to(ROOT)}: {made.stat().st_size} octets when made now")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
