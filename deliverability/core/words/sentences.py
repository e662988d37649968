"""The words of a report: rule texts filled with values, moments as people read them, in one language.

What renderers import for all their words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from deliverability.core.codes import NEEDS, Detail
from deliverability.core.facts.base import (
    Catalogue,
    FactSet,
    FactSpec,
    FactType,
    Record,
    Unknown,
    Value,
    plain,
    text_of,
)
from deliverability.core.facts.domain import Declared, Ownership
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import Rule, RuleSet, Sentence
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import (
    LANGUAGES,
    Phrases,
    day_words,
    detail_words,
    fill,
    full_day_words,
    moment_words,
    phrases,
    placeholders,
    row_words,
    zone_words,
)
from deliverability.core.rules.conditions import Truth, evaluate
from deliverability.core.rules.tasks import task_of
from deliverability.core.words.services import removal_steps, steps_for

__all__ = [
    "LANGUAGES",
    "FindingWords",
    "Phrases",
    "capital",
    "coded",
    "day_words",
    "duration",
    "fill",
    "format_value",
    "full_day_words",
    "item_name",
    "limit_spec",
    "moment_words",
    "octets",
    "own_domain",
    "phrases",
    "placeholders",
    "row_words",
    "sentences",
    "share_words",
    "shortened",
    "unknown_sentence",
    "visible",
    "zone_words",
]

_LIST_SHOWN = 6
_UNCOUNTED = ("", "bits")
_LENGTH_SHOWN = 300
_DURATIONS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


class FindingWords:
    """One finding in words. Each text is filled when it is first asked for, and once: most are never shown."""

    def __init__(self, finding: Finding, rules: RuleSet, lang: str, catalogue: Catalogue, facts: FactSet) -> None:
        self._finding, self._rules, self._facts, self._catalogue = finding, rules, facts, catalogue
        self._lang, self._rule = lang, rules.rules[finding.rule]
        self._texts = self._rule.text[lang]

    @cached_property
    def _values(self) -> _Values:
        return _Values(self._finding, self._rule, self._catalogue, self._facts)

    @property
    def _say(self) -> Phrases:
        return phrases(self._lang)

    @cached_property
    def title(self) -> str:
        """The requirement."""
        return self._filled(self._texts.title)

    @cached_property
    def _clause(self) -> str:
        """`short` for the case at hand, not filled in: a value at its beginning keeps its case in a heading."""
        return _first_true(self._texts.short, self._values)

    @cached_property
    def short(self) -> str:
        """What is wrong, where it is unmet, as a part of a sentence."""
        return self._filled(self._clause)

    @cached_property
    def noun(self) -> str:
        """What it looks at, the same."""
        return self._filled(self._texts.noun)

    @cached_property
    def heading(self) -> str:
        """What the finding goes by: `short` where it is unmet, else `noun`, which claims nothing."""
        unmet = self._finding.outcome is Outcome.UNMET
        return self._filled(capital(self._clause if unmet else self._texts.noun))

    @cached_property
    def message(self) -> str:
        """What was found: the met or unmet sentence, why it could not be checked, or that it does not apply."""
        match self._finding.outcome:
            case Outcome.MET:
                return self._filled(self._texts.met)
            case Outcome.UNMET:
                return self._filled(_first_true(self._texts.unmet, self._values))
            case Outcome.UNKNOWN:
                return unknown_sentence(self._finding.unknown, self._say)
            case Outcome.NOT_APPLICABLE:
                return self._say("outcome.not-applicable-sentence")

    @cached_property
    def why(self) -> str:
        """Why it matters to delivery."""
        return self._filled(self._texts.why)

    @cached_property
    def fix(self) -> tuple[str, ...]:
        """What to do, step by step, and where to do it in the sending services that are used."""
        if (others := self._instead) is not None:
            return others
        steps = steps_for(self._finding, self._rules, self._facts, self._say)
        before, after = (tuple(visible(step) for step in each) for each in (steps.before, steps.after))
        lifted = removal_steps(self._finding, self._rules, self._facts, self._say)
        after = (*after, *map(visible, lifted))
        own = (each.text for each in self._texts.fix if _holds(each, self._values) is not False)
        return (*before, *map(self._filled, own), *after)

    @cached_property
    def _instead(self) -> tuple[str, ...] | None:
        """The steps of the task that takes the place of the rule's own, because the thing is somebody else's."""
        task = task_of(self._finding, self._rule, self._rules.tasks, self._facts)
        if task is None or task.code == self._rule.task or not (how := task.text[self._lang].how):
            return None
        return tuple(visible(_one_line(fill(step, {"own": own_domain(self._facts)}))) for step in how)

    def _filled(self, text: str) -> str:
        if not placeholders(text):
            return _fixed(text)
        return visible(_one_line(_fill_values(text, self._values, self._say)))


def own_domain(facts: FactSet) -> str:
    """The audited domain; an example where that is one at which the user only has an address."""
    domain = if_known(facts.of(Declared).domain) or ""
    return domain if domain and facts.of(Ownership).domain != "foreign" else "example.com"


@lru_cache(maxsize=4096)
def _fixed(text: str) -> str:
    """A text that names no value."""
    return visible(_one_line(fill(text, {})))


def sentences(finding: Finding, rules: RuleSet, lang: str, catalogue: Catalogue, facts: FactSet) -> FindingWords:
    """The texts of the finding's rule in `lang`, filled with what was observed.

    Units come from the catalogue. A value that could not be established reads "could not be checked".
    """
    return FindingWords(finding, rules, lang, catalogue, facts)


_OF_LISTS = "blocklist-"  # codes of protocols.dnsbl: it is the list that did not answer as it should


def unknown_sentence(unknown: Unknown | None, say: Phrases) -> str:
    """Why something could not be checked, and what to do about it."""
    if unknown is None:
        return say("unknown.short")
    if unknown.detail is not None and NEEDS.matches(unknown.detail):
        return say("unknown.needs", what=visible(detail_words(unknown.detail, say)))
    detail = (
        say("unknown.detail", detail=visible(shortened(detail_words(unknown.detail, say)))) if unknown.detail else ""
    )
    about_list = unknown.detail is not None and unknown.detail.code.startswith(_OF_LISTS)
    return say("unknown.blocklist" if about_list else f"unknown.{unknown.reason.value}", detail=detail)


def state_words(path: str, value: Value, say: Phrases) -> str:
    """A value as the state that it is ("not set up", "valid"), where the fact has words for its states."""
    key = f"fact-state.{path}.{str(value).lower() if isinstance(value, bool) else value}"
    return say(key) if isinstance(value, (bool, str)) and key in say else ""


def format_value(value: Value, spec: FactSpec | None, say: Phrases, *, exact: bool = False) -> str:
    """A value as a reader of the language writes it. `exact`: sizes in full bytes instead of MB."""
    match value:
        case Unknown():
            return say("value.unknown")
        case None | () | "":
            return say("value.none")
        case Detail():
            return visible(shortened(detail_words(value, say)))
        case bool():
            return say("value.true" if value else "value.false")
        case int() | float():
            return _number(value, spec, say, exact=exact)
        case str():
            return visible(_text(value, spec.unit if spec else "", say))
        case Record():
            return _record(plain(value), spec, say)
        case Mapping():
            return _record(value, spec, say)
        case _:
            shown = [format_value(item, spec, say) for item in value[:_LIST_SHOWN]]
            rest = len(value) - len(shown)
            return say("value.separator").join(shown) + (say("value.more", n=f"{rest:,}") if rest else "")


def _text(value: str, unit: str, say: Phrases) -> str:
    match unit:
        case "date":
            return full_day_words(value, say)
        case "time":
            return moment_words(value, say)
        case _:
            return shortened(value)


def octets(number: int, say: Phrases, *, exact: bool = False) -> str:
    """A size: bytes below 1,000 (or if `exact`), else decimal KB or MB with at most one decimal."""
    if number < 1_000 or exact:
        return say.count("unit.octets", number)
    name, size = ("unit.megabytes", 1_000_000) if number >= 1_000_000 else ("unit.kilobytes", 1_000)
    scaled = f"{number / size:,.1f}".removesuffix(".0")
    return say(name, n=scaled)


def duration(seconds: int | float, say: Phrases) -> str:
    """A span of time in its largest fitting unit; two units below two of the larger one ("1 hour 30 minutes")."""
    left = abs(round(seconds))
    for index, (name, size) in enumerate(_DURATIONS):
        if left < size:
            continue
        whole, rest = divmod(left, size)
        text = say.count(f"unit.{name}", whole)
        if whole == 1 and index + 1 < len(_DURATIONS):
            smaller, smaller_size = _DURATIONS[index + 1]
            if rest >= smaller_size:
                text += say("unit.joiner") + say.count(f"unit.{smaller}", rest // smaller_size)
        return text
    return say.count("unit.second", left)


def share_words(percent: int | float) -> str:
    """A share without its sign: two decimals; below one percent, where limits are, three."""
    return f"{percent:,.{2 if percent >= 1 else 3}f}".rstrip("0").rstrip(".")


def shortened(text: str, limit: int = _LENGTH_SHOWN) -> str:
    """`text`, cut to `limit` characters with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def word_of(value: Value) -> str:
    """A text of a fact on one line; empty where it is unknown, absent or something else."""
    return visible(shortened(text_of(value)))


