"""Weekly runs: audit all domains of the settings, compare with the run before, write pages, tell people."""
