"""Mail that brings the password of a file sent in another mail, known by its subject."""

from __future__ import annotations

import re
import unicodedata

from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.reader import Message
from deliverability.core.mail.words import decode_words

_RECIPIENTS = ("To", "Cc", "Bcc")
_MAX_SUBJECT = 1_000
_MAX_ADDRESSES = 200
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
    return frozenset(boxes[:_MAX_ADDRESSES])
