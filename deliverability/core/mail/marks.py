"""What kind of mail a message is by its marks: to many, of a mailing list, automatic, with the password of another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from msgspec import Struct

from deliverability.core.mail.addresses import parse_addresses, to_a_label
from deliverability.core.mail.reader import HeaderField, Message
from deliverability.core.mail.received import parse_return_path
from deliverability.core.mail.words import decode_words

# Gives the organizational domain of a name.
HomeOf = Callable[[str], str]

# Fields that list software writes: Mailman, ezmlm and Yahoo Groups, Majordomo and Debian's lists.
_LIST_SOFTWARE = ("x-beenthere", "x-mailman-version", "mailing-list", "x-mailing-list", "x-google-group-id")
# How list software names the sender of what it passes on: owner-LIST (Majordomo), LIST-bounces (Mailman), LIST-owner.
_LIST_SENDER = re.compile(r"owner-(?P<before>.{1,64})|(?P<behind>.{1,64}?)-(?:bounces|owner)(?:\+.*)?", re.IGNORECASE)
# Providers that put a Feedback-ID on every mail, that of a person as well as a newsletter: it says nothing there.
_STAMPS = frozenset({"amazonses", "fastmail", "postmark", "proton", "sg"})
_MAILTO = re.compile(r"mailto:[^<>?\s]{1,250}@", re.IGNORECASE)
_VIA = re.compile(r"\bvia\b|\bon behalf of\b|経由", re.IGNORECASE)
_MAX_FIELDS = 100  # of one kind that are read
_MAX_ADDRESSES = 1000


class ListMarks(Struct, frozen=True):
    """What a message says of mailing lists.

    Attributes:
        own: List-Id names a list of the author's organization (True) or of another; None: it names none.
        named: the field that says so.
        post: this is a post to somebody else's list.
        discussion: this is a post to a list that its members write to, whoever's.
        seen: the fields that tell.

    """

    own: bool | None
    named: tuple[HeaderField, ...]
    post: bool
    discussion: bool
    seen: tuple[HeaderField, ...]


def list_marks(message: Message, home: str, organization: HomeOf) -> ListMarks:
    """Whose list it is and whether this is a post to it; a newsletter whose service names the list is none.

    `home`: the author's organizational domain, or empty.
    """
    ids, posts = message.fields("List-Id")[:1], message.fields("List-Post")[:1]
    owner = next((found for field in ids if (found := _list_home(field.value, organization))), None)
    other = owner is not None and bool(home) and owner != home
    owned = _list_senders(message, home, organization)
    posted = [
        field for field in posts if home and any(each != home for each in _mailto_homes(field.value, organization))
    ]
    marked: list[HeaderField] = []
    if other:
        marked = [field for field in message.headers if field.lower in _LIST_SOFTWARE]
        marked += [each for each in message.fields("Precedence") if each.value.strip().lower() == "list"]
        recipients = [*message.fields("To"), *message.fields("Cc")][:_MAX_FIELDS]
        marked += [field for field in recipients if owner in homes(field.value, organization)]
    talk = [*posts] if any(map(_MAILTO.search, (field.value[:20_000] for field in posts))) else _munged(message, ids)
    return ListMarks(
        None if not owner or not home else not other,
        tuple(ids),
        bool(posted or marked or owned),
        bool(posted or marked or owned or talk),
        tuple(dict.fromkeys((*ids, *posts, *marked, *owned, *talk))),
    )


def _munged(message: Message, ids: Sequence[HeaderField]) -> list[HeaderField]:
    """What shows list software that put the list into From, for DMARC: as "Ann via Dev", or by the list's address."""
    marks = [field for field in message.headers if field.lower in _LIST_SOFTWARE]
    marks += [each for each in message.fields("Precedence") if each.value.strip().lower() == "list"]
    if not ids or not marks:
        return []
    authors = [box for field in message.fields("From")[:1] for box in parse_addresses(field.value)[:1]]
    name = ids[0].value.rpartition("<")[2].partition(">")[0].strip().lower()
    munged = [
        box
        for box in authors
        if _VIA.search(box.display) or box.address.lower().replace("@", ".") in (name, f"{name}.")
    ]
    originals = [each for each in message.headers if each.lower in ("x-original-from", "x-mailfrom")]
    return [*ids, *marks] if munged or originals else []


def bulk_signs(message: Message, *, own_list: bool, automatic: bool) -> dict[str, HeaderField]:
    """Marks of mail to many by code, of a message that is no post to somebody else's list.

    Args:
        message: its header.
        own_list: its List-Id names a list of the author's own organization.
        automatic: it is an automatic message, see `is_automatic`.

    """
    signs: dict[str, HeaderField] = {}
    if (field := message.first("List-Unsubscribe")) is not None:
        signs["list-unsubscribe"] = field
    if (field := message.first("List-Id")) is not None and own_list:
        signs["list-id"] = field
    # Answering machines and bounces say Precedence: bulk to keep others from answering.
    field = message.first("Precedence")
    if field is not None and field.value.strip().lower() == "bulk" and not automatic:
        signs["precedence-bulk"] = field
    field = message.first("Feedback-ID")
    if field is not None and (maker := field.value.rpartition(":")[2].strip().lower()) and maker not in _STAMPS:
        signs["feedback-id"] = field
    return signs


