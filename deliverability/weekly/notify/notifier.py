"""Tells people about a weekly run, by mail, webhook and Prometheus textfile, as the settings ask for it.

Notifications go into the outbox first and are sent from there, so that nothing is lost where a server is down.
"""

from __future__ import annotations

import stat
from datetime import datetime
from email.policy import SMTP
from pathlib import Path

from msgspec import Struct

from deliverability.console.settings import NotifySettings
from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Catalogue
from deliverability.core.files import PRIVATE, write_whole
from deliverability.core.inputs import SecretError, secret
from deliverability.core.model.rules import RuleSet
from deliverability.weekly.notify.machines import WebhookChannel, document, weekly_metrics
from deliverability.weekly.notify.mail import SmtpChannel, compose
from deliverability.weekly.notify.outbox import Attempt, Channel, Notification, NotificationKind, Outbox
from deliverability.weekly.values import Summary

WAITS = Code("notification-waits", ("problem", "folder"))
NOT_TAKEN = Code("notification-not-taken", ("what", "date", "problem"))
REFUSED = Code("notification-refused", ("what", "date", "problem", "folder"))
WEEKLY_MAIL, WEEKLY_WEBHOOK = Code("weekly-mail"), Code("weekly-webhook")
_WHAT: dict[NotificationKind, Code] = {"email": WEEKLY_MAIL, "webhook": WEEKLY_WEBHOOK}


class Notifier(Struct, frozen=True):
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
        """Where notifications wait."""
        return Outbox(self.output / ".outbox")

    def write(self, summary: Summary, now: datetime) -> None:
        """Put the notifications of a run into the outbox; twice for one run gives one of each. Raises OSError."""
        stem = summary.started[:19].replace(":", "")
        email, webhook = self.settings.email, self.settings.webhook
        if email is not None:
            lang = email.lang or self.lang
            message = compose(email, summary, self.rules, self.catalogue, lang, now, self.output / summary.folder)
            body = message.as_bytes(policy=SMTP)
            self.outbox.put(Notification(f"{stem}-mail", "email", email.to, summary.started, body))
        if webhook is not None:
            pages = self.output / summary.folder
            body = document(webhook, summary, pages, self.rules, self.catalogue, self.lang)
            self.outbox.put(Notification(f"{stem}-webhook", "webhook", (webhook.url,), summary.started, body))
        if self.settings.prometheus:
            path = self.folder / self.settings.prometheus
            # For the user alone, until they let the exporter read it: as they set it, it stays.
            mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else PRIVATE
            write_whole(path, weekly_metrics(summary), mode=mode)

    def send(self) -> tuple[Detail, ...]:
        """Try everything that waits, of this run and of earlier ones; gives what was not taken, and why."""
        channels: dict[NotificationKind, Channel] = {}
        problems = []
        try:
            if email := self.settings.email:
                channels["email"] = SmtpChannel(email, secret(email.password_env, email.password_file, self.folder))
        except SecretError as error:
            problems.append(WAITS(problem=error.detail, folder=str(self.outbox.folder)))
        try:
            if webhook := self.settings.webhook:
                key = secret(webhook.secret_env, webhook.secret_file, self.folder)
                channels["webhook"] = WebhookChannel(webhook, key)
        except SecretError as error:
            problems.append(WAITS(problem=error.detail, folder=str(self.outbox.folder)))
        problems += self.outbox.set_aside()
        tried = self.outbox.flush(channels)
        return (*problems, *(self._problem(each, attempt) for each, attempt in tried if attempt.problem))

    def _problem(self, notification: Notification, attempt: Attempt) -> Detail:
        what, date = _WHAT[notification.kind](), notification.created[:10]
        if attempt.refused:
            refused = str(self.outbox.folder / "refused")
            return REFUSED(what=what, date=date, problem=attempt.problem, folder=refused)
        return NOT_TAKEN(what=what, date=date, problem=attempt.problem)
