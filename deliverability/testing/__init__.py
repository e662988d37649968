"""deliv in the tests of other programs: a pytest plugin, a listener on loopback, and Django's mail."""
