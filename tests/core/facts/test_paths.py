"""The paths of facts: those of the catalogue, and none besides."""

from __future__ import annotations

import pytest

from deliverability.core.codes import NOT_COLLECTED
from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown
from deliverability.core.facts.paths import PATHS
from deliverability.engine.base import catalogue


def test_the_type_of_paths_has_those_of_the_catalogue() -> None:
    assert {path for path in catalogue() if "[]" not in path} == PATHS, "run `make docs`"


def test_a_fact_that_was_not_collected_is_unknown() -> None:
    lost = Unknown(Reason.NOT_CONFIGURED, NOT_COLLECTED(path="spf.present"))
    assert FactSet().value("spf.present") == FactSet().at("spf.present") == lost
    assert FactSet({"spf.present": Fact("spf.present", True)}).value("spf.present") is True


def test_a_fact_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"spf\.presnt"):
        FactSet().at("spf.presnt")
