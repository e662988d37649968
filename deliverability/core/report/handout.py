"""The hand-out for people who answer "I get no mail": us or them?

The words are in reports/handout.LANG.yaml, the page in reports/handout.html.
"""

from __future__ import annotations

from msgspec import Struct

from deliverability.core import yaml as yamlstrict
from deliverability.core.phrases import phrases
from deliverability.core.resources import locate


class Question(Struct, frozen=True):
    """A question to ask first, and what each answer means."""

    ask: str
    answers: tuple[tuple[str, str], ...]


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


class Handout(Struct, frozen=True):
    """The whole hand-out in one language."""

    title: str
    lead: str
    questions: tuple[Question, ...]
    symptoms: tuple[Symptom, ...]
    servers: tuple[MailboxServer, ...]
    before: tuple[str, ...]


def load_handout(lang: str) -> Handout:
    """The hand-out in `lang` (en or ja)."""
    data = yamlstrict.read((locate("reports") / f"handout.{lang}.yaml").read_text("utf-8")).data
    return Handout(
        title=data["title"],
        lead=data["lead"],
        questions=tuple(
            Question(each["ask"], tuple((answer["if"], answer["then"]) for answer in each["answers"]))
            for each in data["questions"]
        ),
        symptoms=tuple(
            Symptom(tuple(each["says"]), each["cause"], each["side"], tuple(each["steps"])) for each in data["symptoms"]
        ),
        servers=tuple(
            MailboxServer(each["use"], each["host"], str(each["port"]), each["security"]) for each in data["servers"]
        ),
        before=tuple(data["before"]),
    )


def handout_text(lang: str) -> str:
    """The hand-out as plain text, for a terminal or a ticket."""
    say, handout = phrases(lang), load_handout(lang)
    lines = [handout.title, "", handout.lead, "", say("handout.questions")]
    for number, question in enumerate(handout.questions, 1):
        lines.append(f"{number}. {question.ask}")
        lines.extend(f"   - {answer} -> {meaning}" for answer, meaning in question.answers)
    for symptom in handout.symptoms:
        side = say("punctuation.aside", text=_side(symptom, lang))
        cause = f"{say('handout.cause')}{say('punctuation.colon')}{symptom.cause}{side}"
        lines += ["", " / ".join(symptom.says), f"  {cause}"]
        lines.extend(f"  {number}. {step}" for number, step in enumerate(symptom.steps, 1))
    lines += ["", say("handout.servers")]
    comma = say("punctuation.list")
    for each in handout.servers:
        lines.append(f"  {each.use}{say('punctuation.colon')}{comma.join((each.host, each.port, each.security))}")
    lines += ["", say("handout.before")]
    lines.extend(f"  - {each}" for each in handout.before)
    return "\n".join(lines) + "\n"


def _side(symptom: Symptom, lang: str) -> str:
    return phrases(lang)(f"handout.{symptom.side}")
