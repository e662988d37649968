"""SPF (RFC 7208): records, the cost of the include tree, evaluation with trace."""
