"""Rule files to typed rules; facts and rules to findings, verdicts, plan and answer."""
