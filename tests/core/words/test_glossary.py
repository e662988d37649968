"""The words of the project: the glossary itself, and every text that users read held to it and to the house style.

A text is found by its place: below a key ``en`` or ``ja`` of a catalogue, or in a file named for its language.
Each finding of these tests names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from msgspec import Struct

from deliverability.core import yaml as yamlstrict
from deliverability.core.files import locate
from deliverability.core.report.templates import load_glossary
from deliverability.core.rules.problems import RuleError
from tests.speaking import BRACKETS

RULES, REPORTS = locate("rules"), locate("reports")

LABEL = re.compile("「[^」]*」")  # of a menu of others, in the hand-out
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{[A-Za-z_][^{}]*\}")
CODE = re.compile(
    r"`[^`]*`|\"[^\"]*\"|<[^<>]*>|https?://[\x21-\x7e]+|--[a-z][a-z-]*(?: (?:[A-Z]+\b|アドレス|名前|数))?"
    r"|Yahoo!(?: JAPAN)?"
)
EXAMPLE = re.compile(r"^ {2,}.*$", re.MULTILINE)
"""In a help text: a command, which is not ours to word."""
JAPANESE = r"぀-ヿ㐀-鿿々"

SENTENCE_FIELDS = frozenset({"met", "unmet", "why", "fix", "note", "correction"})


def words_of(text: str) -> tuple[str, ...]:
    return tuple(text.split())


class Text(Struct, frozen=True):
    file: str
    line: int
    path: tuple[str | int, ...]
    lang: str
    words: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line} ({'.'.join(map(str, self.path))})"

    @property
    def plain(self) -> str:
        """Without what is not ours to word: values, records, commands, addresses."""
        ours = LABEL.sub("\ufffc", self.words) if self.file.startswith("reports/handout") else self.words
        return CODE.sub("\ufffc", PLACEHOLDER.sub("\ufffc", ours))

    @property
    def is_sentence(self) -> bool:
        return self.file.startswith("rules/") and bool(SENTENCE_FIELDS & set(self.path))


@cache
def texts() -> tuple[Text, ...]:
    files = [path for path in sorted(RULES.rglob("*.yaml")) if path.name != "sources.yaml"]
    return tuple(each for path in (*files, *sorted(REPORTS.glob("*.yaml"))) for each in _texts_of(path))


def _texts_of(path: Path) -> Iterator[Text]:
    document = yamlstrict.read(path.read_text("utf-8"))
    suffix = path.suffixes[-2].strip(".") if len(path.suffixes) > 1 else ""
    file_lang = suffix if suffix in ("en", "ja") else ""

    def walk(value: object, where: tuple[str | int, ...]) -> Iterator[Text]:
        if isinstance(value, dict):
            for key, each in value.items():
                yield from walk(each, (*where, key))
        elif isinstance(value, list):
            for number, each in enumerate(value):
                yield from walk(each, (*where, number))
        elif isinstance(value, str) and not {"avoid", "when"} & {*where}:
            lang = file_lang or next((str(step) for step in where if step in ("en", "ja")), "")
            if lang:
                name = path.relative_to(
                    path.parents[1] if path.parent.name in ("rules", "reports") else path.parents[2]
                )
                yield Text(str(name), document.line(where), where, lang, EXAMPLE.sub("", value))

    yield from walk(document.data, ())


def english() -> list[Text]:
    return [each for each in texts() if each.lang == "en" and "name" not in each.path]


def japanese() -> list[Text]:
    """Without names, which their owners spell."""
    return [each for each in texts() if each.lang == "ja" and "name" not in each.path]


def listed(found: list[str]) -> str:
    return "\n".join(["", *found])


def glossary_terms():
    return load_glossary([RULES])


@pytest.mark.long
def test_the_texts_of_all_catalogues_are_read():
    files = {each.file for each in texts()}
    assert {
        "reports/help.en.yaml",
        "rules/spf.yaml",
        "rules/guide.yaml",
        "rules/receivers/icloud.yaml",
        "reports/strings.ja.yaml",
    } <= files
    assert len(english()) > 1500
    assert len(japanese()) > 1500


# The glossary


def test_every_term_has_a_note_of_at_most_two_sentences_in_both_languages():
    for term in glossary_terms():
        assert 1 <= len(re.findall(r"[.!?](?= |$)", term.text["en"])) <= 2, term.id
        assert 1 <= term.text["ja"].count("。") <= 2, term.id
        assert term.text["ja"].endswith("。"), term.id


@pytest.mark.parametrize(
    "named",
    words_of(
        """
    spf dkim dmarc arc bimi mta-sts tls-rpt dane ptr fcrdns helo mail-from author-domain organizational-domain
    alignment strict relaxed selector signature key dns-lookup void-lookup permerror temperror softfail neutral
    fail enforcement quarantine reject aggregate-report bulk-sender one-click-unsubscribe preheader clipping
    transfer-encoding mime-part size-as-sent dnsbl soa null-mx bounce share-link ppap
    """
    ),
)
def test_terms_that_users_meet_are_explained(named):
    assert named in {term.id for term in glossary_terms()}


def test_a_term_is_a_word_that_the_texts_use():
    used = {
        lang: "\n".join(e.words for e in texts() if e.lang == lang and "glossary" not in e.file)
        for lang in ("en", "ja")
    }
    shown_as_values = {"temperror"}
    for term in (each for each in glossary_terms() if each.id not in shown_as_values):
        forms = [(lang, form) for lang in used for form in re.split(r"[（）]", term.term[lang]) if form]
        assert any(form.casefold() in used[lang].casefold() for lang, form in forms), term.id


GOOD = "- id: spf\n  term: {en: SPF, ja: SPF}\n  text: {en: A list., ja: 一覧です。}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1", "1: a list is needed here"),
        ("- id: spf\n  term: {en: SPF, ja: SPF}\n", "1: 0: text is missing"),
        (GOOD.replace("SPF, ja", "SPF, de"), "2: 0.term: ja is missing"),
        (GOOD.replace("一覧です。", '""'), "3: 0.text.ja: something is missing here"),
        (GOOD.replace("id: spf", "id: Sender Policy"), "1: 0.id: 'Sender Policy' is not allowed here"),
        (GOOD + "  avoids: {}\n", "4: 0.avoids: unknown field; did you mean avoid?"),
        (GOOD + "  avoid: {en: Sender ID}\n", "4: 0.avoid.en: a list is needed here"),
        (GOOD + "  see: dkim\n", "4: 0.see: a list is needed here"),
        (GOOD + "  see: [dkim]\n", "spf: see lists 'dkim'"),
        (GOOD + GOOD, "4: spf appears twice"),
        (GOOD + GOOD.replace("id: spf", "id: spf-2"), "spf-2 and spf have the same form 'SPF'"),
        (
            GOOD + GOOD.replace("id: spf", "id: list").replace("SPF", "List") + "  avoid: {en: [SPF]}\n",
            "list avoids 'SPF'",
        ),
        (GOOD + GOOD.replace(": {", ": &a {"), ": anchors and aliases"),
        ("- " * 100 + "x", ":1: nested deeper"),
    ],
)
def test_a_glossary_that_cannot_be_used_is_refused_with_its_line(tmp_path, text, problem):
    (tmp_path / "glossary.yaml").write_text(text, "utf-8")
    with pytest.raises(RuleError, match=re.escape(problem)):
        load_glossary([tmp_path])


def test_a_folder_of_your_own_may_replace_and_add_terms(tmp_path):
    (tmp_path / "glossary.yaml").write_text(GOOD, "utf-8")
    terms = {term.id: term for term in load_glossary([RULES, tmp_path])}
    assert terms["spf"].text["en"] == "A list."
    assert terms["dkim"].see
    assert load_glossary([tmp_path / "none"]) == ()


# One meaning, one word


def uses(form: str, text: str, preferred: str) -> bool:
    """Whether `text` uses `form`, other than as a part of the preferred form."""
    bare = text.replace(preferred, "\ufffc").replace(re.split("（", preferred)[0], "\ufffc")
    pattern = re.escape(form)
    if form[0].isascii():
        pattern = rf"(?<![A-Za-z0-9-]){pattern}"
    if form[-1].isascii():
        pattern = rf"{pattern}(?![A-Za-z0-9-])"
    return re.search(pattern, bare, 0 if form != form.lower() else re.IGNORECASE) is not None


def test_no_text_uses_a_form_that_the_glossary_avoids():
    avoided = {
        lang: [(form.lower(), form, term.term[lang]) for term in glossary_terms() for form in term.avoid[lang]]
        for lang in ("en", "ja")
    }
    found = [
        f"{text.where}: {form} → {preferred}"
        for text in texts()
        for lowered in [text.plain.lower()]
        for low, form, preferred in avoided[text.lang]
        if low in lowered and uses(form, text.plain, preferred)
    ]
    assert not found, listed(found)


def test_a_form_is_found_as_a_word_and_not_inside_the_preferred_one():
    assert uses("セレクタ", "新しいセレクタで", "セレクター")
    assert not uses("セレクタ", "新しいセレクターで", "セレクター")
    assert uses("block list", "A block list names it", "blocklist")
    assert not uses("RBL", "marble", "blocklist")


# English


BRITISH = (
    r"\w*(?:organis|recognis|authoris|normalis|minimis|summaris|customis|colour|behaviour|favour|honour)\w*",
    r"misspelt|spelt|cancelled|labelled|programmes?|whilst|centre|licence|grey",
)
ENGLISH = {
    "US spelling": rf"(?i)\b(?:{'|'.join(BRITISH)})\b",
    "email, not e-mail": r"(?i)\be-mail",
    "percent": r"\bper cent\b|\d %",
    "no exclamation mark": r"(?<=[a-z])!",
    "no blame": r"(?i)\byou (?:failed|forgot|neglected|should have|made a mistake)\b|\byour (?:fault|mistake|error)\b",
    "look up is the verb, lookup the noun": r"\b(?:to|must|can|will) lookup\b|\blook-up\b",
    "one ellipsis": r"\.\.\.",
    "no doubled word": r"(?i)\b([a-z]+) \1\b(?<!that that)",
    "no doubled space": r"[a-z.,:;]  ",
}


@pytest.mark.parametrize("rule", ENGLISH)
@pytest.mark.long
def test_english_house_style(rule):
    found = [f"{each.where}: {match[0]}" for each in english() if (match := re.search(ENGLISH[rule], each.plain))]
    assert not found, listed(found)


def sentences_en(text: str) -> list[str]:
    return re.split(r"(?<=[.;])\s+(?=[A-Z\ufffc“]|deliv )", text)


def test_english_sentences_have_at_most_35_words():
    found = [
        f"{each.where}: {len(sentence.split())} words: {sentence}"
        for each in english()
        for sentence in sentences_en(each.plain)
        if len(sentence.split()) > 35
    ]
    assert not found, listed(found)


def shown(text: str) -> str:
    """`text` at about the length it has once its values are filled in."""
    return PLACEHOLDER.sub("9.9 MB", text)


def test_titles_are_statements_of_at_most_90_characters_without_a_full_stop():
    titles = [each for each in texts() if each.path[-1] == "title" and "text" in each.path]
    assert titles
    assert [each.where for each in titles if each.words.endswith((".", "。")) or len(shown(each.words)) > 90] == []


def headings(part: str) -> list[Text]:
    return [each for each in texts() if each.path[-1] == part and "text" in each.path]


# Names that keep their capital within a sentence.
NAMES = words_of(
    "ARC BIMI DANE DKIM DKIM-Signature DMARC DNS DNSSEC Date From Gmail HELO HTML IPv4 IPv6 ISO-2022-JP"
    " List-Unsubscribe MIME MIME-Version MTA-STS MX Message-ID PDF Postmaster RSA Re Reply-To Return-Path SHA-256"
    " SNDS SPF TLS TLS-RPT TLSA"
)


def test_what_is_wrong_and_what_is_looked_at_read_within_a_sentence():
    """The loader holds them to their width and their end."""
    english = [each for part in ("short", "noun") for each in headings(part) if each.lang == "en"]
    assert english
    found = [each.where for each in english if (first := each.words.split()[0])[0].isupper() and first not in NAMES]
    assert not found, listed(found)


def test_what_is_wrong_in_japanese_stands_before_a_reason_word():
    """In plain form: ため follows a verb or an adjective, not a noun and not です・ます."""
    plain = re.compile(r"(?:[るいくすつぬうむ]|ない|た)\Z")
    found = [
        f"{each.where}: {each.words}"
        for each in headings("short")
        if each.lang == "ja" and (not plain.search(each.words) or POLITE.search(each.words))
    ]
    assert not found, listed(found)


def test_sentences_end_with_a_full_stop_or_with_the_value_that_they_announce():
    stops = {"en": (".", ".”", ".)"), "ja": ("。", "。」")}
    announce = {"en": re.compile(r": (?:(?!\. [A-Z]).)+\Z"), "ja": re.compile(r"：[^。]+\Z")}
    found = [
        each.where
        for each in texts()
        if each.is_sentence and not each.words.endswith(stops[each.lang]) and not announce[each.lang].search(each.words)
    ]
    assert not found, listed(found)


# Acronyms that need no explanation here: everyday ones, names (J:COM), and values that a reader copies as they are.
EVERYDAY = words_of(
    """
    A AAAA ASCII CC CR CRLF CSS DNS FAQ GIF HTML HTTP HTTPS ID IP IPv4 IPv6 JPEG JSON KB LF MB NUL OK PDF PNG
    POST RFC SMTP SVG TCP TIFF TXT URL US USB UTF VPN WebP ZIP BMP IMAP NEW AU KDDI NTT JAPAN ISO JP SHA RSA MX
    CLI API TOML YAML AI
    CSV SQL VALUE UTF-8 US-ASCII ISO-2022-JP SHA-1 SHA-256 MIME-Version STARTTLS FILE NUMBER ADDRESS NAME
    UTF-16 CP932 DOMAIN GB RAR MUST SHOULD GMX WEB DE AT COM WARNING PIN MMS BIGLOBE OCN UOL BOL IONOS
    """
)
# Placeholders of help texts, and a word of zone files.
TYPED = words_of(
    """
    TEXT LIST FOLDER OUT HOST PREFIX WORD FACTS PORT TYPE HEAD HH MM DIR ORIGIN SYNOPSIS DESCRIPTION ZONE
    ID OLD GROUP IGNORE REPLY SECONDS STAGE WHEN
    """
)
# Explained where they are used, or words of the reader's trade.
EXPLAINED = words_of(
    """
    SBL XBL BCL DROP SURBL URIBL
    CSRF DPI PS HME1 JMRP SNDS RCPT TO DATA AUTH PBL SES XML NXDOMAIN NODATA DNAME NTP SRS TLSA DS PEM S/MIME MIME
    M3AAWG SMTPUTF8 ISO-8859 IETF DBL TTL ROCA CVE-2017-15361 SERVFAIL REFUSED NSEC NSEC3 CPU PATH
    BSI TR-03108 TR-03182 RSA-SHA256 NCSC NCSC-NL CAA RPKI METI NPA MIC PCI UK DHS CISA RC4 AOL SOR SAN
    BIND AXFR YAML AWS
    """
)


def test_every_acronym_is_in_the_glossary_or_is_an_everyday_word():
    explained = " ".join(f"{term.id.upper()} {term.term['en']} {term.text['en']}" for term in glossary_terms())
    known = set(re.findall(r"[A-Z0-9][A-Za-z0-9/-]*", explained)) | {*EVERYDAY, *EXPLAINED, *TYPED}
    found: dict[str, str] = {}
    for each in english():
        for token in re.findall(r"(?<![\w.=/-])[A-Z][A-Z0-9]+(?:-[A-Z0-9]+)*(?![\w-])", each.plain):
            if token not in known and not re.fullmatch(r"[A-Z]+-\d{3}|G\d+|TLSV1", token):
                found.setdefault(token, each.where)
    assert not found, listed([f"{where}: {token}" for token, where in found.items()])


# Japanese


LONG_VOWEL = (
    "サーバ|ユーザ|フォルダ|ブラウザ|ヘッダ|フッタ|フィルタ|セレクタ|エディタ|リゾルバ"
    "|パラメータ|プロバイダ|コンピュータ|ルータ|エンコーダ|モニタ"
)
KANJI = (
    r"下さい|出来|(?<!仕)(?<!記)(?<!食)事[がをはに]|又は|若しくは|及び|並びに|(?<!安)全て|[がはも]無い|為に|(?<!変)更に|既に|但し",
    r"尚[、は]|予め|殆ど|(?<![同一多仕])様に|分か[らりるっ]|分かれば|気づ[くきけいか]|恐れ|だれ[もでがか]|(?<!利)(?<!自)他[のにで]",
    r"[一二三]つ|宜しく|(?<!一)致しま|頂[きけ]|沢山|丁度",
)
VARIANTS = (
    r"ウェブ|ログイン|エラーメール|受信箱|Eメール|Ｅメール|(?<!特定)電子メール|メルマガ|ホームページ|いちばん|あとから|(?<!施行)規則(?!上)|監査",
    r"(?<!米国)(?<!米国の)Yahoo",
)
JAPANESE_STYLE = {
    "長音を付ける": f"(?:{LONG_VOWEL})(?![ーァ-ヺ])",
    "半角カタカナ": r"(?![ｱｲｳ])[ｦ-ﾟ]",  # ｱｲｳ is the example of the rule about them
    "全角英数字": r"[０-９Ａ-Ｚａ-ｚ]",
    "半角の約物": rf"[{JAPANESE}）」][!?,.;:()]|[(!?;)][{JAPANESE}「]|: \ufffc?[{JAPANESE}]",
    "和文と英数字の間の空白": rf"[{JAPANESE}、。（）「」] [!-~]|(?!(?<=\d)\.)[!-~] [{JAPANESE}（「]",
    "差し込まれる値の前後の空白": rf"\ufffc [{JAPANESE}（「]|[はがをにでとのもへに] \ufffc",
    "感嘆符・疑問符": r"[！？]",
    "括弧の入れ子と連続": BRACKETS,
    "漢字とかな": "|".join(KANJI),
    "表記の統一": "|".join(VARIANTS),
    "助詞の重なり": r"をを|がが|はは|にに|へへ|(?<!ま)でで|(?<!も)のの|(?<!こ)とと(?!も)",
    "冗長な言い回し": r"することができ|することが可能|行うことができ|させていただ|となっております|という形で",
}


@pytest.mark.parametrize("rule", JAPANESE_STYLE)
def test_japanese_house_style(rule):
    found = [
        f"{each.where}: {each.plain[max(0, match.start() - 8) : match.end() + 8]}"
        for each in japanese()
        if (match := re.search(JAPANESE_STYLE[rule], each.plain))
    ]
    assert not found, listed(found)


POLITE = re.compile(r"(?:です|ます|ません|でした|ました|でしょう|ください|ますか|ですか|ましたか)[）」]?\Z")


def test_japanese_sentences_are_polite():
    found = [
        f"{each.where}: {sentence}"
        for each in japanese()
        if each.path[-1] != "title"
        for sentence in each.plain.split("。")[:-1]
        if (said := re.sub(r"(?:（[^（）]*）|\ufffc)+\Z", "", sentence))
        and not POLITE.search(said)
        and "：" not in said
    ]
    assert not found, listed(found)


def test_japanese_steps_say_what_to_do_without_asking():
    assert [
        each.where for each in japanese() if "fix" in each.path and "ください" in re.sub("「[^」]*」", "", each.plain)
    ] == []


def test_japanese_sentences_have_at_most_120_characters():
    found = [
        f"{each.where}: {len(sentence)}: {sentence}"
        for each in japanese()
        for sentence in each.plain.replace("\ufffc", "○○○○○").split("。")
        if len(sentence) > 120
    ]
    assert not found, listed(found)


def test_japanese_brackets_are_balanced():
    pairs = ("「」", "『』", "（）")
    found = [each.where for each in japanese() for a, b in pairs if each.words.count(a) != each.words.count(b)]
    assert not found, listed(found)


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("長音を付ける", "サーバを"),
        ("半角カタカナ", "ﾒｰﾙ"),
        ("全角英数字", "ＳＰＦ"),
        ("半角の約物", "レコード(TXT)"),
        ("半角の約物", "現在のレコード: x"),
        ("和文と英数字の間の空白", "この SPF"),
        ("和文と英数字の間の空白", "SPF レコード"),
        ("差し込まれる値の前後の空白", "\ufffc に作成されます"),
        ("差し込まれる値の前後の空白", "最初の診断で \ufffcに作成されます"),
        ("括弧の入れ子と連続", "レコード（次の値（TXT）です）"),
        ("括弧の入れ子と連続", "レコード（TXT）（必須）"),
        ("漢字とかな", "設定して下さい"),
        ("表記の統一", "ウェブページ"),
        ("助詞の重なり", "レコードをを"),
        ("冗長な言い回し", "送信することができます"),
    ],
)
def test_the_japanese_rules_find_what_they_are_for(rule, bad):
    assert re.search(JAPANESE_STYLE[rule], bad)


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("US spelling", "the organisation"),
        ("email, not e-mail", "an e-mail"),
        ("percent", "37 % more"),
        ("no exclamation mark", "Done!"),
        ("no blame", "You forgot the record"),
        ("no doubled word", "of the the domain"),
    ],
)
def test_the_english_rules_find_what_they_are_for(rule, bad):
    assert re.search(ENGLISH[rule], bad)
