"""Many small cases of one table as one test: each is tried, and all that fail are told by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Case = Callable[[object], AbstractContextManager[None]]


@contextmanager
def together() -> Iterator[Case]:
    """Gives what each case is tried within: ``with together() as case: ... with case("SPF-001"): assert ...``.

    A test of its own for each takes longer than most cases. A table without a case fails as well.
    """
    tried, failed = 0, list[str]()

    @contextmanager
    def case(name: object) -> Iterator[None]:
        nonlocal tried
        tried += 1
        try:
            yield
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")

    yield case
    assert tried, "there is no case"
    assert not failed, f"{len(failed)} of {tried} failed:\n" + "\n\n".join(failed)
