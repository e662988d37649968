"""What an importer writes: type-checked by `mypy --strict` against the installed wheel, and run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path

from deliverability import (
    Absent,
    DelivError,
    Explanation,
    Failed,
    Finding,
    Found,
    InputError,
    Outcome,
    Purpose,
    Reason,
    Remedy,
    Report,
    Resolver,
    RuleError,
    Session,
    Severity,
    StaticResolver,
    Verdict,
    audit,
    audit_async,
    evaluate_spf,
    explain,
)


class Table:
    """A resolver of one's own."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    async def query(self, name: str, rdtype: str) -> Found | Absent | Failed:
        if rdtype != "TXT":
            return Failed(name, rdtype, Reason.OFFLINE)
        if name in self.texts:
            return Found(name, rdtype, (self.texts[name],))
        return Absent(name, rdtype, nxdomain=True)

    async def close(self) -> None: ...


def worst(report: Report) -> Finding | None:
    return next((each for each in report.unmet if each.severity is Severity.ERROR), None)


def told(report: Report) -> list[str]:
    bad = {ident: verdict for ident, verdict in report.verdicts.items() if verdict is not Verdict.ACCEPTED}
    lines = [f"{ident}: {verdict.value}" for ident, verdict in bad.items()]
    remedies: tuple[Remedy, ...] = report.remedies
    lines += [edit.name for remedy in remedies for edit in remedy.edits]
    lines += [each.title("ja") for each in report.findings if each.outcome is Outcome.UNKNOWN]
    return [*lines, *report.refused, *report.at_risk, *report.receivers["gmail"].codes]


async def waiting(resolver: Resolver, folder: Path) -> Report:
    async with Session(resolver=resolver, lang="ja") as session:
        spf = await evaluate_spf("192.0.2.25", "ann@example.com", None, session.resolver)
        print(spf.result.value, spf.lookups)
        return await audit_async("example.com", session=session, purpose=Purpose.BULK, ip=["192.0.2.25"])


def main(folder: Path) -> str:
    table: Resolver = Table({"example.com": "v=spf1 ip4:192.0.2.25 -all"})
    message = EmailMessage()
    message["From"] = "ann@example.com"
    message.set_content("Hello")
    report = audit(message=message, resolver=table, purpose="bulk", daily_volume=20_000, selectors="s1", timeout=5)
    try:
        audit("example.com", zones=folder / "missing.zone")
    except RuleError as error:
        return error.place
    except InputError as error:
        print(error.code, error.values["name"], error.text("ja"))
    except DelivError:
        raise
    again = Report.from_json(report.to_json())
    if again != report or again.to_dict()["schema_version"] != report.schema_version:
        return "not the same"
    explanation: Explanation = explain("550 5.7.26 not accepted", receiver="gmail")
    first = worst(asyncio.run(waiting(StaticResolver({("example.com", "TXT"): ["v=spf1 -all"]}), folder)))
    return "\n".join([*told(report), *explanation.replies[0].todo("en"), first.rule if first else ""])
