"""deliv.toml -> typed settings; an unknown key is an error with a suggestion."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.json import schema_components
from msgspec.structs import replace

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import AT_LINE, FILE_TOO_LARGE, InputError, file_error
from deliverability.core.facts.base import Purpose, Waiver
from deliverability.core.inputs import parse_domain
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.model.observed import SourceOwner, SourceWord
from deliverability.core.model.schema import Field as Setting
from deliverability.core.model.schema import Misfit, Misfits, What, fields_of, nearest, read_as
from deliverability.core.model.services import Reporter

MAX_OCTETS = 1_000_000
MAX_SECONDS = 86_400.0  # a day

NO_SETTINGS = Code("no-settings", ("file",))
TOML_EQUALS = Code("toml-equals")
TOML_VALUE = Code("toml-value")
TOML_ARRAY = Code("toml-array")
TOML_TABLE = Code("toml-table")
TOML_TEXT = Code("toml-text")
TOML_LINE = Code("toml-line")
TOML_HEADING = Code("toml-heading")
TOML_TWICE = Code("toml-twice")
NO_TOML = Code("toml-invalid", ("text",))
# How the reader of TOML begins what it says -> what that means.
_TOML = {
    "Expected '='": TOML_EQUALS,
    "Invalid value": TOML_VALUE,
    "Invalid date": TOML_VALUE,
    "Unclosed array": TOML_ARRAY,
    "Unclosed inline table": TOML_TABLE,
    "Unterminated string": TOML_TEXT,
    "Illegal character": TOML_TEXT,
    "Unescaped": TOML_TEXT,
    "Expected newline": TOML_LINE,
    "Invalid statement": TOML_EQUALS,
    "Expected ']": TOML_HEADING,
    "Cannot": TOML_TWICE,
    "Duplicate": TOML_TWICE,
}
UNKNOWN_KEY = Code("config-unknown-key", ("key",))
ONE_OF = Code("config-one-of", ("key", "values"))
WRITTEN_AS = Code("config-said-as", ("key", "text", "value"))
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
TOO_MANY_SEEDS = Code("config-too-many-seeds", ("n",))

KeyPath = tuple[str | int, ...]
"""Where something stands in the file: keys of tables, and numbers in arrays of tables."""

LIST_FILE = "file:"
"""Begins the name of a list of the user's own."""
_MAIL_KINDS = (Purpose.USERS, Purpose.BULK, Purpose.TRANSACTIONAL)


class ConfigError(InputError):
    """A settings file that cannot be used: all that is wrong with it, each with its line."""


class MailSettings(Struct, frozen=True):
    """What is true of a domain's mail; None or empty: not said."""

    selectors: Annotated[tuple[str, ...], Setting("DKIM selectors to look up.")] = ()
    sending_ips: Annotated[tuple[str, ...], Setting("IP addresses that send for the domain.")] = ()
    mail_from: Annotated[str | None, Setting("Envelope sender (Return-Path); empty: the null sender.")] = None
    helo: Annotated[str | None, Setting("HELO/EHLO name of the sending host.")] = None
    purpose: Annotated[
        Literal["users", "bulk", "transactional", "parked"] | None,
        Setting("What the domain sends; decides which requirements apply."),
    ] = None
    daily_volume: Annotated[int | None, Setting("Messages per day.", least=0)] = None
    dns_provider: Annotated[
        str | None, Setting("Where you edit the domain's DNS records (cloudflare, route53, xserver and others).")
    ] = None
    rare: Annotated[
        tuple[str, ...] | None,
        Setting('Rarely sent mail, each as "YYYY-MM-DD description"; an empty list means that there is none.'),
    ] = None
    trust_sources: Annotated[
        bool | None,
        Setting("If there is too little mail for percentages, let the gate judge by source: each one must pass."),
    ] = None
    list_check: Annotated[
        str | None,
        Setting("JSON output of `deliv list-check` for your recipient list, used as evidence on bounces and sign-ups."),
    ] = None
    warm_up: Annotated[
        str | None,
        Setting(
            "Plan of `deliv warm-up` (.csv); deliv compares your volume with it, according to imported logs and events."
        ),
    ] = None
    messages: Annotated[
        tuple[str, ...],
        Setting(
            "Sample messages: files, globs, a Maildir or an mbox (deliv uses the domain's newest message). "
            "A prefix sets the kind of mail: users:, bulk: or transactional:."
        ),
    ] = ()


