"""Tells people about a run: the weekly mail, the webhook, the Prometheus textfile.

Letters go into the outbox first and are sent from there, so that nothing is lost where a server is down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any

from deliverability._files import write_whole
from deliverability.config import EmailSettings, NotifySettings, WebhookSettings
from deliverability.model.codec import json_text
from deliverability.model.facts import Catalogue
from deliverability.model.report import GRADES
from deliverability.model.rules import RuleSet
from deliverability.model.weekly import Summary
from deliverability.notify.carriers import SecretError, SmtpCarrier, WebhookCarrier, secret
from deliverability.notify.outbox import Attempt, Carrier, Kind, Letter, Outbox
from deliverability.render.html import environment
from deliverability.view.weekly import ChangeView, EntryView, GroupView, Words, headline
from deliverability.words.sentences import Phrases, phrases

MAX_OCTETS = 60_000
"""The whole weekly mail stays below this, attachment excepted."""

_SHOWN = (40, 20, 10, 5, 2)  # domains in the mail: as many as fit


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes and sends what the settings ask for.

    Attributes:
        settings: who is told.
        output: the folder of the weekly pages; the outbox lies in it.
        folder: what files with secrets are named from.
        rules: for the words of findings, as is the catalogue.
        lang: of the mail where the settings do not say.

    """

    settings: NotifySettings
    output: Path
    folder: Path
    rules: RuleSet
    catalogue: Catalogue
    lang: str

    @property
    def outbox(self) -> Outbox:
        """Where letters wait."""
        return Outbox(self.output / ".outbox")

    def write(self, summary: Summary, now: datetime) -> None:
        """Put the letters of a run into the outbox; twice for one run gives one letter. Raises OSError."""
        stem = summary.started[:19].replace(":", "")
        email, webhook = self.settings.email, self.settings.webhook
        if email is not None:
            lang = email.lang or self.lang
            message = compose(email, summary, self.rules, self.catalogue, lang, now, self.output / summary.folder)
            body = message.as_bytes(policy=SMTP)
            self.outbox.put(Letter(f"{stem}-mail", "email", email.to, summary.started, body))
        if webhook is not None:
            body = document(webhook, summary, self.rules, self.catalogue, self.lang)
            self.outbox.put(Letter(f"{stem}-webhook", "webhook", (webhook.url,), summary.started, body))
        if self.settings.prometheus:
            write_whole(self.folder / self.settings.prometheus, prometheus(summary))

    def send(self) -> tuple[str, ...]:
        """Try everything that waits, of this run and of earlier ones; gives one sentence for each not taken."""
        carriers: dict[Kind, Carrier] = {}
        problems = []
        if email := self.settings.email:
            try:
                carriers["email"] = SmtpCarrier(email, secret(email.password_env, email.password_file, self.folder))
            except SecretError as error:
                problems.append(f"{error}; what was to be sent waits in {self.outbox.folder}")
        if webhook := self.settings.webhook:
            try:
                key = secret(webhook.secret_env, webhook.secret_file, self.folder)
                carriers["webhook"] = WebhookCarrier(webhook, key)
            except SecretError as error:
                problems.append(f"{error}; what was to be sent waits in {self.outbox.folder}")
        problems += self.outbox.set_aside()
        met = self.outbox.flush(carriers)
        return (*problems, *(_problem(letter, attempt, self.outbox) for letter, attempt in met if attempt.problem))


def _problem(letter: Letter, attempt: Attempt, outbox: Outbox) -> str:
    what = {"email": "the weekly mail", "webhook": "the webhook"}[letter.kind]
    if attempt.refused:
        return (
            f"{what} of {letter.created[:10]} was refused ({attempt.problem}); it lies in {outbox.folder / 'refused'}"
        )
    return f"{what} of {letter.created[:10]} was not taken ({attempt.problem}); the next run tries again"


# --- The mail ---


def compose(
    settings: EmailSettings,
    summary: Summary,
    rules: RuleSet,
    catalogue: Catalogue,
    lang: str,
    now: datetime,
    pages: Path,
) -> EmailMessage:
    """The weekly mail: text and HTML, below 60 KB however many domains there are; a quiet week has one too."""
    say = phrases(lang)
    words = Words(say, rules, catalogue)
    views = [words.entry(entry) for entry in summary.entries]
    told = headline(views, say, len(summary.removed))
    domain = settings.sender.rpartition("@")[2].strip("<> ") or "localhost"
    message = EmailMessage(policy=SMTP)
    for shown in _SHOWN:
        message = EmailMessage(policy=SMTP)
        message["From"] = settings.sender
        message["To"] = ", ".join(settings.to)
        message["Subject"] = say("weekly.subject", date=summary.started[:10], headline=told)
        message["Date"] = format_datetime(now)
        message["Message-ID"] = make_msgid(idstring=summary.started[:10], domain=domain)
        message["List-Id"] = f"deliv weekly <weekly.deliv.{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(_text(views, summary, told, say, shown), cte="base64" if lang == "ja" else None)
        message.add_alternative(_html(views, summary, told, say, lang, shown), subtype="html", cte="base64")
        if len(message.as_bytes()) < MAX_OCTETS:
            break
    if settings.attach:
        for entry in summary.entries:
            page = pages / entry.pages.get(lang, "")
            if page.is_file():
                message.add_attachment(page.read_bytes(), maintype="text", subtype="html", filename=page.name)
    return message


def _ordered(views: Sequence[EntryView]) -> list[EntryView]:
    """Those with news first; the order of the settings otherwise."""
    return sorted(views, key=lambda view: not view.changed or view.first)


