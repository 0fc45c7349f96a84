"""The checks at the public doors: what passes, what is refused, and the sentence that says why."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest

from asgml_core.checks import check_count, check_number, check_one_of


def test_what_passes_comes_back():
    assert check_one_of("head", "sum", ("sum", "gated")) == "sum"
    assert check_one_of("head", "sum", {"sum": 1}) == "sum"
    assert check_one_of("head", None, iter((None, "sum"))) is None
    assert check_number("alpha", 0.5) == 0.5
    assert check_number("alpha", 1, low=1, high=1) == 1
    assert check_number("alpha", np.float32(0.5), above=0.0) == 0.5
    assert check_number("alpha", Fraction(1, 2)) == 0.5
    assert check_count("steps", 3) == 3
    assert check_count("steps", 0, low=0, high=0) == 0
    assert type(check_count("steps", np.int64(3))) is int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("summ", "head is 'summ', but must be one of: 'sum', 'gated'. Did you mean 'sum'?"),
        ("zzz", "head is 'zzz', but must be one of: 'sum', 'gated'."),
        (None, "head is None, but must be one of: 'sum', 'gated'."),
        (["sum"], "head is ['sum'], but must be one of: 'sum', 'gated'."),
    ],
)
def test_another_option_is_refused(value, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_one_of("head", value, ("sum", "gated"))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), "1", None, True, 1j, []]
)
def test_what_is_no_finite_number_is_refused(value):
    message = re.escape(f"alpha is {value!r}, but must be a number (finite).")
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_number("alpha", value)


@pytest.mark.parametrize(
    ("value", "limits", "rule"),
    [
        (-0.1, {"low": 0.0}, "of 0.0 or more"),
        (1.1, {"low": 0.0, "high": 1.0}, "from 0.0 to 1.0"),
        (-0.1, {"low": 0.0, "high": 1.0}, "from 0.0 to 1.0"),
        (0.0, {"above": 0.0}, "above 0.0"),
        (0.0, {"above": 0.0, "high": 0.9}, "above 0.0, up to 0.9"),
        (1.0, {"above": 0.0, "high": 0.9}, "above 0.0, up to 0.9"),
    ],
)
def test_a_number_out_of_range_is_refused(value, limits, rule):
    message = re.escape(f"alpha is {value!r}, but must be a number {rule}.")
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_number("alpha", value, **limits)


@pytest.mark.parametrize(
    ("value", "limits", "rule"),
    [
        (0, {}, "of 1 or more"),
        (1.0, {}, "of 1 or more"),
        (True, {}, "of 1 or more"),
        ("3", {}, "of 1 or more"),
        (float("nan"), {"low": 0}, "of 0 or more"),
        (5, {"low": 2, "high": 4}, "from 2 to 4"),
        (1, {"low": 2, "high": 4}, "from 2 to 4"),
    ],
)
def test_a_count_out_of_range_is_refused(value, limits, rule):
    message = re.escape(f"steps is {value!r}, but must be a whole number {rule}.")
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_count("steps", value, **limits)
