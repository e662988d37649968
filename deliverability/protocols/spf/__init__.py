"""SPF (RFC 7208): record parsing, the cost of the include tree, evaluation with trace."""
