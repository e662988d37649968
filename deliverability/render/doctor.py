"""What `deliv doctor` found, as lines for a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.model.codec import encode, json_text
from deliverability.model.doctor import CheckState, MachineCheck
from deliverability.render.wrap import typewritten, wrap
from deliverability.words.details import detail_words
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import visible

SCHEMA = "1.0"
_MARKS = {
    CheckState.GOOD: ("✓", "+"),
    CheckState.LIMITED: ("▲", "!"),
    CheckState.BAD: ("✗", "x"),
    CheckState.UNKNOWN: ("?", "?"),
    CheckState.SPARED: ("–", "-"),
}
_NEEDS_ADVICE = (CheckState.LIMITED, CheckState.BAD, CheckState.UNKNOWN)


def check_text(check: MachineCheck, say: Phrases, *, width: int, unicode: bool) -> str:
    """One check: mark, what was tried and what came of it, and what to do where it is not good."""
    fancy, plain = _MARKS[check.state]
    met = visible(detail_words(check.met, say))
    rows = wrap(f"{say(f'doctor.name.{check.name}')}{say('punctuation.colon')}{met}", width - 2)
    lines = [f"{(fancy if unicode else plain) if number == 0 else ' '} {row}" for number, row in enumerate(rows)]
    if check.state in _NEEDS_ADVICE:
        arrow = "→" if unicode else "->"
        advice = wrap(_advice(check, say), width - 3 - len(arrow))
        lines += [f"  {arrow if number == 0 else ' ' * len(arrow)} {row}" for number, row in enumerate(advice)]
    text = "\n".join(lines) + "\n"
    return text if unicode else typewritten(text)


def checks_json(checks: Sequence[MachineCheck], say: Phrases) -> str:
    """All checks, each as a code with its arguments and in words."""
    shape = {
        "schema_version": SCHEMA,
        "checks": [
            {
                "check": each.name,
                "state": each.state.value,
                "detail": encode(each.met),
                "text": detail_words(each.met, say),
                "advice": _advice(each, say) if each.state in _NEEDS_ADVICE else None,
            }
            for each in checks
        ],
    }
    return json_text(shape, indent=2) + "\n"


def _advice(check: MachineCheck, say: Phrases) -> str:
    """What to do; the marks around what may be copied are for pages only."""
    return say(f"doctor.do.{check.name}").replace("`", "")
