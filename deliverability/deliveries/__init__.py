"""What became of the domain's mail, as facts: bounces, complaints, events, postmaster tools."""
