"""Django's mail: a backend that audits what it passes on, and a system check of the domain that mail comes from.

`MAILERS` (Django 6.1)::

    "default": {"BACKEND": "deliverability.testing.django.AuditingBackend", "OPTIONS": {"mailer": "smtp", "on": "log"}}

Before Django 6.1: `EMAIL_BACKEND` names the backend, `DELIV_INNER` the one behind it, `DELIV_OPTIONS` has the options.
Of Django it only needs what both have: a backend is anything that sends messages.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from email.utils import parseaddr
from functools import cache
from types import TracebackType
from typing import Any

from django.conf import settings
from django.core import checks, mail
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from deliverability.api.report import Report
from deliverability.api.session import audit
from deliverability.console.language import Language
from deliverability.core.errors import DelivError, InputError
from deliverability.core.model.report import VerdictKind
from deliverability.core.phrases import Phrases, joined, phrases
from deliverability.testing.audits import AuditSettings, MailAudits, read_settings_file

_LOG = logging.getLogger("deliv")
_ON = ("log", "raise")


class MailRefused(Exception):
    """A receiver would reject the mail, or may; it was not sent."""


class AuditingBackend:
    """Audits each mail, then hands all of them to another backend, unchanged. Nobody is asked over the network.

    Args:
        mailer: the mailer of `MAILERS` that sends; before Django 6.1 `DELIV_INNER` names its class.
        on: what is done about a mail that receivers object to: ``log`` it, or ``raise`` `MailRefused`.
        alias: its own name, from Django.
        options: what `deliv_audit` takes as well (``purpose``, ``receivers``, ``ignore`` …); what Django gives to every
            backend goes to the one behind.

    """

    def __init__(
        self, *args: Any, mailer: str | None = None, on: str | None = None, alias: str | None = None, **options: Any
    ) -> None:
        self.alias = alias
        if mailer is not None:
            if mailer == alias:
                raise ImproperlyConfigured(f"deliv: the mailer {alias!r} cannot pass mail on to itself")
            wanted, self._inner = options, mail.mailers[mailer]
        else:
            path = getattr(settings, "DELIV_INNER", None)
            if path is None:
                raise ImproperlyConfigured(
                    "deliv: name what sends: OPTIONS['mailer'] in MAILERS, or DELIV_INNER before Django 6.1"
                )
            wanted, self._inner = dict(getattr(settings, "DELIV_OPTIONS", {})), import_string(path)(*args, **options)
            on = wanted.pop("on", on)
        self._on = "log" if on is None else on
        if self._on not in _ON:
            raise ImproperlyConfigured(f"deliv: on is one of {', '.join(_ON)}, not {on!r}")
        # Messages hold their backend, and Django copies messages: what audits is not held here.
        self._wanted = wanted
        try:
            _audits().auditor("", wanted)
        except InputError as error:
            raise ImproperlyConfigured(f"deliv: {error}") from None

    def send_messages(self, email_messages: Sequence[Any]) -> int:
        """Audit, then send. Raises MailRefused where that is wanted; then none of them is sent."""
        messages = list(email_messages or ())
        for message in messages:
            self._look_at(message)
        sent: int = self._inner.send_messages(messages)
        return sent

    def _look_at(self, message: Any) -> None:
        try:
            _audits().auditor("", self._wanted)(message).assert_accepted()
        except AssertionError as error:
            if self._on == "raise":
                raise MailRefused(str(error)) from None
            _LOG.warning("%s", error)
        except DelivError as error:  # that it cannot be audited is no reason not to send it
            _LOG.warning("deliv: %s", error)

    def open(self) -> Any:
        """Open the connection of the backend behind."""
        return self._inner.open()

    def close(self) -> Any:
        """Close it."""
        return self._inner.close()

    def __enter__(self) -> AuditingBackend:
        self._inner.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._inner.__exit__(kind, error, at)


@cache
def _audits() -> MailAudits:
    """The rules of this process, read once, since Django makes a backend for each mail."""
    return MailAudits(AuditSettings(read_settings_file(None)))


def check_from_domain(app_configs: object = None, **kwargs: object) -> list[Any]:
    """``deliv.W001``: the domain of `DEFAULT_FROM_EMAIL` has what receivers require. `DELIV_CHECK`: ask DNS."""
    if not getattr(settings, "DELIV_CHECK", False):
        return []
    say = phrases(Language().people)
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    hint = say("testing.check-hint", domain=domain)
    try:
        report = audit(domain, remedies=False)
    except InputError as error:
        return [checks.Warning(f"deliv: {error}", hint=say("testing.check-from"), id="deliv.W001")]
    if objecting := (*report.refused, *report.at_risk):
        text = say(
            "testing.check-objects",
            domain=domain,
            receivers=joined(objecting, say),
            why=say("punctuation.clauses").join(_why(report, objecting, say)),
        )
        return [checks.Warning(text, hint=hint, id="deliv.W001")]
    if report.dns is VerdictKind.CANNOT_TELL:
        return [checks.Info(say("testing.check-unknown", domain=domain), hint=hint, id="deliv.I001")]
    return []


def _why(report: Report, receivers: Sequence[str], say: Phrases) -> Sequence[str]:
    """The requirements behind the verdicts, each once."""
    titles: Mapping[str, str] = {each.rule: each.title(say.lang) for each in report.unmet}
    rules = [each.rule for receiver in receivers for each in report.receivers[receiver].effects]
    return [(titles.get(rule, "") + say("punctuation.aside", text=rule)).strip() for rule in dict.fromkeys(rules)]


checks.register(check_from_domain, checks.Tags.security, deploy=True)
