"""What a mistyped SPF record was meant to say, where only one reading makes sense.

Pure: no DNS. What can be read in two ways is left as it is and named.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import ip_network

from msgspec import Struct

from deliverability.core.protocols.spf.record import (
    LOOKING_ALIKE,
    WITHIN,
    WRAPPING,
    BadTerm,
    Mechanism,
    Modifier,
    Term,
    parse,
    select,
)

MAX_OCTETS = 4096
"""Longer records are hostile, or beyond repair by a program: 450 octets are advised, 1,000 are rare."""

_HEAD = re.compile(
    r"v\s*+[=:\-]{0,3}\s*+(?:spf|sfp|psf)\s*+[1lI](?![\d.])|(?:spf\s*+=\s*+)?spf1(?![\d.])"
    r"|(?:v1\s*+=\s*+spf|spf\s*+=\s*+v?1)(?![\w.])",
    re.IGNORECASE,
)
_QUOTES = dict.fromkeys(map(ord, "\"'`“”„‘’«»"))
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-") | {ord("∼"): "~", ord("〜"): "~"}
_NAMED = re.compile(r"([+\-?~]?)([a-z][a-z0-9]*)[:=;]++(.*)", re.IGNORECASE | re.DOTALL | re.ASCII)
_BARE = re.compile(r"([+\-?~]?)(.*)", re.DOTALL)
# Where a blank was forgotten: in front of a term that names itself, and of an all at the very end.
_GLUED = re.compile(
    r"(?<=[a-z0-9])(?=[+~?\-]?(?:ip4|ip6|include):)|(?<=[a-z0-9])(?=[~?+]all\Z)", re.IGNORECASE | re.ASCII
)
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*\.)[a-z][a-z0-9-]*[a-z0-9]\.?", re.IGNORECASE | re.ASCII)
_ADDRESS_NAMES = frozenset({"ip", "ip4", "ip6", "ipv4", "ipv6", "ip4v", "ip6v"})
_INCLUDE_NAMES = frozenset({"include", "inlcude", "includes", "incude", "inclue", "inculde", "included"})
_HOST_NAMES = {"a": "a", "mx": "mx", "ptr": "ptr", "exists": "exists", "host": "a", "cname": "a"}
_ALL_NAMES = frozenset({"all", "al", "alll", "aall", "all.", "all;", "all,"})


class Repaired(Struct, frozen=True):
    """A record after repair.

    Attributes:
        words: the terms in order, without the version.
        version: ``v=spf1`` in the user's spelling where that is recognised.
        fixed: the terms as they were before, of those that changed.
        unreadable: the terms that no single reading makes sense of; they still stand in `words`.

    """

    words: tuple[str, ...]
    version: str
    fixed: tuple[str, ...]
    unreadable: tuple[str, ...]


@lru_cache(maxsize=4096)
def term_of(word: str) -> Term | None:
    """The term that `word` is; None where it is no single word."""
    terms = parse(f"v=spf1 {word}").terms
    return terms[0] if len(terms) == 1 else None


def repair(text: str) -> Repaired | None:
    """Repair a record, or a TXT value that was meant as one. None where it is no SPF at all, or far too long."""
    if len(text) > MAX_OCTETS:
        return None
    recognised = bool(select([text]))
    if recognised:
        version, rest = text[:6], text[6:]
    else:
        cleaned = _clean(text).strip().lstrip(WRAPPING)
        within = WITHIN.search(cleaned[:200])
        cleaned = cleaned[within.start() :] if within else cleaned
        head = _HEAD.match(cleaned)
        if head is None:
            return None
        version, rest = "v=spf1", cleaned[head.end() :].lstrip(":;, ")
    # Words that are right are not touched, so that only what is wrong is cleaned.
    return _repair_words(rest.split(), version)


def _clean(word: str) -> str:
    """Without quotation marks and invisible characters; full-width letters and long dashes as plain ones."""
    if word.isascii():
        return word.translate(_QUOTES)
    plain = unicodedata.normalize("NFKC", word).translate(_QUOTES | _DASHES | LOOKING_ALIKE)
    return "".join(character for character in plain if unicodedata.category(character) not in ("Cf", "Cc", "Co", "Cn"))


def _repair_words(raw: Sequence[str], version: str) -> Repaired:
    words: list[str] = []
    fixed: list[str] = []
    unreadable: list[str] = []
    modifiers: set[str] = set()
    position = 0
    while position < len(raw):
        word = raw[position]
        following = raw[position + 1] if position + 1 < len(raw) else None
        position += 1
        if _is_right(word):
            name = word.partition("=")[0].lower()
            if name in ("redirect", "exp") and "=" in word:
                if name in modifiers and word.lower() in (each.lower() for each in words):
                    fixed.append(word)
                    continue
                if name in modifiers:
                    unreadable.append(word)
                modifiers.add(name)
            words.append(word)
            continue
        joined = _joined(word, following)
        if joined and following is not None:
            words.append(joined)
            fixed.append(f"{word} {following}")
            position += 1
            continue
        better = _better(word)
        if better is None:
            words.append(word)
            unreadable.append(word)
        else:
            words += better
            fixed.append(word)
    return Repaired(tuple(words), version, tuple(fixed), tuple(unreadable))


def _is_right(word: str) -> bool:
    """The word is a term, and not one that only looks like an unknown modifier (``ip4=192.0.2.1``, ``v=spf1``)."""
    term = term_of(word)
    if term is None or isinstance(term, BadTerm):
        return False
    # A comma is allowed in a name by the letter of the grammar; no host has one.
    if re.search(r"[,;]", re.sub(r"%\{[^{}]*+\}", "", word)) and not isinstance(term, Modifier):
        return False
    return not (isinstance(term, Modifier) and (term.name in _MEANT_AS_MECHANISM or _is_version(term)))


_NAMES = ("include", "redirect", "exists", "ip4", "ip6")
_ALIKE = 0.75  # of the letters; unknown modifiers that mean something else share fewer
_SHORT = 2
REGISTERED = frozenset({"exp", "ra", "rp", "rr"})
"""Modifiers that mean something to some receivers (RFC 7208 section 6.2, RFC 6652 section 3)."""
_MEANT_AS_MECHANISM = _ADDRESS_NAMES | _INCLUDE_NAMES | frozenset(_HOST_NAMES) | {"all"}


def meant(term: Modifier) -> str | None:
    """What a term was meant as that receivers ignore as an unknown modifier (``include=name``).

    Empty where nothing tells; None where it is no mistake: receivers have to ignore modifiers that they do not know.
    """
    if term.name in _MEANT_AS_MECHANISM:
        return " ".join(_better(term.text) or ())
    near = get_close_matches(re.sub("[-_.]", "", term.name), _NAMES, 1, _ALIKE) if len(term.name) > _SHORT else ()
    if not near or term.name in REGISTERED:
        return None
    better = f"redirect={term.value}" if near[0] == "redirect" else _named("", near[0], term.value)
    return better if better and _is_right(better) else ""


def _is_version(term: Modifier) -> bool:
    return term.name == "v" and term.value.lower().startswith("spf1")


def _joined(word: str, following: str | None) -> str | None:
    """The word and the next one as one term, where a blank stands inside: ``include: example.com``, ``~ all``."""
    plain = _clean(word)
    if following is None or not plain:
        return None
    both = plain + _clean(following)
    if plain in ("+", "-", "~", "?"):
        return both if _clean(following).lower() == "all" else None
    if _is_right(following):
        return None
    if plain.endswith((":", "=", "/")):
        return both if _is_right(both) else None
    # An address that a blank cuts in two: ip4:192.0. 2.1
    if _better(word) is not None or _better(following) is not None:
        return None
    return both if both[:4].lower() in ("ip4:", "ip6:") and _is_right(both) else None


def _better(word: str) -> tuple[str, ...] | None:
    """The terms that the word was meant as: one, several that were not kept apart, or none where it says nothing."""
    plain = _clean(word)
    if not plain.strip(",;.\\") or _is_version_word(plain):
        return ()
    if _is_right(plain):
        return (plain,)
    whole = _one(plain.strip(",;\\"))
    if whole:
        return (whole,)
    parts = [part for part in re.split(r"[,;]+", plain) if part]
    if len(parts) > 1:
        return _several(parts)
    parts = [part for part in _GLUED.split(plain) if part]
    return _several(parts) if len(parts) > 1 else None


def _is_version_word(word: str) -> bool:
    return bool(re.fullmatch(r"(?:v=)?spf1[;,:]*", word, re.IGNORECASE))


def _several(parts: Sequence[str]) -> tuple[str, ...] | None:
    found: list[str] = []
    for part in parts:
        better = part if _is_right(part) and "." in part + "." else _one(part)
        # In "include:one.example,two.example" the name before the comma holds for what follows.
        if better is None and found and found[-1].lower().lstrip("+").startswith("include:") and _HOST.fullmatch(part):
            better = f"include:{part}"
        if better is None:
            return None
        found.append(better)
    return tuple(found)


def _one(word: str) -> str | None:
    """The one term that the word was meant as, or None."""
    if _is_right(word):
        return word
    bare = _BARE.fullmatch(word)
    qualifier, body = (bare[1], bare[2]) if bare else ("", word)
    if body.lower() in _ALL_NAMES:
        return f"{qualifier}all"
    address = _address(body)
    if address:
        return f"{qualifier}{address}"
    named = _NAMED.fullmatch(word)
    better = _named(named[1], named[2].lower(), named[3].strip()) if named else None
    return better if better and _is_right(better) else None


def _named(qualifier: str, name: str, value: str) -> str | None:
    """A term with a name: the right name for the value, the right sign between them."""
    known = name in _ADDRESS_NAMES or name in _INCLUDE_NAMES or name in _HOST_NAMES
    address = _address(value) if known and name not in ("ptr", "exists") else None
    if address:
        return f"{qualifier}{address}"
    if name in _ADDRESS_NAMES:
        return f"{qualifier}a:{value}" if _HOST.fullmatch(value) else None
    if name in _INCLUDE_NAMES:
        return f"{qualifier}include:{value}"
    if name in ("redirect", "exp"):
        return f"{name}={value}"
    if name == "all":
        return f"{value}all" if value in ("+", "-", "~", "?") else None
    if name in _HOST_NAMES:
        return f"{qualifier}{_HOST_NAMES[name]}:{value}" if value else f"{qualifier}{_HOST_NAMES[name]}"
    return None


def _address(text: str) -> str | None:
    """An address or a range as an ip4 or ip6 term; a netmask becomes a prefix length."""
    plain = re.sub(r"\\x[0-9a-f]{2}|[^\x21-\x7e]", "", text, flags=re.IGNORECASE).rstrip("./,;").strip("[]")
    if not re.fullmatch(r"[0-9a-f:.]+(?:/[0-9.]+)?", plain, re.IGNORECASE) or len(plain) > 64:
        return None
    try:
        network = ip_network(plain, strict=False)
    except ValueError:
        return None
    as_written = f"ip{network.version}:{plain}"
    if isinstance(term_of(as_written), Mechanism):
        return as_written
    return f"ip{network.version}:{plain.partition('/')[0]}/{network.prefixlen}"
