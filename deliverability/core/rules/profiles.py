"""Profile files -> values; every problem of all files is told with file, line and the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct, field

from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Catalogue
from deliverability.core.model.profiles import Clause, Profile
from deliverability.core.model.rules import RuleSet
from deliverability.core.model.schema import nearest
from deliverability.core.rules.load import check_condition
from deliverability.core.rules.problems import RuleError

FOLDER = "profiles"
NO_PROFILE = Code("no-such-profile", ("name",))
NO_RECEIVER = Code("profile-no-receiver", ("name",))
NOTHING_TELLS = Code("profile-clause-empty", ("name",))
ALONE = Code("profile-field-alone", ("name", "needs"))


def load_profiles(folders: Sequence[Path], rules: RuleSet, catalogue: Catalogue) -> dict[str, Profile]:
    """The profiles of all folders by id, those of a later folder in the place of the same id.

    Raises RuleError with every problem found.
    """
    reader = _Reader(rules, catalogue)
    for folder in folders:
        reader.here = {}
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            reader.file(path)
    reader.references()
    if reader.problems:
        raise RuleError(*reader.problems)
    return dict(sorted(reader.profiles.items()))


class _Reader(Struct):
    rules: RuleSet
    catalogue: Catalogue
    problems: list[Detail] = field(default_factory=list)
    profiles: dict[str, Profile] = field(default_factory=dict)
    here: dict[str, yamlstrict.FileLine] = field(default_factory=dict)
    named: list[tuple[yamlstrict.FileLine, str]] = field(default_factory=list)

    def file(self, path: Path) -> None:
        document = yamlstrict.read_file(path, self.problems)
        profile = yamlstrict.read_shape(document, Profile, self.problems) if document else None
        if document is None or profile is None:
            return
        where = document.at("id")
        if (taken := self.here.get(profile.id)) is not None:
            self.problems.append(where.problem(yamlstrict.DEFINED(name=profile.id, place=str(taken))))
            return
        self.here[profile.id] = where
        if profile.receiver and profile.receiver not in self.rules.receivers:
            unknown = NO_RECEIVER(name=profile.receiver)
            self._tell(document, unknown, profile.receiver, self.rules.receivers, "receiver")
        self.named += ((document.at("contradicts"), each) for each in profile.contradicts)
        self._clauses(document, profile)
        self.profiles[profile.id] = profile

    def references(self) -> None:
        """Profiles that others name."""
        for where, name in self.named:
            if name not in self.profiles:
                self.problems.append(where.problem(nearest(NO_PROFILE(name=name), name, self.profiles)))

    def _clauses(self, document: yamlstrict.Document, profile: Profile) -> None:
        seen: set[str] = set()
        for number, each in enumerate(profile.clauses):
            if each.id in seen:
                self.problems.append(document.at("clauses", number).problem(yamlstrict.TWICE(name=each.id)))
            seen.add(each.id)
            if each.source not in profile.sources:
                unknown = yamlstrict.NO_SOURCE(name=each.source)
                self._tell(document, unknown, each.source, profile.sources, "clauses", number, "source")
            self._clause(document, each, number)

    def _clause(self, document: yamlstrict.Document, clause: Clause, number: int) -> None:
        place = ("clauses", number)
        for rule in clause.rules:
            if rule not in self.rules.rules:
                self._tell(document, yamlstrict.NO_RULE(rule=rule), rule, self.rules.rules, *place, "rules")
        if clause.confirmed and not clause.judged and not clause.tells:
            self.problems.append(document.at(*place).problem(NOTHING_TELLS(name=clause.id)))
        if clause.each and clause.require is None:
            self.problems.append(document.at(*place, "each").problem(ALONE(name="each", needs="require")))
        if clause.which is not None and not clause.each:
            self.problems.append(document.at(*place, "which").problem(ALONE(name="which", needs="each")))
        conditions = (
            (clause.when, "", ("when",)),
            (clause.require, clause.each, ("require",)),
            (clause.which, clause.each, ("which",)),
            (clause.elsewhere.when if clause.elsewhere else None, "", ("elsewhere", "when")),
        )
        for condition, item_of, path in conditions:
            if condition is not None:
                check_condition(condition, document, place, path, self.catalogue, self.problems, item_of)

    def _tell(
        self, document: yamlstrict.Document, unknown: Detail, word: str, known: Iterable[str], *path: str | int
    ) -> None:
        self.problems.append(document.at(*path).problem(nearest(unknown, word, known)))
