"""Auditors: one topic each, Subject + ports + earlier facts -> facts. May import model, ports and protocol cores."""
