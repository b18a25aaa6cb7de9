"""Annotations are checked at every call of the package, each combination of shapes once.

`--jaxtyping-packages` decorates every function with `jaxtyping.jaxtyped`, which compiles four functions per
decorated one and checks every argument twice, for the sake of its messages: 40 % of the time of many tests.
`checked` has beartype check plain annotations, and compiles at the first call only. Whether arrays fit their
annotations depends on their types, number types and shapes alone; so a combination of these that passed is
looked up in a set from then on, which in a training loop is all but the first calls. `checked` takes the
place of `jaxtyping.jaxtyped` for the modules that are decorated after `install`.
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
from beartype.door import is_bearable
from jaxtyping import AbstractArray, TypeCheckError

_jaxtyped = jaxtyping.jaxtyped
_ABSENT = object()  # an argument that has its default
_KEYWORD = 1 << 30  # a place that no argument has
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_PLAIN = (type(None), int, float, bool, str)
# By code, which all functions share that one `def` makes.
_by_code: dict[types.CodeType, tuple[dict[str, Any], types.FunctionType]] = {}
_passed: dict[types.CodeType, set[Any]] = {}
_beartype = beartype(conf=BeartypeConf(violation_type=TypeCheckError))  # a TypeError, as jaxtyping's own


def install() -> None:
    jaxtyping.jaxtyped = checked


def checked(fn: Any = None, *, typechecker: Any = None) -> Any:
    """A function, or the initialiser of a dataclass, that checks what it is given and what it returns.

    Args:
        fn: to decorate.
        typechecker: only used where jaxtyping checks by itself.
    """
    if fn is None:
        return functools.partial(checked, typechecker=typechecker)
    if getattr(fn, "__no_type_check__", False):
        return fn
    if inspect.isclass(fn):
        if dataclasses.is_dataclass(fn) and "__init__" in vars(fn):
            fn.__init__ = checked(fn.__init__, typechecker=typechecker)
        return fn
    if not isinstance(fn, types.FunctionType):
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
    if inspect.isgeneratorfunction(fn):
        return _generator(fn)
    found = _by_code.get(fn.__code__)
    if found is None:
        hints = _hints(fn)
        found = _by_code[fn.__code__] = (hints, _beartyped(fn, _without_arrays(hints)))
    hints, by_type = found
    arrays = [array for hint in hints.values() for array in _arrays(hint)]
    if not arrays:  # no lengths to compare
        return _around(by_type, fn)
    if any("{" in array.dim_str for array in arrays):  # lengths that name arguments
        return _jaxtyped(_beartyped(fn, hints), typechecker=None)
    named = set(fn.__code__.co_varnames[: fn.__code__.co_argcount + fn.__code__.co_kwonlyargcount])
    if all(
        _is_array(hint) and name in named | {"return"} for name, hint in hints.items() if any(_arrays(hint))
    ):
        return _by_shape(fn, hints, _around(by_type, fn))
    by_all = _beartyped(fn, hints)

    def in_context(*args: Any, **kwargs: Any) -> Any:
        with _jaxtyped("context"):
            return by_all(*args, **kwargs)

    return in_context


def _generator(fn: types.FunctionType) -> Callable[..., Any]:
    """A generator whose arguments are checked when it is called, not when it is first read."""
    hints = {name: hint for name, hint in _hints(fn).items() if name != "return"}
    if any(any(_arrays(hint)) and not _is_array(hint) for hint in hints.values()):
        return _jaxtyped(fn, typechecker=_beartype)
    plain = _without_arrays(hints)
    signature = inspect.signature(fn)
    many = {name: each.kind for name, each in signature.parameters.items() if each.kind in _MANY}

    def checked_first(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            values = (value,)
            if name in many:
                values = value if many[name] is inspect.Parameter.VAR_POSITIONAL else value.values()
            if name in plain and not all(is_bearable(one, plain[name]) for one in values):
                raise TypeCheckError(f"{fn.__module__}.{fn.__qualname__}: `{name}` is not {plain[name]}")
        return fn(*args, **kwargs)

    return _by_shape(fn, hints, checked_first if plain else fn)


def _hints(fn: types.FunctionType) -> dict[str, Any]:
    return {name: _resolved(hint, fn.__globals__) for name, hint in fn.__annotations__.items()}


def _beartyped(fn: types.FunctionType, hints: dict[str, Any]) -> types.FunctionType:
    copy = types.FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    copy.__kwdefaults__, copy.__module__, copy.__qualname__ = (
        fn.__kwdefaults__,
        fn.__module__,
        fn.__qualname__,
    )
    copy.__annotations__ = hints
    return _beartype(copy)


def _without_arrays(hints: dict[str, Any]) -> dict[str, Any]:
    return {name: hint for name, hint in hints.items() if not _is_array(hint)}


def _around(by_type: types.FunctionType, fn: types.FunctionType) -> types.FunctionType:
    """Compiled checks around another function that the same `def` made; nested ones are made in loops."""
    if "__beartype_func" not in (by_type.__kwdefaults__ or {}):  # nothing to check
        return fn
    copy = types.FunctionType(by_type.__code__, by_type.__globals__, fn.__name__, None, by_type.__closure__)
    copy.__kwdefaults__ = by_type.__kwdefaults__ | {"__beartype_func": fn}
    return copy


def _by_shape(fn: types.FunctionType, hints: dict[str, Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    """`inner`, whose annotations of arrays are checked where their types and shapes are new."""
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    places = [
        (place if place < code.co_argcount else _KEYWORD, name)
        for place, name in enumerate(names)
        if _is_array(hints.get(name))
    ]
    wanted = [(name, hints[name]) for _, name in places]
    result_hint = hints.get("return")
    has_result = _is_array(result_hint)
    passed = _passed.setdefault(code, set())

    def by_shape(*args: Any, **kwargs: Any) -> Any:
        n = len(args)
        values = [args[place] if place < n else kwargs.get(name, _ABSENT) for place, name in places]
        key = tuple(map(_type_and_shape, values))
        if key not in passed:
            _check(fn, wanted, values)
            passed.add(key)
        result = inner(*args, **kwargs)
        if has_result:
            key = (*key, _type_and_shape(result))
            if key not in passed:
                _check(fn, [*wanted, ("return", result_hint)], [*values, result])
                passed.add(key)
        return result

    return by_shape


def _check(fn: types.FunctionType, wanted: list[tuple[str, Any]], values: list[Any]) -> None:
    with _jaxtyped("context"):
        for (name, hint), value in zip(wanted, values, strict=True):
            if value is not _ABSENT and not isinstance(value, hint):
                raise TypeCheckError(
                    f"{fn.__module__}.{fn.__qualname__}: `{name}` is {_type_and_shape(value)}, not {hint}, "
                    f"beside {[_type_and_shape(one) for one in values]} of {[name for name, _ in wanted]}"
                )


def _type_and_shape(value: Any) -> Any:
    """All that decides whether a value fits the annotation of an array."""
    try:
        return type(value), value.dtype, value.shape
    except AttributeError:
        return type(value)


def _is_array(hint: Any) -> bool:
    """Whether an annotation is of one array, of several kinds perhaps, or of none."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = typing.get_args(hint)
        return any(map(_is_array, parts)) and all(_is_array(one) or one in _PLAIN for one in parts)
    return inspect.isclass(hint) and issubclass(hint, AbstractArray)


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
