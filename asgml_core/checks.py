"""Checks for the public doors: one clear sentence, with the name, the rule and the value found."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any


class AsgmlError(Exception):
    """The base of this package's own errors: their message is all that a user needs."""

    #: Whether what comes next should have a fresh process.
    spoils_process = False


def check_one_of(name: str, value: Any, options: Iterable[Any]) -> Any:
    """Return ``value`` if it is one of ``options``.

    Raises:
        ValueError: naming the field, the allowed values and, for a near miss, the likely one.
    """
    options = list(options)
    if value in options:
        return value
    near = difflib.get_close_matches(str(value), [str(option) for option in options], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    allowed = ", ".join(repr(option) for option in options)
    raise ValueError(f"{name} is {value!r}, but must be one of: {allowed}.{hint}")


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float | None = None,
) -> float:
    """Return ``value`` if it is finite, ``low <= value <= high`` and ``value > above``.

    Raises:
        ValueError: naming the field, the range and the value.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if is_number and low <= value <= high and (above is None or value > above):
        return value
    raise ValueError(f"{name} is {value!r}, but must be a number {_range(low, high, above)}.")


def check_between(name: str, value: Any, low: float = 0.0, high: float = 1.0) -> float:
    """Return ``value`` if it is a number with ``low < value < high``.

    Raises:
        ValueError: naming the field, the range and the value.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and low < value < high:
        return value
    raise ValueError(f"{name} is {value!r}, but must be a number between {low:g} and {high:g}.")


def check_count(name: str, value: Any, *, low: int = 1, high: int | None = None) -> int:
    """Return ``value`` if it is a whole number with ``low <= value <= high``.

    Raises:
        ValueError: naming the field, the range and the value.
    """
    top = math.inf if high is None else high
    if isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= top:
        return int(value)
    raise ValueError(f"{name} is {value!r}, but must be a whole number {_range(low, top, None)}.")


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False.

    Raises:
        ValueError: naming the field and the value.
    """
    if isinstance(value, bool):
        return value
    raise ValueError(f"{name} is {value!r}, but must be True or False.")


def _range(low: float, high: float, above: float | None) -> str:
    if above is not None:
        return f"above {above}" if high == math.inf else f"above {above}, up to {high}"
    if low == -math.inf and high == math.inf:
        return "(finite)"
    if high == math.inf:
        return f"of {low} or more"
    return f"from {low} to {high}"
