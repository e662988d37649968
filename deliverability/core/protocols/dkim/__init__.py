"""DKIM (RFC 6376) and ARC (RFC 8617): signatures, keys, verification."""
