"""Hostile messages by name: each takes a size, and twice the size may take at most about twice the work."""

from __future__ import annotations

from collections.abc import Callable

SHAPES: dict[str, Callable[[int], bytes]] = {
    "nesting": lambda n: (
        b"Content-Type: multipart/mixed; boundary=b0\n\n"
        + b"".join(b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (i, i + 1) for i in range(n // 2))
    ),
    "messages in messages": lambda n: b"Content-Type: message/rfc822\n\n" * (n * 2) + b"\ntext\n",
    "header fields": lambda n: b"".join(b"X-%d: value\n" % i for i in range(n)) + b"\ntext\n",
    "one long field": lambda n: b"To: " + b"a <a@example.com>,\n " * (n * 20) + b"\n\ntext\n",
    "runs of blanks": lambda n: b"From: a@example.com\n\n" + b" " * (n * 400) + b"\n",
    "blanks before line ends": lambda n: (
        b"Content-Transfer-Encoding: quoted-printable\n\n" + (b" " * 99 + b"\n") * (n * 4)
    ),
    "a giant attribute": lambda n: b'Content-Type: text/html\n\n<a title="' + b"x y=<" * (n * 50) + b'">a</a>\n',
    "open tags": lambda n: b"Content-Type: text/html\n\n" + b"<div a=" * (n * 40) + b"\n",
    "tags": lambda n: b"Content-Type: text/html\n\n" + b"<div>" * (n * 80) + b"\n",
    "tags closed": lambda n: b"Content-Type: text/html\n\n" + b"<p><b>a</b> c</p>\n" * (n * 22) + b"\n",
    "end tags too deep": lambda n: b"Content-Type: text/html\n\n<p><b>" + b"<i>" * 600 + b"</b>" * (n * 100) + b"\n",
    "links": lambda n: b"Content-Type: text/html\n\n" + b"<a href=//a.b>a</a> " * (n * 20) + b"\n",
    "styles": lambda n: b"Content-Type: text/html\n\n" + b'<i style="a:b;c:d">' * (n * 20) + b"\n",
    "attributes": lambda n: b"Content-Type: text/html\n\n<p " + b"a=b " * (n * 100) + b">\n",
    "rules": lambda n: b"Content-Type: text/html\n\n<style>" + b"a{b:c}" * (n * 66) + b"</style>\n",
    "comments": lambda n: b"Content-Type: text/html\n\n" + b"<!---->" * (n * 57) + b"\n",
    "references": lambda n: b"Content-Type: text/html\n\n" + b"&amp;" * (n * 80) + b"\n",
    "addresses": lambda n: b"From: a@example.com\n\n" + b"http://a.b unsub\n" * (n * 24),
    "boundaries": lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * (n // 2),
    "lines like boundaries": lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--c\n" * (n * 40),
    "empty lines": lambda n: b"From: a@example.com\n" + b"\n" * (n * 400),
    "encoded-words": lambda n: b"Subject: " + b"=?utf-8?q?=41?= " * (n * 10) + b"\n\ntext\n",
}
