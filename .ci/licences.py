"""Writes docs/licences.md, the licence of every package of requirements.lock, or checks that it is current (--check).

A licence that nobody has looked at yet is an error, and so is a package without one: a new dependency is a decision.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"

# Free to be used and passed on with ours (Apache-2.0) as long as notices are kept.
PERMISSIVE = frozenset(
    {
        *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0"),
        *("Unlicense", "Zlib"),
        *("Apache-2.0 AND BSD-2-Clause", "Apache-2.0 OR BSD-2-Clause", "Apache-2.0 OR BSD-3-Clause"),
    }
)
# Free to be used beside ours; whoever changes them and passes them on owes the source of that package.
COPYLEFT = frozenset({"LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"})
# What packages write where they do not write an SPDX expression.
SPELLINGS = {
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-2-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "GNU LGPL v3+": "LGPL-3.0-or-later",
    "LGPLv3": "LGPL-3.0-only",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The MIT License (MIT)": "MIT",
}
# Read in the package itself, where its metadata say too little or it is not installed on every system.
LOOKED_UP = {
    "colorama": "BSD-3-Clause",  # Windows only
    "dkimpy": "Zlib",  # its LICENSE: "BSD-like" in the metadata is the licence of zlib
    "fqdn": "MPL-2.0",  # with octodns
    "httpx2-jsfetch": "BSD-3-Clause",  # browsers only
    "natsort": "MIT",  # with octodns
    "octodns": "MIT",  # for the tests of contrib/octodns, which are left out where it is not installed
    "promql-parser": "MIT",  # for the tests of contrib/grafana
    "python-dateutil": "BSD-3-Clause",  # with octodns
    "tzdata": "Apache-2.0",  # Windows only
}


def name_of(text: str) -> str:
    """A package's name as the lock file spells it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def locked() -> list[str]:
    """The packages of the lock file."""
    return re.findall(r"(?m)^([A-Za-z0-9._-]+)==", (ROOT / "requirements.lock").read_text("utf-8"))


def licence_of(package: str) -> str:
    """Its licence as an SPDX expression, or what its metadata say."""
    if package in LOOKED_UP:
        return LOOKED_UP[package]
    try:
        data = metadata(package)
    except PackageNotFoundError:
        return "not installed"
    names = [data.get("License-Expression"), (data.get("License") or "").partition("\n")[0].strip()]
    names += [each.rpartition(" :: ")[2] for each in data.get_all("Classifier") or () if each.startswith("License ::")]
    known = [SPELLINGS.get(each, each) for each in names if each]
    return next((each for each in known if each in PERMISSIVE | COPYLEFT), known[0] if known else "none given")


def needed(package: str, extra: str = "") -> set[str]:
    """The packages that are installed with a package, or with an extra of it, on some system; itself included."""
    found: set[tuple[str, str]] = set()
    waiting = [(package, extra)]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in found:
            continue
        found.add((name, wanted))
        for line in lines_of(name):
            match = re.match(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?", line)
            condition = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
            if match and (condition is None or condition[1] == wanted):
                waiting += [(name_of(match[1]), each.strip()) for each in ("", *(match[2] or "").split(","))]
    return {name for name, _ in found}


def lines_of(package: str) -> list[str]:
    """What it requires, one line each; of our own what pyproject.toml says."""
    if package == "deliv":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        extras = project["optional-dependencies"].items()
        return [*project["dependencies"], *(f"{each}; extra == '{extra}'" for extra, some in extras for each in some)]
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []


def page() -> tuple[str, list[str]]:
    """The page, and what is wrong."""
    with_deliv, with_extra = needed("deliv"), needed("deliv", "postgresql")
    rows: dict[str, list[str]] = {"copyleft": [], "permissive": []}
    problems: list[str] = []
    for package in locked():
        licence = licence_of(package)
        use = "deliv" if package in with_deliv else "deliv[postgresql]" if package in with_extra else "development"
        if licence not in PERMISSIVE | COPYLEFT:
            problems.append(f"{package}: the license {licence!r} is not one of those reviewed in .ci/licences.py")
        rows["copyleft" if licence in COPYLEFT else "permissive"].append(f"| {package} | {licence} | {use} |")
    head = "| package | license | comes with |\n| --- | --- | --- |\n"
    text = (
        "# Licenses of the dependencies\n\n"
        "Made by `make docs` from requirements.lock and the packages' metadata; CI checks it.\n\n"
        "## LGPL and MPL\n\n"
        "They are installed next to deliv, unchanged and as separate packages; deliv contains none of their source.\n"
        "If you distribute a changed copy of one of them, you must provide its source.\n\n"
        f"{head}{chr(10).join(rows['copyleft'])}\n\n"
        "## Permissive\n\n"
        f"{head}{chr(10).join(rows['permissive'])}\n"
    )
    return text, problems


def main() -> int:
    """Write, or with --check compare; 1 where a licence is new or the page out of date."""
    text, problems = page()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != text:
        problems.append("docs/licences.md is out of date; run `make docs`")
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
