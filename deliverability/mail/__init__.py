"""Reading mail: bytes -> header fields, parts, words. May import model only."""
