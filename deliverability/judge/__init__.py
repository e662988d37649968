"""Rule files -> typed rules; facts + rules -> findings and verdicts."""
