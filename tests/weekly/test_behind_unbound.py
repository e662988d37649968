"""A weekly run behind an ordinary resolver: unbound, which rotates record sets and counts their TTL down."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from benchmarks.lab import Lab
from benchmarks.nameserver import serving
from benchmarks.resolver import unbound, unbound_program
from benchmarks.weekly import Place, sound
from tests.browser import require

pytestmark = [pytest.mark.slow, pytest.mark.system]
DOMAINS = 12


def test_the_second_week_without_a_change_writes_no_page_of_a_domain(tmp_path: Path) -> None:
    require(unbound_program() or None, "unbound (Debian: apt-get install unbound)")
    lab = Lab(DOMAINS * 2)
    domains = sound(lab, DOMAINS)
    with serving(partial(Lab, lab.domains, lab.seed)) as server, unbound(server.port, tmp_path / "unbound") as resolver:
        place = Place(tmp_path / "weekly", domains, server, resolver)
        first = place.weekly()
        assert first.load.questions > len(domains)  # unbound asked for them
        assert place.written == 2 * len(domains)
        place.weekly()
        place.weekly()
        assert place.written == 0
