"""PDFs that are attached: where their octets are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deliverability.auditors.attachments import attached
from deliverability.auditors.base import Context, auditor, spec
from deliverability.mail.evidence import part_evidence
from deliverability.mail.structure import Leaf
from deliverability.model.facts import FactType, Value

PROVIDES = (
    spec("message.pdfs", FactType.LIST_RECORD, "Attached PDFs, by content.", key=["filename", "path"]),
    spec("message.pdfs[].path", FactType.STR, "Position in the MIME tree."),
    spec("message.pdfs[].filename", FactType.STR, "Decoded file name; empty where there is none."),
    spec("message.pdfs[].octets", FactType.INT, "As a file.", unit="octets"),
    spec("message.pdfs[].images", FactType.INT, "Images in it."),
    spec("message.pdfs[].image_octets", FactType.INT, "Of the file, images.", unit="octets"),
    spec("message.pdfs[].font_octets", FactType.INT, "Of the file, embedded fonts.", unit="octets"),
    spec("message.pdfs[].other_octets", FactType.INT, "Of the file, everything else.", unit="octets"),
    spec(
        "message.pdfs[].saving_octets",
        FactType.INT,
        "An estimate, not measured: what scaling images down to 150 dpi of a full page would save.",
        unit="octets",
    ),
)


@auditor("pdf", provides=PROVIDES, needs=("message.attachments",), of_message=True)
async def audit(ctx: Context) -> None:
    """PDFs that are attached: where their octets are."""
    _, files = attached(ctx, lambda record: record["container"] == "pdf")
    found = await asyncio.to_thread(_pdfs, files) if files else []
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf, _ in found[:100]]
    ctx.put("message.pdfs", tuple(record for _, record in found), *cited)


def _pdfs(files: Sequence[Leaf]) -> list[tuple[Leaf, Value]]:
    from deliverability.mail.files.pdf import weigh

    found: list[tuple[Leaf, Value]] = []
    for leaf in files:
        facts = weigh(leaf.part.decode())
        if facts is not None:
            record: Value = {
                "path": leaf.part.path,
                "filename": leaf.part.filename or "",
                "octets": facts.octets,
                "images": facts.images,
                "image_octets": facts.image_octets,
                "font_octets": facts.font_octets,
                "other_octets": facts.other_octets,
                "saving_octets": facts.saving_octets,
            }
            found.append((leaf, record))
    return found
