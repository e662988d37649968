"""Writes the same records in every format that is read: zones, and plans from one zone to another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

Row = tuple[str, str, str]
"""Owner relative to the zone ("" for its top), type, value: a text, a host with a dot, or a preference and a host."""
ZONE = "example.com"


def sets(rows: Iterable[Row]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for owner, rdtype, value in rows:
        found.setdefault((owner, rdtype), []).append(value)
    return found


def whole(owner: str, zone: str = ZONE) -> str:
    return f"{owner}.{zone}" if owner else zone


def quoted(text: str) -> str:
    parts = [text[start : start + 255] for start in range(0, max(len(text), 1), 255)]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)


def presented(rdtype: str, value: str) -> str:
    return quoted(value) if rdtype == "TXT" else value


def bind(rows: Iterable[Row], zone: str = ZONE) -> str:
    head = f"$ORIGIN {zone}.\n$TTL 300\n@ IN SOA ns.{zone}. host.{zone}. 1 2 3 4 5\n"
    return head + "".join(f"{owner or '@'} IN {rdtype} {presented(rdtype, value)}\n" for owner, rdtype, value in rows)


def octodns_value(rdtype: str, value: str) -> Any:
    if rdtype == "MX":
        preference, exchange = value.split()
        return {"preference": int(preference), "exchange": exchange}
    return value.replace(";", "\\;") if rdtype == "TXT" else value


def octodns(rows: Iterable[Row]) -> str:
    names: dict[str, list[dict[str, Any]]] = {}
    for (owner, rdtype), values in sets(rows).items():
        record: dict[str, Any] = {"type": rdtype, "ttl": 300}
        made = [octodns_value(rdtype, each) for each in values]
        record.update({"value": made[0]} if rdtype == "CNAME" else {"values": made})
        names.setdefault(owner, []).append(record)
    return yaml.safe_dump(names, sort_keys=True, width=10_000)


def octodns_plan(old: Iterable[Row], new: Iterable[Row], zone: str = ZONE) -> str:
    before, after = sets(old), sets(new)
    changes = []
    for key in sorted({**before, **after}):
        if before.get(key) == after.get(key):
            continue
        change: dict[str, Any] = {"name": key[0], "record_type": key[1]}
        for side, found in (("existing", before), ("new", after)):
            if key in found:
                values = [octodns_value(key[1], each) for each in found[key]]
                change[side] = {"ttl": 300, **({"value": values[0]} if len(values) == 1 else {"values": values})}
        change["type"] = "update" if key in before and key in after else "delete" if key in before else "create"
        changes.append(change)
    return json.dumps({"route53": {f"{zone}.": {"changes": changes, "meta": None}}})


def dnscontrol(rows: Iterable[Row], zone: str = ZONE, **more: Any) -> str:
    records = []
    for number, (owner, rdtype, value) in enumerate(rows, 2):
        record: dict[str, Any] = {"type": rdtype, "name": owner or "@", "ttl": 300, "filepos": f"[line:{number}:5]"}
        if rdtype == "MX":
            preference, value = value.split()
            if int(preference):
                record["mxpreference"] = int(preference)
        records.append(record | {"target": value})
    domain = {"name": zone, "uniquename": zone, "dnsProviders": {}, "registrar": "none", "records": records, **more}
    return json.dumps({"registrars": [], "dns_providers": [], "domains": [domain]})


def route53_set(key: tuple[str, str], values: Sequence[str], zone: str = ZONE) -> dict[str, Any]:
    records = [{"Value": presented(key[1], value)} for value in values]
    name = f"{whole(key[0], zone)}.".replace("*", "\\052")
    return {"Name": name, "Type": key[1], "TTL": 300, "ResourceRecords": records}


def route53(rows: Iterable[Row], zone: str = ZONE) -> str:
    return json.dumps({"ResourceRecordSets": [route53_set(key, values, zone) for key, values in sets(rows).items()]})


def route53_batch(old: Iterable[Row], new: Iterable[Row], zone: str = ZONE) -> str:
    before, after = sets(old), sets(new)
    changes = [
        {"Action": "UPSERT", "ResourceRecordSet": route53_set(key, values, zone)}
        for key, values in after.items()
        if before.get(key) != values
    ]
    changes += [
        {"Action": "DELETE", "ResourceRecordSet": route53_set(key, values, zone)}
        for key, values in before.items()
        if key not in after
    ]
    return json.dumps({"ChangeBatch": {"Changes": changes}})


def cloudflare(rows: Iterable[Row], zone: str = ZONE) -> str:
    result = []
    for number, (owner, rdtype, value) in enumerate(rows):
        record: dict[str, Any] = {"id": str(number), "name": whole(owner, zone), "type": rdtype, "ttl": 300}
        if rdtype == "MX":
            record["priority"], value = int(value.split()[0]), value.split()[1]
        if rdtype == "TXT" and number % 2:  # the API gives both
            value = quoted(value)
        record["content"] = value if rdtype == "TXT" else (value.rstrip(".") or ".")
        result.append(record)
    pages = {"page": 1, "per_page": 100, "total_pages": 1, "count": len(result), "total_count": len(result)}
    return json.dumps({"result": result, "success": True, "errors": [], "messages": [], "result_info": pages})


# --- Terraform --------------------------------------------------------------------------------------------------------


def resource(kind: str, key: tuple[str, str], values: Sequence[str], zone: str = ZONE) -> dict[str, Any]:
    """The attributes of a resource that holds these values: one of them, where its kind holds one."""
    owner, rdtype = key
    value, host = values[0], values[0].split()[-1]
    preference = int(values[0].split()[0]) if rdtype == "MX" else None
    if kind == "cloudflare_dns_record":
        content = quoted(value) if rdtype == "TXT" else host.rstrip(".") or "."
        name = whole(owner, zone)
        return {"name": name, "type": rdtype, "content": content, "priority": preference, "ttl": 300, "zone_id": "z1"}
    if kind == "cloudflare_record":
        content = value if rdtype == "TXT" else host.rstrip(".") or "."
        shape = {"type": rdtype, "priority": preference, "ttl": 300, "zone_id": "z1", "data": []}
        return {"name": owner or "@", "value": content, "content": None, "hostname": whole(owner, zone), **shape}
    if kind == "aws_route53_record":
        texts = [quoted(each)[1:-1].replace('" "', '""') if rdtype == "TXT" else each for each in values]
        shape = {"type": rdtype, "ttl": 300, "zone_id": "Z1", "alias": [], "set_identifier": None}
        return {"name": whole(owner, zone), "fqdn": whole(owner, zone), "records": texts, **shape}
    if kind == "google_dns_record_set":
        texts = [presented(rdtype, each) for each in values]
        name = f"{whole(owner, zone)}."
        return {"name": name, "type": rdtype, "rrdatas": texts, "ttl": 300, "routing_policy": []}
    if kind.startswith("azurerm_dns_"):
        shape = {"name": owner or "@", "zone_name": zone, "ttl": 300, "fqdn": f"{whole(owner, zone)}."}
        if rdtype == "TXT":
            return shape | {"record": [{"value": each} for each in values]}
        if rdtype == "MX":
            pairs = [each.split() for each in values]
            return shape | {"record": [{"preference": each[0], "exchange": each[1]} for each in pairs]}
        return shape | ({"record": value} if rdtype == "CNAME" else {"records": list(values)})
    if kind == "digitalocean_record":
        shape = {"type": rdtype, "priority": preference, "ttl": 300, "fqdn": whole(owner, zone)}
        return {"name": owner or "@", "domain": zone, "value": value if rdtype == "TXT" else host, **shape}
    if kind == "sakuracloud_dns_record":
        shape = {"type": rdtype, "priority": preference, "ttl": 300}
        return {"name": owner or "@", "dns_id": "d1", "value": value if rdtype == "TXT" else host, **shape}
    if kind == "gandi_livedns_record":
        return {
            "name": owner or "@",
            "zone": zone,
            "type": rdtype,
            "ttl": 300,
            "values": [presented(rdtype, each) for each in values],
        }
    if kind == "sakuracloud_dns":
        shape = {"name": owner or "@", "type": rdtype, "priority": preference, "ttl": 300}
        return {"zone": zone, "record": [shape | {"value": each} for each in values]}
    assert kind == "ovh_domain_zone_record"
    return {"subdomain": owner, "zone": zone, "fieldtype": rdtype, "ttl": 300, "target": presented(rdtype, value)}


KINDS = (
    "cloudflare_dns_record",
    "cloudflare_record",
    "aws_route53_record",
    "google_dns_record_set",
    "azurerm_dns_{type}_record",
    "digitalocean_record",
    "sakuracloud_dns_record",
    "gandi_livedns_record",
    "ovh_domain_zone_record",
)
SINGLE = frozenset(
    {
        "cloudflare_dns_record",
        "cloudflare_record",
        "digitalocean_record",
        "sakuracloud_dns_record",
        "ovh_domain_zone_record",
    }
)
"""Those that hold one value each."""
VALUE = {
    "cloudflare_dns_record": "content",
    "cloudflare_record": "value",
    "aws_route53_record": "records",
    "google_dns_record_set": "rrdatas",
    "azurerm_dns_txt_record": "record",
    "digitalocean_record": "value",
    "sakuracloud_dns_record": "value",
    "gandi_livedns_record": "values",
    "ovh_domain_zone_record": "target",
    "sakuracloud_dns": "record",
}
"""The attribute that holds what is published."""


def change(
    kind: str,
    name: str,
    actions: Sequence[str],
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    unknown: Any = None,
    **more: Any,
) -> dict[str, Any]:
    provider = f"registry.terraform.io/x/{kind.partition('_')[0]}"
    inner = {"actions": list(actions), "before": before, "after": after, "after_unknown": unknown or {}, **more}
    shape = {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name, "provider_name": provider}
    return shape | {"change": inner}


def plan(changes: Sequence[dict[str, Any]], zone: str = ZONE, **more: Any) -> str:
    zones = [
        ("cloudflare_zone", {"id": "z1", "name": zone}),
        ("aws_route53_zone", {"zone_id": "Z1", "id": "Z1", "name": zone}),
        ("sakuracloud_dns", {"id": "d1", "zone": zone}),
    ]
    known = [
        {"address": f"data.{kind}.this", "mode": "data", "type": kind, "name": "this", "values": values}
        for kind, values in zones
    ]
    state = {"format_version": "1.0", "values": {"root_module": {"resources": known}}}
    return json.dumps(
        {
            "format_version": "1.2",
            "terraform_version": "1.9.0",
            "resource_changes": changes,
            "prior_state": state,
            **more,
        }
    )


def terraform(kind: str, old: Iterable[Row], new: Iterable[Row], zone: str = ZONE) -> str:
    """The plan from one zone to another, with resources of one kind; `{type}` in it stands for that of the record."""
    before, after = sets(old), sets(new)
    changes: list[dict[str, Any]] = []
    for key in sorted({**before, **after}):
        own = kind.format(type=key[1].lower())
        was, now = before.get(key, []), after.get(key, [])
        if own in SINGLE:
            gone, come = [each for each in was if each not in now], [each for each in now if each not in was]
            kept = [each for each in was if each in now]
            pairs: list[tuple[list[str], list[str]]] = [([each], [each]) for each in kept]
            count = max(len(gone), len(come))
            pairs += [(gone[at : at + 1], come[at : at + 1]) for at in range(count)]
        else:
            pairs = [(was, now)]
        for number, (one, other) in enumerate(pairs):
            sides = [resource(own, key, each, zone) if each else None for each in (one, other)]
            actions = ["no-op"] if one == other else ["update"] if one and other else ["delete"] if one else ["create"]
            name = f"{key[0] or 'apex'}_{key[1]}_{number}".replace(".", "_")
            changes.append(change(own, name, actions, *sides))
    return plan(changes, zone)
