"""Facts about the content of the message: HTML, attachments, images, PDFs, and how to unsubscribe."""

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
    filename: Annotated[str, Fact("Decoded file name; empty if there is none.")]
    extension: Annotated[
        str, Fact("Extension: the part of the file name after the last dot, in lower case; empty if there is none.")
    ]
    media_type: Annotated[str, Fact("Declared media type.")]
    true_type: Annotated[
        str | None, Fact("Type according to the content, if its first octets identify it; absent for text.")
    ]
    type_mismatch: Annotated[
        bool, Fact("The content certainly does not match the extension or the declared media type.")
    ]
    inline: Annotated[
        bool, Fact("Displayed in the text (Content-ID or inline) instead of being listed as an attachment.")
    ]
    encoded_octets: Annotated[Octets, Fact("Size as sent.")]
    decoded_octets: Annotated[Octets, Fact("Size as a file.")]
    container: Annotated[
        Annotated[
            str,
            OneOf("archive office pdf"),
        ]
        | None,
        Fact("Kind of file that can be encrypted: an archive (ZIP, 7z, RAR, tar, gzip ...), an Office file or a PDF."),
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
            "Kind of encryption: ZIP's traditional encryption, AES or strong encryption, 7z, RAR, PDF, Office; the "
            "first if there are several."
        ),
    ]
    archive_members: Annotated[
        Maybe[tuple[str, ...] | None],
        Fact("For archives: names of the entries (at most 1,000), two levels deep; empty if the names are encrypted."),
    ]
    nested_archive: Annotated[Maybe[bool], Fact("The file is an archive that contains another archive.")]
    types: Annotated[
        tuple[Maybe[str], ...],
        Fact(
            "Types that receivers check: the extension, the type of the content (exe, pdf, zip ...), and the "
            "extensions of the files in an archive, each once and in lower case; one is unknown if the archive "
            "could be read only in part."
        ),
    ]
    macros: Annotated[
        bool | None,
        Fact(
            "For Office files: contains a VBA project, or has the extension of a macro-enabled file; absent for "
            "other files and if encrypted."
        ),
    ]
    image: Annotated[bool, Fact("The declared media type is that of an image.")]


class Attachments(Topic, frozen=True, kw_only=True):
    """The attachments of the message."""

    topic = "message"
    attachments: Annotated[
        Maybe[tuple[Attachment, ...]],
        Fact("Parts with a file name or Content-Disposition: attachment, and inline files.", key=("filename", "path")),
    ]


class PasswordMail(Topic, frozen=True, kw_only=True):
    """Whether the password of an attached file is sent by mail as well."""

    topic = "message"
    encrypted_files: Annotated[
        Maybe[tuple[str, ...]], Fact("Attached files that are encrypted or contain encrypted files.")
    ]
    password_mails: Annotated[
        Maybe[tuple[str, ...] | None],
        Fact(
            "Messages of the same run to the same recipient that deliver a password, according to their subjects; "
            "absent without another message."
        ),
    ]


class Image(Record, frozen=True, kw_only=True):
    """An image file in the message."""

    path: Annotated[str, Fact("Position in the MIME tree.")]
    filename: Annotated[str, Fact("Decoded file name, or else the Content-ID; empty if there is neither.")]
    inline: Annotated[bool, Fact("Displayed in the text instead of being listed as an attachment.")]
    format: Annotated[
        str,
        OneOf("jpeg png gif webp bmp tiff avif"),
        Fact("Image format according to the content."),
    ]
    octets: Annotated[Octets, Fact("Size as a file.")]
    width: Annotated[Maybe[Pixels], Fact("Width of the image.")]
    height: Annotated[Maybe[Pixels], Fact("Height of the image.")]
    frames: Annotated[int, Fact("Number of frames; 1 for a still image.")]
    metadata_octets: Annotated[Octets, Fact("Size of EXIF, XMP, previews and comments.")]
    display_width: Annotated[
        Pixels | None,
        Fact(
            "Width at which the message displays the image; 640 for an inline image without a width; absent for "
            "attached files."
        ),
    ]
    photo: Annotated[Maybe[bool], Fact("The image looks like a photograph (heuristic: many shades, few flat areas).")]
    best_format: Annotated[
        Maybe[
            Annotated[
                str,
                OneOf("jpeg png"),
            ]
            | None
        ],
        Fact("Format of the smallest re-encoding that every mail program displays (JPEG at quality 82, or PNG)."),
    ]
    best_octets: Annotated[
        Maybe[Octets | None],
        Fact(
            "Measured size of that re-encoding, at no more than twice the display width; absent if it would not be "
            "smaller."
        ),
    ]
    saving_octets: Annotated[Maybe[Octets], Fact("Size that this re-encoding saves.")]
    webp_octets: Annotated[Maybe[Octets | None], Fact("Size as WebP at quality 80; absent if that is not smaller.")]


