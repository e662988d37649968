"""deliv.toml -> typed settings; an unknown key is an error with a suggestion. May import model."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

DEFAULT_FILE = "deliv.toml"
MAX_OCTETS = 1_000_000
MAX_SECONDS = 86_400  # a day; infinity and "not a number" lie outside


class ConfigError(Exception):
    """A settings file that cannot be used: ``file:line: what``."""


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """What is true of one domain; None or empty: not said."""

    selectors: tuple[str, ...] = ()
    sending_ips: tuple[str, ...] = ()
    mail_from: str | None = None
    helo: str | None = None
    purpose: str | None = None
    daily_volume: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. Options on the command line win over it, a domain's own table over the common values."""

    domains: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    rules: tuple[Path, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    lang: str | None = None
    fail_on: str | None = None
    timeout: float | None = None
    common: DomainSettings = field(default_factory=DomainSettings)
    domain: Mapping[str, DomainSettings] = field(default_factory=dict)

    def of(self, domain: str) -> DomainSettings:
        """The settings of a domain: its own table, filled up from the common values."""
        own = self.domain.get(domain)
        if own is None:
            return self.common
        merged = {f.name: getattr(own, f.name) for f in fields(DomainSettings)}
        unsaid = {name: getattr(self.common, name) for name, value in merged.items() if value is None or value == ()}
        return DomainSettings(**{**merged, **unsaid})


_LISTS = ("domains", "receivers", "rules", "select", "ignore", "resolvers", "selectors", "sending_ips")
_CHOICES = {
    "lang": ("en", "ja"),
    "fail_on": ("error", "warning", "never"),
    "purpose": ("users", "bulk", "transactional", "parked"),
}
_OF_DOMAIN = tuple(f.name for f in fields(DomainSettings))
_TOP = (*(f.name for f in fields(Settings) if f.name != "common"), *_OF_DOMAIN)


def load(path: Path) -> Settings:
    """Read a settings file. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_OCTETS:
            raise ConfigError(f"{path}: larger than {MAX_OCTETS:,} octets")
        text = path.read_text("utf-8")
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        told = f"{path}:{place[1]}: {str(error)[: place.start()]}" if place else f"{path}: {error}"
        raise ConfigError(told) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return _Reader(path, text).settings(data)


@dataclass(frozen=True, slots=True)
class _Reader:
    path: Path
    text: str

    def settings(self, data: dict[str, Any]) -> Settings:
        tables = data.pop("domain", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise self.error("domain", 'settings of a domain are a table: [domain."example.com"]')
        values = self.values(data, _TOP)
        common = DomainSettings(**{key: values.pop(key) for key in _OF_DOMAIN if key in values})
        if "rules" in values:
            values["rules"] = tuple(self.path.parent / folder for folder in values["rules"])
        per_domain = {
            name.rstrip(".").lower(): DomainSettings(**self.values(table, _OF_DOMAIN, name))
            for name, table in tables.items()
        }
        return Settings(**values, common=common, domain=per_domain)

    def values(self, data: Mapping[str, Any], allowed: tuple[str, ...], table: str = "") -> dict[str, Any]:
        values = {}
        for key, value in data.items():
            if key not in allowed:
                near = difflib.get_close_matches(key, allowed, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise self.error(key, f"unknown key {key!r}{hint}", table)
            problem = _problem(key, value)
            if problem:
                raise self.error(key, problem, table)
            values[key] = tuple(value) if key in _LISTS else float(value) if key == "timeout" else value
        return values

    def error(self, key: str, message: str, table: str = "") -> ConfigError:
        """With the line of the key, below the head of the domain's table where it stands in one."""
        rows = list(enumerate(self.text.splitlines(), 1))
        heads = [n for n, row in rows if row.lstrip().startswith("[") and table in row] if table else []
        of_key = re.compile(rf"""[\s\["']*{re.escape(key)}["'\s]*[=.\]]""")
        line = next((n for n, row in rows if n > max(heads, default=0) and of_key.match(row)), None)
        return ConfigError(f"{self.path}:{line}: {message}" if line else f"{self.path}: {message}")


def _problem(key: str, value: Any) -> str:
    """What is wrong with the value of a known key; empty where nothing is."""
    if key in _LISTS:
        good = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return "" if good else f"{key} is a list of texts"
    if key == "daily_volume":
        good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return "" if good else "daily_volume is a whole number of messages a day"
    if key == "timeout":
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= MAX_SECONDS
        return "" if good else "timeout is a number of seconds"
    if not isinstance(value, str):
        return f"{key} is a text"
    if key in _CHOICES and value not in _CHOICES[key]:
        return f"{key} is one of {', '.join(_CHOICES[key])}"
    return ""
