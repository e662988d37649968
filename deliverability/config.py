"""deliv.toml -> typed settings; an unknown key is an error with a suggestion."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_type_hints

from deliverability.model.codes import ABOUT, Code, Detail
from deliverability.model.errors import AT_LINE, FILE_TOO_LARGE, InputError, file_error
from deliverability.model.facts import Purpose, Waiver
from deliverability.model.observed import SourceOwner, SourceWord

if TYPE_CHECKING:
    import pydantic

MAX_OCTETS = 1_000_000
MAX_SECONDS = 86_400.0  # a day

NO_SETTINGS = Code("no-settings", ("file",))
UNKNOWN_KEY = Code("config-unknown-key", ("key",))
UNKNOWN_KEY_NEAR = Code("config-unknown-key-near", ("key", "near"))
ONE_OF = Code("config-one-of", ("key", "values"))
SAID_AS = Code("config-said-as", ("key", "text", "value"))
KIND = Code("config-kind", ("key", "kind"))
TEXTS = Code("config-texts")
TEXT = Code("config-text")
WHOLE_NUMBER = Code("config-whole-number")
NUMBER = Code("config-number")
TRUE_OR_FALSE = Code("config-true-or-false")
DATE = Code("config-date")
TABLE = Code("config-table")
WRITTEN = Code("config-written", ("key", "form"))
LEAST = Code("config-least", ("key", "least"))
RANGE = Code("config-range", ("key", "least", "most"))
NEEDS_KEY = Code("config-needs-key", ("table", "what"))
NEEDS_ONE_OF = Code("config-needs-one-of", ("table", "key", "values"))
NOT_BOTH = Code("config-not-both", ("one", "other"))
NO_MAIL_ADDRESS = Code("config-no-mail-address", ("key", "text"))
NO_URL = Code("config-no-url", ("why",))
NEEDS_ONE_OF_KEYS = Code("config-needs-one-of-keys", ("table", "keys"))
TWICE = Code("config-twice", ("key", "text"))
NO_MATCH = Code("config-no-match", ("text",))
NO_RARE = Code("config-no-rare", ("text",))

KeyPath = tuple[str | int, ...]
"""Where something stands in the file: keys of tables, and numbers in arrays of tables."""

LIST_FILE = "file:"
_MAIL_KINDS = (Purpose.USERS, Purpose.BULK, Purpose.TRANSACTIONAL)
"""Begins the name of a list of the user's own."""

_STRICT = {"extra": "forbid", "strict": True}


class ConfigError(InputError):
    """A settings file that cannot be used: all that is wrong with it, each with its line."""


