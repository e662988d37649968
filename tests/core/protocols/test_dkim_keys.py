"""What is read from tag lists, key records and DKIM-Signature fields."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.codes import Detail
from deliverability.core.protocols.dkim.key import (
    KEY_NOT_RSA,
    KEY_OCTETS,
    KEY_OTHER_TYPE,
    KEY_PADDING,
    V_NOT_FIRST,
    _bits,
    _rsa,
    _usual_bits,
    choose_key,
    parse_key,
)
from deliverability.core.protocols.dkim.signature import (
    EXPIRES_EARLY,
    FIELD_LONG,
    IDENTITY_OUTSIDE,
    KEY_NAME_LONG,
    TAG_EMPTY,
    parse_signature,
)
from deliverability.core.protocols.text_record import (
    MAX_TAGS,
    TAG_BASE64,
    TAG_BETWEEN,
    TAG_MISSING,
    TAG_ODD,
    TAG_TWICE,
    TAG_VALUE,
    TAGS_MANY,
    parse_tags,
)
from tests.corpus import suite
from tests.signing import ed25519_key, published, rsa_key


def test_tags_in_any_order_with_folding_and_a_final_semicolon() -> None:
    read = parse_tags(" k = rsa ;\r\n\tv=DKIM1; p=a b\r\n c;")
    assert dict(read.tags) == {"k": "rsa", "v": "DKIM1", "p": "a b\r\n c"}
    assert read.errors == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("v=1; v=1", TAG_TWICE(name="v")),
        ("v=1;; a=b", TAG_BETWEEN()),
        ("v=1; nonsense", TAG_ODD(text="nonsense")),
        ("1v=1", TAG_ODD(text="1v=1")),
        ("=x", TAG_ODD(text="=x")),
    ],
)
def test_broken_tag_lists_say_what_is_wrong(text: str, error: Detail) -> None:
    assert parse_tags(text).errors == (error,)


def test_tag_names_and_values_keep_their_case() -> None:
    assert dict(parse_tags("V=dkim1; P=AbC=").tags) == {"V": "dkim1", "P": "AbC="}


@pytest.mark.parametrize("bits", [512, 1024, 2048])
@pytest.mark.parametrize("bare", [False, True], ids=["SubjectPublicKeyInfo", "RSAPublicKey"])
def test_rsa_keys_of_every_size_in_both_encodings(bits: int, bare: bool) -> None:
    key = parse_key(published(rsa_key(bits), bare=bare))
    assert (key.type, key.bits, key.valid, key.errors) == ("rsa", bits, True, ())


USUAL = {bits: base64.b64decode(published(rsa_key(bits)).partition("p=")[2]) for bits in (1024, 2048, 4096)}


@given(
    st.sampled_from(sorted(USUAL)),
    st.integers(-400, 400),
    st.binary(max_size=2),
    st.booleans(),
)
def test_a_usual_key_with_octets_changed_is_what_cryptography_makes_of_it(
    bits: int, place: int, octets: bytes, longer: bool
) -> None:
    key = USUAL[bits]
    place %= len(key)
    changed = key[:place] + octets + key[place + (0 if longer else len(octets)) :]
    try:
        theirs = load_der_public_key(changed)
    except (ValueError, UnsupportedAlgorithm):
        theirs = None
    ours = _rsa(changed)
    if isinstance(ours, Detail):
        assert not isinstance(theirs, rsa.RSAPublicKey)
        assert _bits("rsa", changed) == ours
    else:
        assert isinstance(theirs, rsa.RSAPublicKey)
        assert ours.public_numbers() == theirs.public_numbers()
        assert _bits("rsa", changed) == theirs.key_size


@pytest.mark.parametrize("bits", sorted(USUAL))
def test_a_usual_key_is_known_by_its_form(bits: int) -> None:
    assert _usual_bits(USUAL[bits]) == bits
    assert _usual_bits(USUAL[bits] + b"\0") is None


def test_ed25519_key() -> None:
    key = parse_key(published(ed25519_key()))
    assert (key.type, key.bits, key.valid) == ("ed25519", 256, True)


def test_defaults_of_a_key_record() -> None:
    key = parse_key("p=" + published(rsa_key(1024)).partition("p=")[2])
    assert (key.type, key.hashes, key.services, key.testing, key.strict) == ("rsa", None, ("*",), False, False)


def test_tags_of_a_key_record() -> None:
    key = parse_key(published(rsa_key(1024), "h=sha1 : sha256; s=email:tlsrpt; t=y:s; n=a note; "))
    assert key.valid
    assert (key.hashes, key.services) == (("sha1", "sha256"), ("email", "tlsrpt"))
    assert key.testing
    assert key.strict
    assert not key.sha1_only


def test_key_for_sha1_only() -> None:
    assert parse_key(published(rsa_key(1024), "h=sha1; ")).sha1_only


def test_revoked_key_is_valid_but_not_usable() -> None:
    key = parse_key("v=DKIM1; p=")
    assert (key.revoked, key.valid, key.usable, key.bits) == (True, True, False, None)


def test_base64_may_be_folded_and_may_lack_its_padding() -> None:
    record = published(rsa_key(2048))
    start, _, encoded = record.partition("p=")
    folded = parse_key(f"{start}p={encoded[:50]} {encoded[50:90]}\t{encoded[90:]}")
    assert (folded.bits, folded.errors) == (2048, ())
    bare = parse_key(published(ed25519_key()).rstrip("="))
    assert (bare.bits, bare.valid, bare.errors) == (256, True, (KEY_PADDING(),))


def test_version_behind_other_tags_is_noted_and_overlooked() -> None:
    key = parse_key("k=ed25519; v=DKIM1; p=" + published(ed25519_key()).partition("p=")[2])
    assert (key.valid, key.errors) == (True, (V_NOT_FIRST(),))


def _elliptic() -> str:
    octets = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = octets.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"p={base64.b64encode(der).decode()}"


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ("v=DKIM1; k=rsa", TAG_MISSING(name="p")),
        ("v=DKIM2; p=", TAG_VALUE(name="v", value="DKIM2")),
        ("v=dkim1; p=", TAG_VALUE(name="v", value="dkim1")),
        ("v=DKIM1; k=dsa; p=AAAA", TAG_VALUE(name="k", value="dsa")),
        ("v=DKIM1; p=AAAA", KEY_NOT_RSA()),
        ('v=DKIM1; p="AAAA"', TAG_BASE64(name="p")),
        ("v=DKIM1; k=ed25519; p=AAAA", KEY_OCTETS(n=3, m=32)),
        ("v=DKIM1; p=; p=", TAG_TWICE(name="p")),
        ("v=spf1 -all", TAG_VALUE(name="v", value="spf1 -all")),
    ],
)
def test_keys_that_no_receiver_can_use(record: str, error: Detail) -> None:
    key = parse_key(record)
    assert not key.valid
    assert error in key.errors


def test_key_of_another_algorithm_is_not_taken_for_rsa() -> None:
    assert parse_key(_elliptic()).errors == (KEY_OTHER_TYPE(),)


def test_a_stray_record_beside_the_key_is_left_aside() -> None:
    record = published(ed25519_key())
    key, count = choose_key(["v=spf1 -all", record])
    assert key is not None
    assert (key.record, count) == (record, 1)
    assert choose_key([record, record])[1] == 2
    assert choose_key([]) == (None, 0)
    only, count = choose_key(["v=spf1 -all"])
    assert only is not None
    assert (only.valid, count) == (False, 1)


@pytest.mark.parametrize(
    ("name", "valid", "error"),
    [
        ("test.txt", True, None),
        ("test2.txt", True, None),
        ("test_tlsrpt.txt", True, None),
        ("ed25519test.dns", True, None),
        ("eximtest.dns", True, None),
        ("badk.txt", False, TAG_VALUE(name="k", value="ed25519-sha256")),
        ("badversion.txt", False, TAG_VALUE(name="v", value="DKIM1: g=*")),
        # The key ends one octet early, which breaks the DER inside.
        ("test_bad.txt", False, KEY_NOT_RSA()),
    ],
)
def test_key_records_of_dkimpy(name: str, valid: bool, error: Detail | None) -> None:
    key = parse_key(suite("dkim", "dkimpy", name).read_text().strip())
    assert key.valid is valid
    assert (error in key.errors) if error else not key.errors


@pytest.mark.parametrize(("name", "bits"), [("small", 512), ("rsa", 2048)])
def test_public_keys_of_mailauth(name: str, bits: int) -> None:
    public = load_pem_public_key(suite("dkim", "mailauth", f"public-{name}.pem").read_bytes())
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = parse_key(f"v=DKIM1; p={base64.b64encode(der).decode()}")
    assert (key.valid, key.bits) == (True, bits)


SIGNATURE = "v=1; a=rsa-sha256; d=example.com; s=s1; h=From:To; bh=aGFzaA==; b=c2ln"


def test_defaults_of_a_signature() -> None:
    read = parse_signature(SIGNATURE)
    assert read.errors == ()
    assert (read.domain, read.selector, read.identity) == ("example.com", "s1", "@example.com")
    assert (read.canonicalization, read.body_length, read.timestamp) == ("simple/simple", None, None)
    assert (read.signed_headers, read.key_name) == (("from", "to"), "s1._domainkey.example.com")


def test_half_a_canonicalization_leaves_the_body_simple() -> None:
    assert parse_signature(f"{SIGNATURE}; c=relaxed").canonicalization == "relaxed/simple"


def test_values_may_be_folded_and_names_are_lower_cased() -> None:
    read = parse_signature(
        b" b=c2\r\n\tln ;bh=aGFz\r\n aA== ; h=From : to\r\n :FROM;d=Example.COM ;s=S1.a; a=rsa-sha256;v=1"
    )
    assert read.errors == ()
    assert (read.value, read.body_hash) == (b"sig", b"hash")
    assert (read.signed_headers, read.key_name) == (("from", "to", "from"), "s1.a._domainkey.example.com")


def test_international_domains_are_asked_for_as_a_labels() -> None:
    read = parse_signature(SIGNATURE.replace("example.com", "例え.jp").encode())
    assert (read.errors, read.key_name) == ((), "s1._domainkey.xn--r8jz45g.jp")


def test_of_endless_tags_the_first_are_read_and_the_rest_is_said() -> None:
    tags = parse_tags("v=DKIM1;" + "".join(f"a{number}=b;" for number in range(5000)))
    assert (len(tags.tags), tags.errors) == (MAX_TAGS, (TAGS_MANY(n=MAX_TAGS),))
    assert parse_tags(";".join(f"a{number}=b" for number in range(MAX_TAGS)) + ";").errors == ()
    many_errors = parse_tags(";" * 5000 + "v=DKIM1")
    assert many_errors.errors[-1] == TAGS_MANY(n=MAX_TAGS)


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ("v=2", TAG_VALUE(name="v", value="2")),
        ("a=rsa-md5", TAG_VALUE(name="a", value="rsa-md5")),
        ("d=localhost", TAG_VALUE(name="d", value="localhost")),
        ("d=exa mple.com", TAG_VALUE(name="d", value="exa mple.com")),
        ("s=a..b", TAG_VALUE(name="s", value="a..b")),
        ("b=", TAG_EMPTY(name="b")),
        ("b=@@", TAG_BASE64(name="b")),
        ("bh=a", TAG_BASE64(name="bh")),
        ("bh=YQ=", TAG_BASE64(name="bh")),
        ("bh=YQ===", TAG_BASE64(name="bh")),
        ("c=loose", TAG_VALUE(name="c", value="loose")),
        ("c=relaxed/", TAG_VALUE(name="c", value="relaxed/")),
        ("l=-1", TAG_VALUE(name="l", value="-1")),
        ("t=now", TAG_VALUE(name="t", value="now")),
        ("x=1e9", TAG_VALUE(name="x", value="1e9")),
        ("q=http", TAG_VALUE(name="q", value="http")),
        ("i=ann@example.org", IDENTITY_OUTSIDE(text="ann@example.org")),
        ("i=ann@notexample.com", IDENTITY_OUTSIDE(text="ann@notexample.com")),
        (f"s={'a.' * 120}a", KEY_NAME_LONG()),
    ],
)
def test_signatures_that_receivers_ignore(tag: str, error: Detail) -> None:
    name = tag.partition("=")[0]
    others = [spec for spec in SIGNATURE.split("; ") if not spec.startswith(f"{name}=")]
    assert error in parse_signature("; ".join([*others, tag])).errors


@pytest.mark.parametrize("name", ["v", "a", "b", "bh", "d", "h", "s"])
def test_required_tags_of_a_signature(name: str) -> None:
    others = [spec for spec in SIGNATURE.split("; ") if not spec.startswith(f"{name}=")]
    assert parse_signature("; ".join(others)).errors == (TAG_MISSING(name=name),)


def test_expiry_has_to_be_later_than_the_signing() -> None:
    assert parse_signature(f"{SIGNATURE}; t=100; x=100").errors == (EXPIRES_EARLY(),)
    assert parse_signature(f"{SIGNATURE}; t=100; x=101").errors == ()


def test_unknown_tags_and_query_methods_are_ignored() -> None:
    assert parse_signature(f"{SIGNATURE}; zz=1; q=http/x:dns/txt").errors == ()


def test_absurdly_long_fields_are_refused() -> None:
    assert parse_signature(SIGNATURE + "; z=" + "a" * 70_000).errors == (FIELD_LONG(n=65536),)


@given(st.text(max_size=200) | st.text(alphabet="vpkthsabdi=; :\r\n\t12/@.", max_size=200))
def test_nothing_makes_the_parsers_raise(text: str) -> None:
    parse_key(text)
    parse_signature(text)
    parse_signature(text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=80))
def test_no_key_material_makes_the_key_parser_raise(octets: bytes) -> None:
    encoded = base64.b64encode(octets).decode()
    assert parse_key(f"p={encoded}").type == "rsa"
    assert parse_key(f"k=ed25519; p={encoded}").type == "ed25519"
