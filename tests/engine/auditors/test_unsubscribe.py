"""Unsubscribing as a message offers it: header fields, their signature, the link in the text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.codes import VERBATIM, Input, needs
from deliverability.core.errors import InputError
from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.base import Fetched, HttpFetcher, NoPage, Page, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.net.static import OFFLINE
from deliverability.engine.auditors import unsubscribe
from deliverability.engine.base import gather
from tests import TESTS
from tests.engine.auditors.test_message import DeadResolver
from tests.facts_of import stating

BOTH = ["from", "list-unsubscribe", "list-unsubscribe-post"]
HEADER = (
    "List-Unsubscribe: <https://example.com/u/1>, <mailto:u@example.com>\n"
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n"
)


async def audit(
    raw: str,
    signatures: list[Mapping[str, Any]] | Mapping[str, str] | None = None,
    unsubscriber: HttpFetcher | None = None,
) -> FactSet:
    """The facts about a message whose DKIM signatures are given."""

    octets = raw.encode()
    gathered = await gather(
        [stating({"dkim.signatures": signatures or []}, unsubscribe.audit), unsubscribe.audit],
        Subject("example.com", sample=Sample("", data=octets)),
        Ports(
            DeadResolver(),
            FixedClock(datetime(2026, 11, 24, tzinfo=UTC)),
            http=unsubscriber or OFFLINE,
            permissions=Permissions(one_click=unsubscriber is not None),
        ),
        read(octets),
    )
    assert gathered.crashes == ()
    return gathered.facts


def page(html: str) -> str:
    return f"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{html}"


class TestHeader:
    async def test_a_field_as_rfc_8058_wants_it(self) -> None:
        facts = await audit(HEADER + "\nx")
        assert facts.value("unsubscribe.uris") == ("https://example.com/u/1", "mailto:u@example.com")
        assert facts.value("unsubscribe.https_count") == 1
        assert facts.value("unsubscribe.mailto_count") == 1
        assert facts.value("unsubscribe.post_field_valid") is True
        assert facts.value("unsubscribe.one_click") == "List-Unsubscribe=One-Click"

    async def test_an_address_folded_over_lines_is_one_address(self) -> None:
        facts = await audit("List-Unsubscribe:\n <https://example.com/a\n bc>\n\nx")
        assert facts.value("unsubscribe.uris") == ("https://example.com/abc",)

    @pytest.mark.parametrize("value", ["https://example.com/u", "<>", "", "< ", "<" * 5000])
    async def test_without_angle_brackets_there_is_no_address(self, value: str) -> None:
        facts = await audit(f"List-Unsubscribe: {value}\n\nx")
        assert facts.value("unsubscribe.present") is True
        assert facts.value("unsubscribe.uris") == ()

    @pytest.mark.parametrize(
        ("post", "valid"),
        [
            ("List-Unsubscribe-Post: List-Unsubscribe=One-Click", True),
            ("List-Unsubscribe-Post: List-Unsubscribe=one-click", True),  # ABNF strings know no case (RFC 5234)
            ("List-Unsubscribe-Post: One-Click", False),
            ("List-Unsubscribe-Post: List-Unsubscribe=One-Click; x=y", False),
            (
                "List-Unsubscribe-Post: List-Unsubscribe=One-Click\nList-Unsubscribe-Post: List-Unsubscribe=One-Click",
                False,
            ),
            ("X: y", False),
        ],
    )
    async def test_the_post_field(self, post: str, valid: bool) -> None:
        assert (await audit(f"{post}\n\nx")).value("unsubscribe.post_field_valid") is valid


class TestSignature:
    @pytest.mark.parametrize(
        ("signatures", "covered"),
        [
            ([], False),
            ([{"signed_headers": BOTH, "result": "pass"}], True),
            ([{"signed_headers": BOTH, "result": "fail"}], False),
            ([{"signed_headers": ["from", "list-unsubscribe"], "result": "pass"}], False),
            (
                [{"signed_headers": BOTH[:1], "result": "pass"}, {"signed_headers": BOTH, "result": "pass"}],
                True,
            ),
        ],
    )
    async def test_a_passing_signature_must_sign_both(self, signatures: list[Any], covered: bool) -> None:
        assert (await audit(HEADER + "\nx", signatures)).value("unsubscribe.dkim_covered") is covered

    async def test_a_key_that_could_not_be_looked_up_is_no_missing_signature(self) -> None:
        lost = {"signed_headers": BOTH, "result": "temperror", "bits": {"unknown": "servfail"}}
        value = (await audit(HEADER + "\nx", [lost])).value("unsubscribe.dkim_covered")
        assert isinstance(value, Unknown)
        assert value.reason is Reason.SERVFAIL
        good = {"signed_headers": BOTH, "result": "pass"}
        assert (await audit(HEADER + "\nx", [lost, good])).value("unsubscribe.dkim_covered") is True

    async def test_without_both_fields_there_is_nothing_to_cover(self) -> None:
        assert (await audit("List-Unsubscribe: <https://a.example/>\n\nx")).value("unsubscribe.dkim_covered") is None


class TestLink:
    @pytest.mark.parametrize(
        "html",
        [
            '<a href="https://a.example/x">Unsubscribe</a>',
            '<p>配信停止は<a href="https://a.example/x">こちら</a></p>',
            '<a href="https://a.example/x">メール配信の停止</a>',
            '<a href="https://a.example/x">購読解除</a> | <a href="https://a.example/y">退会</a>',
            'To unsubscribe, <a href="https://a.example/x">click here</a>.',
            '<a href="https://a.example/x">Click here</a> to unsubscribe.',
            '<a href="https://a.example/x"><img src="u.png" alt="Opt-out"></a>',
            '<a href="https://a.example/unsubscribe?id=1">Leave</a>',
            '<a href="mailto:unsubscribe@a.example">Write to us</a>',
        ],
    )
    async def test_links_that_readers_know_as_such(self, html: str) -> None:
        assert (await audit(page(html))).value("unsubscribe.body_link") is True

    @pytest.mark.parametrize(
        "html",
        [
            '<a href="https://a.example/x">News</a>',
            "Unsubscribe",
            '<a href="#">Unsubscribe</a>',
            '<div style="display:none"><a href="https://a.example/unsubscribe">Unsubscribe</a></div>',
            # The word belongs to another sentence, or to another link.
            'You may unsubscribe at any time. <a href="https://a.example/p">Privacy</a>',
            '<a href="#u">unsubscribe</a> <a href="https://a.example/p">Privacy</a>',
            '<a href="https://a.example/x"></a>',
        ],
    )
    async def test_other_links(self, html: str) -> None:
        assert (await audit(page(html))).value("unsubscribe.body_link") is False

    async def test_the_place_of_the_first_link_in_octets(self) -> None:
        before = "<p>あ</p>"
        facts = await audit(page(f'{before}<a href="https://a.example/">Unsubscribe</a>'))
        assert facts.value("unsubscribe.body_link_octets") == len(before.encode())

    async def test_plain_text_needs_an_address_near_the_word(self) -> None:
        near = "Content-Type: text/plain; charset=utf-8\n\n配信停止はこちら\n\nhttps://a.example/u\n"
        facts = await audit(near)
        assert facts.value("unsubscribe.body_link") is True
        assert facts.value("unsubscribe.body_link_words") == ("配信停止",)
        assert facts.value("unsubscribe.body_link_octets") is None
        far = await audit(near.replace("\n\nhttps", "\n\n\n\n\nhttps"))
        assert far.value("unsubscribe.body_link") is False


class Posted:
    """Answers every form alike and keeps what was posted; a GET is an error."""

    def __init__(self, answer: int | NoPage) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str]] = []

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        raise AssertionError("nothing is fetched")

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        self.seen.append((url, form))
        return self.answer if isinstance(self.answer, NoPage) else Page(url, self.answer, "text/html", b"")


class TestPost:
    """--probe-unsubscribe."""

    async def test_nobody_is_unsubscribed_unless_the_user_asks_for_it(self) -> None:
        facts = await audit(HEADER + "\nx")
        for path in ("unsubscribe.post_status", "unsubscribe.post_redirects"):
            assert facts.value(path) == Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_UNSUBSCRIBE))
        posted = Posted(200)
        ports = Ports(OFFLINE, http=posted, permissions=Permissions(fetch=True)).allowed()
        asked = await ports.http.post("https://a.example/", "x", ports.dns)
        assert isinstance(asked, NoPage)
        assert (asked.reason, posted.seen) == (Reason.NOT_CONFIGURED, [])

    @pytest.mark.parametrize("other", [{"offline": True}, {"zones": (TESTS / "golden" / "good.zone",)}])
    def test_it_contradicts_asking_nobody(self, other: dict[str, Any]) -> None:
        with pytest.raises(InputError, match="use only one of these: one_click, "):
            open_ports(PortSettings(permissions=Permissions(one_click=True), **other))

    @pytest.mark.parametrize(("status", "redirects"), [(200, False), (302, True), (308, True), (403, False)])
    async def test_the_answer_is_stated_with_its_evidence(self, status: int, redirects: bool) -> None:
        posted = Posted(status)
        facts = await audit(HEADER + "\nx", unsubscriber=posted)
        assert posted.seen == [("https://example.com/u/1", "List-Unsubscribe=One-Click")]
        assert facts.value("unsubscribe.post_status") == status
        assert facts.value("unsubscribe.post_redirects") is redirects
        (ident,) = facts.facts["unsubscribe.post_status"].evidence
        assert facts.evidence[ident].asked == "POST https://example.com/u/1"

    async def test_no_answer_is_not_known(self) -> None:
        lost = NoPage("https://example.com/u/1", Reason.TIMEOUT, VERBATIM(text="no answer within 8 s"))
        facts = await audit(HEADER + "\nx", unsubscriber=Posted(lost))
        value = facts.value("unsubscribe.post_status")
        assert isinstance(value, Unknown)
        assert value.reason is Reason.TIMEOUT

    @pytest.mark.parametrize(
        "header",
        [
            "X: y\n",
            "List-Unsubscribe: <https://example.com/u>\n",  # the sender did not promise one click
            HEADER.replace("One-Click", "Two-Clicks"),
            HEADER.replace("https:", "http:"),
            HEADER.replace("/u/1", "/u\x07"),
            HEADER.replace("/u/1", "/ü"),
            HEADER.replace("mailto:u@example.com", "https://example.com/u/2"),
        ],
    )
    async def test_nothing_is_sent_where_no_receiver_would(self, header: str) -> None:
        posted = Posted(200)
        facts = await audit(header + "\nx", unsubscriber=posted)
        assert posted.seen == []
        assert facts.value("unsubscribe.post_status") is None
        assert facts.value("unsubscribe.post_redirects") is None


LABELS = [
    "配信停止",
    "配信解除",
    "購読解除",
    "購読停止",
    "登録解除",
    "登録を解除する",
    "メルマガ解除",
    "メールマガジンの解除",
    "退会",
    "退会手続き",
    "停止はこちら",
    "解除はこちら",
    "配信を希望されない方はこちら",
    "配信をご希望でない方",
    "受信を希望しない",
    "今後受け取らない",
    "受信停止",
    "受信拒否設定",
    "受信を拒否",
    "メール設定の変更",
    "メール設定",
    "配信設定",
    "受信設定",
    "メール配信設定の変更",
    "配信停止手続き",
    "配信のお手続き・停止はこちら",
    "配信中止",
    "配信不要",
    "配信をやめる",
    "購読をやめる",
    "購読中止",
    "オプトアウト",
    "メールの停止",
    "メール停止",
    "送信停止",
    "不要な方はこちら",
    "ご不要な方",
    "登録抹消",
    "メールアドレスの登録・削除",
    "アンサブスクライブ",
    "通知設定",
    "通知をオフにする",
    "案内を希望しない",
    "読者登録解除",
    "ワンクリック解除",
    "登録情報の変更・解除",
    "配信先の変更・停止",
    "お知らせメールの配信停止",
    "DM停止",
    "会員解約",
    "ﾒｰﾙ配信停止",
    *("Unsubscribe", "UNSUBSCRIBE", "Ｕｎｓｕｂｓｃｒｉｂｅ", "Opt out", "Manage preferences", "Email preferences"),
    *("Update your preferences", "Stop receiving these emails", "Leave this list", "Cancel subscription", "Remove me"),
    *("Notification settings", "Preference center", "I no longer want to receive this", "Take me off", "Opt-out"),
    *("Abmelden", "Newsletter abbestellen", "Vom Newsletter abmelden", "E-Mail-Einstellungen", "Abo kündigen"),
    *("Se désabonner", "Désinscription", "se desabonner", "Ne plus recevoir nos e-mails", "Gérer mes préférences"),
    *("Darse de baja", "Darme de baja", "Cancelar suscripción", "Cancelar la suscripcion", "Dejar de recibir"),
]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("shape", ["text", "alt", "plain"])
async def test_usual_labels_are_known(label: str, shape: str) -> None:
    if shape == "plain":
        raw = f"Content-Type: text/plain; charset=utf-8\n\nNews\n\n{label}\nhttps://example.com/x?k=1\n"
    else:
        inner = label if shape == "text" else f'<img src="https://example.com/b.png" alt="{label}">'
        raw = page(f'<p>News</p><a href="https://example.com/x?k=1">{inner}</a>')
    assert (await audit(raw)).value("unsubscribe.body_link") is True


@pytest.mark.parametrize(
    "label",
    [
        "商品を見る",
        "お問い合わせ",
        "公式サイト",
        "View in browser",
        "Read more",
        "Shop now",
        "設定方法",
        "注文の詳細",
        "Mehr erfahren",
        "特定商取引法に基づく表記",
        "プライバシーポリシー",
        "お届け先の変更",
        "Voir en ligne",
        "Ver en el navegador",
        "ログイン",
    ],
)
async def test_other_labels_are_not(label: str) -> None:
    found = await audit(page(f'<a href="https://example.com/x">{label}</a>'))
    assert found.value("unsubscribe.body_link") is False


class TestSameAddress:
    """A link to an address of List-Unsubscribe is one for unsubscribing, whatever it says."""

    @pytest.mark.parametrize("label", ["こちら", "click here", "★", "Manage", '<img src="https://example.com/b.png">'])
    @pytest.mark.parametrize(
        "href",
        [
            "https://example.com/u/1",
            "HTTPS://EXAMPLE.COM/u/1",
            "https://example.com/u/1#top",
            "mailto:u@example.com?subject=bye",
            "mailto:U%40example.com",
        ],
    )
    async def test_in_html(self, label: str, href: str) -> None:
        found = await audit(HEADER + page(f'<p>News</p><a href="{href}">{label}</a>'))
        assert found.value("unsubscribe.body_link_words") == ("List-Unsubscribe",)
        assert isinstance(found.value("unsubscribe.body_link_octets"), int)

    @pytest.mark.parametrize(
        "line", ["https://example.com/u/1", "<https://example.com/u/1>.", "Hier: https://example.com/u/1"]
    )
    async def test_in_plain_text(self, line: str) -> None:
        found = await audit(f"{HEADER}\nNews\n\n{line}\n")
        assert found.value("unsubscribe.body_link") is True

    @pytest.mark.parametrize("href", ["https://example.com/u/2", "https://example.com/", "http://other.example/u/1"])
    async def test_another_link_is_not(self, href: str) -> None:
        assert (await audit(HEADER + page(f'<a href="{href}">x</a>'))).value("unsubscribe.body_link") is False

    async def test_a_hidden_one_is_not(self) -> None:
        hidden = '<div style="display:none"><a href="https://example.com/u/1">x</a></div>'
        assert (await audit(HEADER + page(hidden))).value("unsubscribe.body_link") is False