def _said(doc: str, default: Any = None, *, least: float | None = None, most: float | None = None) -> Any:
    """A key of the file: its meaning (for docs/settings.md and the JSON Schema), what holds without it, its range."""
    limits = {name: value for name, value in (("least", least), ("most", most)) if value is not None}
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True, slots=True)
class MailSettings:
    """What is true of a domain's mail; None or empty: not said."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    selectors: tuple[str, ...] = _said("DKIM selectors to look up.", ())
    sending_ips: tuple[str, ...] = _said("Addresses that send for the domain.", ())
    mail_from: str | None = _said("Envelope sender (Return-Path); empty: the null sender.")
    helo: str | None = _said("HELO/EHLO name of the sending host.")
    purpose: Literal["users", "bulk", "transactional", "parked"] | None = _said(
        "What the domain sends; decides which requirements apply."
    )
    daily_volume: int | None = _said("Messages a day.", least=0)
    dns_provider: str | None = _said("Where its DNS records are edited (cloudflare, route53, xserver, ...).")
    rare: tuple[str, ...] | None = _said(
        'Mail that is sent seldom, each as "YYYY-MM-DD what"; an empty list: there is none.'
    )
    list_check: str | None = _said(
        "The JSON of `deliv list-check` for the list of recipients: evidence on bounces and sign-ups in the reports."
    )
    warm_up: str | None = _said(
        "The plan of `deliv warm-up` (.csv): what is sent is held against it, by the logs and events that are read."
    )
    messages: tuple[str, ...] = _said(
        "Sample messages: files, globs, a Maildir or an mbox (the newest message of the domain is taken). Before the "
        "place may stand what kind of mail it is: users:, bulk: or transactional:.",
        (),
    )


@dataclass(frozen=True, slots=True)
class DomainSettings(MailSettings):
    """One ``[[domain]]`` table."""

    name: str = _said("The domain.", "")


@dataclass(frozen=True, slots=True)
class WaiverSettings:
    """One ``[[waiver]]`` table: a finding that is accepted, why, and until when."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    rule: str = _said("Rule id, as `deliv rules` lists them.", "")
    reason: Literal["accepted-risk", "handled-elsewhere", "not-applicable", "false-positive"] | None = _said(
        "Why the finding is accepted."
    )
    domain: str = _said("Only for this domain; empty: for all.", "")
    item: str = _said("Only for this item of the rule, for example example.com/s1; empty: for all.", "")
    note: str = _said("A remark for those who read the report.", "")
    until: date | None = _said("The last day on which it counts (a TOML date); without it, it never ends.")


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """``[notify.email]``: the weekly mail."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    to: tuple[str, ...] = _said("Who gets the weekly mail.", ())
    sender: str = _said("Its From address.", "")
    host: str = _said("The submission server.", "localhost")
    port: int | None = _said("Its port; without it 587 (starttls), 465 (tls) or 25 (none).", least=1, most=65535)
    security: Literal["starttls", "tls", "none"] = _said("How the connection is protected.", "starttls")
    username: str = _said("Name to log in with; empty: no login.", "")
    password_env: str = _said("Environment variable that holds the password.", "")
    password_file: str = _said("File that holds the password.", "")
    lang: Literal["en", "ja"] | None = _said("Language of the mail; without it that of the file.")
    attach: bool = _said("Attach the HTML report.", False)
    pages: str = _said("The address under which the pages are published, for a link; without it the path is told.", "")


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """``[notify.webhook]``: a summary as JSON, posted to an address."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    url: str = _said("The https address to post to.", "")
    style: Literal["generic", "slack"] = _said(
        "generic: the JSON summary; slack: a message for Slack and alike.", "generic"
    )
    secret_env: str = _said("Environment variable that holds the key of the HMAC signature.", "")
    secret_file: str = _said("File that holds the key of the HMAC signature.", "")


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """``[notify.*]``: who is told about a weekly run."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    email: EmailSettings | None = _said("The weekly mail.")
    webhook: WebhookSettings | None = _said("A JSON summary posted to an address.")
    prometheus: str = _said("Textfile for the Prometheus node exporter.", "")


@dataclass(frozen=True, slots=True)
class MailboxSettings:
    """One ``[[feedback.mailbox]]`` table: a mailbox that reports are sent to."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    name: str = _said("What it is called in what `deliv intake` tells.", "")
    host: str = _said("The IMAP server.", "")
    port: int | None = _said("Its port; without it 993 (tls) or 143 (starttls, none).", least=1, most=65535)
    security: Literal["tls", "starttls", "none"] = _said(
        "How the connection is protected; none is for a server on this machine.", "tls"
    )
    username: str = _said("Name to log in with.", "")
    password_env: str = _said("Environment variable that holds the password.", "")
    password_file: str = _said("File that holds the password.", "")
    token_command: tuple[str, ...] = _said(
        "Command that prints an OAuth 2 access token (XOAUTH2), for Microsoft 365 and Google Workspace.", ()
    )
    folder: str = _said("The folder that is read.", "INBOX")
    done: str = _said(
        "What becomes of mails whose reports are kept: keep, delete, or move:FOLDER. Other mail is left alone.", "keep"
    )
    failed: str = _said("What becomes of mails with a report that cannot be used: keep, or move:FOLDER.", "keep")
    most: int = _said("Mails a run.", 2000, least=1)


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """``[feedback]``: where the reports of receivers are, and how far they are trusted."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    places: tuple[str, ...] = _said("Files, folders, globs, Maildirs and mbox files with reports.", ())
    days: int = _said("How many days of reports the sources and the gate rest on.", 28, least=1, most=366)
    keep_days: int = _said(
        "How many days reports are kept; after 90 of them as sums of weeks.", 400, least=30, most=3660
    )
    trust: Literal["verified", "authenticated", "any"] = _said(
        "Which reports count. verified: whose mail passes DMARC for the reporter; authenticated: or a host of "
        "`authserv` says so; any: whoever sent them.",
        "verified",
    )
    authserv: tuple[str, ...] = _said(
        "Hosts whose Authentication-Results are believed: those of your own mail servers, if they remove forged ones.",
        (),
    )
    addresses: Path | None = _said(
        "File in which `deliv intake` keeps the addresses that bounced or complained, for `deliv suppress`; without it "
        "none is kept."
    )
    mailbox: tuple[MailboxSettings, ...] = _said("A mailbox that reports are sent to.", ())


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One ``[[source]]`` table: the user's word on who sends in the domain's name. `owner` is its key ``is``."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    match: tuple[str, ...] = _said(
        "Addresses, ranges (198.51.100.0/24), or ptr:NAME, dkim:NAME, service:ID; any of them.", ()
    )
    owner: Literal["ours", "forwarder", "not-ours"] | None = _said("Whose it is.")
    name: str = _said("What it is called in reports; empty: as it would be called anyway.", "")
    domain: str = _said("Only for this domain; empty: for all.", "")
    until: date | None = _said("The last day on which it counts (a TOML date); without it, it never ends.")


@dataclass(frozen=True, slots=True)
class ReputationKey:
    """Where the key of a block list is."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    env: str = _said("Environment variable that holds the key; the key itself never stands in this file.", "")