class DomainSettings(MailSettings, frozen=True):
    """One ``[[domain]]`` table."""

    name: Annotated[str, Setting("The domain.")] = ""


class WaiverSettings(Struct, frozen=True):
    """One ``[[waiver]]`` table: a finding that is accepted, why, and until when."""

    rule: Annotated[str, Setting("Rule id, as `deliv rules` lists them.")] = ""
    reason: Annotated[
        Literal["accepted-risk", "handled-elsewhere", "not-applicable", "false-positive"] | None,
        Setting("Why you accept the finding."),
    ] = None
    domain: Annotated[str, Setting("Only for this domain; empty: for all.")] = ""
    item: Annotated[str, Setting("Only for this item of the rule, for example example.com/s1; empty: for all.")] = ""
    note: Annotated[str, Setting("A note for readers of the report.")] = ""
    until: Annotated[
        date | None, Setting("The last day on which it applies (a TOML date); default: it never ends.")
    ] = None


class EmailSettings(Struct, frozen=True):
    """``[notify.email]``: the weekly mail."""

    to: Annotated[tuple[str, ...], Setting("Who gets the weekly email.")] = ()
    sender: Annotated[str, Setting("Its From address.")] = ""
    host: Annotated[str, Setting("The submission server.")] = "localhost"
    port: Annotated[
        int | None, Setting("Its port; default: 587 (starttls), 465 (tls) or 25 (none).", least=1, most=65535)
    ] = None
    security: Annotated[Literal["starttls", "tls", "none"], Setting("How the connection is protected.")] = "starttls"
    username: Annotated[str, Setting("User name; empty: no login.")] = ""
    password_env: Annotated[str, Setting("Environment variable that contains the password.")] = ""
    password_file: Annotated[str, Setting("File that contains the password.")] = ""
    lang: Annotated[Literal["en", "ja"] | None, Setting("Language of the mail; default: `lang`.")] = None
    attach: Annotated[bool, Setting("Attach the HTML report.")] = False
    pages: Annotated[str, Setting("URL of the published pages, for a link; default: the mail shows the path.")] = ""


class WebhookSettings(Struct, frozen=True):
    """``[notify.webhook]``: a summary as JSON, posted to an address."""

    url: Annotated[str, Setting("The https URL to post to.")] = ""
    style: Annotated[
        Literal["generic", "slack"],
        Setting("generic: the JSON summary; slack: a message for Slack and compatible services."),
    ] = "generic"
    secret_env: Annotated[str, Setting("Environment variable that contains the key of the HMAC signature.")] = ""
    secret_file: Annotated[str, Setting("File that contains the key of the HMAC signature.")] = ""


class NotifySettings(Struct, frozen=True):
    """``[notify.*]``: who is told about a weekly run."""

    email: Annotated[EmailSettings | None, Setting("The weekly email.")] = None
    webhook: Annotated[WebhookSettings | None, Setting("A JSON summary posted to a URL.")] = None
    prometheus: Annotated[str, Setting("Text file for the Prometheus node exporter.")] = ""


