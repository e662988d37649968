"""Auditors, one topic each: subject, ports and earlier facts in, facts out."""
