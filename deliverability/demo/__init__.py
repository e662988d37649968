"""The newcomer's first run: an embedded domain (example.zone) and message (newsletter.eml), all under reserved names.

The private keys behind the published DKIM keys were thrown away.
"""
