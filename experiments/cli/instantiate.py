"""Build the pieces that a configuration names.

The schema of a piece is the signature of its factory: the parameters, their annotations and
defaults, and the fields of the NamedTuples and dataclasses among them.
"""

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.cli.messages import nearest_choice, suggest


def instantiate(
    factory: Callable, values: Mapping, name: str = "", given: Mapping | None = None
) -> Any:
    """Call ``factory(**values)``, with every key and value checked against its signature.

    Args:
        factory: a function or class; its parameters are the valid keys.
        values: the configuration; a key that starts with an underscore is not passed.
        name: where ``values`` stands in the configuration, for messages.
        given: arguments that the program, not the configuration, supplies.

    Raises:
        ValueError: an unknown key (with the nearest valid one), a missing one, or a
            value of the wrong type.

    >>> instantiate(complex, {"real": 1, "imag": 2.0})
    (1+2j)
    >>> def spring(stiffness: float = 1.0): return stiffness
    >>> instantiate(spring, {"stifness": 2}, "model")
    Traceback (most recent call last):
        ...
    ValueError: model.stifness: unknown key; did you mean 'stiffness'?
    """
    given = dict(given or {})
    schema = _schema(factory)
    settable = {key: kind for key, kind in schema.items() if key not in given}
    dot = f"{name}." if name else ""
    missing = [key for key in given if schema and key not in schema]
    if missing:
        raise ValueError(
            f"{dot}_target_: expected a piece that takes {missing[0]!r}, "
            f"got one that takes {', '.join(schema)}"
        )
    arguments = {}
    for key, value in values.items():
        if str(key)[:1] == "_":
            continue
        if key not in settable:
            raise ValueError(f"{dot}{key}: unknown key; {suggest(key, settable)}")
        kind, default = settable[key]
        if _is_record(kind) and hasattr(default, "_asdict") and isinstance(value, Mapping):
            value = default._asdict() | dict(value)
        arguments[key] = convert(f"{dot}{key}", kind, value)
    for key, (kind, default) in settable.items():
        if default is REQUIRED and key not in arguments:
            raise ValueError(f"{dot}{key}: expected {_describe_type(kind)}, got nothing")
    try:
        return factory(**given, **arguments)
    except ValueError as error:
        if _named_argument(error) in arguments:
            raise ValueError(f"{dot}{error}") from error
        raise


def _named_argument(error: ValueError) -> str:
    """The argument that an error is about.

    A piece, which may be the user's, does not know its place in the configuration. What it
    says has the form of every message here, ``argument: expected X, got Y``, where the argument
    may be a part of one, as in ``params.mass`` or ``values[0]``.
    """
    return re.split(r"[.\[:]", str(error), maxsplit=1)[0]


REQUIRED = inspect.Parameter.empty
NUMBERS = "numbers"  # the type where the default is a number and there is no annotation


class Parameter(typing.NamedTuple):
    """One parameter of a factory: the type its value must have, and its default."""

    kind: Any
    default: Any


def _schema(factory) -> dict[str, Parameter]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:
        return {}
    try:
        plain = inspect.isclass(factory) or inspect.isfunction(factory)
        hints = typing.get_type_hints(factory if plain else factory.__call__)
    except Exception:  # an annotation that cannot be evaluated here: the default decides
        hints = {}
    return {
        p.name: Parameter(_value_type(hints.get(p.name, Any), p.default), p.default)
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def _value_type(hint, default):
    """The annotation, or the type of the default where there is none."""
    if _is_record(type(default)):
        return type(default)
    if hint is not Any or default is REQUIRED or default is None:
        return hint
    if isinstance(default, bool | str):
        return type(default)
    return NUMBERS if isinstance(default, int | float) else Any


def _is_record(kind):
    return inspect.isclass(kind) and (
        hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__")
    )


def convert(name: str, kind: Any, value: Any) -> Any:
    """Convert a value of a configuration to a type, or raise ValueError that says what it expects.

    >>> convert("dt", float, 1)
    1.0
    >>> convert("hold", typing.Literal["zero_order", "cubic"], "qubic")
    Traceback (most recent call last):
        ...
    ValueError: hold: expected one of zero_order, cubic, got 'qubic'; did you mean 'cubic'?
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        if value in args and type(value) in {type(a) for a in args}:
            return value
        choice = nearest_choice(value, args)
        hint = f"; did you mean {choice!r}?" if choice else ""
        raise ValueError(f"{name}: expected {_describe_type(kind)}, got {value!r}{hint}")
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        rest = [a for a in args if a is not type(None)]
        for arg in rest[:-1]:
            try:
                return convert(name, arg, value)
            except ValueError:
                continue
        if len(rest) == 1:
            return convert(name, rest[0], value)
        try:
            return convert(name, rest[-1], value)
        except ValueError:
            raise _wrong_type(name, kind, value) from None
    if _is_record(kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}: expected keys and values, got {value!r}")
        return instantiate(kind, value, name)
    if kind is bool or kind is str:
        if isinstance(value, kind):
            return value
        raise _wrong_type(name, kind, value)
    if kind in (int, float) or (kind == NUMBERS and not isinstance(value, list | tuple)):
        return _number(name, kind, value)
    if (origin or kind) in (tuple, list, Sequence):
        if not isinstance(value, list | tuple):
            raise _wrong_type(name, kind, value)
        item = args[0] if args else Any
        return tuple(convert(f"{name}[{i}]", item, v) for i, v in enumerate(value))
    if (origin or kind) in (Mapping, dict):
        if not isinstance(value, Mapping):
            raise _wrong_type(name, kind, value)
        return dict(value)
    return _as_is(name, value)


def _number(name, kind, value):
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong_type(name, kind, value)
    if kind is int and value != int(value):
        raise _wrong_type(name, kind, value)
    return int(value) if kind is int else float(value)


def _as_is(name, value):
    """A list as an array, and any other value as it is."""
    if isinstance(value, list | tuple):
        import numpy as np

        try:
            return np.asarray(value, float)
        except (TypeError, ValueError):
            raise ValueError(
                f"{name}: expected numbers in rows of one length, got {value!r}"
            ) from None
    if isinstance(value, float):
        return _number(name, float, value)
    return value


def _wrong_type(name, kind, value):
    return ValueError(f"{name}: expected {_describe_type(kind)}, got {value!r}")


def _describe_type(kind):
    """The values of a type in words, for messages."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe_type(a) for a in args))
    if (origin or kind) in (tuple, list, Sequence):
        return "a list"
    names = {
        float: "a finite number",
        int: "a whole number",
        bool: "true or false",
        str: "text",
        type(None): "null",
        NUMBERS: "a finite number or a list of numbers",
    }
    if kind in names:
        return names[kind]
    mapping = _is_record(kind) or (origin or kind) in (Mapping, dict)
    return "keys and values" if mapping else "a value"