@dataclass(frozen=True, slots=True)
class ReputationSettings:
    """``[reputation]``: which block lists weekly runs ask, and how."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    lists: tuple[str, ...] = _said(
        "Blocklists that weekly runs ask, and an audit that is asked for those of the settings: ids, or file:PATH.", ()
    )
    keys: Mapping[str, ReputationKey] = field(
        default_factory=dict, metadata={"doc": 'Keys of blocklists, as in keys = {spamhaus = {env = "DQS_KEY"}}.'}
    )
    resolver: str = _said("Name server that is asked about blocklists; without it those of the rest.", "")


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """``[sender]``: who writes to a receiver's postmaster."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    company: str = _said("Name of the company.", "")
    contact: str = _said("Name and address of the person to answer to.", "")
    phone: str = _said("Telephone number.", "")


@dataclass(frozen=True, slots=True)
class Settings(MailSettings):
    """The whole file. Options on the command line win over it, a domain's own table over the common values."""

    domains: tuple[str, ...] = _said("Domains to audit that need no table of their own.", ())
    receivers: tuple[str, ...] = _said("Judge for these receivers only (icloud, gmail, ...).", ())
    rules: tuple[Path, ...] = _said("Folders of rule files to merge over the shipped ones.", ())
    select: tuple[str, ...] = _said("Judge only these rules (ids or prefixes).", ())
    ignore: tuple[str, ...] = _said("Leave these rules out.", ())
    resolvers: tuple[str, ...] = _said("Name servers to ask instead of the system's.", ())
    lang: Literal["en", "ja"] | None = _said("Language of reports and mails.")
    fail_on: Literal["error", "warning", "never", "new"] | None = _said(
        "From which severity on findings give exit code 1; new (weekly runs): only what is new does."
    )
    timeout: float | None = _said("Seconds for a domain.", least=0.1, most=MAX_SECONDS)
    history: str = _said("Where weekly runs are kept: sqlite:///FILE or postgresql+psycopg://...", "")
    output: Path | None = _said("Folder for the weekly pages.")
    keep: int | None = _said("How many weekly runs to keep as pages; without it all.", least=1)
    public: bool = _said(
        "Whether every user of this machine may read the weekly pages, as a web server needs it; else only you.", False
    )
    notify: NotifySettings = field(default_factory=NotifySettings, metadata={"doc": "Who is told about a weekly run."})
    domain: tuple[DomainSettings, ...] = _said("A domain with what is true of its mail.", ())
    waiver: tuple[WaiverSettings, ...] = _said("A finding that is accepted.", ())
    feedback: FeedbackSettings = field(
        default_factory=FeedbackSettings, metadata={"doc": "Where the reports of receivers are."}
    )
    sender: SenderSettings = field(
        default_factory=SenderSettings, metadata={"doc": "Who writes to a receiver's postmaster."}
    )
    source: tuple[SourceSettings, ...] = _said("Your word on who sends in your name.", ())
    reputation: ReputationSettings = field(
        default_factory=ReputationSettings, metadata={"doc": "Which blocklists weekly runs ask, and how."}
    )

    @property
    def names(self) -> tuple[str, ...]:
        """All domains of the file, as written, in its order."""
        return tuple(dict.fromkeys((*self.domains, *(each.name for each in self.domain))))

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        """The findings that are accepted; `domain` in lower case, without the final dot."""
        return tuple(
            Waiver(
                each.rule,
                each.reason or "",
                _plain(each.domain),
                each.item,
                each.note,
                each.until.isoformat() if each.until else "",
            )
            for each in self.waiver
        )

    @property
    def source_words(self) -> tuple[SourceWord, ...]:
        """The user's word on sources; `domain` in lower case, without the final dot."""
        return tuple(
            SourceWord(
                each.match,
                SourceOwner(each.owner),
                each.name,
                _plain(each.domain),
                each.until.isoformat() if each.until else "",
            )
            for each in self.source
            if each.owner is not None
        )

    def of(self, domain: str) -> MailSettings:
        """What is true of a domain's mail (A-label): its own table, filled up from the common values."""
        own = next((each for each in self.domain if _plain(each.name) == domain), None)
        merged = {each.name: getattr(self, each.name) for each in fields(MailSettings)}
        if own is not None:
            said = {each.name: getattr(own, each.name) for each in fields(MailSettings)}
            merged |= {
                key: value for key, value in said.items() if value is not None and (value != () or key == "rare")
            }
        return MailSettings(**merged)


