"""Write the golden reports anew: ``python -m tests.renew_golden``. Read the difference before you commit it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.contact.test_command import PACKS, pack_text
from tests.test_golden import CASES, GOLDEN, rendered
from tests.weekly.test_reports import MAILS, season_text


def main() -> None:
    """Render every case and write it where the test compares it."""
    _write(CASES, rendered)
    _write(PACKS, pack_text)
    _write(MAILS, season_text)


def _write(names: Iterable[str], text: Callable[[str], str]) -> None:
    for name in names:
        (GOLDEN / name).write_text(text(name), "utf-8")
        print(f"written: tests/golden/{name}")


if __name__ == "__main__":
    main()
