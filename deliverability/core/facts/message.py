"""Facts about the message: who it says it is from, its form, addresses, charsets and weight."""

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
    """Who the message says it is from, and its identity headers."""

    topic = "message"
    present: Annotated[Maybe[bool], Fact("A sample message was given.")]
    headers_only: Annotated[Maybe[bool], Fact("The file holds header fields but no body.")]
    from_count: Annotated[Maybe[Fields], Fact("Number of From header fields.")]
    from_addresses: Annotated[Maybe[tuple[str, ...]], Fact("Addresses of all From fields, in order.")]
    from_address_count: Annotated[Maybe[Addresses], Fact("Addresses in all From fields.")]
    from_rare: Annotated[Maybe[tuple[Detail, ...]], Fact("Forms of From that are legal and that few programs expect.")]
    from_faults: Annotated[Maybe[tuple[Detail, ...]], Fact("Forms of From that are obsolete or wrong (RFC 5322).")]
    from_domain: Annotated[Maybe[str | None], Fact("Domain of the first From address (the author domain) as A-label.")]
    from_domains: Annotated[Maybe[tuple[str, ...]], Fact("Domains of all From addresses, each once, as A-labels.")]
    from_display: Annotated[Maybe[str | None], Fact("Decoded display name of the first From address.")]
    display_name_address: Annotated[
        Maybe[str | None],
        Fact(
            "An email address inside the display name that differs from the From address, or another organization's "
            "domain name."
        ),
    ]
    display_name_recipient: Annotated[
        Maybe[str | None],
        Fact(
            "Name or address of a recipient (To) that the display name of the sender shows; left out are mail to "
            "oneself, under another address as well, and mail within one organization."
        ),
    ]
    display_name_symbols: Annotated[
        Maybe[tuple[str, ...]], Fact("Emoji and signs such as check marks in the display name, each once.")
    ]
    sender_present: Annotated[Maybe[bool], Fact("A Sender field is present.")]
    subject: Annotated[Maybe[str | None], Fact("Decoded Subject.")]
    subject_claims_reply: Annotated[
        Maybe[bool], Fact("The Subject begins with Re: or Fwd: (or a Japanese equivalent).")
    ]
    references_present: Annotated[Maybe[bool], Fact("References or In-Reply-To is present.")]
    message_id: Annotated[Maybe[str | None], Fact("Message-ID as written.")]
    message_id_valid: Annotated[Maybe[bool], Fact("Message-ID has the form <left@right>; false where it is missing.")]
    message_id_octets: Annotated[Maybe[Octets | None], Fact("Length of the Message-ID.")]
    date: Annotated[Maybe[Time | None], Fact("Date as ISO 8601, where it can be read.")]
    date_count: Annotated[Maybe[Fields], Fact("Number of Date fields.")]
    date_valid: Annotated[Maybe[bool], Fact("Exactly one Date field that can be read.")]
    date_skew_seconds: Annotated[
        Maybe[Seconds | None], Fact("Date minus the time of the first Received hop; positive: in the future.")
    ]
    auto_submitted: Annotated[Maybe[bool], Fact("Auto-Submitted or a null Return-Path marks an automatic message.")]
    arc_sets: Annotated[Maybe[Sets], Fact("Number of ARC sets.")]


class MessagePart(Record, frozen=True, kw_only=True):
    """A part of the MIME tree."""

    path: Annotated[str, Fact("Position, for example 1.2; the whole message is 1.")]
    media_type: Annotated[str, Fact("Declared type, for example text/html.")]
    charset: Annotated[str | None, Fact("Declared charset.")]
    transfer_encoding: Annotated[str, Fact("Content-Transfer-Encoding, lower case.")]
    filename: Annotated[str | None, Fact("Decoded file name.")]
    disposition: Annotated[str | None, Fact("inline or attachment.")]
    encoded_octets: Annotated[Octets, Fact("Octets of the body as sent.")]
    decoded_octets: Annotated[Octets, Fact("Octets after decoding the transfer encoding.")]


