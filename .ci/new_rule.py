"""Appends the skeleton of a rule to its topic file and of its cases: `make new-rule ID=SPF-099`.

Both load at once. What is marked TODO is the author's to replace; a test refuses a rule that still has some.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

RULE = """
- id: {id}
  name: todo-{name}
  since: "{since}"
  severity: info
  scope: delivery
  level: recommended
  effort: low
  confidence: medium
  task: test-mail  # TODO: the act of rules/tasks.yaml that settles it
  require: {{fact: subject.parked, eq: false}}  # TODO: the condition; rules/README.md lists facts and operators
  sources:
    - {{ref: rfc5321, section: TODO}}
  text:
    en:
      title: TODO what is so when the rule is met
      short: TODO what is wrong when it is not
      noun: TODO what is checked
      met: TODO what was found.
      unmet: TODO what was found instead.
      why: TODO what that means for delivery.
      fix:
        - TODO the exact thing to do.
    ja:
      title: TODO 満たしているときの状態
      short: TODO 満たしていないときの状態
      noun: TODO 確認の対象
      met: TODO 確認できた内容です。
      unmet: TODO 代わりに確認した内容です。
      why: TODO 配信への影響です。
      fix:
        - TODO 具体的な手順を書きます。
"""

CASES = """
{id}:  # TODO: both sides of every limit; not-applicable where there is a `when` or an `each`
  met: {{subject.parked: false}}
  unmet: {{subject.parked: true}}
  unknown: {{subject.parked: {{unknown: not-configured}}}}
"""


def main(ident: str, topic: str = "") -> int:
    """0 if the skeleton was written; 2, and nothing is touched, where the id or the topic is no good."""
    if not re.fullmatch(r"[A-Z][A-Z0-9]*-[0-9]{3}", ident):
        return _refused(f"ID={ident or '…'} is no id of a rule: capitals, a hyphen, three digits, like SPF-099")
    group = ident.partition("-")[0]
    taken = {
        path.stem: re.findall(r"(?m)^- id: (\S+)$", path.read_text("utf-8"))
        for path in sorted((ROOT / "rules").glob("*.yaml"))
    }
    used = sorted(each for ids in taken.values() for each in ids if each.startswith(f"{group}-"))
    if ident in used:
        return _refused(f"{ident} is taken; the next free number is {group}-{int(used[-1][-3:]) + 1:03}")
    counts = Counter({stem: sum(each in used for each in ids) for stem, ids in taken.items()})
    if not topic and not used:
        return _refused(f"no rule of {group} is there yet: name its file in rules/ too, such as TOPIC=spf")
    topic = topic or counts.most_common(1)[0][0]
    if not (taken.get(topic) or (re.fullmatch("[a-z]+", topic) and topic not in taken)):
        return _refused(f"rules/{topic}.yaml holds no rules")
    version = re.search(r'__version__ = "([^"]+)"', (ROOT / "deliverability" / "__init__.py").read_text("utf-8"))[1]
    fields = {"id": ident, "name": ident.lower(), "since": ".".join(version.split(".")[:2])}
    for folder, skeleton in (("rules", RULE), ("tests/rules", CASES)):
        path = ROOT / folder / f"{topic}.yaml"
        before = path.read_text("utf-8") if path.exists() else ""
        path.write_text(before + skeleton.format(**fields), "utf-8")
        print(f"{folder}/{topic}.yaml:{before.count(chr(10)) + 2}: {ident}")
    print("Replace every TODO, then go on with docs/adding-a-rule.md.")
    return 0


def _refused(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