def load(path: Path) -> Settings:
    """Read a settings file; paths in it are meant from its folder. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_OCTETS:
            raise ConfigError(FILE_TOO_LARGE(file=str(path), n=MAX_OCTETS // 1_000_000))
        text = path.read_text("utf-8")
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        if place is None:
            raise ConfigError(file_error(path, error)) from None
        raise ConfigError(AT_LINE(file=str(path), line=int(place[1]), detail=str(error)[: place.start()])) from None
    except FileNotFoundError:
        raise ConfigError(NO_SETTINGS(file=str(path))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file_error(path, error)) from None
    settings = _typed(path, text, data)
    return _from_folder(settings, path.parent)


def at_lines(path: Path, text: str, problems: Iterable[tuple[KeyPath, Detail]]) -> ConfigError:
    """What is wrong with the file, each problem with its line and in their order."""
    lines = _lines(text)

    def line(place: KeyPath) -> int:
        if place[:1] == ("source",):
            place = tuple(_WRITTEN.get(part, part) if isinstance(part, str) else part for part in place)
        while place and place not in lines:
            place = place[:-1]
        return lines.get(place, 0)

    found = sorted(((line(place), detail) for place, detail in problems), key=lambda each: each[0])
    return ConfigError(
        *dict.fromkeys(
            AT_LINE(file=str(path), line=number, detail=detail) if number else ABOUT(what=str(path), detail=detail)
            for number, detail in found
        )
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors that complete and check TOML."""
    made = _adapter().json_schema()
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "deliv.toml"}
    for kind in _tables(Settings):
        shape = made if kind is Settings else made["$defs"][kind.__name__]
        shape.pop("description", None)
        for each in fields(kind):
            entry = shape["properties"][each.name]
            entry["description"] = each.metadata["doc"]
            for name, keyword in (("least", "minimum"), ("most", "maximum")):
                if name in each.metadata:
                    entry[keyword] = each.metadata[name]
        shape["properties"] = {_WRITTEN.get(name, name): entry for name, entry in shape["properties"].items()}
    return made


def _tables(table: type) -> Iterator[type]:
    """A table of the file, and all that stand in it."""
    yield table
    for hint in get_type_hints(table).values():
        for kind in (hint, *get_args(hint)):
            if is_dataclass(kind) and isinstance(kind, type):
                yield from _tables(kind)


def _adapter() -> pydantic.TypeAdapter[Settings]:
    import pydantic

    return pydantic.TypeAdapter(Settings)


