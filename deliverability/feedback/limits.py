"""How much of a file or mail with feedback is read, and the codes of what was not read."""

from __future__ import annotations

from deliverability.model.codes import Code
from deliverability.model.errors import DetailError

MAX_COMPRESSED = 50_000_000  # octets of one file or mail
MAX_UNPACKED = 1_000_000_000  # octets of one decompressed stream
MAX_RATIO = 400  # decompressed : compressed, after the first octets; genuine reports reach 103
RATIO_FREE = 4_000_000
MAX_NESTING = 3
MAX_ENTRIES = 50
MAX_JSON = 50_000_000
MAX_JSON_DEPTH = 32
MAX_DEPTH = 16
MAX_TEXT = 4096  # characters of an element that are kept
MAX_RECORDS = 5_000_000
MAX_SIGNATURES = 100  # of a record
MAX_COUNT = 1_000_000_000
MAX_PERIOD = 8 * 86400  # seconds
EARLIEST = 1_293_840_000  # 2011-01-01: no report is older than DMARC

NOT_FEEDBACK = Code("not-feedback")
NOT_OPENED = Code("feedback-not-opened", ("why",))
REPAIRED = Code("repaired", ("what",))
CUT_OFF = Code("report-cut-off", ("records",))
TOO_LARGE = Code("feedback-too-large", ("octets", "limit"))
BOMB = Code("feedback-bomb", ("octets",))
TOO_NESTED = Code("feedback-nested", ("limit",))
TOO_MANY_ENTRIES = Code("feedback-entries", ("limit",))
ENCRYPTED = Code("feedback-encrypted", ("name",))
DAMAGED = Code("feedback-damaged", ("what",))
DOCTYPE = Code("report-doctype")
TOO_DEEP = Code("report-depth", ("limit",))
TOO_MANY_RECORDS = Code("report-records", ("limit",))
TOO_MANY_SIGNATURES = Code("report-signatures", ("limit",))
BAD_COUNT = Code("report-count", ("value",))
BAD_ADDRESS = Code("report-address", ("value",))
BAD_NAME = Code("report-name", ("value",))
BAD_PERIOD = Code("report-period", ("begin", "end"))
NO_EVALUATION = Code("report-evaluation")
NOT_STATED = Code("report-not-told", ("what",))


class NotReadError(DetailError):
    """It cannot be used; `detail` is the code of why."""
