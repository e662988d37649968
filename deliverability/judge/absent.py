"""A domain that does not exist: nothing else is said of it, for nothing that is missing there was ever meant to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from deliverability.model.codes import Code
from deliverability.model.facts import FactSet, Reason, Unknown, text_of
from deliverability.model.report import Finding, Outcome
from deliverability.model.rules import Rule

FACT = "domain.exists"
NO_SUCH_DOMAIN = Code("no-such-domain", ("name",))


def is_absent(facts: FactSet) -> bool:
    """Whether DNS says that the audited domain does not exist, and there is no message that was sent all the same."""
    return facts.value("domain.exists") is False and facts.value("message.present") is not True


def of_absent(found: Sequence[Finding], rules: Mapping[str, Rule], facts: FactSet) -> list[Finding]:
    """The findings, where those of rules that are not about its existence are open: the right name has to be given."""
    if not is_absent(facts):
        return list(found)
    why = Unknown(Reason.NOT_CONFIGURED, NO_SUCH_DOMAIN(name=text_of(facts.value("subject.domain"))))
    return [
        replace(each, outcome=Outcome.UNKNOWN, unknown=why, judgements=())
        if each.outcome is Outcome.UNMET and FACT not in rules[each.rule].reads
        else each
        for each in found
    ]