def _typed(path: Path, text: str, data: dict[str, Any]) -> Settings:
    import pydantic

    old = data.get("domain")
    if isinstance(old, dict):
        name = next(iter(old), "example.com")
        raise at_lines(path, text, [(("domain", name), WRITTEN(key="domain", form=f'[[domain]] name = "{name}"'))])
    for table in data["source"] if isinstance(data.get("source"), list) else ():
        if isinstance(table, dict):
            for ours, written in _WRITTEN.items():
                if written in table and ours not in table:
                    table[ours] = table.pop(written)
    wrong: dict[KeyPath, Detail] = {}
    settings: Settings | None = None
    for _ in range(2):  # once more without what is wrong, so that what the types cannot say is told as well
        try:
            # Through JSON, because only there lists are strict tuples, and tables strict dataclasses.
            settings = _adapter().validate_json(json.dumps(data, default=str))
            break
        except pydantic.ValidationError as error:
            for each in error.errors():
                place = tuple(part for part in each["loc"] if not _branch(part))
                wrong.setdefault(place, _message(each, place))
            for place in wrong:
                _drop(data, place)
    further = [
        (place, detail)
        for place, detail in (_contradictions(settings) if settings is not None else ())
        if not any(other[: len(place)] == place for other in wrong)
    ]
    if wrong or further or settings is None:
        raise at_lines(path, text, [*wrong.items(), *further])
    return settings


def _drop(data: Any, place: KeyPath) -> None:
    """Take out the key that is wrong, or in whose list a value is."""
    while place and isinstance(place[-1], int):
        place = place[:-1]
    for part in place[:-1]:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return
    if isinstance(data, dict):
        data.pop(place[-1], None)


def _branch(part: str | int) -> bool:
    """Whether a part of pydantic's place names a branch of a union and not a key."""
    return isinstance(part, str) and (
        part[:1].isupper() or "[" in part or part in ("str", "int", "float", "date", "none")
    )


_KINDS = {
    "tuple_type": TEXTS,
    "string_type": TEXT,
    "int_type": WHOLE_NUMBER,
    "float_type": NUMBER,
    "bool_type": TRUE_OR_FALSE,
    "date_type": DATE,
    "date_from_datetime_parsing": DATE,
    "date_parsing": DATE,
    "path_type": TEXT,
    "is_instance_of": TEXT,
    "dataclass_type": TABLE,
    "dataclass_exact_type": TABLE,
    "finite_number": NUMBER,
}

_TABLES = {name: f"[[{name}]]" for name in ("domain", "waiver", "source")} | {"mailbox": "[[feedback.mailbox]]"}
_WRITTEN = {"owner": "is"}
"""Keys that are words of Python: as they are called here, and as they are written."""


def _message(error: Any, place: KeyPath) -> Detail:
    key = next((str(part) for part in reversed(place) if isinstance(part, str)), "")
    key = _WRITTEN.get(key, key)
    if error["type"] == "unexpected_keyword_argument":
        near = difflib.get_close_matches(key, _keys(place[:-1]), n=1)
        return UNKNOWN_KEY_NEAR(key=key, near=near[0]) if near else UNKNOWN_KEY(key=key)
    if error["type"] == "literal_error":
        if key == "purpose" and error["input"] == "newsletter":
            return SAID_AS(key=key, text="newsletter", value="bulk")
        values = str(error["ctx"]["expected"]).replace(" or ", ", ").replace("'", "")
        return ONE_OF(key=key, values=tuple(values.split(", ")))
    kind = _KINDS.get(error["type"])
    if key in _TABLES and kind is not TEXT:
        return WRITTEN(key=key, form=_TABLES[key])
    if place and isinstance(place[-1], int):
        return KIND(key=key, kind=TEXTS())
    return KIND(key=key, kind=kind()) if kind else ABOUT(what=key, detail=str(error["msg"]))


def _keys(place: KeyPath) -> list[str]:
    """The keys that are known in the table at a place."""
    kind: Any = Settings
    for part in place:
        if isinstance(part, int):
            continue
        hint = get_type_hints(kind).get(part)
        kind = next((each for each in (hint, *get_args(hint)) if is_dataclass(each)), None)
        if kind is None:
            return []
    return [each.name for each in fields(kind)]