class ImageFiles(Topic, frozen=True, kw_only=True):
    """The image files in the message."""

    topic = "message"
    images: Annotated[
        Maybe[tuple[Image, ...]],
        Fact("Image files in the message, displayed in the text or attached.", key=("filename", "path")),
    ]
    image_saving_octets: Annotated[
        Maybe[Octets],
        Fact("Total size that re-encoding the images would save, before transfer encoding."),
    ]


class PdfFile(Record, frozen=True, kw_only=True):
    """An attached PDF."""

    path: Annotated[str, Fact("Position in the MIME tree.")]
    filename: Annotated[str, Fact("Decoded file name; empty if there is none.")]
    octets: Annotated[Octets, Fact("Size as a file.")]
    images: Annotated[int, Fact("Number of images in the file.")]
    image_octets: Annotated[Octets, Fact("Part of the size: images.")]
    font_octets: Annotated[Octets, Fact("Part of the size: embedded fonts.")]
    other_octets: Annotated[Octets, Fact("Part of the size: everything else.")]
    saving_octets: Annotated[
        Octets, Fact("Estimated (not measured) size that scaling images down to 150 dpi of a full page would save.")
    ]


class PdfFiles(Topic, frozen=True, kw_only=True):
    """The attached PDFs."""

    topic = "message"
    pdfs: Annotated[
        Maybe[tuple[PdfFile, ...]], Fact("Attached PDFs, identified by their content.", key=("filename", "path"))
    ]


class LinkMismatch(Record, frozen=True, kw_only=True):
    """A link whose text shows one domain and whose target is another."""

    text: Annotated[str, Fact("The displayed domain.")]
    target: Annotated[str, Fact("The linked domain.")]


class LinkHost(Record, frozen=True, kw_only=True):
    """A host that links lead to."""

    host: Annotated[str, Fact("Host name, in lower case; an A-label if it is a domain name.")]
    links: Annotated[Links, Fact("Number of links to the host.")]


