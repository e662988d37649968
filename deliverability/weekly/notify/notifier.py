"""Tells people about a weekly run, by mail, webhook and Prometheus textfile, as the settings ask for it.

Notifications go into the outbox first and are sent from there, so that nothing is lost where a server is down.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import stat
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.policy import SMTP
from pathlib import Path
from typing import Any

from msgspec import Struct

from deliverability.console.settings import NotifySettings, WebhookSettings
from deliverability.core.codec import json_text
from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Catalogue
from deliverability.core.files import PUBLIC, write_whole
from deliverability.core.inputs import SecretError, secret
from deliverability.core.model.report import GRADES
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.http import HttpClient, HttpError
from deliverability.core.phrases import phrases
from deliverability.core.report.formats.prometheus import Gauges
from deliverability.weekly.notify.mail import SmtpChannel, compose
from deliverability.weekly.notify.outbox import Attempt, Channel, Notification, NotificationKind, Outbox
from deliverability.weekly.values import SUMMARY, Summary, WeeklyEntry
from deliverability.weekly.view import run_view

TIMEOUT_SECONDS = 30.0
"""For each octet of an answer."""
TOTAL_SECONDS = 60.0
"""For a document, however slowly an answer comes."""
_TRY_LATER = frozenset({408, 425, 429})
_ENTRIES_SHOWN = 20
_TEXT_LENGTH = 2_900  # Slack takes 3,000


def document(
    settings: WebhookSettings, summary: Summary, pages: Path, rules: RuleSet, catalogue: Catalogue, lang: str
) -> bytes:
    """What the webhook gets: the JSON summary as it stands among the pages, or a message for Slack and alike.

    Raises OSError.
    """
    if settings.style == "generic":
        return json_text(json.loads((pages / SUMMARY).read_text("utf-8"))).encode()
    say = phrases(lang)
    view = run_view(summary, say, rules, catalogue)
    title = f"{say('weekly.title')} {view.day}"
    headline = "\n".join(each.sentence for each in view.news.sentences[:_ENTRIES_SHOWN])
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(title)},
        {"type": "section", "text": _plain(headline)},
    ]
    for entry in view.changed[:_ENTRIES_SHOWN]:
        block = entry.block
        action = f"{say('weekly.step')}{say('punctuation.gap')}{block.action}" if block.action else ""
        rows = [entry.domain, *(each.words for each in block.chips), block.cause, action, *block.findings]
        blocks.append({"type": "section", "text": _plain("\n".join(filter(None, rows)))})
    return json_text({"text": view.news.subject(summary.started, say), "blocks": blocks}).encode()


def _plain(text: str) -> dict[str, Any]:
    """Plain text: nothing that comes from DNS or a mail may call people or carry links."""
    return {"type": "plain_text", "text": text[:_TEXT_LENGTH], "emoji": False}


class WebhookChannel(Struct, frozen=True):
    """Posts JSON. With a key, each request is signed so that the receiver can tell that it is ours and fresh.

    ``Idempotency-Key`` is the same at every attempt to deliver a document, and another for every other document.
    ``X-Deliv-Timestamp`` is seconds since 1970; ``X-Deliv-Signature`` is ``sha256=`` and the HMAC-SHA-256 (hex) of the
    timestamp, a dot, and the body.
    """

    settings: WebhookSettings
    key: str

    def send(self, notification: Notification, seconds: float) -> Attempt:
        """Try once."""
        seconds = min(TOTAL_SECONDS, seconds)
        try:
            status = asyncio.run(self._post(notification, seconds))
        except TimeoutError:
            return Attempt(notification.to, problem=f"timed out (no answer within {seconds:g} s)")
        except HttpError as error:
            return Attempt(notification.to, problem=f"{error.kind}: {error}")
        except OSError as error:
            return Attempt(notification.to, problem=f"{type(error).__name__}: {error}")
        if 200 <= status < 300:
            return Attempt()
        problem = f"HTTP {status}"
        if 400 <= status < 500 and status not in _TRY_LATER:
            return Attempt(refused=notification.to, problem=problem)
        return Attempt(notification.to, problem=problem)

    async def _post(self, notification: Notification, seconds: float) -> int:
        """The status of the answer. Raises TimeoutError and HttpError."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": f'"{_key(notification)}"',
            **signature(self.key, notification.body, int(time.time())),
        }
        # The answer's body is not read: it may be long, and slow to come.
        async with (
            asyncio.timeout(seconds),
            HttpClient(TIMEOUT_SECONDS, environment=True) as client,
            client.exchange("POST", self.settings.url, headers, notification.body) as answer,
        ):
            return answer.status


