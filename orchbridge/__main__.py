"""`python -m orchbridge`."""

from orchbridge.cli import main

main()
