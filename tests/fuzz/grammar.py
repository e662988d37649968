"""Grammars: texts that are nearly right, so that they get further into a reader than mutated octets do.

A grammar maps names to alternatives, in which ``<name>`` stands for one of that name's; the text begins with ``start``.
Other names in angles stand for themselves, as does ``<name >``.
"""

# ruff: noqa: E501 - the formats have lines as long as these
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

Grammar = Mapping[str, Sequence[str]]

_NAME = re.compile(r"<([a-z0-9]+)>")
DEEPEST = 12
AS_IT_IS = -1
LONGEST = 20_000

# What every format has.
COMMON: Grammar = {
    "domain": ("example.com", "a.example.com", "b.example", "xn--wgv71a.example", "EXAMPLE.com.", "_x.a.b", "a..b", "日本.example"),
    "ip4": ("192.0.2.1", "198.51.100.255", "0.0.0.0", "10.0.0.1", "256.1.1.1", "1.2.3", "::ffff:192.0.2.1"),
    "ip6": ("2001:db8::1", "::", "fe80::1%eth0", "2001:db8::/129", "1::2::3"),
    "digit": tuple("0123456789"),
    "digits": ("<digit>", "<digit><digits>"),
    "number": ("0", "1", "<digits>", "-1", "00", "4294967296", "9223372036854775808", "1e400", "99999999999999999999", "1.5"),
    "word": ("a", "b", "none", "pass", "reject", "mailto", "v", "", "é", "あ", "%{d}", "\\", '"', "\x00"),
    "sp": ("", " ", "  ", "\t", "\r\n ", "\u00a0"),
    "b64": ("", "YQ==", "AAAA", "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "*", "A"),
    "address": ("a@example.com", "<word>@<domain>", '"a b"@example.com', "a@[192.0.2.1]", "@", "あ@example.com"),
    "uri": ("mailto:<address>", "mailto:<address>!10m", "https://<domain>/<word>", "http://[", "mailto:", "<word>"),
    "date": (
        "Mon, 5 Oct 2026 06:00:00 +0000", "2026-10-05T06:00:00Z", "Oct  5 06:00:00", "1790000000", "<number>",
        "31 Feb 2026 25:61:61 +9999", "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00+14:00",
    ),
    "status": ("5.1.1", "4.2.2", "2.0.0", "5.<number>.<number>", "9.9.9", "5"),
    "reply": ("550 <status> <word>", "550-<status> a\r\n550 b", "451 4.7.1 Greylisted", "250 ok", "<number> <word>"),
}  # fmt: skip


def of(**rules: Sequence[str]) -> Grammar:
    """A grammar with what every format has."""
    return COMMON | rules


def tags(first: str, *names: str) -> Grammar:
    """A list of tags, as most records of mail have it."""
    return of(
        start=(f"{first}<tags>",),
        tags=("", "<tag>", "<tag><tags>", "<tag><tag><tags>"),
        tag=(";<sp><name><sp>=<sp><value>", ";", "; <name>", "<name>=<value>;"),
        name=(*names, "x", "<word>"),
        value=("<word>", "<number>", "<domain>", "<uri>", "<uri>,<uri>", "<b64>", "r", "s", "y", "0:1:d:s", "reject", "none"),
    )  # fmt: skip


SPF = of(
    start=("<terms>",),
    terms=("<term>", "<term> <terms>", "<term>  <terms>", "<term> <term> <terms>"),
    term=("<sign><mechanism>", "<modifier>", "<word>"),
    sign=("", "", "", "+", "-", "~", "?", "--"),
    mechanism=(
        "all", "ip4:<ip4><cidr>", "ip6:<ip6><cidr>", "a<target><cidr>", "mx<target><cidr>", "include:<spec>",
        "exists:<spec>", "ptr<target>", "ip4:<word>",
    ),
    target=("", ":<spec>", ":", ":<word>"),
    cidr=("", "/<number>", "//<number>", "/<number>//<number>", "/"),
    modifier=("redirect=<spec>", "exp=<spec>", "<word>=<spec>", "redirect="),
    spec=("<domain>", "<macro>.<domain>", "<macro>", "a.example.com", "b.example.com", "<word>"),
    macro=("%{<letter><digits>}", "%{<letter>r}", "%{<letter>r.-+,/_=}", "%%", "%_", "%-", "%", "%{", "%{<letter><number>r}"),
    letter=tuple("slodiphcrtvSLODx"),
)  # fmt: skip

MAIL = of(
    start=("<fields>\r\n<body>",),
    fields=("<field>\r\n", "<field>\r\n<fields>", "<field>\r\n<field>\r\n<fields>"),
    field=(
        "From: <who>", "To: <who>", "Subject: <words>", "Date: <date>", "Message-ID: <<address>>", "<word>: <words>",
        "Received: from <domain> (<domain> [<ip4>]) by <domain> with ESMTPS id 1; <date>",
        "Authentication-Results: <domain>; spf=<word> smtp.mailfrom=<domain>; dkim=pass header.d=<domain>",
        "DKIM-Signature: v=1; a=rsa-sha256; d=<domain>; s=a; h=from:to; bh=<b64>; b=<b64>; l=<number>; t=<number>",
        "ARC-Seal: i=<number>; a=rsa-sha256; cv=none; d=<domain>; s=a; b=<b64>", "List-Unsubscribe: <<uri>>, <<uri>>",
        "Return-Path: <<address>>", "Content-Type: <type>", "Content-Transfer-Encoding: <encoding>", "\tfolded <words>",
        "Content-Disposition: attachment; filename*0*=utf-8''<word>; filename=\"<word>.zip\"", "X-Spam: <words>",
    ),
    who=("<address>", "<words> <<address>>", "g: <address>, <address>;", "<words>", ""),
    words=("<word>", "<word> <words>", "=?utf-8?b?<b64>?= <words>", "=?<word>?q?<word>?="),
    type=(
        "text/plain; charset=<charset>", "text/html", "multipart/mixed; boundary=b", "multipart/report; report-type=delivery-status; boundary=b",
        "message/rfc822", "message/delivery-status", "message/feedback-report", "application/gzip", "<word>/<word>; a=b",
    ),
    charset=("utf-8", "iso-2022-jp", "<word>", "utf-7", "utf-16"),
    encoding=("7bit", "base64", "quoted-printable", "<word>"),
    body=("<text>", "<part><part>--b--\r\n", "<part><text>", ""),
    part=("--b\r\n<fields>\r\n<text>\r\n", "--b\r\nContent-Type: message/delivery-status\r\n\r\n<dsn>\r\n\r\n<dsn>\r\n", "--b\r\n\r\n<text>\r\n"),
    dsn=(
        "Reporting-MTA: dns; <domain>\r\nArrival-Date: <date>",
        "Final-Recipient: rfc822; <address>\r\nAction: failed\r\nStatus: <status>\r\nDiagnostic-Code: smtp; <reply>",
        "Feedback-Type: <word>\r\nVersion: 1\r\nSource-IP: <ip4>\r\nOriginal-Rcpt-To: <address>\r\nArrival-Date: <date>",
    ),
    text=("<words>\r\n", "<html>", "host <domain>[<ip4>] said: <reply>\r\n", "<b64>\r\n", "=<word>=\r\n", "<text><text>"),
    html=("<b><a href='<uri>'><words></a><html>", "<style>a{b:url(<uri>)}</style>", "<img src=<uri> width=<number>>", "<!-- <word> "),
)  # fmt: skip

AGGREGATE = of(
    start=("<head><feedback><metadata><policy><records></feedback>", "<head><feedback><records><metadata></feedback>"),
    head=("", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='<charset>'?>", "<!DOCTYPE a [<!ENTITY b 'c'>]>", "\ufeff"),
    charset=("utf-8", "big5", "shift_jis", "utf-16", "<word>"),
    metadata=(
        "<report_metadata><org_name><word></org_name><report_id><word></report_id><date_range><begin><stamp></begin>"
        "<end><stamp></end></date_range></report_metadata>", "<report_metadata/>", "",
    ),
    stamp=("1763856000", "1763942399", "<number>"),
    policy=("<policy_published><domain ><domain></domain><p><word></p><pct><number></pct></policy_published>", ""),
    records=("<record>", "<record><records>", ""),
    record=(
        "<record ><row><source_ip><ip></source_ip><count><number></count><policy_evaluated><disposition><word></disposition>"
        "<dkim><word></dkim><spf><word></spf></policy_evaluated></row><identifiers><header_from><domain></header_from>"
        "</identifiers><auth_results><dkim><domain ><domain></domain><selector><word></selector><result><word></result></dkim>"
        "</auth_results></record>", "<record ><row><count><number></count></row></record>", "<record >", "<<word>>", "&<word>;",
    ),
    ip=("<ip4>", "<ip6>"),
)  # fmt: skip

JSON = of(
    start=("<value>",),
    value=("<object>", "[<values>]", "<string>", "<number>", "true", "null"),
    values=("", "<value>", "<value>, <values>"),
    object=("{<pairs>}",),
    pairs=("", "<pair>", "<pair>, <pairs>"),
    pair=("<string>: <value>",),
    string=('"<word>"', '"<domain>"', '"<address>"', '"<date>"', '"\\ud800"', '"<key>"'),
    key=("a", "dns", "facts", "format", "evidence", "subject", "domain", "reason", "unknown", "value", "type"),
)


def document(keys: Sequence[str], *objects: str) -> Grammar:
    """JSON in which those keys come up, and whole objects that are nearly right."""
    return {
        **JSON,
        "start": ("<value>", *objects, *(f"[{each}]" for each in objects)),
        "value": (*JSON["value"], *objects),
        "key": tuple(keys),
    }


TLS = document(
    ("organization-name", "date-range", "policies", "policy", "summary", "failure-details", "report-id", "mx-host"),
    '{"organization-name": <string>, "date-range": {"start-datetime": "<date>", "end-datetime": "<date>"}, "report-id": <value>,'
    ' "policies": [{"policy": {"policy-type": "sts", "policy-domain": "<domain>", "policy-string": <value>, "mx-host": <value>},'
    ' "summary": {"total-successful-session-count": <value>, "total-failure-session-count": <number>},'
    ' "failure-details": [<value>]}]}',
)
EVENTS = document(
    ("eventType", "mail", "bounce", "event", "email", "RecordType", "reason", "recipient", "timestamp", "Type"),
    '{"eventType": "Bounce", "mail": {"source": "<address>", "timestamp": "<date>"}, "bounce": {"bounceType": <value>,'
    ' "bouncedRecipients": [{"emailAddress": "<address>", "diagnosticCode": "smtp; <reply>", "status": "<status>"}]}}',
    '{"event": "bounce", "email": "<address>", "timestamp": <number>, "reason": "<reply>", "status": "<status>", "sg_event_id": <value>}',
    '{"event-data": {"event": "failed", "severity": <value>, "recipient": "<address>", "timestamp": <number>,'
    ' "delivery-status": {"code": <value>, "message": "<reply>"}}, "signature": {}}',
    '{"RecordType": "Bounce", "Type": <string>, "Email": "<address>", "BouncedAt": "<date>", "From": "<address>", "Details": "<reply>"}',
)
RECORDING = document(
    ("dns", "http", "format", "schema_version", "now", "records", "ttl", "failed"),
    '{"format": "deliv-recording", "schema_version": <number>, "now": "<date>", "dns": {"TXT <domain>": <value>}}',
    '{"format": "deliv-recording", "schema_version": 1, "now": "2026-11-24T00:00:00Z", "dns": {"<domain>": {"TXT": <value>}}}',
)
FACTS = document(
    ("facts", "evidence", "subject", "unknown", "reason", "value"),
    '{"subject": {"domain": <value>, "started": "<date>"}, "facts": {"spf.lookups": <value>, "dmarc.policy": {"unknown": <value>}},'
    ' "evidence": [<value>]}',
)
NOTIFICATION = document(
    ("kind", "to", "created", "attempts", "problem", "email", "webhook"),
    '{"kind": "email", "to": [<value>, "<address>"], "created": "<date>", "attempts": <value>, "problem": <value>}',
)
SUMMARY = document(
    (
        "started",
        "previous",
        "subjects",
        "exit_code",
        "version",
        "removed",
        "unread",
        "domain",
        "verdicts",
        "comparison",
        "changes",
    ),
    '{"started": "<date>", "previous": <value>, "subjects": [{"domain": "<domain>", "source": <value>, "verdicts": [<value>],'
    ' "comparison": <value>, "problems": [<value>]}], "exit_code": <number>, "version": "1", "removed": [<value>],'
    ' "unread": [{"code": <value>, "args": <value>}]}',
)
CAPTURE = document(
    ("id", "at", "octets", "envelope", "subject", "summary", "problems", "name", "author"),
    '{"id": <value>, "at": "<date>", "octets": <value>, "envelope": <value>, "subject": <value>, "author": <value>,'
    ' "summary": <value>, "problems": [{"code": <value>, "args": <value>}], "name": <value>}',
)

LOG = of(
    start=("<lines>",),
    lines=("<line>\n", "<line>\n<lines>", "<line>\n<line>\n<lines>"),
    line=(
        "<time> mx postfix/smtp[<number>]: <queue>: to=<<address>>, relay=<domain>[<ip4>]:25, delay=<number>, dsn=<status>, status=<state> (host <domain>[<ip4>] said: <reply>)",
        "<time> mx postfix/qmgr[1]: <queue>: from=<<address>>, size=1, nrcpt=1 (queue active)",
        "2026-10-05 06:00:00 <queue> => <address> R=dnslookup T=remote_smtp H=<domain> [<ip4>] C=\"<reply>\"",
        "2026-10-05 06:00:00 <queue> ** <address> R=dnslookup T=remote_smtp: SMTP error: <reply>",
        "<time> mx sendmail[1]: <queue>: to=<<address>>, delay=00:00:01, mailer=esmtp, relay=<domain>. [<ip4>], dsn=<status>, stat=<reply>",
        "@4000000052<number> delivery <number>: failure: <reply>", "@4000000052<number> starting delivery <number>: msg 1 to remote <address>",
        "<date>,<ip4>,<domain>,<ip4>,<domain>,<word>,SMTP,SEND,<number>,<address>,<address>,<reply>", "#Fields: date-time,client-ip,event-id,<word>",
    ),
    time=("Oct  5 06:00:00", "2026-10-05T06:00:00.000000+00:00", "<date>", "Feb 31 25:00:00"),
    queue=("4bXyZ1", "1vAbCd-0000001-AB", "<word>", "ABCDEF0123"),
    state=("sent", "bounced", "deferred", "<word>"),
)  # fmt: skip

TABLE = of(
    start=(
        "<lines>",
        "email<by>confirmed<by>active\r\n<lines>",
        "\ufeffメールアドレス,同意\n<lines>",
        "#<word>\n<lines>",
    ),
    lines=("<line>\n", "<line>\r\n<lines>", "<line>\r<lines>", '"<line>\n<lines>"'),
    line=("<cell>", "<cell><by><cell>", "<cell><by><cell><by><cell>", ""),
    cell=("<address>", "<domain>", "<date>", "yes", "<number>", '"<word>"', '"', "'=1+1", "<ip4>/<number>", "<word>"),
    by=(",", ";", "\t", "|", " "),
)

TOML = of(
    start=("<lines>",),
    lines=("<line>\n", "<line>\n<lines>", "<line>\n<line>\n<lines>"),
    line=("<key> = <value>", "[<table>]", "[[<table>]]", "# <word>", "<word>"),
    key=(
        "domains", "lang", "timeout", "history", "output", "keep", "fail_on", "rules", "name", "purpose", "selectors",
        "to", "sender", "host", "port", "security", "url", "places", "done", "rule", "reason", "until", "messages", "domain", "ignore",
        "resolver", "waiver.rule", "<word>", '"<word>"',
    ),
    table=("notify.email", "notify.webhook", "feedback", "feedback.mailbox", "domain", "waiver", "source", "reputation", "<word>"),
    value=(
        '"<word>"', '"<domain>"', "<number>", "true", "[]", '["<domain>", "<address>"]', "{ a = <value> }", "2026-10-05", "2026-02-31",
        '"mx"', '"error"', '"ja"', '"parked"', '"""<word>', "inf", "0x<number>", "[<value>, <value>]", '"accepted-risk"', '"move:<word>"',
    ),
)  # fmt: skip

YAML = of(
    start=("<items>",),
    items=("<item>\n", "<item>\n<items>"),
    item=(
        "- id: SPF-<number>\n  name: <word>\n  since: '0.1'\n  scope: delivery\n  severity: <severity>\n  level: heuristic\n"
        "  effort: low\n  confidence: high\n  require: <condition>\n  sources: [{ref: rfc7208}]\n  text:\n    en: <text>\n    ja: <text>",
        "<key>: <value>", "- <value>", "- {<key>: <value>}",
    ),
    severity=("error", "warning", "info", "<word>"),
    condition=(
        "{fact: spf.lookups, le: <value>}", "{fact: <word>, <op>: <value>}", "{all: [<condition>, <condition>]}", "{not: <condition>}",
        "{any: []}", "<value>", "{fact: 'dkim.keys[].bits', any: {ge: <number>}}",
    ),
    op=("eq", "ne", "le", "in", "matches", "is", "contains", "<word>"),
    text=("{title: a, short: b, noun: c, met: d., unmet: '{spf.lookups}.', why: e., fix: [f.]}", "{title: <value>}", "<value>"),
    key=("id", "name", "title", "sources", "rules", "types", "patterns", "url", "checked", "zones", "<word>"),
    value=("<word>", "<number>", "[<value>, <value>]", "{<key>: <value>}", "'<word>'", "&a b", "*a", "!!str a", "null", "|\n    <word>", "~"),
)  # fmt: skip

ZONE = of(
    start=("$ORIGIN example.com.\n<lines>", "<lines>"),
    lines=("<line>\n", "<line>\n<lines>", "<line>\n<line>\n<lines>"),
    line=(
        "@ <number> IN SOA ns h 1 2 3 4 5", "<owner> <number> IN TXT <text>", "<owner> MX <number> <domain>", "<owner> A <ip4>",
        "<owner> CNAME <domain>", "$TTL <number>", "$INCLUDE <word>", "$GENERATE 1-<number> a$ A 192.0.2.$", "<owner> NS <domain>",
        "( <word>", "; <word>", "<owner> TLSA 3 1 1 <b64>", "* TXT <text>",
    ),
    owner=("@", "a", "_dmarc", "*", "<domain>", "", "\\000", "s._domainkey"),
    text=('"v=spf1 -all"', '"v=DMARC1; p=none"', '"<word>" "<word>"', "<word>", '"\\255\\1"', '"'),
)  # fmt: skip

DMARC = tags("v=DMARC1", "p", "sp", "np", "rua", "ruf", "adkim", "aspf", "fo", "pct", "ri", "rf", "psd", "t")
DKIM = tags("v=DKIM1", "k", "p", "t", "s", "h", "n", "g")
BIMI = tags("v=BIMI1", "l", "a", "avp")
STS = tags("v=STSv1", "id")
TLSRPT = tags("v=TLSRPTv1", "rua")
SIGNATURE = tags("v=1; a=rsa-sha256; d=example.com; s=a", "b", "bh", "c", "h", "i", "l", "q", "t", "x", "z")
DOMAIN = {**SPF, "start": ("v=spf1 <terms>\n<others>",), "others": ("<other>", "<other>\n<other>"), "other": (
    "v=DMARC1; p=<word>; rua=<uri>,<uri>; pct=<number>", "v=STSv1; id=<word>", "v=TLSRPTv1; rua=<uri>",
    "v=BIMI1; l=https://<domain>/<word>", "v=DKIM1; k=rsa; p=<b64>", "<word>",
)}  # fmt: skip


def generated(grammar: Grammar, random: Random) -> bytes:
    """A text of the grammar; where it gets too deep or too long, the shortest alternatives end it."""
    out: list[str] = []
    size = 0
    stack: list[tuple[str, int]] = [("<start>", 0)]
    while stack:
        text, depth = stack.pop()
        pieces = [text] if depth == AS_IT_IS else _NAME.split(text)
        if len(pieces) == 1:
            out.append(text)
            size += len(text)
            continue
        following: list[tuple[str, int]] = []
        for place, piece in enumerate(pieces):
            if place % 2 == 0:
                following.append((piece, AS_IT_IS))
            elif piece not in grammar:
                following.append((f"<{piece}>", AS_IT_IS))
            elif depth >= DEEPEST or size > LONGEST:
                following.append((_ending(grammar[piece]), depth))
            else:
                following.append((random.choice(grammar[piece]), depth + 1))
        stack += reversed(following)
    return "".join(out).encode("utf-8", "surrogateescape")


def _ending(alternatives: Sequence[str]) -> str:
    """The alternative that leads no further, or no word at all."""
    return min((each for each in alternatives if not _NAME.search(each)), key=len, default="")


Made = Callable[[Random], bytes]


def maker(grammar: Grammar) -> Made:
    """Makes texts of that grammar."""
    return lambda random: generated(grammar, random)
