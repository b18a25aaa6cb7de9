"""Annotations are checked at every call of the package, each value once.

`--jaxtyping-packages` decorates every function with `jaxtyping.jaxtyped`, which compiles four functions per
decorated one and checks every argument twice, for the sake of its messages: 40 % of the time of many tests.
`checked` has beartype check the same annotations with the same shapes, once, and compiles at the first call
only. It takes the place of `jaxtyping.jaxtyped` for the modules that are decorated after `install`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, TypeCheckError

_jaxtyped = jaxtyping.jaxtyped
_beartype = beartype(conf=BeartypeConf(violation_type=TypeCheckError))  # a TypeError, as jaxtyping's own


def install() -> None:
    jaxtyping.jaxtyped = checked


def checked(fn: Any = None, *, typechecker: Any = None) -> Any:
    """A function, or the initialiser of a dataclass, that checks what it is given and what it returns.

    Args:
        fn: to decorate.
        typechecker: only asked for where the body is a generator's, which jaxtyping treats with care.
    """
    if fn is None:
        return functools.partial(checked, typechecker=typechecker)
    if getattr(fn, "__no_type_check__", False):
        return fn
    if inspect.isclass(fn):
        if dataclasses.is_dataclass(fn) and "__init__" in vars(fn):
            fn.__init__ = checked(fn.__init__, typechecker=typechecker)
        return fn
    if not isinstance(fn, types.FunctionType) or inspect.isgeneratorfunction(fn):
        return _jaxtyped(fn, typechecker=typechecker)
    made: Callable[..., Any] | None = None

    @functools.wraps(fn)
    def first_made(*args: Any, **kwargs: Any) -> Any:
        nonlocal made
        if made is None:
            made = _made(fn)
        return made(*args, **kwargs)

    return first_made


def _made(fn: types.FunctionType) -> Callable[..., Any]:
    hints = {name: _resolved(hint, fn.__globals__) for name, hint in fn.__annotations__.items()}
    copy = types.FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    copy.__kwdefaults__, copy.__module__, copy.__qualname__ = (
        fn.__kwdefaults__,
        fn.__module__,
        fn.__qualname__,
    )
    copy.__annotations__ = hints
    by_type = _beartype(copy)
    arrays = [array for hint in hints.values() for array in _arrays(hint)]
    if not arrays:  # no lengths to compare
        return by_type
    if any("{" in array.dim_str for array in arrays):  # lengths that name arguments
        return _jaxtyped(by_type, typechecker=None)

    def by_shape(*args: Any, **kwargs: Any) -> Any:
        with _jaxtyped("context"):
            return by_type(*args, **kwargs)

    return by_shape


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """An annotation as an object; anything goes where it names what is imported for type checkers only."""

    def holder() -> None: ...

    holder.__annotations__ = {"value": hint}
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:  # noqa: BLE001 - as jaxtyping does
        return Any


def _arrays(hint: Any) -> Iterator[type[AbstractArray]]:
    """The annotations of arrays within one, at any depth."""
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        yield hint
    for part in typing.get_args(hint):
        yield from _arrays(part)
