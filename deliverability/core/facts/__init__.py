"""What auditors state: facts with evidence, and the catalogue that names them."""
