"""Django's mail, by what both its 5.2 and 6.1 promise: a stand-in for the parts that are used."""

from __future__ import annotations

import copy
import importlib
import logging
import sys
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from deliverability import StaticResolver
from tests.testing.test_audits import ORDER


class Refused(Exception):
    """`ImproperlyConfigured`."""


class Inner:
    """A backend that keeps copies, as `locmem` does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs, self.outbox, self.calls = args, kwargs, [], []

    def send_messages(self, messages: list[Any]) -> int:
        self.outbox += copy.deepcopy(messages)
        return len(messages)

    def open(self) -> bool:
        self.calls.append("open")
        return True

    def close(self) -> None:
        self.calls.append("close")

    def __enter__(self) -> Inner:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Mail:
    """`EmailMessage`: it holds the backend that it was sent by."""

    connection: object = None

    def message(self) -> Message:
        return message_from_bytes(ORDER)


@pytest.fixture
def django(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The module over the stand-in, and the parts of that."""
    parts = SimpleNamespace(settings=SimpleNamespace(), mailers={}, inner=Inner(), registered=[])
    checks = SimpleNamespace(
        Warning=lambda msg, **told: (told["id"], msg, told["hint"]),
        Info=lambda msg, **told: (told["id"], msg, told["hint"]),
        Tags=SimpleNamespace(security="security"),
        register=lambda check, *tags, **kwargs: parts.registered.append((check, tags, kwargs)),
    )
    held = {
        "django": {},
        "django.conf": {"settings": parts.settings},
        "django.core": {"checks": checks, "mail": SimpleNamespace(mailers=parts.mailers)},
        "django.core.exceptions": {"ImproperlyConfigured": Refused},
        "django.utils": {},
        "django.utils.module_loading": {
            "import_string": lambda path: lambda *args, **kwargs: parts.inner.__init__(*args, **kwargs) or parts.inner
        },
    }
    for name, attributes in held.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "deliverability.testing.django", raising=False)
    module = importlib.import_module("deliverability.testing.django")
    parts.module = module
    yield parts
    module._audits().close()
    sys.modules.pop("deliverability.testing.django", None)


def sent(backend: Any) -> int:
    mail = Mail()
    mail.connection = backend
    return backend.send_messages([mail])


def test_mailers_name_the_one_behind(django: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    """Django 6.1: ``backend_class(alias=alias, **OPTIONS)``; the mail is copied with its backend, and sent as it is."""
    django.mailers["real"] = django.inner
    backend = django.module.AuditingBackend(alias="default", mailer="real", purpose="bulk")
    with caplog.at_level(logging.WARNING, "deliv"):
        assert sent(backend) == 1
    assert len(django.inner.outbox) == 1
    assert "UNS-001" in caplog.text
    caplog.clear()
    quiet = django.module.AuditingBackend(alias="default", mailer="real", purpose="transactional", on="raise")
    assert sent(quiet) == 1
    assert caplog.text == ""


def test_before_mailers_a_setting_names_the_class_behind(django: SimpleNamespace) -> None:
    """Django 5.2: ``get_connection(fail_silently=…)`` makes the backend; what it is given goes on."""
    django.settings.DELIV_INNER = "shop.mail.Backend"
    django.settings.DELIV_OPTIONS = {"on": "raise", "purpose": "bulk"}
    backend = django.module.AuditingBackend(fail_silently=False, username="shop")
    assert django.inner.kwargs == {"fail_silently": False, "username": "shop"}
    with pytest.raises(django.module.MailRefused, match="UNS-001"):
        sent(backend)
    assert django.inner.outbox == []
    assert django.settings.DELIV_OPTIONS == {"on": "raise", "purpose": "bulk"}, "the settings stay as they are"


def test_the_connection_is_that_of_the_one_behind(django: SimpleNamespace) -> None:
    django.mailers["real"] = django.inner
    with django.module.AuditingBackend(alias="default", mailer="real") as backend:
        assert backend.open()
    backend.close()
    assert django.inner.calls == ["open", "open", "close", "close"]
    assert backend.send_messages([]) == 0


def test_a_mail_that_cannot_be_audited_is_sent_all_the_same(
    django: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    django.mailers["real"] = django.inner
    backend = django.module.AuditingBackend(alias="default", mailer="real", on="raise")
    with caplog.at_level(logging.WARNING, "deliv"):
        assert backend.send_messages([object()]) == 1
    assert "message" in caplog.text


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"mailer": "default"}, "itself"),
        ({}, "DELIV_INNER"),
        ({"mailer": "real", "on": "shout"}, "log, raise"),
        ({"mailer": "real", "purpos": "bulk"}, "purpose"),
    ],
)
def test_wrong_settings_say_what_is_right(django: SimpleNamespace, options: dict[str, Any], names: str) -> None:
    django.mailers["real"] = django.inner
    with pytest.raises(Refused, match=names):
        django.module.AuditingBackend(alias="default", **options)


def test_the_check_runs_at_deployment_and_only_where_it_is_wanted(django: SimpleNamespace) -> None:
    ((check, tags, kwargs),) = django.registered
    assert (tags, kwargs) == (("security",), {"deploy": True})
    django.settings.DEFAULT_FROM_EMAIL = "Shop <orders@shop.example>"
    assert check(app_configs=None) == []


@pytest.mark.parametrize(
    ("records", "idents", "names"),
    [
        ({}, ["deliv.W001"], "NET-007"),
        ("timeout", ["deliv.I001"], "did not return enough"),
        ("localhost", ["deliv.W001"], "not a domain"),
    ],
    ids=["nothing published", "no answers", "no domain"],
)
def test_the_check_says_what_the_domain_lacks(
    django: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, records: Any, idents: list[str], names: str
) -> None:
    django.settings.DELIV_CHECK = True
    django.settings.DEFAULT_FROM_EMAIL = "a@localhost" if records == "localhost" else "Shop <orders@shop.example>"

    class Silent:
        async def query(self, name: str, rdtype: str) -> Any:
            raise TimeoutError

    real = django.module.audit
    resolver = Silent() if records == "timeout" else StaticResolver({})
    monkeypatch.setattr(django.module, "audit", lambda domain, **kwargs: real(domain, resolver=resolver, **kwargs))
    found = django.module.check_from_domain()
    assert [each[0] for each in found] == idents
    assert names in found[0][1]
    assert found[0][2]
