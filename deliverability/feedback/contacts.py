"""Reads rules/contacts.yaml: whom a sender can write to at each receiver.

The shape is that of Contact, names are checked by the rules. Every problem is told with file and line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from deliverability import _yamlstrict as yamlstrict
from deliverability._yamlstrict import DEFINED, NO_RULE, NO_SOURCE, FileLine, read_shape
from deliverability.model.codes import Code, Detail
from deliverability.model.contacts import Contact, ContactChannel
from deliverability.model.rules import RuleSet
from deliverability.model.schema import nearest

FILE = "contacts.yaml"

NO_RECEIVER = Code("contact-no-receiver", ("receiver",))
ASKS = Code("contact-asks")
NO_ADDRESS = Code("contact-no-address", ("address", "channel"))


class ContactError(yamlstrict.FilesError):
    """A file of contacts that cannot be used."""


def load_contacts(folders: Iterable[Path], rules: RuleSet) -> Mapping[str, Contact]:
    """The contacts of every folder by receiver id; a later one replaces an earlier one.

    Raises ContactError with every problem.
    """
    found: dict[str, Contact] = {}
    problems: list[Detail] = []
    for folder in folders:
        path = folder / FILE
        if not path.is_file():
            continue
        document = yamlstrict.read_file(path, problems)
        contacts = read_shape(document, tuple[Contact, ...], problems) if document else None
        if document is None or contacts is None:
            continue
        taken: dict[str, FileLine] = {}
        for index, each in enumerate(contacts):
            where = document.at(index)
            if each.receiver in taken:
                problems.append(where.problem(DEFINED(name=each.receiver, place=str(taken[each.receiver]))))
            taken.setdefault(each.receiver, where)
            problems.extend(map(where.problem, _troubles(each, rules)))
            found[each.receiver] = each
    if problems:
        raise ContactError(*problems)
    return found


def _troubles(contact: Contact, rules: RuleSet) -> Iterable[Detail]:
    if (name := contact.receiver) not in rules.receivers:
        yield nearest(NO_RECEIVER(receiver=name), name, rules.receivers)
    for rule in contact.conditions:
        if rule not in rules.rules:
            yield nearest(NO_RULE(rule=rule), rule, rules.rules)
    for source in contact.sources:
        if source.ref not in rules.sources:
            yield nearest(NO_SOURCE(name=source.ref), source.ref, rules.sources)
    if (contact.channel is ContactChannel.NONE) == bool(contact.asks):
        yield ASKS()
    if (contact.channel is ContactChannel.MAIL) != ("@" in contact.address and "//" not in contact.address):
        yield NO_ADDRESS(address=contact.address, channel=contact.channel.value)