def visible(text: str) -> str:
    r"""`text` with every character that could hide or steer something written out (``\x1b``, ``\u202e``).

    Covers control and format characters (bidi controls, zero-width characters, tags), line and paragraph separators,
    lone surrogates, fillers without ink, and blanks that look like a space but are none. The ideographic space stays.
    """
    # What Python takes for printable has none of these but the blanks; of the others one may stand.
    if text.isprintable() or text.replace("\u3000", "").isprintable():
        return text if text.isascii() or _BLANK.isdisjoint(text) else _spelt(text)
    return _spelt(text)


def _spelt(text: str) -> str:
    return "".join(_escaped(char) if _is_hidden(char) else char for char in text)


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Letters and marks by category that have no ink, and the blank Braille pattern.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def _is_hidden(char: str) -> bool:
    if char in " \u3000":
        return False
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs") or char in _BLANK


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def capital(text: str) -> str:
    """A part of a sentence as one that begins it; a value, a tag or a scheme in front stays as it is."""
    return text[:1].upper() + text[1:] if _PLAIN_WORD.match(text) else text


_NAMES = "adkim|aspf|bh|https?|mailto|mx|np|pct|ptr|rua|ruf|smtp|sp|tls"  # that are no English word as well
_PLAIN_WORD = re.compile(rf"(?!(?:{_NAMES})(?: |,|$))[a-z-]+(?: |,|$)")