def _contradictions(settings: Settings) -> list[tuple[KeyPath, Detail]]:
    """What the types cannot say: ranges, and keys that a table cannot do without."""
    found: list[tuple[KeyPath, Detail]] = []

    def look(table: Any, place: KeyPath) -> None:
        for each in fields(table):
            value = getattr(table, each.name)
            least, most = each.metadata.get("least"), each.metadata.get("most")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                inside = (least is None or value >= least) and (most is None or value <= most)
                if not inside:
                    bounds = {"key": each.name, "least": f"{least:g}"}
                    told = LEAST(**bounds) if most is None else RANGE(**bounds, most=f"{most:g}")
                    found.append(((*place, each.name), told))
            elif is_dataclass(value):
                look(value, (*place, each.name))
            elif isinstance(value, tuple):
                for number, item in enumerate(value):
                    if is_dataclass(item):
                        look(item, (*place, each.name, number))

    look(settings, ())
    for number, own in enumerate(settings.domain):
        if not own.name.strip():
            found.append((("domain", number), NEEDS_KEY(table="[[domain]]", what='name = "example.com"')))
    for number, waiver in enumerate(settings.waiver):
        if not waiver.rule.strip():
            found.append((("waiver", number), NEEDS_KEY(table="[[waiver]]", what='rule = "ID"')))
        if waiver.reason is None:
            reasons = get_args(get_args(get_type_hints(WaiverSettings)["reason"])[0])
            found.append((("waiver", number), NEEDS_ONE_OF(table="[[waiver]]", key="reason", values=reasons)))
    rare: list[tuple[KeyPath, tuple[str, ...] | None]] = [(("rare",), settings.rare)]
    rare += [(("domain", number, "rare"), own.rare) for number, own in enumerate(settings.domain)]
    for where, runs in rare:
        bad_run = next((each for each in runs or () if not _is_rare(each)), None)
        if bad_run is not None:
            found.append((where, NO_RARE(text=bad_run)))
    found += _feedback_problems(settings)
    for name, held in settings.reputation.keys.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", held.env):
            found.append((("reputation", "keys", name), NEEDS_KEY(table=f"keys.{name}", what='env = "VARIABLE"')))
    email, webhook = settings.notify.email, settings.notify.webhook
    if email is not None and not (email.to and email.sender):
        what = ("to = [...]", 'sender = "..."')
        found.append((("notify", "email"), NEEDS_KEY(table="[notify.email]", what=what)))
    if email is not None and email.password_env and email.password_file:
        found.append((("notify", "email", "password_file"), NOT_BOTH(one="password_env", other="password_file")))
    if email is not None:
        for key, addresses in (("to", email.to), ("sender", (email.sender,))):
            bad = next((each for each in addresses if each and not _is_address(each)), None)
            if bad is not None:
                found.append((("notify", "email", key), NO_MAIL_ADDRESS(key=key, text=bad)))
    if webhook is not None and not re.match(r"https?://[^/\s]+", webhook.url):
        found.append((("notify", "webhook"), NEEDS_KEY(table="[notify.webhook]", what='url = "https://..."')))
    elif webhook is not None and (problem := _url_problem(webhook.url)):
        found.append((("notify", "webhook", "url"), NO_URL(why=problem)))
    return found


def _feedback_problems(settings: Settings) -> list[tuple[KeyPath, Detail]]:
    """What is wrong with mailboxes and with the user's word on sources."""
    found: list[tuple[KeyPath, Detail]] = []
    names: set[str] = set()
    for number, box in enumerate(settings.feedback.mailbox):
        place: KeyPath = ("feedback", "mailbox", number)
        for key in ("name", "host", "username"):
            if not getattr(box, key).strip():
                found.append((place, NEEDS_KEY(table="[[feedback.mailbox]]", what=f'{key} = "..."')))
        secrets = [key for key in ("password_env", "password_file", "token_command") if getattr(box, key)]
        if not secrets:
            wanted = ("password_env", "password_file", "token_command")
            found.append((place, NEEDS_ONE_OF_KEYS(table="[[feedback.mailbox]]", keys=wanted)))
        elif len(secrets) > 1:
            found.append(((*place, secrets[1]), NOT_BOTH(one=secrets[0], other=secrets[1])))
        for key, known in (("done", ("keep", "delete", "move:FOLDER")), ("failed", ("keep", "move:FOLDER"))):
            wish = getattr(box, key)
            if wish not in known[:-1] and not re.fullmatch(r"move:\S.*", wish):
                found.append(((*place, key), ONE_OF(key=key, values=known)))
        if box.name in names:
            found.append(((*place, "name"), TWICE(key="name", text=box.name)))
        names.add(box.name)
    for number, source in enumerate(settings.source):
        here: KeyPath = ("source", number)
        if not source.match:
            found.append((here, NEEDS_KEY(table="[[source]]", what='match = ["198.51.100.7"]')))
        if source.owner is None:
            owners = get_args(get_args(get_type_hints(SourceSettings)["owner"])[0])
            found.append((here, NEEDS_ONE_OF(table="[[source]]", key="is", values=owners)))
        bad = next((each for each in source.match if not _is_match(each)), None)
        if bad is not None:
            found.append(((*here, "match"), NO_MATCH(text=bad)))
    return found


