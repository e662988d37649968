"""deliv inside octoDNS: mail records that are wrong are stopped before they are published.

`Validator` looks at the zone as it will be, by itself, without asking anybody: octodns-validate, octodns-sync.
`Processor` compares what is published with what will be, at every receiver: octodns-sync.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from octodns.processor.base import BaseProcessor, ProcessorException
from octodns.record.validator import ValidationReason
from octodns.zone.validator import ZoneValidator

from deliverability import Diff, ZoneInput, diff, read_zone
from deliverability.differences.alone import broken_records
from deliverability.differences.run import FAIL_ON

_READ = frozenset({"A", "AAAA", "CAA", "CNAME", "DS", "MX", "NAPTR", "NS", "PTR", "SPF", "SRV", "SSHFP", "TLSA", "TXT"})


def zone_input(zone: Any) -> ZoneInput:
    """A zone of octoDNS in the normal form. Raises deliverability.InputError."""
    names: dict[str, list[dict[str, Any]]] = {}
    for record in zone.records:
        if record._type in _READ:
            names.setdefault(record.name, []).append({"type": record._type, **record.data})
    return read_zone(json.dumps(names, default=str), format="octodns", origin=zone.name)


class Validator(ZoneValidator):  # type: ignore[misc]
    """Errors in SPF, DMARC, DKIM and MX records that are there: not what is missing, nor what only others could tell.

    Args:
        id: the key in octoDNS' configuration.
        receivers: ids of receivers (`deliv rules --receivers`): only what these act on; none: all errors.
        lang: ``en`` or ``ja``.

    """

    def __init__(self, id: str, sets: Any = None, receivers: Sequence[str] = (), lang: str = "en") -> None:  # noqa: A002
        super().__init__(id, sets=sets)
        self.receivers, self.lang = tuple(receivers), lang

    def validate(self, zone: Any) -> list[Any]:
        """A reason for each error, with the records behind it; lenient ones among them make it a warning."""
        try:
            found = broken_records(zone_input(zone), receivers=self.receivers, lang=self.lang)
        except ValueError as error:  # octoDNS itself tells what is no record
            return [ValidationReason(str(error), validator_id=self.id)]
        by_name: dict[str, list[Any]] = {}
        for record in zone.records:
            by_name.setdefault(record.fqdn.rstrip(".").lower(), []).append(record)
        reasons = []
        for each in found:
            if self.receivers and not each.receivers:
                continue
            records = [one for owner in each.owners for one in by_name.get(owner, ()) if one._type in ("TXT", "MX")]
            at = f" ({', '.join(each.receivers)})" if each.receivers else ""
            reasons.append(ValidationReason(f"{each.rule}: {each.message}{at}", records, validator_id=self.id))
        return reasons


class Processor(BaseProcessor):  # type: ignore[misc]
    """Stops a plan that makes mail worse at a receiver.

    Args:
        name: the key in octoDNS' configuration.
        fail_on: ``worse``, ``error`` or ``never``, as of `deliv diff`.
        accept: ways of sending that are meant to go or change, as the message names them.
        base: what is asked about all else: ``live``, ``offline`` or zone files.

    """

    def __init__(
        self, name: str, fail_on: str = "worse", base: str = "live", accept: Sequence[str] = (), **options: Any
    ) -> None:
        super().__init__(name, **options)
        if fail_on not in FAIL_ON:
            raise ProcessorException(f"{name}: fail_on is one of {', '.join(FAIL_ON)}")
        self.fail_on, self.base, self.accept = fail_on, base, accept

    def process_source_and_target_zones(self, desired: Any, existing: Any, target: Any, lenient: bool = False) -> Any:
        """Compare both. Raises ProcessorException where it is worse."""
        if existing is not None:
            found = self._compared(desired, existing)
            if found.exit_code(self.fail_on) == 1 and not (lenient or getattr(self, "lenient", False)):
                raise ProcessorException("\n".join(_told(self.name, found)))
        return desired, existing

    def _compared(self, desired: Any, existing: Any) -> Diff:
        return diff(zone_input(existing), zone_input(desired), base=self.base, accept=self.accept)


def _told(name: str, found: Diff) -> Iterable[str]:
    for domain in found.domains:
        if domain.worse:
            yield f"{name}: mail of {domain.name} is worse after this plan"
            for way in domain.ways:
                if way.worse:
                    yield f"  {way.kind}: {way.way}"
            for pair in domain.verdicts:
                if pair.worse:
                    yield f"  {pair.receiver}: {pair.before.value} -> {pair.after.value} {', '.join(pair.rules)}"
            for each in domain.new:
                yield f"  new: {each.rule} {each.item}".rstrip()