class Html(Topic, frozen=True, kw_only=True):
    """Size and composition of the HTML."""

    topic = "html"
    present: Annotated[Maybe[bool], Fact("The message has a text/html body part.")]
    octets: Annotated[
        Maybe[Octets],
        Fact("Size of the HTML after decoding the transfer encoding, re-encoded as UTF-8; 0 without HTML."),
    ]
    markup_octets: Annotated[
        Maybe[Octets], Fact("Size of tags and attributes, without style attributes and data: URIs.")
    ]
    inline_css_octets: Annotated[Maybe[Octets], Fact("Size of style attributes.")]
    style_octets: Annotated[Maybe[Octets], Fact("Size of <style> elements.")]
    data_uri_octets: Annotated[Maybe[Octets], Fact("Size of data: URIs.")]
    comment_octets: Annotated[Maybe[Octets], Fact("Size of comments, including conditional comments.")]
    conditional_comment_octets: Annotated[
        Maybe[Octets], Fact("Part of `comment_octets`: conditional comments (for Outlook).")
    ]
    script_octets: Annotated[Maybe[Octets], Fact("Size of <script> elements.")]
    text_octets: Annotated[Maybe[Octets], Fact("Size of the text.")]
    white_space_octets: Annotated[
        Maybe[Octets],
        Fact("Part of `text_octets`: white space that is alone between tags or continues beyond one character."),
    ]
    repeated_css_octets: Annotated[
        Maybe[Octets], Fact("Part of `inline_css_octets`: style attributes that are identical to an earlier one.")
    ]
    link_octets: Annotated[Maybe[Octets], Fact("Part of `markup_octets`: link addresses.")]
    tracking_octets: Annotated[
        Maybe[Octets], Fact("Part of `link_octets`: tracking parameters (such as utm_..., mc_eid, fbclid).")
    ]
    minify_saves_octets: Annotated[
        Maybe[Octets],
        Fact(
            "Measured size that minifying saves: it removes comments, white space and empty attributes, and keeps "
            "text, elements and conditional comments."
        ),
    ]
    visible_words: Annotated[
        Maybe[Words], Fact("Number of words that a reader sees (two CJK characters count as one word).")
    ]
    links: Annotated[Maybe[Links], Fact("Number of links (<a href>).")]
    images: Annotated[Maybe[Images], Fact("Number of images (<img>).")]
    images_without_alt: Annotated[Maybe[Images], Fact("Number of images without an alt attribute.")]
    data_images: Annotated[Maybe[Images], Fact("Number of images embedded as data: URIs.")]
    active_elements: Annotated[
        Maybe[tuple[str, ...]], Fact("Active elements in the HTML: script, form, iframe, object, embed.")
    ]
    link_mismatches: Annotated[
        Maybe[tuple[LinkMismatch, ...]],
        Fact("Links whose text shows a domain other than that of the target.", key=("text",)),
    ]
    link_hosts: Annotated[Maybe[tuple[LinkHost, ...]], Fact("Hosts that links lead to, the first 100.", key=("host",))]
    plain_http_links: Annotated[Maybe[Links], Fact("Number of links with http: instead of https:.")]
    ip_links: Annotated[Maybe[tuple[str, ...]], Fact("Link targets that are bare IP addresses.")]
    hidden_text_octets: Annotated[
        Maybe[Octets],
        Fact(
            "Size of text hidden by display:none, visibility:hidden, zero font size or the hidden attribute, "
            "without a first preheader block of at most 300 octets."
        ),
    ]
    external_sheets: Annotated[
        Maybe[tuple[str, ...]], Fact("Style sheets loaded from external addresses (<link>, @import).")
    ]
    external_fonts: Annotated[
        Maybe[tuple[str, ...]], Fact("Fonts loaded from external addresses (@font-face, font services).")
    ]
    base_href: Annotated[Maybe[str | None], Fact("Address in <base>.")]
    meta_charset: Annotated[Maybe[str | None], Fact("Charset in <meta>, in lower case.")]
    charset_conflict: Annotated[
        Maybe[bool], Fact("<meta> and Content-Type declare different charsets; false if either declares none.")
    ]
    text_alternative: Annotated[Maybe[bool], Fact("The message has a text/plain alternative to the HTML.")]
    text_alternative_order: Annotated[
        Maybe[bool],
        Fact("text/plain comes before text/html, as RFC 2046 specifies; false if there is no alternative."),
    ]
    text_similarity: Annotated[
        Maybe[Annotated[int, Unit("percent")] | None],
        Fact(
            "Similarity of the words in text/plain and HTML (Dice coefficient, without addresses); absent unless "
            "the message has both."
        ),
    ]


class UsedFeature(Record, frozen=True, kw_only=True):
    """A feature of HTML or CSS that at least one mail program does not support."""

    feature: Annotated[str, Fact("Name at caniemail.com/features/, for example css-display-flex.")]
    title: Annotated[str, Fact("Title, for example display:flex.")]
    kind: Annotated[
        str,
        OneOf("layout content look"),
        Fact(
            "What is lost without the feature: the arrangement (layout), something to see or use (content), or "
            "finish (look)."
        ),
    ]
    uses: Annotated[Occurrences, Fact("Number of uses.")]
    conditional: Annotated[
        bool,
        Fact(
            "The feature is used only under @media or @supports, or as a value after a simpler one for the same "
            "property, so that other mail programs have a fallback."
        ),
    ]
    unsupported: Annotated[tuple[str, ...], Fact("Major mail programs that do not support the feature.")]
    unsupported_count: Annotated[Programs, Fact("Number of major mail programs that do not support the feature.")]
    partial: Annotated[tuple[str, ...], Fact("Major mail programs that support the feature in part.")]


