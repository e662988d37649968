"""Auditors: one topic each, Subject + ports + earlier facts -> facts."""