def _is_rare(text: str) -> bool:
    """Whether it names a run of mail: its day, and what is sent."""
    day, _, what = text.partition(" ")
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return len(day) == 10 and bool(what.strip())


def _is_match(text: str) -> bool:
    """Whether it can name a source: an address, a range, or a mark with a name."""
    import ipaddress

    mark, colon, name = text.partition(":")
    if colon and mark in ("ptr", "dkim", "service"):
        return re.fullmatch(r"[^\s:]+", name) is not None
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    """Whether a header field and an envelope can carry it: ``a@b`` or ``Name <a@b>``."""
    from email.utils import parseaddr

    local, at, domain = parseaddr(text)[1].rpartition("@")
    return bool(local and at and domain) and text.isprintable()


def _url_problem(text: str) -> str:
    """Why nothing can be posted to an address; empty: it can."""
    import httpx

    try:
        url = httpx.URL(text)
        url.raw_host.decode("ascii").encode("idna")
        port = url.port
    except (httpx.InvalidURL, ValueError) as error:
        return str(error) or "no address"
    if not url.host:
        return "no host"
    return f"port {port}" if port is not None and not 0 < port < 65536 else ""


def _from_folder(settings: Settings, folder: Path) -> Settings:
    """Paths as meant from the folder of the file; ``~`` is the user's home."""

    def place(path: Path | str) -> Path:
        try:
            return folder / Path(path).expanduser()
        except RuntimeError:  # no such user: then it is a name like any other
            return folder / path

    def messages(table: Any) -> tuple[str, ...]:
        named = map(kind_and_place, table.messages)
        return tuple(f"{kind.value}:{place(path)}" if kind else str(place(path)) for kind, path in named)

    def named(path: str | None) -> str | None:
        return str(place(path)) if path else None

    return replace(
        settings,
        list_check=named(settings.list_check),
        warm_up=named(settings.warm_up),
        rules=tuple(place(each) for each in settings.rules),
        output=place(settings.output) if settings.output else None,
        messages=messages(settings),
        reputation=replace(
            settings.reputation,
            lists=tuple(
                f"{LIST_FILE}{place(each.removeprefix(LIST_FILE))}" if each.startswith(LIST_FILE) else each
                for each in settings.reputation.lists
            ),
        ),
        feedback=replace(
            settings.feedback,
            places=tuple(str(place(each)) for each in settings.feedback.places),
            addresses=place(settings.feedback.addresses) if settings.feedback.addresses else None,
        ),
        domain=tuple(
            replace(each, messages=messages(each), list_check=named(each.list_check), warm_up=named(each.warm_up))
            for each in settings.domain
        ),
    )


def kind_and_place(text: str) -> tuple[Purpose | None, str]:
    """What kind of mail a message is, where that stands before its place (``bulk:news.eml``), and the place."""
    for kind in _MAIL_KINDS:
        if text.startswith(f"{kind.value}:"):
            return kind, text.removeprefix(f"{kind.value}:")
    return None, text


def _plain(name: str) -> str:
    return name.strip().rstrip(".").lower()


_HEAD = re.compile(r"\s*+(\[\[?)([^\]]++)\]")
_KEY = re.compile(
    r"""\s*+((?:[A-Za-z0-9_-]++|"[^"]*"|'[^']*')(?:\s*+\.\s*+(?:[A-Za-z0-9_-]++|"[^"]*"|'[^']*'))*+)\s*+="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _lines(text: str) -> Mapping[KeyPath, int]:
    """Where each table and key begins, by its place; a table of an array by its number."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, row in enumerate(text.splitlines(), 1):
        if head := _HEAD.match(row):
            table = _parts(head[2])
            if head[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                lines.setdefault(table, number)
                table = (*table, counts[table])
            elif table[:-1] in counts:
                table = (*table[:-1], counts[table[:-1]], table[-1])
            lines.setdefault(table, number)
        elif key := _KEY.match(row):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
