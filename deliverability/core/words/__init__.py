"""Values, codes and rules in the sentences of a language."""
