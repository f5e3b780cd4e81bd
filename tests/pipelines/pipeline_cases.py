"""Steps and pipelines that several tests use; importable, so that workers and other processes find them."""

from __future__ import annotations

import os
from pathlib import Path

from raylake import pipelines
from raylake.pipelines import StepContext, pipeline, step


def log(folder: str, text: str) -> None:
    """Append a line to a file that every process shares."""
    with (Path(folder) / "log.txt").open("a") as file:
        file.write(text + "\n")


def lines(folder: Path) -> list[str]:
    file = folder / "log.txt"
    return file.read_text().splitlines() if file.exists() else []


@step(cpus=0.5)
def numbers(count: int, folder: str = "") -> list[int]:
    print("counting to", count)
    if folder:
        log(folder, "numbers")
    return list(range(count))


@step(cpus=0.5)
def square(n: int, folder: str = "") -> int:
    if folder:
        log(folder, f"square {n}")
    return n * n


@step(cpus=0.5)
def total(parts: list[int]) -> int:
    return sum(parts)


@step(cpus=0.5, backoff=0.01, retries=2)
def flaky(n: int, folder: str, context: StepContext) -> int:
    log(folder, f"flaky {context.attempt}")
    if context.attempt < 3:
        raise ValueError(f"attempt {context.attempt} fails")
    return n


@step(cpus=0.5)
def fail_while(marker: str, n: int) -> int:
    """Fails as long as the file is there."""
    if Path(marker).exists():
        raise RuntimeError("the marker is there")
    return n + 1


@step(cpus=0.5)
def is_even(n: int) -> bool:
    return n % 2 == 0


@step(cpus=0.5)
def named(text: str) -> str:
    return text


@step(cpus=0.5)
def process_id(after: int = 0) -> int:
    return os.getpid()


@step(cpus=0.5)
def report(failure: pipelines.Failure, ws_name: str = "") -> str:
    return f"{failure.pipeline}: {sorted(failure.errors)}"


@step(cpus=0.5)
def cleanup() -> str:
    return "clean"


@pipeline
def squares(count: int = 4, folder: str = ""):
    """Squares of the first numbers, added up."""
    return total(square.map(numbers(count, folder), folder=folder))


@pipeline
def branches(n: int):
    even = is_even(n)
    with pipelines.when(even):
        left = named.named("even")("even")
    with pipelines.unless(even):
        right = named.named("odd")("odd")
    return named.named("joined")(pipelines.either(left, right))


@pipeline(on_failure=report, finaliser=cleanup)
def guarded(marker: str, folder: str, n: int = 1):
    first = square(n, folder)
    second = fail_while(marker, first)
    return total([second, square.named("side")(7, folder)])


@pipeline
def outer(count: int = 3):
    one = squares(count)
    two = squares(count)
    return total([one, two])
