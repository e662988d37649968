"""Which subjects say that a mail brings the password of a file."""

from __future__ import annotations

import pytest

from deliverability.core.mail.marks import brings_password, recipients_of
from deliverability.core.mail.reader import read

BRINGS = (
    "パスワードのお知らせ",
    "【パスワード】見積書の送付",
    "Re: 【PW】議事録",
    "ＰＷ送付の件",
    "解凍パスワード",
    "ﾊﾟｽﾜｰﾄﾞ通知：請求書",
    "添付ファイルのパスワードについて",
    "先ほどのファイルの解凍PWをお送りします",
    "ZIPファイル パスワード変更のご連絡",
    "復号キーのご連絡",
    "Password for the attachment",
    "password: minutes of the meeting",
    "PW for report.zip",
    "Pass-phrase for the archive",
    "Passwort für den Anhang",
    "Mot de passe du fichier",
    "The new password of the attached PDF",
)
DOES_NOT = (
    "",
    "お見積書の送付",
    "パスワード再設定のご案内",
    "【重要】パスワード変更のお願い",
    "ログインパスワードをお忘れの方へ",
    "ワンタイムパスワードのお知らせ",
    "アカウントのパスワードが変更されました",
    "仮パスワードのお知らせ",
    "Reset your password",
    "Your password has been changed",
    "Your password will expire in 3 days",
    "Your account password",
    "Sign-in: one-time password",
    "Boarding pass for flight 12",
    "Powerful PWA in five steps",
    "New password manager out now",
)


@pytest.mark.parametrize("subject", BRINGS)
def test_the_password_of_a_file(subject: str) -> None:
    assert brings_password(subject)


@pytest.mark.parametrize("subject", DOES_NOT)
def test_something_else(subject: str) -> None:
    assert not brings_password(subject)


def test_recipients_are_addresses_whatever_their_names() -> None:
    mail = read(b"To: Taro <Taro@client.example>, b@client.example\r\nCc: c@client.example\r\n\r\nx")
    assert recipients_of(mail) == {"taro@client.example", "b@client.example", "c@client.example"}