class MailboxSettings(Struct, frozen=True):
    """One ``[[feedback.mailbox]]`` table: a mailbox that reports are sent to."""

    name: Annotated[str, Setting("Its name in the output of `deliv intake`.")] = ""
    host: Annotated[str, Setting("The IMAP server.")] = ""
    port: Annotated[
        int | None, Setting("Its port; default: 993 (tls) or 143 (starttls, none).", least=1, most=65535)
    ] = None
    security: Annotated[
        Literal["tls", "starttls", "none"],
        Setting("How the connection is protected; none is for a server on this machine."),
    ] = "tls"
    username: Annotated[str, Setting("User name.")] = ""
    password_env: Annotated[str, Setting("Environment variable that contains the password.")] = ""
    password_file: Annotated[str, Setting("File that contains the password.")] = ""
    token_command: Annotated[
        tuple[str, ...],
        Setting("Command that prints an OAuth 2 access token (XOAUTH2), for Microsoft 365 and Google Workspace."),
    ] = ()
    folder: Annotated[str, Setting("The folder to read.")] = "INBOX"
    done: Annotated[
        str,
        Setting(
            "What to do with messages after their reports are stored: keep, delete, or move:FOLDER. "
            "Other mail is left untouched."
        ),
    ] = "keep"
    failed: Annotated[str, Setting("What to do with messages whose report can't be used: keep, or move:FOLDER.")] = (
        "keep"
    )
    most: Annotated[int, Setting("Maximum number of messages per run.", least=1)] = 2000


class SeedSettings(Struct, frozen=True):
    """One ``[[seed]]`` table: a mailbox of your own at a receiver, to see where test mails land."""

    name: Annotated[str, Setting("Its name in the output of `deliv seeds`.")] = ""
    address: Annotated[str, Setting("The address that test messages are sent to.")] = ""
    receiver: Annotated[
        str, Setting("The receiver (gmail, outlook, ...); default: that of the address, if deliv knows it.")
    ] = ""
    host: Annotated[str, Setting("The IMAP server; not needed for gmail and google-workspace.")] = ""
    port: Annotated[
        int | None, Setting("Its port; default: 993 (tls) or 143 (starttls, none).", least=1, most=65535)
    ] = None
    security: Annotated[
        Literal["tls", "starttls", "none"],
        Setting("How the connection is protected; none is for a server on this machine."),
    ] = "tls"
    username: Annotated[str, Setting("User name; default: the address.")] = ""
    password_env: Annotated[
        str, Setting("Environment variable that contains the password, usually an app password.")
    ] = ""
    password_file: Annotated[str, Setting("File that contains the password.")] = ""
    token_command: Annotated[
        tuple[str, ...], Setting("Command that prints an OAuth 2 access token (XOAUTH2), which Outlook.com requires.")
    ] = ()
    spam: Annotated[str, Setting("The spam folder, if the server doesn't say which one it is.")] = ""
    authserv: Annotated[
        tuple[str, ...],
        Setting("Hosts whose Authentication-Results are the receiver's own; default: those that deliv knows."),
    ] = ()


MOST_SEEDS = 20


class SeedsSettings(Struct, frozen=True):
    """``[seeds]``: how test mails are waited for."""

    minutes: Annotated[int, Setting("Minutes to wait for a test message.", least=1, most=30)] = 30
    tests_a_day: Annotated[
        int, Setting("Maximum number of tests per day; filters notice frequent tests.", least=1, most=24)
    ] = 4


class FeedbackSettings(Struct, frozen=True):
    """``[feedback]``: where the reports of receivers are, and how far they are trusted."""

    places: Annotated[tuple[str, ...], Setting("Files, folders, globs, Maildirs and mbox files with reports.")] = ()
    days: Annotated[int, Setting("Number of days of reports that the sources and the gate use.", least=1, most=366)] = (
        28
    )
    keep_days: Annotated[
        int, Setting("Number of days to keep reports; after 90 days, only weekly totals.", least=30, most=3660)
    ] = 400
    trust: Annotated[
        Literal["verified", "authenticated", "any"],
        Setting(
            "Which reports count. verified: the message passes DMARC in deliv's own check; authenticated: also if a "
            "host in `authserv` recorded a pass; any: all except truncated or repaired ones."
        ),
    ] = "verified"
    authserv: Annotated[
        tuple[str, ...],
        Setting("Hosts whose Authentication-Results deliv trusts: your own mail servers, if they remove forged ones."),
    ] = ()
    addresses: Annotated[
        Path | None,
        Setting(
            "File in which `deliv intake` stores the addresses that bounced or complained, for `deliv suppress`; "
            "default: none are stored."
        ),
    ] = None
    mailbox: Annotated[tuple[MailboxSettings, ...], Setting("A mailbox that reports are sent to.")] = ()