def is_automatic(message: Message) -> bool:
    """Whether Auto-Submitted or a null Return-Path marks it as automatic."""
    field = message.first("Return-Path")
    return bool(automatic_kinds(message)) or (field is not None and parse_return_path(field.value) == "")


def automatic_kinds(message: Message) -> tuple[str, ...]:
    """What Auto-Submitted says, lower case (RFC 3834 section 5), without `no`."""
    kinds = (each.value.partition(";")[0].strip().lower() for each in message.fields("Auto-Submitted"))
    return tuple(each for each in kinds if each not in ("no", ""))


def homes(value: str, organization: HomeOf) -> set[str]:
    """The organizations of the addresses of a field."""
    boxes = parse_addresses(value)[:_MAX_ADDRESSES]
    return {organization(box.domain) for box in boxes if box.domain}


def _list_senders(message: Message, home: str, organization: HomeOf) -> list[HeaderField]:
    """Return-Path fields that name another organization's list to which the message is addressed."""
    boxes = [
        box
        for field in [*message.fields("To"), *message.fields("Cc")][:_MAX_FIELDS]
        for box in parse_addresses(field.value)[:_MAX_ADDRESSES]
    ]
    lists = {box.address.lower() for box in boxes if box.domain and organization(box.domain) != home}
    found = []
    for field in message.fields("Return-Path")[:1]:
        for box in parse_addresses(field.value)[:1]:
            local, _, domain = box.address.rpartition("@")
            named = _LIST_SENDER.fullmatch(local)
            if named and f"{named['before'] or named['behind']}@{domain}".lower() in lists:
                found.append(field)
    return found if home else []


def _list_home(value: str, organization: HomeOf) -> str | None:
    """The organization of a List-Id (RFC 2919: a name in angle brackets, after a description)."""
    inner = value.rpartition("<")[2].partition(">")[0].strip()
    name = to_a_label(inner)
    return organization(name) if name and "." in name else None


def _mailto_homes(value: str, organization: HomeOf) -> set[str]:
    """The organizations of the addresses in a List-Post (RFC 2369)."""
    addresses = re.findall(r"mailto:([^<>?\s]{1,500})", value[:20_000], re.IGNORECASE)
    return {home for address in addresses for home in homes(address, organization)}


_RECIPIENTS = ("To", "Cc", "Bcc")
_MAX_SUBJECT = 1_000
_MAX_RECIPIENTS = 200
_PASSWORD = re.compile(
    r"パスワード|パスコード|パスフレーズ|暗証番号|(?:解凍|復号|開封)(?:キー|鍵|用?pass)|비밀번호|密码|密碼"
    r"|(?<![a-z])(?:pass[ -]?(?:words?|code|phrase)|passwd|pwd|pw|passwort|kennwort|mot de passe|contraseña)(?![a-z])"
)
# Of a file: that is what it is, whatever else stands there.
_OF_FILE = re.compile(
    r"添付|解凍|展開|開封|復号|ファイル|資料|圧縮|(?<![a-z])(?:zip|7z|rar|files?|attach(?:ed|ments?)?|archive|documents?|unzip"
    r"|pdf|xlsx?|docx?|datei|anhang|anlage)(?![a-z])"
)
# Of an account: it has nothing to do with a file.
_OF_ACCOUNT = re.compile(
    r"再設定|再発行|初期化|リセット|変更|忘れ|お忘れ|ログイン|仮パスワード|ワンタイム|認証|期限|アカウント|会員|不正|漏洩|管理|ご登録"
    r"|(?<![a-z])(?:re-?set|forgot(?:ten)?|chang(?:e|ed|ing)|expir\w*|log-?in|sign-?in|accounts?|one-?time|otp|recover\w*|new"
    r"|manager|security|updated?|temporary|zurück\w*|ändern|vergessen|konto|oublié|réinitialis\w*)(?![a-z])"
)


def brings_password(subject: str) -> bool:
    """Whether a subject, its encoded words decoded, says that the mail brings the password of a file."""
    text = unicodedata.normalize("NFKC", subject[:_MAX_SUBJECT]).casefold()
    if not _PASSWORD.search(text):
        return False
    return bool(_OF_FILE.search(text)) or not _OF_ACCOUNT.search(text)


def subject_of(message: Message) -> str:
    """The subject, decoded; empty where there is none."""
    field = message.first("Subject")
    return decode_words(field.value) if field else ""


def recipients_of(message: Message) -> frozenset[str]:
    """The addresses that the message names as its recipients, in lower case."""
    fields = (field for name in _RECIPIENTS for field in message.fields(name))
    boxes = [box.address.casefold() for field in fields for box in parse_addresses(field.value) if box.address]
    return frozenset(boxes[:_MAX_RECIPIENTS])
