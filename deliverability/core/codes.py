"""What layers say to each other instead of sentences: codes with arguments, put into words by the words room."""

from __future__ import annotations

from enum import StrEnum
from typing import Union

from msgspec import Struct


class Input(StrEnum):
    """What only the user can give. Where a fact waits for one, its Unknown carries ``needs(Input...)``.

    SENDING_IP: one address that sends, or a message that shows one. SENDING_IPS: all of them, as one message cannot.
    REPORTS: what receivers report, read in. DELIVERIES: results of mails, read in: bounces, events or a log. DELIVERED:
    those that also tell what was delivered. POSTMASTER_TOOLS, SNDS: exports of these, read in. HISTORY: weekly runs
    that are kept. RARE_RUNS: which mail is sent seldom. LIST_CHECK: the sums of a checked list of recipients.
    WARM_UP_PLAN: a plan of `deliv warm-up`. SAMPLES: a newsletter and a transactional mail, both as received.
    ADDRESSES: the file of addresses that bounced or complained.
    """

    SENDING_IP = "sending-ip"
    SENDING_IPS = "sending-ips"
    HELO = "helo"
    MAIL_FROM = "mail-from"
    PURPOSE = "purpose"
    DAILY_VOLUME = "daily-volume"
    SELECTOR = "selector"
    PERMISSION_FETCH = "permission-fetch"
    PERMISSION_PROBE_SMTP = "permission-probe-smtp"
    PERMISSION_UNSUBSCRIBE = "permission-unsubscribe"
    REPORTS = "reports"
    DELIVERIES = "deliveries"
    DELIVERED = "delivered"
    POSTMASTER_TOOLS = "postmaster-tools"
    SNDS = "snds"
    HISTORY = "history"
    RARE_RUNS = "rare-runs"
    LIST_CHECK = "list-check"
    WARM_UP_PLAN = "warm-up-plan"
    SAMPLES = "samples"
    ADDRESSES = "addresses"

    @property
    def stored(self) -> bool:
        """Whether it comes from what is kept between audits or stands in settings: no option of an audit gives it."""
        read_in = (Input.REPORTS, Input.DELIVERIES, Input.DELIVERED, Input.POSTMASTER_TOOLS, Input.SNDS)
        settings = (Input.HISTORY, Input.RARE_RUNS, Input.LIST_CHECK, Input.WARM_UP_PLAN, Input.ADDRESSES)
        return self in (*read_in, *settings)


Arg = Union[str, int, float, "Detail", tuple["Arg", ...]]
"""What a code is about: text as it was seen, a number, a further detail, or several of them."""


class Detail(Struct, frozen=True):
    """One thing that can be said: a code, and what it is about. Words: ``detail.CODE`` in reports/strings.*.yaml.

    Attributes:
        code: one of those declared as a Code, or of an older or newer version of this program.
        args: name and value of each argument, in the order of the declaration.

    """

    code: str
    args: tuple[tuple[str, Arg], ...] = ()

    def arg(self, name: str) -> Arg:
        """The argument of that name. Raises KeyError where there is none."""
        return dict(self.args)[name]


class Code(Struct, frozen=True):
    """The declaration of a code, beside what says it: its name and the names of its arguments.

    Called with the arguments it gives the detail.
    """

    name: str
    args: tuple[str, ...] = ()

    def __call__(self, **args: Arg) -> Detail:
        """The detail. Raises TypeError where the names of the arguments are not those declared."""
        if args.keys() != set(self.args):
            raise TypeError(f"{self.name} takes {', '.join(self.args) or 'no arguments'}; given: {', '.join(args)}")
        return Detail(self.name, tuple((name, args[name]) for name in self.args))

    def matches(self, detail: object) -> bool:
        """Whether that is a detail of this code."""
        return isinstance(detail, Detail) and detail.code == self.name


NEEDS = Code("needs", ("input",))
SENT_TO_YOURSELF = Code("sent-to-yourself", ("needs",))  # over a connection that no receiver sees
ONLY_SUBMITTED = Code("only-submitted", ("needs",))  # handed in by its writer, and taken by no receiver
# Somebody passed it on, and nothing shows whose server that is: `relay` took it from `sent` and gave it on from `last`.
PATH_OPEN = Code("path-open", ("relay", "sent", "last", "needs"))
ASKED = Code("asked", ("type", "name"))  # the question that failed
ABOUT = Code("about", ("what", "detail"))  # what a detail is about, said before it
VERBATIM = Code("as-said", ("text",))  # words that are not ours: of a system, a library
SELECTOR = Code("selector", ("name",))
NOT_COLLECTED = Code("not-collected", ("path",))  # a fact that exists, and that was not looked at


def verbatim(text: str) -> Detail | None:
    """Words that are not ours as a detail, where there are any."""
    return VERBATIM(text=text) if text else None


def needs(wanted: Input) -> Detail:
    """The detail of a fact that waits for that input."""
    return NEEDS(input=wanted.value)


def needed(detail: Detail | None) -> Input | None:
    """The input that a fact waits for, where its detail says one."""
    if detail is not None and any(each.matches(detail) for each in (SENT_TO_YOURSELF, ONLY_SUBMITTED, PATH_OPEN)):
        inner = detail.arg("needs")
        detail = inner if isinstance(inner, Detail) else None
    return Input(str(detail.arg("input"))) if detail is not None and NEEDS.matches(detail) else None


def failed_question(rdtype: str, name: str, detail: Detail | None) -> Detail:
    """Which question failed, and how where that is known."""
    asked = ASKED(type=rdtype, name=name)
    return asked if detail is None else ABOUT(what=asked, detail=detail)
