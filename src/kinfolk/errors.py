"""What can go wrong, said so that it can be mended: what was got, what was expected, what to do next.

Every error a user can cause derives from `KinfolkError`; the command line prints it as one line and exits with 2.
Anything else that escapes is a defect of kinfolk.
"""

from __future__ import annotations


class KinfolkError(Exception):
    """Base of all errors with a remedy.

    Args:
        problem: what was got and where (file, row, column), one clause without a full stop.
        remedy: what to do next, one clause without a full stop.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}")


class DataError(KinfolkError):
    """A table holds something that cannot be used."""


class SchemaError(KinfolkError):
    """A schema contradicts itself, the tables, or the bundle."""


class BundleError(KinfolkError):
    """A bundle is missing, truncated, tampered with, or of another version."""


class OptionError(KinfolkError):
    """An option, or a combination of options, makes no sense."""


class ProtocolError(KinfolkError):
    """An evaluation would prove nothing: the model has seen what it is tested on, or nothing is left to test."""


class TooFewSeedsError(KinfolkError):
    """A candidate or seed list holds fewer usable seeds than `min_seeds`."""
