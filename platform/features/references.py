"""What callers name: views and sets themselves, or references to registered ones."""

from __future__ import annotations

from collections.abc import Iterable

from ..core import NotFound, Workspace
from .catalogue import find_set, find_view
from .feature_set import FeatureSet
from .view import FeatureView

Views = FeatureSet | FeatureView | str | Iterable[FeatureView | str]


def named(ws: Workspace, ref: str) -> FeatureView | FeatureSet:
    """The registered view that `ref` names, or else the registered set.

    Raises:
        NotFound: There is neither.

    Example:
        >>> import tempfile
        >>> from raylake.features import register
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = register(ws, FeatureSet("delay", [], passthrough=["distance"]))
        >>> named(ws, "delay@1").name
        'delay'
    """
    try:
        return find_view(ws, ref)
    except NotFound as error:
        try:
            return find_set(ws, ref)
        except NotFound:
            raise error from None


def views_of(ws: Workspace, given: Views) -> tuple[FeatureView, ...]:
    """The views of a set, of several views or of one."""
    if isinstance(given, str):
        given = named(ws, given)
    if isinstance(given, FeatureView):
        return (given,)
    if isinstance(given, FeatureSet):
        return given.views
    return tuple(view for one in given for view in ((one,) if isinstance(one, FeatureView) else views_of(ws, one)))