def _one_line(text: str) -> str:
    """Rule texts may be folded in their file; a line end in the text itself is a blank."""
    return " ".join(part.strip() for part in text.splitlines()) if "\n" in text else text


class _Values:
    """Looks up what a placeholder names: a field of the item, a limit, or a fact; with its catalogue entry."""

    def __init__(self, finding: Finding, rule: Rule, catalogue: Catalogue, facts: FactSet) -> None:
        self._finding = finding
        self._each = rule.each
        self.limits = finding.limits or rule.limits  # of what does not apply, the report keeps none
        self._catalogue = catalogue
        self._facts = facts

    def get(self, name: str) -> tuple[Value, FactSpec | None]:
        observed = self._finding.observed
        if name in self.limits:
            return self.limits[name], limit_spec(name)
        if name.startswith("item.") and self._each:
            return observed.get(name), self._catalogue.get(f"{self._each}[].{name.removeprefix('item.')}")
        if name in observed:
            return observed[name], self._catalogue.get(name)
        return self._facts.value(name), self._catalogue.get(name)


def _first_true(sentences: Sequence[Sentence], values: _Values) -> str:
    """The sentence for what was observed. What could not be established makes none of them true but the last."""
    return next(each.text for each in sentences if _holds(each, values) is True)


def _holds(sentence: Sentence, values: _Values) -> Truth:
    """Whether it is for what was observed."""
    return sentence.when is None or evaluate(sentence.when, lambda path: values.get(path)[0], values.limits)


