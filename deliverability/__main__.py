"""`deliv` and `python -m deliverability`. Imports nothing before it can be interrupted."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line; Ctrl-C is no fault, not even while it is being loaded."""
    try:
        from deliverability.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
