"""The only modules that touch the outside world: DNS, HTTP, SMTP, clock, recordings."""