class Clients(Topic, frozen=True, kw_only=True):
    """Which mail programs display the HTML as intended."""

    topic = "clients"
    features: Annotated[
        Maybe[tuple[UsedFeature, ...]],
        Fact(
            "HTML and CSS features in use that at least one major mail program does not support or supports only in "
            "part, those with the most such programs first. Content of conditional comments (for Outlook) is not "
            "included.",
            key=("title",),
        ),
    ]
    programs: Annotated[Maybe[Programs], Fact("Number of major mail programs compared.")]
    data_date: Annotated[Maybe[Day], Fact("Date of the support data (YYYY-MM-DD).")]


class Unsubscribe(Topic, frozen=True, kw_only=True):
    """The header fields for unsubscribing, and whether they are signed."""

    topic = "unsubscribe"
    present: Annotated[Maybe[bool], Fact("A List-Unsubscribe field is present.")]
    fields: Annotated[Maybe[Fields], Fact("Number of List-Unsubscribe fields.")]
    uris: Annotated[Maybe[tuple[str, ...]], Fact("Addresses in List-Unsubscribe, the first 20.")]
    https_count: Annotated[Maybe[Addresses], Fact("Number of https addresses in List-Unsubscribe.")]
    http_count: Annotated[Maybe[Addresses], Fact("Number of plain http addresses in List-Unsubscribe.")]
    mailto_count: Annotated[Maybe[Addresses], Fact("Number of mailto addresses in List-Unsubscribe.")]
    one_click: Annotated[Maybe[str | None], Fact("List-Unsubscribe-Post as written.")]
    post_field_valid: Annotated[
        Maybe[bool],
        Fact(
            "The message has exactly one List-Unsubscribe-Post field, with the value that RFC 8058 defines: "
            "List-Unsubscribe=One-Click."
        ),
    ]
    dkim_covered: Annotated[
        Maybe[bool | None],
        Fact(
            "A passing DKIM signature covers List-Unsubscribe and List-Unsubscribe-Post; absent if either field is "
            "missing."
        ),
    ]


class OneClickRequest(Topic, frozen=True, kw_only=True):
    """The response to the one-click request, if sending it is allowed."""

    topic = "unsubscribe"
    post_status: Annotated[
        Maybe[int | None],
        Fact(
            "HTTP status of the response to the one-click request (RFC 8058 section 3.2); known only if sending it "
            "is allowed; absent if the header has no single https address or no valid List-Unsubscribe-Post."
        ),
    ]
    post_redirects: Annotated[
        Maybe[bool | None],
        Fact("The response is a redirect, which is not followed; absent if there is no request to send."),
    ]


class UnsubscribeLink(Topic, frozen=True, kw_only=True):
    """The unsubscribe link in the visible text."""

    topic = "unsubscribe"
    body_link: Annotated[Maybe[bool], Fact("The visible text has an unsubscribe link.")]
    body_link_words: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Words that identified such links (in the link, next to it, or in its address), the first 10."),
    ]
    body_link_octets: Annotated[
        Maybe[Octets | None],
        Fact("Size of the HTML (decoded, as UTF-8) before the first such link; absent if it is not in HTML."),
    ]


_FirstTen = Maybe[tuple[str, ...]]


class Imprint(Topic, frozen=True, kw_only=True):
    """The sender's identity and address, and how to unsubscribe, as stated in the text."""

    topic = "imprint"
    names: Annotated[_FirstTen, Fact("Companies and other senders named in the text, the first 10.")]
    postal_addresses: Annotated[_FirstTen, Fact("Postal addresses that may be the sender's, the first 10.")]
    phones: Annotated[_FirstTen, Fact("Telephone numbers, the first 10.")]
    contact_mails: Annotated[_FirstTen, Fact("Email addresses for questions, the first 10.")]
    contacts: Annotated[_FirstTen, Fact("Words that state where to send questions, the first 10.")]
    opt_out: Annotated[_FirstTen, Fact("Words that state how to unsubscribe, the first 10.")]
    linked_pages: Annotated[_FirstTen, Fact("Links to pages that may identify the sender, the first 10.")]
