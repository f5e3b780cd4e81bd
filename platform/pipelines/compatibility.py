"""Whether a value of one annotated type may go where another is wanted. Unknown types are given the benefit."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin


def assignable(given: Any, wanted: Any) -> bool:
    """Whether `given` fits `wanted`, both annotations; anything that cannot be decided fits.

    Example:
        >>> assignable(list[int], list[float]), assignable(str, int), assignable(int, int | None)
        (True, False, True)
    """
    given, wanted = _bare(given), _bare(wanted)
    if any(kind is Any or kind is object or isinstance(kind, str | TypeVar) for kind in (given, wanted)):
        return True
    if _is_union(given):
        return all(assignable(kind, wanted) for kind in get_args(given))
    if _is_union(wanted):
        return any(assignable(given, kind) for kind in get_args(wanted))
    ours, theirs = get_origin(given) or given, get_origin(wanted) or wanted
    if not isinstance(ours, type) or not isinstance(theirs, type):
        return True
    if not _subclass(ours, theirs):
        return False
    inner, outer = _arguments(given), _arguments(wanted)
    if len(inner) != len(outer):
        return True
    return all(assignable(one, other) for one, other in zip(inner, outer, strict=True))


def item_type(kind: Any) -> Any:
    """The type of a list's items, or ``Any``.

    Example:
        >>> item_type(list[int]), item_type(str)
        (<class 'int'>, typing.Any)
    """
    arguments = _arguments(_bare(kind))
    return arguments[0] if len(arguments) == 1 else Any


def is_iterable(kind: Any) -> bool:
    """Whether values of this type can be mapped over; unknown types can."""
    kind = _bare(kind)
    plain = get_origin(kind) or kind
    if not isinstance(plain, type) or plain is object:
        return True
    return hasattr(plain, "__iter__") and not issubclass(plain, str | bytes)


def shown(kind: Any) -> str:
    """A type for a message.

    Example:
        >>> shown(int), shown(list[str])
        ('int', 'list[str]')
    """
    if isinstance(kind, type) and get_origin(kind) is None:
        return kind.__name__
    return str(kind).replace("typing.", "")


def _bare(kind: Any) -> Any:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        kind = Union[tuple({type(value) for value in get_args(kind)})]  # noqa: UP007
    return type(None) if kind is None else kind


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _arguments(kind: Any) -> tuple[Any, ...]:
    return tuple(each for each in get_args(kind) if each is not Ellipsis)


def _subclass(ours: type, theirs: type) -> bool:
    if (ours is int and theirs in (float, complex)) or getattr(theirs, "_is_protocol", False):
        return True
    try:
        return issubclass(ours, theirs)
    except TypeError:
        return True
