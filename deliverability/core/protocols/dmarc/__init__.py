"""DMARC (RFC 9989): records, tree walk, organizational domains, evaluation."""
