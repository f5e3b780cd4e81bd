"""How this layer uses Ray: quiet, with the quick shuffle, and with our own errors coming back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.data import DataContext
from ray.data.context import ShuffleStrategy
from ray.exceptions import RayError, UserCodeException

from ..core import DataError, RaylakeError, StorageError


@contextmanager
def quiet_data_context() -> Iterator[DataContext]:
    """No progress bars, and the pull-based sort shuffle (the default one costs seconds on ten rows)."""
    context = DataContext.get_current()
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.WARNING)
    before = (context.enable_progress_bars, context.shuffle_strategy)
    context.enable_progress_bars = False
    context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
    try:
        yield context
    finally:
        context.enable_progress_bars, context.shuffle_strategy = before
        log.setLevel(level)


@contextmanager
def quick_shuffle(data: ray.data.Dataset) -> Iterator[None]:
    """`quiet_data_context`, also for a Dataset that was made outside of it: it carries the context of its making."""
    context = data.context
    before = context.shuffle_strategy
    with quiet_data_context():
        context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
        try:
            yield
        finally:
            context.shuffle_strategy = before


@contextmanager
def task_errors(what: str) -> Iterator[None]:
    """Raise what a task raised, as the same error; a failure of Ray itself becomes `StorageError`."""
    try:
        yield
    except RaylakeError as error:
        # Ray raises a class that is both its own and ours: leave only ours.
        raise original(error) from None
    except RayError as error:
        cause = original(error)
        if isinstance(cause, RaylakeError):
            raise cause from None
        if isinstance(cause, UserCodeException):
            # Ray keeps only the text of what a Dataset's own function raised.
            raise DataError(
                f"a function of the Dataset for {what} failed: {_first_cause(str(error))}. "
                "Nothing was committed; correct the function or its input"
            ) from error
        raise StorageError(f"a Ray task for {what} failed: {cause}. Nothing was committed; run it again") from error


def original(error: BaseException) -> BaseException:
    """The error that a task raised, out of the wrappers that Ray puts around it."""
    seen = error
    while isinstance(seen, ray.exceptions.RayTaskError) and seen.cause is not None:
        seen = seen.cause
    if isinstance(seen, RaylakeError) or seen.__cause__ is None:
        return seen
    deeper = original(seen.__cause__)
    return deeper if isinstance(deeper, RaylakeError) else seen


def _first_cause(trace: str) -> str:
    first = trace.partition("The above exception was the direct cause")[0]
    return first.strip().splitlines()[-1].strip()
