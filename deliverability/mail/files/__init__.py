"""What files hold: octets in, what is known about them out. Protocol core beside spf, dkim and dmarc."""