def item_name(item: Mapping[str, Value], spec: FactSpec | None) -> str:
    """How an item of a list of records is named: its key fields joined by ``/``."""
    keys = spec.key if spec else ()
    return "/".join(str(item[key]) for key in keys if item.get(key) not in (None, ""))


def limit_spec(name: str) -> FactSpec:
    """The unit of a limit in the form of a catalogue entry; limits have none, so the end of their name tells it."""
    return FactSpec(name, FactType.INT, "", name.rpartition("_")[2])


def _fill_values(text: str, values: _Values, say: Phrases) -> str:
    found = {name: values.get(name) for name in placeholders(text)}
    shown = {name: coded(value, spec, say) or format_value(value, spec, say) for name, (value, spec) in found.items()}
    # "The message has 20 MB, at most 20 MB are accepted" helps nobody: where rounding hides a difference, be exact.
    sizes = {name: value for name, (value, spec) in found.items() if _is_size(value, spec)}
    # So it is where a limit is in bytes, and what exceeds it a little over a KB.
    near = [value for value in sizes.values() if isinstance(value, int)]
    mixed = bool(near) and min(near) < 1_000 <= max(near) < 10_000
    if mixed or len({shown[name] for name in sizes}) < len(set(sizes.values())):
        shown |= {name: format_value(value, found[name][1], say, exact=True) for name, value in sizes.items()}
    nameless = {name: words for name, (value, _) in found.items() if (words := _nameless(name, value, say))}
    filled = fill(text, shown | nameless)
    return capital(filled) if any(text.startswith(f"{{{name}}}") for name in nameless) else filled


def _nameless(name: str, value: Value, say: Phrases) -> str:
    """What something without a name is called (``nameless.filename``), where the language has words for it."""
    key = f"nameless.{name.rpartition('.')[2]}"
    return say(key) if value in (None, "") and key in say else ""


def coded(value: Value, spec: FactSpec | None, say: Phrases) -> str:
    """A code of a closed list in words (``coded.reason.body-changed``), where the language has some; else empty.

    Of several codes each.
    """
    if isinstance(value, tuple) and value and spec is not None and spec.values:
        words = [coded(each, spec, say) for each in value]
        return say("value.separator").join(words) if all(words) else ""
    if not isinstance(value, str) or spec is None or value not in spec.values:
        return ""
    key = f"coded.{spec.path.rpartition('.')[2]}.{value}"
    return say(key) if key in say else ""


def _is_size(value: Value, spec: FactSpec | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and spec is not None and spec.unit == "octets"


def _number(value: int | float, spec: FactSpec | None, say: Phrases, *, exact: bool) -> str:
    unit = spec.unit if spec else ""
    if unit == "octets" and isinstance(value, int):
        return octets(value, say, exact=exact)
    if unit == "seconds":
        return duration(value, say)
    if unit == "moment":
        return _moment(value, say)
    if unit == "percent":
        return share_words(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    # What counts something has separators; a port or the bits of a key have none below five digits.
    return f"{value:,}" if unit not in _UNCOUNTED or abs(value) >= 10_000 else str(value)


def _moment(seconds: int | float, say: Phrases) -> str:
    try:
        return moment_words(datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds"), say)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:,}"


def _record(record: Mapping[str, Value], spec: FactSpec | None, say: Phrases) -> str:
    name = item_name(record, spec)
    if name:
        return visible(shortened(name))
    pairs = [f"{key}={format_value(value, None, say)}" for key, value in list(record.items())[:_LIST_SHOWN]]
    return visible(shortened(" ".join(pairs)))
