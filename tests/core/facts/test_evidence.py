"""Lines of evidence that are ours to say."""

from __future__ import annotations

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import ALIAS, NO_RECORD, Reason, aliases, failure, is_absence, is_failure, texts


def test_what_lines_say() -> None:
    chain = (ALIAS(name="b.example"), "v=spf1 -all")
    assert (aliases(chain), texts(chain), is_absence(chain), is_failure(chain)) == (
        ["b.example"],
        ["v=spf1 -all"],
        False,
        False,
    )
    assert is_absence((NO_RECORD(type="TXT"),))
    assert all(is_failure((failure(Reason.TIMEOUT, detail),)) for detail in (None, VERBATIM(text="late")))
    assert not is_failure(("timeout: a text record",))
    assert not is_failure(())
