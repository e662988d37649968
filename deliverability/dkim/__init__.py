"""DKIM (RFC 6376): signatures, keys, verification. May import model, ports.base and mail."""
