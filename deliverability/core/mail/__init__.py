"""Messages read from their octets: header fields, MIME parts, words, trace fields."""
