"""`python -m kinfolk.cli`, where the `kinfolk` script is not on the path."""

from kinfolk.cli import main

main()
