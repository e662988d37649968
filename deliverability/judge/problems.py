"""What can be wrong with rules, receivers, tasks and claims that their shape does not say (see model.rules)."""

from __future__ import annotations

from deliverability.model.codes import Code

NO_RULE_FILES = Code("rule-no-files")
NO_RULE_FOLDER = Code("rule-no-folder", ("name",))

NO_FACT = Code("rule-no-fact", ("name",))
NO_FIELD = Code("rule-no-field", ("list", "name"))
NO_LIMIT = Code("rule-no-limit", ("name",))
NO_REMEDY = Code("rule-no-remedy", ("name",))
NO_TASK = Code("rule-no-task", ("name",))
NO_LIST = Code("rule-no-list", ("name",))
NO_ALIGNED = Code("task-no-aligned", ("fact",))

LIMIT_SHAPE = Code("rule-limit")
ONLY_WITH_EACH = Code("rule-only-with-each", ("path",))
EACH_OF = Code("rule-each-of", ("path", "type"))
MAY_BE_ABSENT = Code("rule-may-be-absent", ("rule", "fact"))

FACT_IS = Code("rule-fact-is", ("path", "type", "detail"))
TAKES_BOOL = Code("rule-takes-bool", ("op",))
TAKES_LIST = Code("rule-takes-list", ("op",))
NOT_COMPARED = Code("rule-not-compared", ("op",))
NOT_FOR_LISTS = Code("rule-not-for-lists", ("op",))
COMPARES_NUMBERS = Code("rule-compares-numbers", ("op",))
NEEDS_LIST_OR_TEXT = Code("rule-needs-list-or-text", ("op",))
NEEDS_KIND = Code("rule-needs-kind", ("op", "kind"))
NEEDS_EXPRESSION = Code("rule-needs-expression")
BAD_EXPRESSION = Code("rule-bad-expression", ("why",))
NOT_A = Code("rule-not-a", ("value", "kind"))

PREVIEW = Code("rule-preview")
INFORMATION = Code("rule-information")
ERROR_SCOPE = Code("rule-error-scope", ("scope",))

SENTENCE_CASES = Code("rule-sentence-cases")
OTHER_CASES = Code("rule-other-cases")
TOO_WIDE = Code("rule-too-wide", ("n", "most"))
HEADING_END = Code("rule-heading-end")
NOUN_WITHOUT_FACTS = Code("rule-noun-without-facts")

NO_STATEMENTS = Code("receiver-no-statements")
NO_ERROR_OF = Code("receiver-no-error-of", ("rule", "scope"))
RULE_WITHOUT_LIMIT = Code("receiver-no-limit", ("rule", "name"))
NO_OWN_PAGE = Code("receiver-no-own-page")
RECEIVER_NEEDS = Code("receiver-needs", ("fields",))
COMBINES_TAKES = Code("receiver-combines-takes", ("fields",))
COMBINES_COMBINED = Code("receiver-combines-combined", ("receiver", "other"))
COMBINES_UNKNOWN = Code("receiver-combines-unknown", ("receiver", "other"))

GRADES_ORDER = Code("grades-order")
LAST_GRADE = Code("grades-last")

NO_REQUIREMENT = Code("claim-no-requirement", ("name",))
UNUSED_REQUIREMENT = Code("claim-unused-requirement", ("name",))
