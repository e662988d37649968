"""`python -m deliverability`."""

from deliverability.cli import main

main()
