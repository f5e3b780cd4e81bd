"""What a person sees while the story runs: a line per stage, a bar per month, then the closing table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from .result import DemoResult


class Display(Protocol):
    """Where progress goes."""

    @contextmanager
    def stage(self, name: str, doing: str = "") -> Iterator[Callable[[str], None]]:
        """A stage of the story; the function given tells what came of it, a line a call."""
        ...

    @contextmanager
    def month(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A month's replay of `total` flights; the function given counts them."""
        ...

    def result(self, result: DemoResult) -> None:
        """The end."""
        ...


class LiveDisplay:
    """Progress on a terminal, or plain lines when the output is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(self, name: str, doing: str = "") -> Iterator[Callable[[str], None]]:
        """Show a spinner, then the seconds it took and the outcome, each line of it in its own column."""
        outcome: list[str] = []
        started = time.perf_counter()
        with self._console.status(f"{name}: {doing} ..." if doing else f"{name} ..."):
            yield outcome.append
        took = f"{time.perf_counter() - started:.1f} s"
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", min_width=11, no_wrap=True)
        table.add_column(justify="right", min_width=7, no_wrap=True)
        table.add_column(overflow="fold")
        for index, line in enumerate(outcome or [""]):
            table.add_row(*((name, took) if index == 0 else ("", "")), Text(line, style="" if index == 0 else "dim"))
        self._console.print(table)

    @contextmanager
    def month(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a progress bar that counts flights."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("flights"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as bar:
            task = bar.add_task(f"{name}: replaying", total=total)
            yield lambda rows: bar.advance(task, rows)

    def result(self, result: DemoResult) -> None:
        """The closing table."""
        self._console.print()
        self._console.print(result)


class Silent:
    """No progress at all: for `--json` and tests."""

    @contextmanager
    def stage(self, name: str, doing: str = "") -> Iterator[Callable[[str], None]]:
        """Ignore the outcome."""
        yield lambda text: None

    @contextmanager
    def month(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Ignore the count."""
        yield lambda rows: None

    def result(self, result: DemoResult) -> None:
        """Print nothing."""
