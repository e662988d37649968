"""The only room that speaks: values, codes and rules in sentences of a language."""