def _key(notification: Notification) -> str:
    """What tells a notification from all others."""
    named = "\0".join((notification.name, notification.created, *notification.to)).encode()
    return hashlib.sha256(named + b"\0" + notification.body).hexdigest()[:32]


def signature(key: str, body: bytes, at: int) -> Mapping[str, str]:
    """The signature's header fields; none without a key."""
    if not key:
        return {}
    signed = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Deliv-Timestamp": str(at), "X-Deliv-Signature": f"sha256={signed}"}


METRICS = {
    "deliv_weekly_run_timestamp_seconds": "Start of the newest run, in seconds since 1970.",
    "deliv_weekly_new_findings": "Findings that are new since the previous run.",
    "deliv_weekly_mended_findings": "Findings fixed since the previous run.",
    "deliv_weekly_grade": "Grade: 4 is A, 0 is F.",
    "deliv_weekly_unmet": "Findings by severity.",
    "deliv_weekly_could_not_check": "Findings that could not be checked.",
    "deliv_traffic_messages": "Messages that receivers reported for the domain, by class, in the window.",
    "deliv_traffic_failing_messages": "Own messages that do not pass DMARC, in the window.",
    "deliv_traffic_aligned_ratio": "Share of own and unclaimed messages that pass DMARC, in the window.",
    "deliv_gate": "The next DMARC policy: -2 the current one affects your mail, -1 not enough data, 0 not yet, 1 safe.",
    "deliv_last_report_timestamp_seconds": "Day of the newest report, in seconds since 1970, by reporter.",
}


def weekly_metrics(summary: Summary) -> str:
    """The metrics of a run."""
    gauges = Gauges(METRICS)
    gauges.set("deliv_weekly_run_timestamp_seconds", datetime.fromisoformat(summary.started).timestamp())
    gauges.set("deliv_weekly_new_findings", summary.count_new)
    gauges.set("deliv_weekly_mended_findings", summary.count_mended)
    for entry in summary.entries:
        subject = {"domain": entry.domain, "source": entry.source}
        if entry.grade:
            gauges.set("deliv_weekly_grade", GRADES[::-1].index(entry.grade), **subject)
        for severity, count in entry.counts.items():
            gauges.set("deliv_weekly_unmet", count, **subject, severity=severity)
        gauges.set("deliv_weekly_could_not_check", entry.failures, **subject)
        _traffic(entry, gauges)
    return gauges.text()


def _traffic(entry: WeeklyEntry, gauges: Gauges) -> None:
    """What was reported of the domain. Labels are closed sets: no name of a source, and no address."""
    domain = {"domain": entry.domain}
    if (week := entry.traffic) is not None:
        for name, messages in week.sums.classes.items():
            gauges.set("deliv_traffic_messages", messages, **domain, **{"class": name})
        gauges.set("deliv_traffic_failing_messages", week.sums.classes["own"] - week.sums.aligned, **domain)
        if week.sums.yours:
            gauges.set("deliv_traffic_aligned_ratio", week.sums.aligned / week.sums.yours, **domain)
        for reporter, day in week.last_reports.items():
            at = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
            gauges.set("deliv_last_report_timestamp_seconds", at, **domain, reporter=reporter)
    if entry.gate is not None:
        gauges.set("deliv_gate", entry.gate.kind.number, **domain, to=entry.gate.to)


WAITS = Code("notification-waits", ("problem", "folder"))
NOT_TAKEN = Code("notification-not-taken", ("what", "date", "problem"))
REFUSED = Code("notification-refused", ("what", "date", "problem", "folder"))
WEEKLY_MAIL, WEEKLY_WEBHOOK = Code("weekly-mail"), Code("weekly-webhook")
METRICS_FILE = Code("weekly-metrics", ("file",))
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

    @property
    def channels(self) -> tuple[Detail, ...]:
        """What a run tells people by."""
        told = (
            WEEKLY_MAIL() if self.settings.email else None,
            WEEKLY_WEBHOOK() if self.settings.webhook else None,
            METRICS_FILE(file=self.settings.prometheus) if self.settings.prometheus else None,
        )
        return tuple(filter(None, told))

    def write(self, summary: Summary, now: datetime) -> None:
        """Put the notifications of a run into the outbox; twice for one run gives one of each. Raises OSError."""
        # Two runs may begin within one second; their pages never share a folder.
        stem = f"{summary.started[:19].replace(':', '')}-{summary.folder}"
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
            # The exporter runs as a user of its own, whatever the umask is here; permissions that are set stay.
            mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else PUBLIC
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
