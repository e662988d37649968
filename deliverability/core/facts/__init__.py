"""What auditors state: facts with evidence, and the catalogue of facts."""
