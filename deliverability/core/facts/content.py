"""Facts about what the message carries: HTML, attachments, images, PDFs, and the way to unsubscribe."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.facts.base import Record
from deliverability.core.model.topic import (
    Addresses,
    Day,
    Fact,
    Fields,
    Images,
    Links,
    Maybe,
    Occurrences,
    Octets,
    OneOf,
    Pixels,
    Programs,
    Topic,
    Unit,
    Words,
)


class Attachment(Record, frozen=True, kw_only=True):
    """An attached or inline file."""

    path: Annotated[str, Fact("Position in the MIME tree.")]
    filename: Annotated[str, Fact("Decoded file name; empty where there is none.")]
    extension: Annotated[str, Fact("Last ending of the name, lower case, without dot; empty where there is none.")]
    media_type: Annotated[str, Fact("Declared type.")]
    true_type: Annotated[str | None, Fact("Type by the content, where its first octets tell it; text has none.")]
    type_mismatch: Annotated[bool, Fact("The content is certainly not what the ending or the declared type says.")]
    inline: Annotated[bool, Fact("Shown in the text (Content-ID or inline) rather than listed.")]
    encoded_octets: Annotated[Octets, Fact("As sent.")]
    decoded_octets: Annotated[Octets, Fact("As a file.")]
    container: Annotated[
        Annotated[
            str,
            OneOf("archive office pdf"),
        ]
        | None,
        Fact(
            "What kind of file that can be encrypted: an archive (ZIP, 7z, RAR, tar, gzip ...), an Office file, a PDF."
        ),
    ]
    encrypted: Annotated[
        Maybe[
            Annotated[
                str,
                OneOf("none some all"),
            ]
            | None
        ],
        Fact("For archives, Office files and PDFs: whether none, some or all of the files inside are encrypted."),
    ]
    encryption_kind: Annotated[
        Maybe[
            Annotated[
                str,
                OneOf("zip-pkware zip-aes zip-strong 7z-aes rar pdf office"),
            ]
            | None
        ],
        Fact(
            "How: ZIP's own cipher, AES or strong encryption, 7z, RAR, PDF, Office; the first where there are several."
        ),
    ]
    archive_members: Annotated[
        Maybe[tuple[str, ...] | None],
        Fact(
            "For archives: names of the entries (at most 1,000), two levels deep; empty where the names are encrypted."
        ),
    ]
    nested_archive: Annotated[Maybe[bool], Fact("An archive that holds an archive.")]
    types: Annotated[
        tuple[Maybe[str], ...],
        Fact(
            "What receivers go by: its ending, the kind that its content shows (exe, pdf, zip ...), and the "
            "endings of what an archive holds, each once in lower case; one is unknown where the archive could be"
            " read only in part."
        ),
    ]
    macros: Annotated[
        bool | None,
        Fact(
            "For Office files: holds a VBA project, or has an ending for macros; null for others and where encrypted."
        ),
    ]
    image: Annotated[bool, Fact("Is an image by its declared type.")]


class Attachments(Topic, frozen=True, kw_only=True):
    """What is attached."""

    topic = "message"
    attachments: Annotated[
        Maybe[tuple[Attachment, ...]],
        Fact("Parts with a file name or Content-Disposition: attachment, and inline files.", key=("filename", "path")),
    ]


class PasswordMail(Topic, frozen=True, kw_only=True):
    """Whether the password of what is attached follows by mail."""

    topic = "message"
    encrypted_files: Annotated[Maybe[tuple[str, ...]], Fact("Attached files that are or hold encrypted ones.")]
    password_mails: Annotated[
        Maybe[tuple[str, ...] | None],
        Fact(
            "Messages of the same run and to the same recipient that bring a password, as their subjects say; null "
            "without another message."
        ),
    ]


class Image(Record, frozen=True, kw_only=True):
    """An image file in the message."""

    path: Annotated[str, Fact("Position in the MIME tree.")]
    filename: Annotated[str, Fact("Decoded file name, else the Content-ID; else empty.")]
    inline: Annotated[bool, Fact("Shown in the text rather than listed.")]
    format: Annotated[
        str,
        OneOf("jpeg png gif webp bmp tiff avif"),
        Fact("By content."),
    ]
    octets: Annotated[Octets, Fact("As a file.")]
    width: Annotated[Maybe[Pixels], Fact("Pixels.")]
    height: Annotated[Maybe[Pixels], Fact("Pixels.")]
    frames: Annotated[int, Fact("1 for a still image.")]
    metadata_octets: Annotated[Octets, Fact("EXIF, XMP, previews, comments.")]
    display_width: Annotated[
        Pixels | None,
        Fact("Width at which the mail shows it, 640 for an inline image that gives none; null for attached files."),
    ]
    photo: Annotated[Maybe[bool], Fact("Looks like a photograph (heuristic: many shades, few flat areas).")]
    best_format: Annotated[
        Maybe[
            Annotated[
                str,
                OneOf("jpeg png"),
            ]
            | None
        ],
        Fact("Format of the smallest re-encoding that every mail program shows (JPEG at quality 82, or PNG)."),
    ]
    best_octets: Annotated[
        Maybe[Octets | None],
        Fact(
            "What the image weighs then, at most twice as wide as shown; measured by doing it; null where nothing"
            " is won."
        ),
    ]
    saving_octets: Annotated[Maybe[Octets], Fact("What that saves of the file.")]
    webp_octets: Annotated[
        Maybe[Octets | None], Fact("What it weighs as WebP at quality 80; null where that is no smaller.")
    ]


class ImageFiles(Topic, frozen=True, kw_only=True):
    """The image files in the message."""

    topic = "message"
    images: Annotated[
        Maybe[tuple[Image, ...]],
        Fact("Image files in the message, shown in the text or attached.", key=("filename", "path")),
    ]
    image_saving_octets: Annotated[
        Maybe[Octets],
        Fact("What re-encoding the images would save in all, of the files before transfer encoding."),
    ]


class PdfFile(Record, frozen=True, kw_only=True):
    """An attached PDF."""

    path: Annotated[str, Fact("Position in the MIME tree.")]
    filename: Annotated[str, Fact("Decoded file name; empty where there is none.")]
    octets: Annotated[Octets, Fact("As a file.")]
    images: Annotated[int, Fact("Images in it.")]
    image_octets: Annotated[Octets, Fact("Of the file, images.")]
    font_octets: Annotated[Octets, Fact("Of the file, embedded fonts.")]
    other_octets: Annotated[Octets, Fact("Of the file, everything else.")]
    saving_octets: Annotated[
        Octets, Fact("An estimate, not measured: what scaling images down to 150 dpi of a full page would save.")
    ]


class PdfFiles(Topic, frozen=True, kw_only=True):
    """The attached PDFs."""

    topic = "message"
    pdfs: Annotated[Maybe[tuple[PdfFile, ...]], Fact("Attached PDFs, by content.", key=("filename", "path"))]


class LinkMismatch(Record, frozen=True, kw_only=True):
    """A link that shows one domain and leads to another."""

    text: Annotated[str, Fact("The domain shown.")]
    target: Annotated[str, Fact("The domain linked to.")]


class LinkHost(Record, frozen=True, kw_only=True):
    """A host that is linked to."""

    host: Annotated[str, Fact("Host name, lower case, as A-label where it is a domain name.")]
    links: Annotated[Links, Fact("Links to it.")]


class Html(Topic, frozen=True, kw_only=True):
    """How heavy the HTML is and what it is made of."""

    topic = "html"
    present: Annotated[Maybe[bool], Fact("The message has a text/html body part.")]
    octets: Annotated[
        Maybe[Octets], Fact("The HTML after decoding transfer encoding, re-encoded as UTF-8; 0 without HTML.")
    ]
    markup_octets: Annotated[Maybe[Octets], Fact("Tags and attributes other than style attributes and data: URIs.")]
    inline_css_octets: Annotated[Maybe[Octets], Fact("style attributes.")]
    style_octets: Annotated[Maybe[Octets], Fact("<style> elements.")]
    data_uri_octets: Annotated[Maybe[Octets], Fact("data: URIs.")]
    comment_octets: Annotated[Maybe[Octets], Fact("Comments, conditional comments included.")]
    conditional_comment_octets: Annotated[
        Maybe[Octets], Fact("Conditional comments (for Outlook), part of the comments.")
    ]
    script_octets: Annotated[Maybe[Octets], Fact("<script> elements.")]
    text_octets: Annotated[Maybe[Octets], Fact("Text.")]
    white_space_octets: Annotated[
        Maybe[Octets],
        Fact("White space that stands alone between tags or goes on beyond one character, part of the text."),
    ]
    repeated_css_octets: Annotated[
        Maybe[Octets], Fact("style attributes that repeat an earlier one to the letter, part of the inline CSS.")
    ]
    link_octets: Annotated[Maybe[Octets], Fact("Addresses of links, part of the markup.")]
    tracking_octets: Annotated[
        Maybe[Octets], Fact("Tracking parameters (utm_..., mc_eid, fbclid and the like) in them.")
    ]
    minify_saves_octets: Annotated[
        Maybe[Octets],
        Fact(
            "What minifying saves, measured by doing it: comments, white space and empty attributes go, text, "
            "elements and conditional comments stay."
        ),
    ]
    visible_words: Annotated[Maybe[Words], Fact("Words a reader sees (CJK text counts two characters as a word).")]
    links: Annotated[Maybe[Links], Fact("Links (<a href>).")]
    images: Annotated[Maybe[Images], Fact("Images (<img>).")]
    images_without_alt: Annotated[Maybe[Images], Fact("Images without an alt attribute.")]
    data_images: Annotated[Maybe[Images], Fact("Images given as data: URI.")]
    active_elements: Annotated[
        Maybe[tuple[str, ...]], Fact("Active elements present: script, form, iframe, object, embed.")
    ]
    link_mismatches: Annotated[
        Maybe[tuple[LinkMismatch, ...]],
        Fact("Links whose text shows one domain and whose target is another.", key=("text",)),
    ]
    link_hosts: Annotated[Maybe[tuple[LinkHost, ...]], Fact("Hosts linked to, the first 100.", key=("host",))]
    plain_http_links: Annotated[Maybe[Links], Fact("Links with http:, not https:.")]
    ip_links: Annotated[Maybe[tuple[str, ...]], Fact("Link targets that are bare IP addresses.")]
    hidden_text_octets: Annotated[
        Maybe[Octets],
        Fact(
            "Text hidden by display:none, visibility:hidden, zero font size or the hidden attribute, a first "
            "preheader block of at most 300 octets left out."
        ),
    ]
    external_sheets: Annotated[Maybe[tuple[str, ...]], Fact("Style sheets loaded from elsewhere (<link>, @import).")]
    external_fonts: Annotated[Maybe[tuple[str, ...]], Fact("Fonts loaded from elsewhere (@font-face, font services).")]
    base_href: Annotated[Maybe[str | None], Fact("Address in <base>.")]
    meta_charset: Annotated[Maybe[str | None], Fact("Charset in <meta>, lower case.")]
    charset_conflict: Annotated[
        Maybe[bool], Fact("<meta> and Content-Type name different charsets; false where either names none.")
    ]
    text_alternative: Annotated[Maybe[bool], Fact("A text/plain part stands beside the HTML.")]
    text_alternative_order: Annotated[
        Maybe[bool],
        Fact("text/plain comes before text/html, as RFC 2046 asks; false where there is no alternative."),
    ]
    text_similarity: Annotated[
        Maybe[Annotated[int, Unit("percent")] | None],
        Fact(
            "How much the words of text/plain and HTML are the same (Dice coefficient; addresses left out); none "
            "without both."
        ),
    ]


class UsedFeature(Record, frozen=True, kw_only=True):
    """A feature of HTML or CSS that some mail program does not show."""

    feature: Annotated[str, Fact("Name at caniemail.com/features/, for example css-display-flex.")]
    title: Annotated[str, Fact("Title, for example display:flex.")]
    kind: Annotated[
        str,
        OneOf("layout content look"),
        Fact("What is lost without it: the arrangement (layout), something to see or use (content), or finish (look)."),
    ]
    uses: Annotated[Occurrences, Fact("How often it is used.")]
    conditional: Annotated[
        bool,
        Fact(
            "Used only under @media or @supports, or as a value that follows a plainer one of the same property, "
            "so that others are provided for."
        ),
    ]
    unsupported: Annotated[tuple[str, ...], Fact("Main mail programs that do not support it.")]
    unsupported_count: Annotated[Programs, Fact("Their number.")]
    partial: Annotated[tuple[str, ...], Fact("Main mail programs that support it in part.")]


class Clients(Topic, frozen=True, kw_only=True):
    """Which mail programs show the HTML as meant."""

    topic = "clients"
    features: Annotated[
        Maybe[tuple[UsedFeature, ...]],
        Fact(
            "HTML and CSS features in use that at least one main mail program does not show, or shows in part; "
            "those with the most such programs first. What stands in conditional comments (for Outlook) is left "
            "out.",
            key=("title",),
        ),
    ]
    programs: Annotated[Maybe[Programs], Fact("Main mail programs compared.")]
    data_date: Annotated[Maybe[Day], Fact("Date of the support data (YYYY-MM-DD).")]


class Unsubscribe(Topic, frozen=True, kw_only=True):
    """The header fields for unsubscribing, and their signature."""

    topic = "unsubscribe"
    present: Annotated[Maybe[bool], Fact("A List-Unsubscribe field is present.")]
    fields: Annotated[Maybe[Fields], Fact("List-Unsubscribe fields.")]
    uris: Annotated[Maybe[tuple[str, ...]], Fact("Addresses in List-Unsubscribe, the first 20.")]
    https_count: Annotated[Maybe[Addresses], Fact("Of these, https addresses.")]
    http_count: Annotated[Maybe[Addresses], Fact("Of these, plain http addresses.")]
    mailto_count: Annotated[Maybe[Addresses], Fact("Of these, mailto addresses.")]
    one_click: Annotated[Maybe[str | None], Fact("List-Unsubscribe-Post as written.")]
    post_field_valid: Annotated[
        Maybe[bool],
        Fact(
            "Exactly one List-Unsubscribe-Post field, with the value that RFC 8058 defines: List-Unsubscribe=One-Click."
        ),
    ]
    dkim_covered: Annotated[
        Maybe[bool | None],
        Fact("A passing DKIM signature signs List-Unsubscribe and List-Unsubscribe-Post; none where either is absent."),
    ]


class OneClickRequest(Topic, frozen=True, kw_only=True):
    """The answer to the one-click request, where it may be sent."""

    topic = "unsubscribe"
    post_status: Annotated[
        Maybe[int | None],
        Fact(
            "HTTP status of the answer to the one-click request (RFC 8058 section 3.2), known only where it may "
            "be sent; none where the header has no single https address or no valid List-Unsubscribe-Post."
        ),
    ]
    post_redirects: Annotated[
        Maybe[bool | None],
        Fact("That answer is a redirect, which is not followed; none where there is none to ask for."),
    ]


class UnsubscribeLink(Topic, frozen=True, kw_only=True):
    """The link for unsubscribing in the visible text."""

    topic = "unsubscribe"
    body_link: Annotated[Maybe[bool], Fact("The visible text has a link for unsubscribing.")]
    body_link_words: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Words by which such links were known (in the link, beside it, or in its address), the first 10."),
    ]
    body_link_octets: Annotated[
        Maybe[Octets | None],
        Fact("Octets of the HTML (decoded, as UTF-8) before the first such link; none where it is not in HTML."),
    ]


_FirstTen = Maybe[tuple[str, ...]]


class Imprint(Topic, frozen=True, kw_only=True):
    """Who sends the message, where that is, and how to refuse it, as its text says."""

    topic = "imprint"
    names: Annotated[_FirstTen, Fact("Companies and other senders that the text names, the first 10.")]
    postal_addresses: Annotated[_FirstTen, Fact("Postal addresses that may be the sender's, the first 10.")]
    phones: Annotated[_FirstTen, Fact("Telephone numbers, the first 10.")]
    contact_mails: Annotated[_FirstTen, Fact("Mail addresses that take questions, the first 10.")]
    contacts: Annotated[_FirstTen, Fact("Words that say where questions go, the first 10.")]
    opt_out: Annotated[_FirstTen, Fact("Words that say that the mail can be refused, the first 10.")]
    linked_pages: Annotated[_FirstTen, Fact("Links to pages that may say who the sender is, the first 10.")]
