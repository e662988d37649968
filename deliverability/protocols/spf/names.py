"""Names and addresses as SPF handles them: A-labels, validity, the target-name rules."""

from __future__ import annotations

from deliverability.model.codes import Code, Detail

MAX_NAME = 253
MAX_LABEL = 63

NAME_EMPTY = Code("name-empty")
NAME_LONG = Code("name-long", ("n",))
NAME_GAP = Code("name-gap")
NAME_LABEL = Code("name-label", ("n",))
NAME_SINGLE = Code("name-single")
NAME_LITERAL = Code("name-literal")


def to_ascii(domain: str) -> str:
    """`domain` lower case, without trailing dot, U-labels as A-labels; returned as it is where that is not possible."""
    domain = domain.strip().removesuffix(".")
    if domain.isascii() or len(domain) > 4 * MAX_NAME:  # no conversion work on a hostile text
        return domain.lower()
    try:
        import idna

        return idna.encode(domain, uts46=True).decode("ascii")
    except (UnicodeError, ValueError):
        return domain.lower()


def name_problem(name: str) -> Detail | None:
    """Why DNS cannot be asked for `name`, or None where it can."""
    if not name:
        return NAME_EMPTY()
    if len(name) > MAX_NAME:
        return NAME_LONG(n=MAX_NAME)
    labels = name.split(".")
    if "" in labels:
        return NAME_GAP()
    if any(len(label) > MAX_LABEL for label in labels):
        return NAME_LABEL(n=MAX_LABEL)
    return None


def domain_problem(domain: str) -> Detail | None:
    """Why `domain` cannot be checked at all (RFC 7208 section 4.3), or None."""
    problem = name_problem(domain)
    if problem is None and "." not in domain:
        problem = NAME_SINGLE()
    if problem is None and domain.startswith("["):
        problem = NAME_LITERAL()
    return problem


def target_name(expanded: str) -> str:
    """An expanded domain-spec as a name to ask for: no trailing dot, cut from the left to 253 octets (section 7.3)."""
    name = expanded.removesuffix(".")
    if len(name) > MAX_NAME:
        cut = name.find(".", len(name) - MAX_NAME - 1)
        name = name[cut + 1 :] if cut >= 0 else name
    return name.lower()
