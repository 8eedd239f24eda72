"""`python -m kinfolk`, where the `kinfolk` script is not on the path."""

from kinfolk.cli import main

main()
