"""Our reading of DMARC records beside checkdmarc's, over real records; each difference is named."""

from __future__ import annotations

from typing import Any

from deliverability.core.protocols.dmarc.record import DmarcRecord, is_dmarc, parse
from tests.corpus import corpus

# Where checkdmarc refuses the record, and why we do not: receivers ignore what they cannot read and go on.
REFUSED = {
    "Duplicate rua tags": "the first one counts, and the second is named as an error",
    "(marked with ➞) in: ": "the piece is named as an error or unknown tag, the rest is read",
    "is not a valid DMARC report URI": "the address is named as unusable, the rest is read",
}
# Where checkdmarc accepts what we call an error.
ACCEPTED = {"aspf=r fo=1": "a semicolon is missing, so that aspf has no value of its own"}


def answering_resolver() -> Any:
    """A dnspython resolver that says yes to what checkdmarc's parser asks about report addresses."""
    import dns.message
    import dns.name
    import dns.rdataclass
    import dns.rdatatype
    import dns.resolver
    import dns.rrset

    class Yes(dns.resolver.Resolver):
        def __init__(self) -> None:
            super().__init__(configure=False)

        def resolve(self, qname: Any, rdtype: Any = "A", *_: Any, **__: Any) -> Any:
            name = dns.name.from_text(str(qname))
            kind = dns.rdatatype.RdataType.make(rdtype)
            response = dns.message.make_response(dns.message.make_query(name, kind))
            response.index = None
            value = {"MX": "10 mx.example.", "TXT": '"v=DMARC1"', "A": "192.0.2.1"}.get(kind.name)
            if value:
                response.answer = [dns.rrset.from_text(name, 60, "IN", kind.name, value)]
            return dns.resolver.Answer(name, kind, dns.rdataclass.IN, response)

    return Yes()


def ours(record: DmarcRecord) -> tuple[Any, ...]:
    uris = tuple(uri.uri for uri in record.rua)
    return (record.policy, record.subdomain_policy or record.policy, record.adkim, record.aspf, uris)


def theirs(tags: dict[str, dict[str, Any]]) -> tuple[Any, ...]:
    value = {name: tag["value"] for name, tag in tags.items()}
    uris = tuple(f"mailto:{uri['address']}" for uri in value.get("rua", []))
    return (value["p"], value["sp"], value["adkim"], value["aspf"], uris)


def test_real_records_read_the_same() -> None:
    import checkdmarc.dmarc
    import checkdmarc.utils

    lines = corpus("dns-records", "dmarc.tsv").read_text("utf-8").splitlines()[1:]
    records = sorted({line.split("\t")[1] for line in lines})
    same = refused = 0
    for text in filter(is_dmarc, records):
        record = parse(text)
        checkdmarc.utils.DNS_CACHE.clear()  # it is kept by name and type, whichever resolver answered
        try:
            parsed = checkdmarc.dmarc.parse_dmarc_record(text, "example.gov", resolver=answering_resolver())
        except checkdmarc.dmarc.DMARCError as error:
            problem = str(error)
        else:
            problem = ""
        if problem:
            assert any(reason in problem for reason in REFUSED), (text, problem)
            assert record.errors or record.invalid_uris or record.unknown_tags, text
            refused += 1
            continue
        assert ours(record) == theirs(parsed["tags"]), text
        assert {each.arg("text") for each in record.errors} <= set(ACCEPTED), text
        same += 1
    assert (same, refused) == (280, 10)