class SourceSettings(Struct, frozen=True, rename={"owner": "is"}):
    """One ``[[source]]`` table: the user's word on who sends in the domain's name."""

    match: Annotated[
        tuple[str, ...],
        Setting("One or more of: addresses, ranges (198.51.100.0/24), ptr:NAME, dkim:NAME, service:ID."),
    ] = ()
    owner: Annotated[Literal["ours", "forwarder", "not-ours"] | None, Setting("Whether it is yours.")] = None
    name: Annotated[str, Setting("Its name in reports; empty: the default name.")] = ""
    domain: Annotated[str, Setting("Only for this domain; empty: for all.")] = ""
    until: Annotated[
        date | None, Setting("The last day on which it applies (a TOML date); default: it never ends.")
    ] = None


class ReporterSettings(Struct, frozen=True, rename={"senders": "from"}):
    """One ``[[reporter]]`` table: somebody whose reports count, beside those that `rules/reporters.yaml` lists."""

    name: Annotated[str, Setting("Its name in reports, and in report files without a message.")] = ""
    senders: Annotated[tuple[str, ...], Setting("The exact addresses that send its reports.")] = ()


class ReputationKey(Struct, frozen=True):
    """Where the key of a block list is."""

    env: Annotated[
        str, Setting("Environment variable that contains the key; never put the key itself in this file.")
    ] = ""


class ReputationSettings(Struct, frozen=True):
    """``[reputation]``: which block lists weekly runs ask, and how."""

    lists: Annotated[
        tuple[str, ...],
        Setting("Blocklists that weekly runs and `--blocklists settings` query: ids, or file:PATH."),
    ] = ()
    keys: Annotated[
        Mapping[str, ReputationKey], Setting('Blocklist keys, as in keys = {spamhaus = {env = "DQS_KEY"}}.')
    ] = {}
    resolver: Annotated[str, Setting("DNS resolver for blocklist queries; default: as for other queries.")] = ""


class SenderSettings(Struct, frozen=True):
    """``[sender]``: who writes to a receiver's postmaster."""

    company: Annotated[str, Setting("Name of the company.")] = ""
    contact: Annotated[str, Setting("Name and address of the person who gets the reply.")] = ""
    phone: Annotated[str, Setting("Telephone number.")] = ""


