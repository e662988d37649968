"""What checkdmarc and dkimpy make of the very answers and octets of an audit."""
