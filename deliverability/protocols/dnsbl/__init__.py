"""Block lists: asked over DNS (RFC 5782), and read from files."""
