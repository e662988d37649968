"""Messages with images and HTML for the tests of slimming, made from scratch."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Sequence

from PIL import Image

HTML = """<!DOCTYPE html>
<html>
  <head>
    <meta charset="utf-8">
    <!-- made with a mail editor -->
    <style>
      /* colours */
      td   {  color : #333333 ;  }
    </style>
  </head>
  <body>
    <!--[if mso]><table><tr><td><![endif]-->
    <table width="640">
      <tr>
        <td>
          <p>春のお知らせ &nbsp; Spring news</p>
          <img src="cid:photo@example.com" width="320" alt="A meadow">
        </td>
      </tr>
    </table>
    <!--[if mso]></td></tr></table><![endif]-->
  </body>
</html>
"""


def photo(width: int = 1280, height: int = 960, *, mode: str = "RGB") -> Image.Image:
    """A picture with gradients and noise, which no codec finds easy."""
    noise = Image.frombytes("L", (width, height), random.Random(width).randbytes(width * height))
    across = Image.linear_gradient("L").resize((width, height))
    down = across.transpose(Image.Transpose.ROTATE_90).resize((width, height))
    merged = Image.merge("RGB", [Image.blend(each, noise, 0.15) for each in (across, down, across)])
    if mode == "RGBA":
        merged.putalpha(down)
    return merged


def saved(image: Image.Image, form: str, **how: object) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **how)
    return written.getvalue()


def photo_jpeg() -> bytes:
    return saved(photo(), "JPEG", quality=97)


def text_part(text: str, subtype: str, charset: str = "utf-8", encoding: str = "8bit") -> bytes:
    octets = text.replace("\n", "\r\n").encode(charset)
    if encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + octets


def image_part(octets: bytes, name: str, subtype: str, *, cid: str = "", disposition: str = "inline") -> bytes:
    lines = [
        f'Content-Type: image/{subtype}; name="{name}"',
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: {disposition}; filename="{name}"',
    ]
    if cid:
        lines.append(f"Content-ID: <{cid}>")
    body = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    return "\r\n".join([*lines, "", ""]).encode() + body


def multipart(subtype: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    head = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'.encode()
    return (
        head
        + b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
        + b"--%s--\r\n" % (boundary.encode())
    )


TOP = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1; h=from; bh=AA==; b=AA==\r\n"
    b"Received: from mx.example.com by mx.example.net; Tue, 24 Nov 2026 10:00:00 +0900\r\n"
    b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=example.net; s=s; b=AA==\r\n"
    b"From: =?utf-8?b?5pil?= <news@example.com>\r\nTo:  reader@example.net\r\n"
    b"Subject: Spring\r\n  news\r\nMIME-Version: 1.0\r\n"
)


def newsletter(
    images: Sequence[bytes] | None = None, html: bytes | None = None, attachments: Sequence[bytes] = ()
) -> bytes:
    """Text and HTML side by side, the images of the HTML beside it, files after it."""
    if images is None:
        images = [image_part(photo_jpeg(), "photo.jpg", "jpeg", cid="photo@example.com")]
    page = html if html is not None else text_part(HTML, "html")
    both = multipart("alternative", "alt", [text_part("春のお知らせ\nSpring  news  \n", "plain"), page])
    related = multipart("related", "rel", [both, *images])
    return TOP + (multipart("mixed", "mix", [related, *attachments]) if attachments else related)
