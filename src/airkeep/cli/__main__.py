"""`python -m airkeep.cli`."""

from airkeep.cli.main import main

main()