def _text(views: Sequence[EntryView], summary: Summary, told: str, say: Phrases, shown: int) -> str:
    rows = [f"{say('weekly.title')} {summary.started[:10]}", "", told]
    if summary.previous:
        rows.append(say("weekly.compared", date=summary.previous[:10]))
    if any(view.regraded for view in views):
        rows.append(say("weekly.regraded"))
    for view in _ordered(views)[:shown]:
        source = say("punctuation.aside", text=view.source) if view.source else ""
        rows += ["", f"== {view.domain}{source}"]
        if view.error:
            rows.append(f"! {view.error}")
        colon = say("punctuation.colon")
        if view.stands:
            rows.append("   ".join(f"{each.receiver}{colon}{each.label}" for each in view.stands))
        if view.answer:
            rows.append(view.answer)
        for group in () if view.first else view.groups:
            rows += _group_rows(group, say)
        if view.unchecked:
            rows.append(f"? {view.unchecked_words}")
    if len(views) > shown:
        rows += ["", say.count("weekly.more-domains", len(views) - shown)]
    rows += ["", say("weekly.pages", folder=summary.folder or summary.started[:10]), ""]
    return "\n".join(rows)


_LISTED = 8  # changes of each kind in the text


def _group_rows(group: GroupView, say: Phrases) -> Iterator[str]:
    if group.heading:
        yield f"* {group.heading}"
    for verdict in group.verdicts:
        yield verdict.words
        yield from (f"    {each}" for each in verdict.causes)
    for mark, changes in (("+", group.new), ("~", group.rated), ("-", group.mended), ("-", group.gone)):
        for change in changes[:_LISTED]:
            yield f"{mark} {_in_a_line(change, say)}"
            # A title names the good state: what is wrong about it says the message.
            message = (change.message,) if mark in "+~" else ()
            yield from (f"    {each}" for each in (*message, *change.causes, *change.facts))
        if len(changes) > _LISTED:
            yield f"{mark} {say.count('weekly.more-changes', len(changes) - _LISTED)}"


def _in_a_line(change: ChangeView, say: Phrases) -> str:
    item = say("punctuation.aside", text=change.item) if change.item else ""
    return f"{change.label}{say('punctuation.colon')}{change.title}{item} [{change.rule}]"


def _html(views: Sequence[EntryView], summary: Summary, told: str, say: Phrases, lang: str, shown: int) -> str:
    page: str = (
        environment()
        .get_template("weekly_mail.html")
        .render(
            say=say,
            lang=lang,
            views=_ordered(views)[:shown],
            rest=max(0, len(views) - shown),
            regraded=any(view.regraded for view in views),
            headline=told,
            date=summary.started[:10],
            previous=summary.previous[:10],
            folder=summary.folder or summary.started[:10],
        )
    )
    return re.sub(r"\n\s+", "\n", page)


# --- Webhook and textfile ---


def document(settings: WebhookSettings, summary: Summary, rules: RuleSet, catalogue: Catalogue, lang: str) -> bytes:
    """What the webhook gets: the JSON summary, or a message for Slack and alike."""
    if settings.style == "generic":
        return json_text(summary.to_json()).encode()
    say = phrases(lang)
    words = Words(say, rules, catalogue)
    views = [words.entry(entry) for entry in summary.entries]
    told = headline(views, say, len(summary.removed))
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(f"{say('weekly.title')} {summary.started[:10]}")},
        {"type": "section", "text": _plain(told)},
    ]
    for view in _ordered(views)[:20]:
        rows = []
        for group in view.groups:
            rows += [group.heading] if group.heading else []
            rows += [each.words for each in group.verdicts]
            rows += [_in_a_line(each, say) for each in (*group.new, *group.rated, *group.mended)[:_LISTED]]
        if rows and not view.first:
            blocks.append({"type": "section", "text": _plain("\n".join([view.domain, *rows])[:2900])})
    body = {"text": f"{say('weekly.title')} {summary.started[:10]}: {told}", "blocks": blocks}
    return json_text(body).encode()


def _plain(text: str) -> dict[str, Any]:
    """Plain text: nothing that comes from DNS or a mail may call people or carry links."""
    return {"type": "plain_text", "text": text[:2900], "emoji": False}


_GRADES = GRADES[::-1]
_PREFIX = "deliv_weekly"


def prometheus(summary: Summary) -> str:
    """The run as a textfile for the Prometheus node exporter."""
    families: list[tuple[str, str, list[tuple[dict[str, str], float]]]] = []

    def of(entry: Any, **more: str) -> dict[str, str]:
        return {"domain": entry.domain, "source": entry.source, **more}

    entries = summary.entries
    started = datetime.fromisoformat(summary.started).timestamp()
    families.append(("run_timestamp_seconds", "When the newest run began.", [({}, started)]))
    families.append(("new_findings", "Findings that are new since the run before.", [({}, summary.count_new)]))
    families.append(("mended_findings", "Findings mended since the run before.", [({}, summary.count_mended)]))
    grades = [(of(entry), float(_GRADES.index(entry.grade))) for entry in entries if entry.grade in _GRADES]
    families.append(("grade", "Grade: 4 is A, 0 is F.", grades))
    unmet = [
        (of(entry, severity=severity), float(count)) for entry in entries for severity, count in entry.counts.items()
    ]
    families.append(("unmet", "Findings by severity.", unmet))
    failures = [(of(entry), float(entry.failures)) for entry in entries]
    families.append(("could_not_check", "Findings that could not be checked.", failures))
    rows = []
    for name, meaning, samples in families:
        rows += [f"# HELP {_PREFIX}_{name} {meaning}", f"# TYPE {_PREFIX}_{name} gauge"]
        for labels, value in samples:
            shown = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
            rows.append(f"{_PREFIX}_{name}{'{' + shown + '}' if shown else ''} {value:g}")
    return "\n".join(rows) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
