"""The hand-out for people who answer "I get no mail": us or them?

One page a receiver. The words are in reports/handout.LANG.yaml, the page in reports/handout.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, convert

from deliverability.core import yaml as yamlstrict
from deliverability.core.files import locate
from deliverability.core.phrases import phrases


class Answer(Struct, frozen=True, rename={"says": "if", "means": "then"}):
    """An answer, and what it means."""

    says: str
    means: str


class Question(Struct, frozen=True):
    """A question to ask first, with its answers."""

    ask: str
    answers: tuple[Answer, ...]


class Symptom(Struct, frozen=True):
    """What the person says, what it most likely is, whose it is, and the steps, the first one first."""

    says: tuple[str, ...]
    cause: str
    side: str
    steps: tuple[str, ...]


class MailboxServer(Struct, frozen=True):
    """A server of the recipient's mailbox, as an app asks for it."""

    use: str
    host: str
    port: str
    security: str


class Link(Struct, frozen=True):
    """A page of the receiver, or of who explains its settings."""

    title: str
    url: str


class Handout(Struct, frozen=True):
    """The whole hand-out for one receiver in one language.

    Attributes:
        title: names the receiver.
        lead: for whom it is.
        questions: what to ask first.
        steps: in the recipient's mailbox, in the receiver's own order and words.
        symptoms: what the recipient sees, where the receiver's programs have words of their own.
        device: on the recipient's device, and with the mail itself.
        limits: what no setting of the recipient changes.
        servers: as an app asks for them, where the receiver has them.
        before: what its support will ask for.
        links: the receiver's own pages.

    """

    title: str
    lead: str
    questions: tuple[Question, ...]
    steps: tuple[str, ...]
    symptoms: tuple[Symptom, ...]
    device: tuple[str, ...]
    limits: tuple[str, ...]
    servers: tuple[MailboxServer, ...]
    before: tuple[str, ...]
    links: tuple[Link, ...]


ICLOUD = "icloud"
RECEIVERS = (ICLOUD, "docomo", "au", "softbank", "yahoo-japan", "gmail", "outlook")
"""The receivers that there is a page for, by their ids in the rule files."""


def load_handout(lang: str, receiver: str, name: str, domain: str = "") -> Handout:
    """The hand-out in `lang` (en or ja) for a receiver, which people call `name`, about mail from `domain`."""
    data = yamlstrict.read((locate("reports") / f"handout.{lang}.yaml").read_text("utf-8")).data
    own = data["receivers"][receiver]
    whole = {**data, **own, "limits": [*own["limits"], *data["limits"]]}
    if receiver != ICLOUD:  # they are of its own programs
        whole |= {"symptoms": [], "servers": []}
    return convert(
        _filled(whole, {"{web}": own["web"], "{name}": name, "{domain}": domain or data["our-domain"]}), Handout
    )


def _filled(part: Any, values: Mapping[str, str]) -> Any:
    """A part of the file with what stands for these names."""
    match part:
        case dict():
            return {key: _filled(each, values) for key, each in part.items()}
        case list():
            return [_filled(each, values) for each in part]
        case str():
            for mark, value in values.items():
                part = part.replace(mark, value)
    return part


def handout_text(handout: Handout, lang: str) -> str:
    """The hand-out as plain text, for a terminal or a ticket."""
    say = phrases(lang)
    lines = [handout.title, "", handout.lead, "", say("handout.questions")]
    for number, question in enumerate(handout.questions, 1):
        lines.append(f"{number}. {question.ask}")
        lines.extend(f"   - {each.says} → {each.means}" for each in question.answers)
    for heading, steps in (("settings", handout.steps), ("device", handout.device)):
        lines += ["", say(f"handout.{heading}")]
        lines.extend(f"{number}. {step}" for number, step in enumerate(steps, 1))
    for symptom in handout.symptoms:
        side = say("punctuation.aside", text=_side(symptom, lang))
        cause = f"{say('handout.cause')}{say('punctuation.colon')}{symptom.cause}{side}"
        lines += ["", say("punctuation.clauses").join(symptom.says), f"  {cause}"]
        lines.extend(f"  {number}. {step}" for number, step in enumerate(symptom.steps, 1))
    if handout.servers:
        lines += ["", say("handout.servers")]
    colon, comma = say("punctuation.colon"), say("punctuation.list")
    lines.extend(
        f"  {each.use}{colon}{comma.join((each.host, say('handout.at-port', port=each.port), each.security))}"
        for each in handout.servers
    )
    for heading, texts in (("limits", handout.limits), ("before", handout.before)):
        lines += ["", say(f"handout.{heading}"), *(f"  - {each}" for each in texts)]
    lines += ["", say("handout.links"), *(f"  {each.title}{colon}{each.url}" for each in handout.links)]
    return "\n".join(lines) + "\n"


def _side(symptom: Symptom, lang: str) -> str:
    return phrases(lang)(f"handout.{symptom.side}")
