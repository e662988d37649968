"""Facts about the message: its identity headers, format, addresses, charsets and size."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Record
from deliverability.core.model.topic import (
    Addresses,
    Fact,
    Fields,
    Levels,
    Maybe,
    Occurrences,
    Octets,
    OneOf,
    Seconds,
    Sets,
    Time,
    Topic,
)


class Message(Topic, frozen=True, kw_only=True):
    """The author that the message states, and its identity headers."""

    topic = "message"
    present: Annotated[Maybe[bool], Fact("A sample message was given.")]
    headers_only: Annotated[Maybe[bool], Fact("The file contains header fields but no body.")]
    from_count: Annotated[Maybe[Fields], Fact("Number of From header fields.")]
    from_addresses: Annotated[Maybe[tuple[str, ...]], Fact("Addresses of all From fields, in order.")]
    from_address_count: Annotated[Maybe[Addresses], Fact("Number of addresses in all From fields.")]
    from_rare: Annotated[Maybe[tuple[Detail, ...]], Fact("Forms of From that are valid but that few programs expect.")]
    from_faults: Annotated[Maybe[tuple[Detail, ...]], Fact("Forms of From that are obsolete or invalid (RFC 5322).")]
    from_domain: Annotated[
        Maybe[str | None], Fact("Domain of the first From address (the author domain), as an A-label.")
    ]
    from_domains: Annotated[Maybe[tuple[str, ...]], Fact("Domains of all From addresses, each once, as A-labels.")]
    from_display: Annotated[Maybe[str | None], Fact("Decoded display name of the first From address.")]
    display_name_address: Annotated[
        Maybe[str | None],
        Fact(
            "Email address in the display name that differs from the From address, or a domain name of another "
            "organization."
        ),
    ]
    display_name_recipient: Annotated[
        Maybe[str | None],
        Fact(
            "Name or address of a recipient (To) that appears in the sender's display name; not for mail to "
            "oneself, even at another address, or mail within one organization."
        ),
    ]
    display_name_symbols: Annotated[
        Maybe[tuple[str, ...]], Fact("Emoji and symbols such as check marks in the display name, each once.")
    ]
    sender_present: Annotated[Maybe[bool], Fact("A Sender field is present.")]
    subject: Annotated[Maybe[str | None], Fact("Decoded Subject.")]
    subject_claims_reply: Annotated[
        Maybe[bool], Fact("The Subject begins with Re: or Fwd: (or a Japanese equivalent).")
    ]
    references_present: Annotated[Maybe[bool], Fact("A References or In-Reply-To field is present.")]
    message_id: Annotated[Maybe[str | None], Fact("Message-ID as written.")]
    message_id_valid: Annotated[Maybe[bool], Fact("The Message-ID has the form <left@right>; false if it is missing.")]
    message_id_octets: Annotated[Maybe[Octets | None], Fact("Length of the Message-ID.")]
    date: Annotated[Maybe[Time | None], Fact("Date as ISO 8601, if it can be parsed.")]
    date_count: Annotated[Maybe[Fields], Fact("Number of Date fields.")]
    date_valid: Annotated[Maybe[bool], Fact("The message has exactly one Date field, and it can be parsed.")]
    date_skew_seconds: Annotated[
        Maybe[Seconds | None], Fact("Date minus the time of the first Received hop; positive if Date is in the future.")
    ]
    auto_submitted: Annotated[Maybe[bool], Fact("Auto-Submitted or a null Return-Path marks the message as automatic.")]
    arc_sets: Annotated[Maybe[Sets], Fact("Number of ARC sets.")]


class MessagePart(Record, frozen=True, kw_only=True):
    """A part of the MIME tree."""

    path: Annotated[str, Fact("Position in the MIME tree, for example 1.2; the whole message is 1.")]
    media_type: Annotated[str, Fact("Declared media type, for example text/html.")]
    charset: Annotated[str | None, Fact("Declared charset.")]
    transfer_encoding: Annotated[str, Fact("Content-Transfer-Encoding, in lower case.")]
    filename: Annotated[str | None, Fact("Decoded file name.")]
    disposition: Annotated[str | None, Fact("Content-Disposition: inline or attachment.")]
    encoded_octets: Annotated[Octets, Fact("Size of the body as sent.")]
    decoded_octets: Annotated[Octets, Fact("Size after decoding the transfer encoding.")]


class Format(Topic, frozen=True, kw_only=True):
    """Whether the message follows the Internet Message Format."""

    topic = "message"
    duplicate_headers: Annotated[
        Maybe[tuple[str, ...]], Fact("Header fields that occur more than once although only one is allowed.")
    ]
    longest_line_octets: Annotated[Maybe[Octets], Fact("Length of the longest line, without its line ending.")]
    bare_cr: Annotated[Maybe[Occurrences], Fact("Number of carriage returns without a line feed.")]
    bare_lf: Annotated[
        Maybe[Occurrences],
        Fact("Number of line feeds without a carriage return, in a message that otherwise uses CRLF."),
    ]
    nul_octets: Annotated[Maybe[Octets], Fact("Number of NUL octets.")]
    smtputf8: Annotated[
        Maybe[bool],
        Fact(
            "The message was transferred as internationalized mail (RFC 6531), according to the receiver's Received "
            "field. Header fields and addresses in UTF-8 are valid in such a message."
        ),
    ]
    raw_8bit_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Header fields with unencoded non-ASCII octets; in internationalized mail, only those that are not UTF-8."
        ),
    ]
    control_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Header fields with control characters other than tabs and line ends, such as the escape sequences of "
            "unencoded ISO-2022-JP."
        ),
    ]
    misplaced_encoded_words: Annotated[
        Maybe[tuple[str, ...]], Fact("Header fields with an encoded-word inside an address or identifier.")
    ]
    header_octets: Annotated[
        Maybe[Octets], Fact("Size of all header fields as sent, including the empty line that ends them.")
    ]
    header_count: Annotated[Maybe[Fields], Fact("Number of header fields.")]
    largest_header: Annotated[
        Maybe[str | None], Fact("Name of the largest header field other than To, Cc and References.")
    ]
    largest_header_octets: Annotated[Maybe[Octets], Fact("Size of that field.")]
    mime_version_present: Annotated[Maybe[bool], Fact("A MIME-Version field is present.")]
    is_mime: Annotated[Maybe[bool], Fact("The message uses MIME header fields (Content-Type, ...).")]
    nesting_depth: Annotated[Maybe[Levels], Fact("Levels of MIME nesting; 1 for a message without parts.")]
    nesting_limited: Annotated[Maybe[bool], Fact("The message has levels beyond the limit, which were not read.")]
    defects: Annotated[
        Maybe[
            tuple[
                Annotated[
                    str,
                    OneOf(
                        "missing-boundary unclosed-multipart empty-multipart bad-base64 bad-quoted-printable "
                        "unknown-charset undecodable-charset bad-content-type bad-transfer-encoding "
                        "bad-header-line no-header no-body nesting-limit part-limit header-limit mbox-line "
                        "leading-junk"
                    ),
                ],
                ...,
            ]
        ],
        Fact(
            "Format defects, as codes. part-limit: more than 10,000 parts; header-limit: more than 100,000 fields; "
            "mbox-line: the file begins with the From line of a mailbox file; leading-junk: a byte order mark or "
            "white space before the first field."
        ),
    ]
    parts: Annotated[Maybe[tuple[MessagePart, ...]], Fact("All parts of the MIME tree.", key=("path",))]


class WrittenAddresses(Topic, frozen=True, kw_only=True):
    """The form in which addresses and domains of the mail are written."""

    topic = "message"
    forbidden_address_characters: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Addresses in From, Sender, Reply-To and, if known, MAIL FROM with one of , $ % ? { } < > before the @, "
            "which Yahoo lists as forbidden."
        ),
    ]
    mixed_script_domains: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Domains in From, Reply-To, d= and, if known, MAIL FROM with a label that mixes scripts beyond the "
            '"highly restrictive" level of UTS 39 section 5.2, as A-labels.'
        ),
    ]


class Weight(Topic, frozen=True, kw_only=True):
    """Size of the message as sent, and what makes up that size."""

    topic = "message"
    size_octets: Annotated[Maybe[Octets], Fact("Size of the whole message as sent, with every line ending in CRLF.")]
    body_octets: Annotated[Maybe[Octets], Fact("Size of the body as sent.")]
    text_octets: Annotated[Maybe[Octets], Fact("Size of the text/* body parts as sent, without attachments.")]
    plain_octets: Annotated[Maybe[Octets], Fact("Part of `text_octets`: text/plain body parts as sent.")]
    html_octets: Annotated[Maybe[Octets], Fact("Part of `text_octets`: text/html body parts as sent.")]
    image_octets: Annotated[Maybe[Octets], Fact("Decoded size of inline images and image attachments.")]
    attachment_octets: Annotated[Maybe[Octets], Fact("Size of all attachments as sent (transfer-encoded).")]
    inline_octets: Annotated[
        Maybe[Octets], Fact("Part of `attachment_octets`: images and other files displayed in the text, as sent.")
    ]
    encoding_overhead_octets: Annotated[
        Maybe[Octets], Fact("Size that the transfer encoding adds to the decoded parts.")
    ]


class TextPart(Record, frozen=True, kw_only=True):
    """A text part of the body."""

    path: Annotated[str, Fact("Position in the MIME tree.")]
    media_type: Annotated[str, Fact("Media type of the part.")]
    declared: Annotated[str | None, Fact("Declared charset; absent if none is declared, which means US-ASCII.")]
    found: Annotated[
        Annotated[
            str,
            OneOf("utf-8 iso-2022-jp shift_jis euc-jp other"),
        ]
        | None,
        Fact("Charset that the content matches, if that is not the declared one."),
    ]


class Charsets(Topic, frozen=True, kw_only=True):
    """Declared charsets of header and body, and whether the content matches them."""

    topic = "charset"
    body: Annotated[Maybe[tuple[str, ...]], Fact("Declared charsets of the body text, in lower case, each once.")]
    header: Annotated[
        Maybe[tuple[str, ...]], Fact("Charsets of the encoded-words in the header, in lower case, each once.")
    ]
    header_differs: Annotated[
        Maybe[bool],
        Fact(
            "The header has encoded-words, and none of their charsets is used in the body; false if header or body "
            "has none."
        ),
    ]
    parts: Annotated[Maybe[tuple[TextPart, ...]], Fact("Text parts of the body, the first 100.", key=("path",))]
    lossy_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Header fields with encoded-words whose octets are invalid in their charset, or whose charset is unknown."
        ),
    ]
    split_characters: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Header fields with a character that is split across two encoded-words, or with ISO-2022-JP that does "
            "not return to ASCII at the end of an encoded-word."
        ),
    ]
    longest_word_octets: Annotated[Maybe[Octets], Fact("Length of the longest encoded-word; 0 if there is none.")]
    longest_word_line_octets: Annotated[
        Maybe[Octets], Fact("Length of the longest header line with an encoded-word; 0 if there is none.")
    ]
    half_width_kana: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Places (header fields, paths of parts) with half-width katakana in ISO-2022-JP, which does not define "
            "them."
        ),
    ]
    machine_dependent: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Characters in ISO-2022-JP text that ISO-2022-JP does not define (NEC and IBM extensions such as "
            "circled digits), each once, the first 100."
        ),
    ]
    machine_dependent_places: Annotated[
        Maybe[tuple[str, ...]], Fact("Header fields and paths of parts that contain those characters.")
    ]
