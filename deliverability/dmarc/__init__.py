"""DMARC (RFC 9989): records, tree walk, organizational domains. May import model and ports.base."""
