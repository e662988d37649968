"""Reading mail: bytes -> header fields, parts, words."""
