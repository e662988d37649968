"""The protocols of mail: records parsed and evaluated, pure over a resolver."""