class Format(Topic, frozen=True, kw_only=True):
    """Whether the message keeps to the Internet message format."""

    topic = "message"
    duplicate_headers: Annotated[Maybe[tuple[str, ...]], Fact("Fields that may occur once but occur more often.")]
    longest_line_octets: Annotated[Maybe[Octets], Fact("Longest line without its line end.")]
    bare_cr: Annotated[Maybe[Occurrences], Fact("Carriage returns without a line feed.")]
    bare_lf: Annotated[
        Maybe[Occurrences], Fact("Line feeds without a carriage return in a message that otherwise uses CRLF.")
    ]
    nul_octets: Annotated[Maybe[Octets], Fact("NUL octets.")]
    smtputf8: Annotated[
        Maybe[bool],
        Fact(
            "It was handed over as internationalized mail (RFC 6531): the receiver says so in its Received field."
            " Header fields and addresses in UTF-8 are right there."
        ),
    ]
    raw_8bit_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Header fields with unencoded non-ASCII octets; of internationalized mail only those that are no UTF-8."),
    ]
    misplaced_encoded_words: Annotated[
        Maybe[tuple[str, ...]], Fact("Fields with an encoded-word inside an address or identifier.")
    ]
    header_octets: Annotated[
        Maybe[Octets], Fact("All header fields together as sent, with the empty line that ends them.")
    ]
    header_count: Annotated[Maybe[Fields], Fact("Number of header fields.")]
    largest_header: Annotated[
        Maybe[str | None], Fact("Name of the largest header field other than To, Cc and References.")
    ]
    largest_header_octets: Annotated[Maybe[Octets], Fact("Octets of that field.")]
    mime_version_present: Annotated[Maybe[bool], Fact("MIME-Version is present.")]
    is_mime: Annotated[Maybe[bool], Fact("The message uses MIME fields (Content-Type, ...).")]
    nesting_depth: Annotated[Maybe[Levels], Fact("Levels of MIME nesting; 1 is a message without parts.")]
    nesting_limited: Annotated[Maybe[bool], Fact("Deeper levels than the limit exist and were not read.")]
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
            "Defects of form as codes. part-limit: more than 10,000 parts; header-limit: more than 100,000 "
            "fields; mbox-line: the file begins with a mailbox's From line; leading-junk: a byte order mark or "
            "white space before the first field."
        ),
    ]
    parts: Annotated[Maybe[tuple[MessagePart, ...]], Fact("Every part of the MIME tree.", key=("path",))]


class WrittenAddresses(Topic, frozen=True, kw_only=True):
    """The addresses and domains of the mail as they are written."""

    topic = "message"
    forbidden_address_characters: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Addresses of From, Sender, Reply-To and, where it is known, MAIL FROM with one of , $ % ? { } < > "
            "before the @, which Yahoo names as forbidden."
        ),
    ]
    mixed_script_domains: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Domains of From, Reply-To, d= and, where it is known, MAIL FROM with a label that mixes scripts "
            'beyond the level "highly restrictive" of UTS 39 section 5.2, as A-labels.'
        ),
    ]


class Weight(Topic, frozen=True, kw_only=True):
    """How many octets the message is on the wire, and where they are."""

    topic = "message"
    size_octets: Annotated[Maybe[Octets], Fact("The whole message as sent: every line ended by CRLF.")]
    body_octets: Annotated[Maybe[Octets], Fact("The body as sent.")]
    text_octets: Annotated[Maybe[Octets], Fact("text/* body parts as sent, attachments not included.")]
    plain_octets: Annotated[Maybe[Octets], Fact("Of the text: text/plain body parts as sent.")]
    html_octets: Annotated[Maybe[Octets], Fact("Of the text: text/html body parts as sent.")]
    image_octets: Annotated[Maybe[Octets], Fact("Inline images and image attachments, decoded.")]
    attachment_octets: Annotated[Maybe[Octets], Fact("All attachments as sent (transfer-encoded).")]
    inline_octets: Annotated[
        Maybe[Octets], Fact("Of the attachments: images and other files shown in the text, as sent.")
    ]
    encoding_overhead_octets: Annotated[Maybe[Octets], Fact("What the transfer encoding adds to the decoded parts.")]


class TextPart(Record, frozen=True, kw_only=True):
    """A text part of the body."""

    path: Annotated[str, Fact("Position of the part.")]
    media_type: Annotated[str, Fact("Its type.")]
    declared: Annotated[str | None, Fact("Charset declared; US-ASCII counts where there is none.")]
    found: Annotated[
        Annotated[
            str,
            OneOf("utf-8 iso-2022-jp shift_jis euc-jp other"),
        ]
        | None,
        Fact("Charset that the octets fit, where that is not the one declared."),
    ]


class Charsets(Topic, frozen=True, kw_only=True):
    """Character sets of header and body as declared, and what they hold."""

    topic = "charset"
    body: Annotated[Maybe[tuple[str, ...]], Fact("Charsets of the body text as declared, lower case, each once.")]
    header: Annotated[
        Maybe[tuple[str, ...]], Fact("Charsets of the encoded-words in the header, lower case, each once.")
    ]
    header_differs: Annotated[
        Maybe[bool],
        Fact(
            "The header has encoded-words and none of their charsets is one of the body's; false where either has none."
        ),
    ]
    parts: Annotated[Maybe[tuple[TextPart, ...]], Fact("Text parts of the body, the first 100.", key=("path",))]
    lossy_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Fields with encoded-words whose octets mean nothing in their charset, or whose charset is unknown."),
    ]
    split_characters: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Fields with a character that begins in one encoded-word and ends in the next, or with ISO-2022-JP "
            "that does not return to ASCII at the end of a word."
        ),
    ]
    longest_word_octets: Annotated[Maybe[Octets], Fact("Longest encoded-word; 0 without any.")]
    longest_word_line_octets: Annotated[
        Maybe[Octets], Fact("Longest header line that holds an encoded-word; 0 without any.")
    ]
    half_width_kana: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Places (header fields, paths of parts) with half-width katakana in ISO-2022-JP, which has none."),
    ]
    machine_dependent: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Characters in ISO-2022-JP text that it does not define (NEC and IBM extensions such as circled "
            "digits), each once, the first 100."
        ),
    ]
    machine_dependent_places: Annotated[
        Maybe[tuple[str, ...]], Fact("Header fields and paths of parts that hold them.")
    ]
