"""`deliv contact`: what to send to a receiver's postmaster, and what to mend before."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import read_inputs, tell_left_out
from deliverability.console.judging import run_reports, speaker_of
from deliverability.console.language import language
from deliverability.console.options import (
    file_option,
    input_options,
    lang_option,
    rule_folders_option,
)
from deliverability.console.output import paper_for, put
from deliverability.console.types import DayType, settings_folder
from deliverability.contact import report as render
from deliverability.contact.gather import RepliesQuoted, contact_pack, load_contacts, reported_by
from deliverability.contact.report import contact_view
from deliverability.contact.values import Company, Contact, ContactPack
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError, reason_of, set_aside
from deliverability.core.replies.match import load_replies
from deliverability.core.report.report import ReportView
from deliverability.core.rules.judge import Selection
from deliverability.core.store.store import kept
from deliverability.engine.audit import Audited, Extras
from deliverability.engine.rules import rule_folders
from deliverability.intake.places import UnreadPlace, items

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.model.replies import ReplyCatalogue
    from deliverability.core.model.report import Report
    from deliverability.core.model.rules import RuleSet
    from deliverability.core.words.speaker import Speaker

ONE_DOMAIN = Code("contact-one-domain")
NO_CONTACT = Code("contact-unknown", ("name", "known"))
NOT_THIS_FORM = Code("contact-form", ("file", "forms"))
NOT_READ = Code("contact-not-read", ("name", "detail"))
_FORMS = (".txt", ".md", ".html", ".json")


@click.command("contact", cls=Command)
@click.argument("receiver", metavar="RECEIVER")
@input_options
@click.option("--bounces", multiple=True, metavar="PATH")
@click.option("--since", type=DayType(), metavar="DATE")
@click.option("--anyway", is_flag=True)
@click.option("--history", "url", metavar="URL")
@rule_folders_option
@file_option
@lang_option
def command(
    receiver: str,
    bounces: tuple[str, ...],
    since: date | None,
    anyway: bool,
    url: str | None,
    rules: tuple[Path, ...],
    output: Path | None,
    lang: str,
    **params: Any,
) -> int:
    """Put together what a receiver's postmaster wants to be told, in its language; nothing is sent."""
    if output is not None and output.suffix.lower() not in _FORMS:
        raise InputError(NOT_THIS_FORM(file=str(output), forms=_FORMS))
    inputs = read_inputs({**params, "history": url})
    if len(inputs.subjects) != 1:
        raise InputError(ONE_DOMAIN())
    speaker = speaker_of(rules or inputs.settings.rules, lang)
    folders = rule_folders(rules or inputs.settings.rules)
    contact, replies = _known(receiver, folders, speaker.rules)
    quotes = _quotes(bounces, contact.receiver, replies, speaker.rules, inputs.ports.clock.now())

    def each(audited: Audited, report: Report) -> tuple[ContactPack, Report]:
        heard = reported_by(contact.receiver, audited.subject.observed, speaker.rules.knowledge.reporters)
        return _pack(report, contact, inputs.settings, quotes, since, url, params["config"], heard), report

    selection = Selection(receivers=(contact.receiver,))
    packs = run_reports(inputs, speaker.rules, selection, each, Extras())
    pack, report = packs[0]
    put(_shown(pack, report, speaker, anyway, output), output)
    return 1 if pack.first else 3 if pack.unchecked else inputs.code


def _known(name: str, folders: tuple[Path, ...], rules: RuleSet) -> tuple[Contact, ReplyCatalogue]:
    """The contact of a receiver, and what replies mean. Raises InputError where it is not known."""
    contacts = load_contacts(folders, rules)
    if name not in contacts:
        raise InputError(NO_CONTACT(name=name, known=tuple(contacts)))
    return contacts[name], load_replies(folders, rules)


def _quotes(
    places: tuple[str, ...], receiver: str, replies: ReplyCatalogue, rules: RuleSet, now: datetime
) -> RepliesQuoted:
    """What this receiver replied, from files, folders and mailboxes. Raises InputError where one cannot be read.

    What cannot be read within a folder or mailbox is told and left out.
    """
    quotes = RepliesQuoted(receiver)
    found = 0
    for place in places:
        for item in items(place, sys.stdin.buffer):
            if isinstance(item, UnreadPlace) and item.name == place:
                raise InputError(NOT_READ(name=item.name, detail=item.detail))
            if isinstance(item, UnreadPlace):
                _tell_left_out(item.name, item.detail)
                continue
            broken: list[Exception] = []
            with set_aside(broken.append):
                found += quotes.take(item.octets(), replies, rules, now)
            for error in broken:
                _tell_left_out(item.name, reason_of(error))
    if places and not quotes.replies() and not quotes.of_recipients:
        key = "contact.other-replies" if found else "contact.nothing-found"
        click.echo(language().say(key), err=True)
    return quotes


def _tell_left_out(name: str, detail: Detail) -> None:
    """One bounce of many cannot be read."""
    tell_left_out(InputError(NOT_READ(name=name, detail=detail)))


def _pack(
    report: Report,
    contact: Contact,
    settings: Settings,
    quotes: RepliesQuoted,
    since: date | None,
    url: str | None,
    config: Path | None,
    heard: frozenset[str],
) -> ContactPack:
    today = date.fromisoformat(report.run.started[:10])
    company = Company(settings.sender.company, settings.sender.contact, settings.sender.phone)
    with kept(url or settings.history, settings_folder(config)) as history:
        return contact_pack(report, contact, company, quotes, since, history, today, heard=heard)


def _shown(pack: ContactPack, report: Report, speaker: Speaker, anyway: bool, output: Path | None) -> str:
    view = contact_view(pack, ReportView(report, speaker), anyway=anyway)
    suffix = output.suffix.lower() if output else ""
    if suffix == ".json":
        return render.contact_json(pack, view, speaker.say)
    if suffix == ".md":
        return render.contact_markdown(view)
    if suffix == ".html":
        return render.contact_page(view, speaker.lang)
    return render.contact_text(view, paper_for(output))
