"""What attached files hold: octets in, what is known about them out."""
