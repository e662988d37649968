"""Who sends as the domain by DMARC reports, and whether the next policy is safe: `deliv sources`, `deliv gate`."""
