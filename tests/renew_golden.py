"""Write the golden reports anew: ``python -m tests.renew_golden``. Read the difference before you commit it."""

from __future__ import annotations

from tests.test_golden import CASES, GOLDEN, rendered


def main() -> None:
    """Render every case and write it where the test compares it."""
    for name in CASES:
        (GOLDEN / name).write_text(rendered(name), "utf-8")
        print(f"written: tests/golden/{name}")


if __name__ == "__main__":
    main()
