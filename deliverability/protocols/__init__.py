"""Protocols of mail: their records parsed and evaluated, pure over a resolver."""
