"""Make deliverability/data/caniemail.json from the data that caniemail.com publishes.

    curl -O https://www.caniemail.com/api/data.json        (or the data file of the npm package "caniemail")
    python .ci/caniemail.py data.json

It keeps what the auditor needs: per feature its title and whether the main mail programs support it today, one letter
each in the order of `clients`: y yes, a in part, n no, u nobody knows, "-" not tested. The licence stands beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_OUT = Path(__file__).resolve().parent.parent / "deliverability" / "data" / "caniemail.json"
_CLIENTS = {
    "Apple Mail (macOS)": ("apple-mail", "macos"),
    "Apple Mail (iOS)": ("apple-mail", "ios"),
    "Gmail (web)": ("gmail", "desktop-webmail"),
    "Gmail (iOS)": ("gmail", "ios"),
    "Gmail (Android)": ("gmail", "android"),
    "Outlook (Windows, classic)": ("outlook", "windows"),
    "Outlook (macOS)": ("outlook", "macos"),
    "Outlook.com": ("outlook", "outlook-com"),
    "Outlook (iOS)": ("outlook", "ios"),
    "Outlook (Android)": ("outlook", "android"),
    "Yahoo! Mail (web)": ("yahoo", "desktop-webmail"),
    "Yahoo! Mail (iOS)": ("yahoo", "ios"),
    "Yahoo! Mail (Android)": ("yahoo", "android"),
    "Thunderbird": ("thunderbird", "macos"),
    "Samsung Email": ("samsung-email", "android"),
}


def compact(data: dict[str, Any]) -> dict[str, Any]:
    """The kept part of caniemail's data."""
    features = {}
    for feature in data["data"]:
        support = "".join(_today(feature["stats"], *client) for client in _CLIENTS.values())
        features[feature["slug"]] = [feature["title"], support]
    return {
        "source": "https://www.caniemail.com",
        "licence": "MIT, see caniemail.LICENSE",
        "last_update": data["last_update_date"][:10],
        "clients": list(_CLIENTS),
        "features": dict(sorted(features.items())),
    }


def _today(stats: dict[str, Any], family: str, platform: str) -> str:
    """Support in the newest version tested; versions stand in the order of their release."""
    versions = stats.get(family, {}).get(platform, {})
    newest = list(versions.values())[-1] if versions else "-"
    mark = newest.strip()[:1].lower()
    if mark not in "yanu-":
        raise ValueError(f"unknown support {newest!r}")
    return mark


def main(path: str) -> None:
    """Write the compact file, one feature a line, so that a refresh can be read as a diff."""
    data = compact(json.loads(Path(path).read_text("utf-8")))
    text = json.dumps({**data, "features": None}, ensure_ascii=False, indent=0)
    lines = [f"{json.dumps(slug)}: {json.dumps(value, ensure_ascii=False)}" for slug, value in data["features"].items()]
    _OUT.parent.mkdir(exist_ok=True)
    _OUT.write_text(text.replace('"features": null', '"features": {\n' + ",\n".join(lines) + "\n}") + "\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
