"""Replies read out of plain text: pasted replies, log lines, notices for people.

RFC 5321 section 4.2 gives the shape of a reply (code, ``-`` on all lines but the last, text), RFC 2034 puts the
enhanced status code at the beginning of the text of each line. Everything here takes time linear in the length of the
text, since no pattern can match in more than one way over long stretches; callers bound it to MAX_TEXT or so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.model.replies import AFTER_DATA, Reply

MAX_TEXT = 1_000_000
MAX_REPLIES = 2_000
_MAX_REPLY = 2_000
_MAX_BLOCK = 20_000
_MAX_STARTS = 64
_LEAD_LENGTH = 48

_ENHANCED = r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![.0-9])"
# "550 5.7.1", "550-5.7.1", "550 #5.1.0", "550-'5.7.1", "550; 5.7.515": the two codes together are a reply wherever they
# stand.
_STRONG = re.compile(
    rf"(?<![\w.@/+-])(?P<code>[45][0-9]{{2}})(?P<sep>[ \n-]|[:;][ ])[ ]?['#]{{0,2}}(?P<enhanced>{_ENHANCED})"
)
# A code alone is one only where a reply is to be expected.
_HINT = re.compile(r"[245](?:[0-9][0-9]|\.[0-9])")
_WEAK = re.compile(
    r"(?<![\w.@/+-])#?(?P<code>[45][0-9]{2})(?P<sep>[ \n-]|[:;][ ])(?:-[ ])?"
    r"(?=[^\s0-9]|(?:[0-9]{1,3}\.){3}[0-9]|[0-9]{1,2} [A-Z])"
)
_NO_CODE = re.compile(r"[ ]?(?:(?:bytes?|octets?|[kmg]i?b|msec|ms|sec(?:onds?)?|px)\b|for [A-Z]{4}\b)", re.I)
_LEAD = re.compile(
    r"(?:^|\n|[\])>]\s{0,2}:|<<<|[({\[\"']|"
    r"\b(?:said|says?|returned|respon[sd]e?d?|reply|replied|was|with|errors?|reason|message|smtp|status|code|me|led|msg|"
    r"rejected|server|stat|dsn|result|deferred|fail(?:ed|ure)|err|diagnosticcode|description)\b[^\w\n]{0,4})\s{0,3}\Z",
    re.I,
)
_BARE = re.compile(
    r"(?:\A|\n|\b[Rr]eason:)(?:--)?[ ]*#?(?P<enhanced>[45]\.[0-7]\.[0-9]{1,3})(?![.0-9])(?=[\s>)\],;:-]|\Z)"
)
_HASHED = re.compile(r"#(?P<enhanced>[45]\.[0-7]\.[0-9]{1,3})(?![.0-9])")
_ACCEPTED = re.compile(rf"\A\s*(?P<code>2[0-9]{{2}})[ -](?P<enhanced>{_ENHANCED})?")
_IN_BRACKETS = re.compile(rf"\((?P<code>2[0-9]{{2}})[ -](?P<enhanced>{_ENHANCED})?")
_LOGGED = re.compile(r"\bdsn=(?P<status>[245]\.[0-9]{1,3}\.[0-9]{1,3})\b")
_STAT = re.compile(r"\bstat(?:us)?=(?P<text>[^\n]*)")
# The commands that the next reply answers, as transcripts, qmail and dma write them.
_ASKED = re.compile(
    r"(?:>>>|In:)[ ]+(?P<sent>(?:RCPT|MAIL)[ ]?(?:TO|FROM)?|DATA|BDAT|EHLO|HELO|VRFY|\.\Z)|"
    r"(?P<rcpt>does not like recipient)|(?P<data>failed after I sent the message)|(?P<mail>sender was rejected)|"
    r"did not like our (?P<final>final )?(?P<liked>[A-Z]{4}(?: (?:TO|FROM))?)",
    re.I,
)
_BRACKETED = re.compile(r"\[(?P<command>RCPT_TO|MAIL_FROM|DATA|BODY|CONNECT|HELO|EHLO)\]\Z")
_COMMAND = re.compile(
    r"\(in reply to (?P<end>end of )?(?P<command>[A-Z]{4}(?: (?:TO|FROM|content))?)|"
    r"\bafter (?:pipelined )?(?P<late>end of )?(?P<after>data|RCPT TO|MAIL FROM|EHLO|HELO|DATA)\b"
)
_END = re.compile(
    r"\(in reply to\b|\"\s?[,}\]]|\};\{[A-Z]{2,5}=|\bRemote system: |\(delivery attempts: |\(expanded from: |"
    r"\n\[[A-Z_]{4,9}\]\Z|\bGiving up on [0-9]|\n[^\S\n]*+(?:>>>|Out: |In: )"
)
_HOST = re.compile(
    r"(?:\b(?:host|server|talking to|connect to|contacting)|\bH=|\brelay=|\bmx=)\s?<?"
    r"(?P<host>[a-z0-9][a-z0-9.-]{1,252})",
    re.I,
)
_HOST_LINE = re.compile(r"(?P<host>[a-z0-9][a-z0-9.-]{1,252}\.[a-z]{2,24})\.? [\[(][0-9a-f.:]{2,45}[\])]:?\Z", re.I)
_ADDRESS = r"[^\s<>,;:\"'()\[\]]{1,64}@[^\s<>,;:\"'()\[\]]{1,253}"
_RECIPIENT = re.compile(
    rf"(?:\bto=<?|\A\s*<?|\*\* |== |RCPT TO: ?<?|\b(?:mail|message|delivery|deliver(?:ed)?|sent) to:? <?)"
    rf"(?P<address>{_ADDRESS})",
    re.I,
)
# Old sendmail: "554 <a@example.org>... 550 Host unknown".
_NESTED = re.compile(rf"\A\s*<(?P<address>{_ADDRESS})>\.\.\. [45][0-9]{{2}} ")
_QMAIL = re.compile(r"delivery [0-9]+: (?:failure|deferral|success): (\S+)")
_WRAPPED = 50
_WRAPPED_MOST = 500
_REPLY_VERB = re.compile(r"\b(?:said|says|returned|response)\b", re.I)
_BEGINS = re.compile(rf"<?{_ADDRESS}|[A-Z][a-z]{{2}} [ 0-9][0-9] |[0-9]{{4}}-[0-9]{{2}}-|[245][0-9]{{2}}[ -]|[-=*#>]")
_ZOHO = re.compile(r"ERROR_CODE :([45][0-9]{2}), (?:ERROR_CODE :)?([45]\.[0-9.]{3,7} )?")
_WHITE = re.compile(r"\s+")
_QUOTED = re.compile(r"[ \t]*+>(?!>>)[ \t]?")


class Block(Struct, frozen=True):
    """Lines that belong together, joined by line feeds; host, recipient and command as known from around it."""

    text: str
    host: str = ""
    recipient: str = ""
    command: str = ""


def replies_in(text: str, *, recipient: str = "", most: int = MAX_REPLIES) -> tuple[Reply, ...]:
    """The replies in `text`, in order, up to `most`; `recipient` fills what it lacks."""
    found: list[Reply] = []
    for block in blocks(text):
        for reply in _in_block(block):
            found.append(replace(reply, recipient=reply.recipient or recipient))
            if len(found) >= most:
                return tuple(found)
    return tuple(found)


def field_reply(value: str) -> Reply | None:
    """The reply in the value of one field, such as a Diagnostic-Code of type smtp; None where there is no code."""
    return next(_in_block(Block(value[:_MAX_BLOCK])), None)


def accepted(text: str) -> Reply | None:
    """A reply of acceptance (2xx) where the text begins with one, or is a log line that says so; else None."""
    match = _ACCEPTED.match(text)
    if match:
        return Reply(folded(text[match.end() :][:_MAX_REPLY]), match["code"], match["enhanced"] or "")
    logged = _LOGGED.search(text[:_MAX_BLOCK])
    if logged and logged["status"].startswith("2"):
        stat = _STAT.search(text, logged.end())
        words = folded(stat["text"][:_MAX_REPLY]) if stat else ""
        found = _IN_BRACKETS.search(words)
        recipient = _RECIPIENT.search(text[:_MAX_BLOCK])
        return Reply(
            _tidy(words[found.end() :]) if found else words,
            code=found["code"] if found else "",
            enhanced=(found["enhanced"] or "") if found else "",
            status=logged["status"],
            host=_last_host(text[: logged.start()][:_MAX_BLOCK]),
            recipient=recipient["address"] if recipient else "",
        )
    return None


def folded(text: str) -> str:
    """`text` in one line, runs of white space as one blank."""
    return _WHITE.sub(" ", text).strip()


def blocks(text: str) -> Iterator[Block]:
    """Lines put together where the later ones continue the first: by indentation, or as lines of one reply."""
    lines: list[str] = []
    size = indent = 0
    open_code = host = recipient = command = ""

    def finished() -> Iterator[Block]:
        nonlocal host, recipient
        if lines:
            joined = "\n".join(lines)
            if "." in joined:
                host = _last_host(joined) or host
            if "@" in joined and (match := _RECIPIENT.search(joined)) is not None:
                recipient = match["address"]
            yield Block(joined, host, recipient, command)

    for raw in _lines(text):
        quoted = _QUOTED.match(raw)
        line = raw[quoted.end() :] if quoted else raw
        bare = line.strip()
        if bare.startswith("<<< "):
            bare = bare[4:].lstrip()
            line = bare
        depth = len(line) - len(line.lstrip())
        continues = bool(open_code) and bare.startswith((f"{open_code}-", f"{open_code} "))
        belongs = bool(lines) and (
            continues
            or _BRACKETED.match(bare) is not None
            or (depth > 0 and (depth >= indent - 1 or len(lines) == 1))
            or _is_wrapped(lines, bare)
        )
        if not bare or bare.startswith(">>> ") or not belongs or size > _MAX_BLOCK:
            yield from finished()
            lines, size, open_code = [], 0, ""
            command = _asked(bare, command)
        if bare.startswith(">>> ") and (named := _RECIPIENT.search(bare)) is not None:
            recipient = named["address"]  # the command that the next replies answer
        if bare and not bare.startswith(">>> "):
            lines.append(bare)
            size += len(bare)
            indent = depth
            open_code = _open(bare, open_code)
    yield from finished()


def _asked(line: str, before: str) -> str:
    """The command that the replies in and after this line answer; an empty line ends what was said of one."""
    match = _ASKED.search(line[:_WRAPPED_MOST]) if line else None
    if match is None:
        return before if line else ""
    if match["rcpt"]:
        return "RCPT TO"
    if match["mail"]:
        return "MAIL FROM"
    asked = (match["sent"] or match["liked"] or ".").upper()
    return AFTER_DATA if asked == "." or match["final"] else asked


def _is_wrapped(lines: list[str], line: str) -> bool:
    """Whether a long line of a reply goes on here without indentation, as mail programs wrap what they quote."""
    return (
        len(lines[-1]) >= _WRAPPED
        and len(lines) < 20
        and _REPLY_VERB.search(lines[0]) is not None
        and not any("(in reply to" in each for each in lines)
        and _BEGINS.match(line) is None
    )


def _lines(text: str) -> Iterator[str]:
    for raw in text.splitlines():
        line = raw[:_MAX_BLOCK].expandtabs(8)[:_MAX_BLOCK]
        if "ERROR_CODE :" in line:
            line = _ZOHO.sub(r"said: \1 \2", line)
        if (logged := _QMAIL.search(line)) is not None:
            # qmail writes blanks as underscores and line ends as slashes; whole addresses are not in the line.
            yield from logged[1].replace("_", " ").split("/")
        elif "\\n" in line:
            # Exim logs the lines of a reply with \n between them.
            yield from line.replace("\\n", "\n").splitlines()
        else:
            yield line


def _open(line: str, before: str) -> str:
    """The code of a reply that goes on in the next line."""
    last = ""
    for match in re.finditer(r"(?:\A|[\s:;(\['\"])([245][0-9]{2})([ -])(?=\S)", line):
        if not last or match[1] == last:
            last = match[1] if match[2] == "-" else ""
    return last if last or not before or line.startswith(f"{before} ") else before


def _last_host(text: str) -> str:
    named = [match["host"].rstrip(".").lower() for match in _HOST.finditer(text)]
    named = [name for name in named if "." in name and not name.replace(".", "").isdigit()]
    if named:
        return named[-1]
    line = _HOST_LINE.search(text[-400:].rstrip())
    return line["host"].lower() if line else ""


class _Start(Struct, frozen=True):
    begin: int
    end: int
    code: str
    enhanced: str
    continued: bool


def _in_block(block: Block) -> Iterator[Reply]:
    text = block.text
    if not _HINT.search(text):
        return
    starts = _starts(text)
    position = 0
    found = False
    for index, start in enumerate(starts):
        if start.begin < position:
            continue
        following = starts[index + 1 :]
        if following and not text[start.end : following[0].begin].strip() and following[0].code == start.code:
            continue  # "554 554 5.7.1 ...": the second one says more
        stop = len(text)
        for later in following:
            if not (start.continued and later.code == start.code):
                stop = later.begin
                break
        if (ending := _END.search(text, start.end, stop)) is not None:
            stop = ending.start()
        lead = text[: start.begin].rstrip(" ")
        quote = lead[-1:] if lead[-1:] in ("'", '"') else ""
        if quote and (closing := text.find(quote, start.end, stop)) >= 0:
            stop = closing
        words = text[start.end : min(stop, start.end + 2 * _MAX_REPLY)]
        if start.continued:
            enhanced = rf"(?:['#]{{0,2}}{re.escape(start.enhanced)}(?=\s|\Z))?" if start.enhanced else ""
            words = re.sub(rf"(?:(?<=\s)|\A){start.code}(?:-|\s+){enhanced}", " ", words)
        position = stop
        found = True
        before = text[max(0, start.begin - 400) : start.begin]
        host = _last_host(before) or block.host
        recipient = _NESTED.match(words) or _RECIPIENT.search(text[max(0, start.begin - 1_000) : start.begin])
        yield Reply(
            text=_tidy(words),
            code=start.code,
            enhanced=start.enhanced,
            host=host,
            recipient=recipient["address"] if recipient else block.recipient,
            command=_command(text, start.begin, stop) or block.command,
        )
    if not found:
        yield from _without_code(block)


def _without_code(block: Block) -> Iterator[Reply]:
    """Notices with an enhanced code only, or a log line whose server never came to talk."""
    text = block.text
    logged = _LOGGED.search(text)
    if logged is not None:
        stat = _STAT.search(text, logged.end())
        if logged["status"][0] in "45":
            words = stat["text"] if stat else ""
            words = re.sub(r"\A(?:bounced|deferred|expired|undeliverable)\b[ :,]*", "", words[:_MAX_REPLY], flags=re.I)
            yield Reply(
                _tidy(words.removeprefix("(").removesuffix(")")),
                status=logged["status"],
                host=block.host,
                recipient=block.recipient,
            )
        return
    bare = _BARE.search(text)
    match = bare or _HASHED.search(text)
    if match is not None:
        # qmail puts the code behind its words, others before them.
        words = _tidy(text[bare.end() :] if bare else text)
        yield Reply(words, enhanced=match["enhanced"], host=block.host, recipient=block.recipient)


def _starts(text: str) -> list[_Start]:
    strong = {
        match.start("code"): _Start(
            match.start("code"), match.end(), match["code"], match["enhanced"], match["sep"] == "-"
        )
        for match in _STRONG.finditer(text)
    }
    for match in _WEAK.finditer(text):
        begin = match.start("code")
        if begin in strong or not _is_code(match["code"]) or _NO_CODE.match(text, match.end("code")):
            continue
        lead = text[max(0, match.start() - _LEAD_LENGTH) : match.start()]
        # Inside a continued reply the lines are expected anyway.
        if _LEAD.search(lead) or text.startswith("-'", match.end("code")):
            strong[begin] = _Start(begin, match.end("sep"), match["code"], "", match["sep"] == "-")
    return [strong[begin] for begin in sorted(strong)][:_MAX_STARTS]


def _is_code(code: str) -> bool:
    number = int(code)
    return 420 <= number <= 459 or number == 471 or 500 <= number <= 559 or 570 <= number <= 579


def _command(text: str, begin: int, stop: int) -> str:
    behind = _COMMAND.match(text, stop)
    if behind is not None and behind["command"]:
        return f"{behind['end'] or ''}{behind['command']}"
    command = ""
    if (bracketed := _BRACKETED.search(text, begin)) is not None:
        return bracketed["command"].replace("_", " ").replace("BODY", AFTER_DATA)
    for match in _COMMAND.finditer(text, max(0, begin - 200), begin):
        command = f"{match['late'] or ''}{(match['after'] or '').upper()}"
    return command


def _tidy(words: str) -> str:
    """One line without the quotes and brackets that the notice put around the reply."""
    text = _unquoted(folded(words)[:_MAX_REPLY])
    for opening, closing in (("(", ")"), ("[", "]"), ("<", ">"), ("{", "}")):
        while text.endswith(closing) and text.count(closing) > text.count(opening):
            text = text[:-1].rstrip()
    return _unquoted(text)


def _unquoted(text: str) -> str:
    for quote in ("'", '"'):
        if text.count(quote) % 2:
            text = text.removeprefix(quote).removesuffix(quote)
        elif text.count(quote) == 2 and text.startswith(quote) and text.endswith(quote):
            text = text[1:-1]
    return text.strip()