class Settings(MailSettings, frozen=True):
    """The whole file. Options on the command line win over it, a domain's own table over the common values."""

    domains: Annotated[tuple[str, ...], Setting("Domains to audit that need no separate table.")] = ()
    receivers: Annotated[tuple[str, ...], Setting("Check only against these receivers (icloud, gmail, ...).")] = ()
    regions: Annotated[tuple[str, ...], Setting("Check against the receivers of these countries (jp, de, ...).")] = ()
    to: Annotated[
        str,
        Setting(
            "Who you write to: a file of recipients, or domains separated by commas. "
            "deliv then checks against their receivers instead of the default ones."
        ),
    ] = ""
    profiles: Annotated[
        tuple[str, ...], Setting("Baselines to compare every domain with (internet-nl, nz-sge, ...).")
    ] = ()
    rules: Annotated[
        tuple[Path, ...], Setting("Folders of your own rule files, which override the built-in ones.")
    ] = ()
    select: Annotated[tuple[str, ...], Setting("Check only these rules (ids or prefixes).")] = ()
    ignore: Annotated[tuple[str, ...], Setting("Skip these rules (ids or prefixes).")] = ()
    resolvers: Annotated[tuple[str, ...], Setting("DNS resolvers to use instead of the system's.")] = ()
    lang: Annotated[Literal["en", "ja"] | None, Setting("Language of reports and mail.")] = None
    fail_on: Annotated[
        Literal["error", "warning", "never", "new"] | None,
        Setting("Lowest severity that sets exit code 1; with new (weekly runs), only new errors do."),
    ] = None
    timeout: Annotated[
        float | None, Setting("Time limit for each domain, in seconds.", least=0.1, most=MAX_SECONDS)
    ] = None
    history: Annotated[str, Setting("Where weekly runs are stored: sqlite:///FILE or postgresql+psycopg://...")] = ""
    output: Annotated[Path | None, Setting("Folder for the weekly pages.")] = None
    keep: Annotated[int | None, Setting("Number of weekly runs to keep as pages; default: all.", least=1)] = None
    public: Annotated[
        bool,
        Setting("Let every user of this machine read the weekly pages, for example a web server; default: only you."),
    ] = False
    notify: Annotated[NotifySettings, Setting("Who gets notified about a weekly run.")] = NotifySettings()
    domain: Annotated[tuple[DomainSettings, ...], Setting("A domain and the settings for its mail.")] = ()
    waiver: Annotated[tuple[WaiverSettings, ...], Setting("A finding that you accept.")] = ()
    feedback: Annotated[FeedbackSettings, Setting("Where receivers' reports are, and which of them count.")] = (
        FeedbackSettings()
    )
    seed: Annotated[tuple[SeedSettings, ...], Setting("Your own mailbox, to see where test messages land.")] = ()
    seeds: Annotated[SeedsSettings, Setting("How to wait for test messages.")] = SeedsSettings()
    sender: Annotated[SenderSettings, Setting("Who writes to a receiver's postmaster.")] = SenderSettings()
    source: Annotated[tuple[SourceSettings, ...], Setting("Your statement about a source that sends as you.")] = ()
    reporter: Annotated[tuple[ReporterSettings, ...], Setting("Another reporter whose reports count in the gate.")] = ()
    reputation: Annotated[ReputationSettings, Setting("Which blocklists to query, and how.")] = ReputationSettings()

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

    @property
    def reporters(self) -> Mapping[str, Reporter]:
        """Whose reports count beside those of the catalogue."""
        found = [(each.name.strip().casefold(), each.senders) for each in self.reporter]
        return {name: Reporter(name, (name,), tuple(map(str.lower, senders))) for name, senders in found}

    def of(self, domain: str) -> MailSettings:
        """What is true of a domain's mail (A-label): its own table, filled up from the common values."""
        own = next((each for each in self.domain if _plain(each.name) == domain), None)
        merged = {name: getattr(self, name) for name in MailSettings.__struct_fields__}
        if own is not None:
            given = {name: getattr(own, name) for name in MailSettings.__struct_fields__}
            merged |= {
                key: value for key, value in given.items() if value is not None and (value != () or key == "rare")
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
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        if place is None:
            raise ConfigError(file_error(path, error)) from None
        line = int(place[1] or len(text.splitlines()))
        raise ConfigError(AT_LINE(file=str(path), line=line, detail=_toml_problem(str(error)))) from None
    except FileNotFoundError:
        raise ConfigError(NO_SETTINGS(file=str(path))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file_error(path, error)) from None
    settings = _typed(path, text, data)
    return _from_folder(settings, path.parent)


def _toml_problem(text: str) -> Detail:
    code = next((code for begin, code in _TOML.items() if text.startswith(begin)), None)
    return code() if code else NO_TOML(text=text)


def at_lines(path: Path, text: str, problems: Iterable[tuple[KeyPath, Detail]]) -> ConfigError:
    """What is wrong with the file, each problem with its line and in their order."""
    lines = _lines(text)

    def line(place: KeyPath) -> int:
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
    _, defs = schema_components((Settings,), schema_hook=lambda kind: {"type": "string"}, ref_template="#/$defs/{name}")
    for kind in _tables(Settings):
        shape = defs[kind.__name__]
        shape.pop("description", None)
        shape["additionalProperties"] = False
        for name, setting in meanings(kind).items():
            entry = shape["properties"][name]
            entry["description"] = setting.doc
            entry |= {key: at for key, at in (("minimum", setting.least), ("maximum", setting.most)) if at is not None}
    made = {**defs.pop("Settings"), "title": "deliv.toml", "$defs": defs}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def meanings(table: type[Struct]) -> dict[str, Setting]:
    """What each key of a table means."""
    return {name: hint.__metadata__[0] for name, (_, hint) in fields_of(table).items()}


def _tables(table: type[Struct]) -> Iterator[type[Struct]]:
    """A table of the file, and all that stand in it."""
    yield table
    for hint in get_type_hints(table).values():
        for kind in filter(_is_table, (hint, *get_args(hint))):
            yield from _tables(kind)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _typed(path: Path, text: str, data: dict[str, Any]) -> Settings:
    old = data.get("domain")
    if isinstance(old, dict):
        name = next(iter(old), "example.com")
        raise at_lines(path, text, [(("domain", name), WRITTEN(key="domain", form=f'[[domain]] name = "{name}"'))])
    misfits: Misfits = []
    settings = read_as(Settings, data, misfits) or Settings()
    further = [
        (place, detail)
        for place, detail in _contradictions(settings)
        if not any(each.place[: len(place)] == place for each in misfits)
    ]
    if misfits or further:
        raise at_lines(path, text, [*((each.place, _message(each)) for each in misfits), *further])
    return settings


_KINDS: Mapping[Any, Code] = {str: TEXT, Path: TEXT, int: WHOLE_NUMBER, float: NUMBER, bool: TRUE_OR_FALSE, date: DATE}
_TABLES = {each: f"[[{each}]]" for each in ("domain", "waiver", "source", "reporter", "seed")}
_TABLES["mailbox"] = "[[feedback.mailbox]]"


def _message(misfit: Misfit) -> Detail:
    key = next((part for part in reversed(misfit.place) if isinstance(part, str)), "")
    match misfit.what:
        case What.UNKNOWN:
            return nearest(UNKNOWN_KEY(key=key), key, misfit.wanted)
        case What.ONE_OF if key == "purpose" and misfit.given == "newsletter":
            return WRITTEN_AS(key=key, text="newsletter", value="bulk")
        case What.ONE_OF:
            return ONE_OF(key=key, values=misfit.wanted)
        case What.RANGE:
            least, most = (f"{each:g}" if each is not None else "" for each in misfit.wanted)
            return RANGE(key=key, least=least, most=most) if most else LEAST(key=key, least=least)
    if key in _TABLES and misfit.wanted is not str:
        return WRITTEN(key=key, form=_TABLES[key])
    if isinstance(misfit.place[-1], int) or get_origin(misfit.wanted) is tuple:
        return KIND(key=key, kind=TEXTS())
    return KIND(key=key, kind=_KINDS.get(misfit.wanted, TABLE)())


# What a table cannot do without, by the name of its attribute, and how that is written.
_NEEDED = {
    "domain": {"name": 'name = "example.com"'},
    "waiver": {"rule": 'rule = "ID"'},
    "mailbox": {each: f'{each} = "..."' for each in ("name", "host", "username")},
    "source": {"match": 'match = ["198.51.100.7"]'},
    "reporter": {"name": 'name = "Example Inc."', "senders": 'from = ["dmarc@example.net"]'},
    "seed": {each: f'{each} = "..."' for each in ("name", "address")},
}
_SECRETS = ("password_env", "password_file", "token_command")

_Problems = Iterator[tuple[KeyPath, Detail]]


def _contradictions(settings: Settings) -> _Problems:
    """What the types cannot say, as keys that a table cannot do without."""
    rare: list[tuple[KeyPath, tuple[str, ...] | None]] = [(("rare",), settings.rare)]
    for number, own in enumerate(settings.domain):
        yield from _lacking(("domain", number), own)
        rare.append((("domain", number, "rare"), own.rare))
    for number, waiver in enumerate(settings.waiver):
        yield from _lacking(("waiver", number), waiver)
        if waiver.reason is None:
            yield ("waiver", number), _needs_one_of("[[waiver]]", "reason", WaiverSettings, "reason")
    for where, runs in rare:
        yield from ((where, NO_RARE(text=each)) for each in _first(runs or (), _is_rare))
    yield from _feedback_problems(settings)
    yield from _seed_problems(settings)
    for name, held in settings.reputation.keys.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", held.env):
            yield ("reputation", "keys", name), NEEDS_KEY(table=f"keys.{name}", what='env = "VARIABLE"')
    yield from _notify_problems(settings.notify)


def _notify_problems(notify: NotifySettings) -> _Problems:
    """What is wrong with how people are told of a run."""
    email, webhook = notify.email, notify.webhook
    if email is not None:
        if not (email.to and email.sender):
            what = ("to = [...]", 'sender = "..."')
            yield ("notify", "email"), NEEDS_KEY(table="[notify.email]", what=what)
        if email.password_env and email.password_file:
            yield ("notify", "email", "password_file"), NOT_BOTH(one="password_env", other="password_file")
        for key, addresses in (("to", email.to), ("sender", (email.sender,))):
            for bad in _first(filter(None, addresses), _is_address):
                yield ("notify", "email", key), NO_MAIL_ADDRESS(key=key, text=bad)
    if webhook is not None and not re.match(r"https?://[^/\s]+", webhook.url):
        yield ("notify", "webhook"), NEEDS_KEY(table="[notify.webhook]", what='url = "https://..."')
    elif webhook is not None and (problem := _url_problem(webhook.url)):
        yield ("notify", "webhook", "url"), NO_URL(why=problem)


def _lacking(place: KeyPath, table: Struct) -> _Problems:
    """What a table of an array does not say, though it cannot do without."""
    name = str(place[-2])
    for key, written in _NEEDED[name].items():
        value = getattr(table, key)
        if not (value.strip() if isinstance(value, str) else value):
            yield place, NEEDS_KEY(table=_TABLES[name], what=written)


def _needs_one_of(table: str, key: str, kind: type[Struct], name: str) -> Detail:
    return NEEDS_ONE_OF(table=table, key=key, values=get_args(get_args(get_type_hints(kind)[name])[0]))


def _first(values: Iterable[str], good: Callable[[str], bool]) -> list[str]:
    """The first of them that is not good, alone."""
    return [each for each in values if not good(each)][:1]


def _twice(place: KeyPath, names: Iterable[str], key: Callable[[str], str] = str) -> _Problems:
    """Names that tables of an array share."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if key(name) in seen:
            yield (*place, number, "name"), TWICE(key="name", text=name)
        seen.add(key(name))


def _feedback_problems(settings: Settings) -> _Problems:
    """What is wrong with mailboxes, and with the user's word on sources and reporters."""
    for number, box in enumerate(settings.feedback.mailbox):
        place = ("feedback", "mailbox", number)
        yield from _lacking(place, box)
        yield from _secret_problems(box, place, "[[feedback.mailbox]]")
        for key, known in (("done", ("keep", "delete", "move:FOLDER")), ("failed", ("keep", "move:FOLDER"))):
            wish = getattr(box, key)
            if wish not in known[:-1] and not re.fullmatch(r"move:\S.*", wish):
                yield (*place, key), ONE_OF(key=key, values=known)
    yield from _twice(("feedback", "mailbox"), (each.name for each in settings.feedback.mailbox))
    for number, source in enumerate(settings.source):
        yield from _lacking(("source", number), source)
        if source.owner is None:
            yield ("source", number), _needs_one_of("[[source]]", "is", SourceSettings, "owner")
        for bad in _first(source.match, _is_match):
            yield ("source", number, "match"), NO_MATCH(text=bad)
    for number, reporter in enumerate(settings.reporter):
        yield from _lacking(("reporter", number), reporter)
        for bad in _first(reporter.senders, _is_plain_address):
            yield ("reporter", number, "from"), NO_MAIL_ADDRESS(key="from", text=bad)
    yield from _twice(("reporter",), (each.name.strip() for each in settings.reporter), str.casefold)


def _secret_problems(box: MailboxSettings | SeedSettings, place: KeyPath, table: str) -> _Problems:
    """What is wrong with how a mailbox is logged in to."""
    secrets = [key for key in _SECRETS if getattr(box, key)]
    if not secrets:
        yield place, NEEDS_ONE_OF_KEYS(table=table, keys=_SECRETS)
    elif len(secrets) > 1:
        yield (*place, secrets[1]), NOT_BOTH(one=secrets[0], other=secrets[1])


def _seed_problems(settings: Settings) -> _Problems:
    """What is wrong with test mailboxes."""
    for number, seed in enumerate(settings.seed):
        if number == MOST_SEEDS:
            yield ("seed", number), TOO_MANY_SEEDS(n=MOST_SEEDS)
        yield from _lacking(("seed", number), seed)
        if seed.address.strip() and not _is_plain_address(seed.address):
            yield ("seed", number, "address"), NO_MAIL_ADDRESS(key="address", text=seed.address)
        yield from _secret_problems(seed, ("seed", number), "[[seed]]")
    yield from _twice(("seed",), (each.name for each in settings.seed))


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
    local, at, domain = _only_address(text).rpartition("@")
    return bool(local and at and domain) and text.isprintable()


def _is_plain_address(text: str) -> bool:
    """Whether it is one exact address, without a name."""
    return _is_address(text) and _only_address(text) == text.strip() == text


def _only_address(text: str) -> str:
    found = parse_addresses(text)
    return found[0].address if len(found) == 1 else ""


def _url_problem(text: str) -> str:
    """Why nothing can be posted to an address; empty: it can."""
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
        host.encode("idna")
        if re.fullmatch(r"[0-9.]+", host):
            ipaddress.ip_address(host)
    except ValueError as error:
        return str(error) or "no address"
    if not host:
        return "no host"
    if not text.isprintable():
        return "a character that cannot be printed"
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
        to=str(place(settings.to)) if settings.to and place(settings.to).is_file() else settings.to,
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


def domain_places(path: Path) -> Mapping[str, str]:
    """Where a settings file names each domain: A-label -> ``file:line``; nothing where it cannot be read."""
    try:
        text = path.read_text("utf-8")
        data = tomllib.loads(text)
    except (OSError, ValueError):
        return {}
    lines, rows = _lines(text), text.splitlines()
    found: dict[str, str] = {}
    tables, listed = data.get("domain"), data.get("domains")
    for number, table in enumerate(tables if isinstance(tables, list) else ()):
        name = table.get("name") if isinstance(table, dict) else None
        begin = lines.get(("domain", number), 1)
        _place(found, path, name, lines.get(("domain", number, "name"), begin))
    for name in listed if isinstance(listed, list) else ():
        begin = lines.get(("domains",), 1)
        quoted = (f'"{name}"', f"'{name}'")
        below = (at for at, row in enumerate(rows[begin - 1 :], begin) if any(each in row for each in quoted))
        _place(found, path, name, next(below, begin))
    return found


def _place(found: dict[str, str], path: Path, name: object, line: int) -> None:
    with suppress(InputError):
        if isinstance(name, str):
            found.setdefault(parse_domain(name), f"{path}:{line}")


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
