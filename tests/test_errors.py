"""Every error a user can cause says the problem and the remedy on one line."""

import pytest

from kinfolk import errors

KINDS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.KinfolkError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_problem_and_remedy(kind):
    error = kind("the file is empty", "write it again")
    assert str(error) == "the file is empty; write it again"
    assert (error.problem, error.remedy) == ("the file is empty", "write it again")
    with pytest.raises(errors.KinfolkError):
        raise error


def test_none_is_a_builtin_kind_that_others_catch_by_accident():
    assert not any(issubclass(k, (ValueError, OSError, RuntimeError)) for k in KINDS)
