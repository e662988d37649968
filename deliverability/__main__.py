"""`deliv` and `python -m deliverability`. Imports nothing before it can be interrupted."""

from __future__ import annotations

import gc
import sys


def run() -> None:
    """Run the command line; Ctrl-C is no fault, not even while it is being loaded."""
    try:
        # What is loaded stays to the end: to look through it for garbage, all the while and once more at the end, would
        # take a third of a short run.
        gc.set_threshold(200_000, 20, 20)
        from deliverability.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        # Until 3.12, Python wraps what interrupts the making of a class.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        sys.exit(130)
    except (ImportError, OSError, MemoryError, SystemError) as error:
        # So little is there that not even the command line can be loaded, and with it the words of a language. Python
        # itself may then have no memory left to say so, which is a SystemError.
        if "--debug" in sys.argv:
            raise
        sys.unraisablehook = lambda _: None
        said = "" if isinstance(error, SystemError) else getattr(error, "strerror", None) or str(error)
        sys.exit(f"Error: {said or 'there is not enough memory'}")
    finally:
        gc.freeze()


if __name__ == "__main__":
    run()
