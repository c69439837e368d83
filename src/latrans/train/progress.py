"""Progress of a training: a bar with loss, bits per sample and time left, where people look.

On anything but a terminal nothing is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(label: str, n_steps: int, show: bool = True) -> Iterator[Callable[..., None]]:
    """A function ``report(step, loss=..., bits=...)`` that moves the bar.

    Numbers that were given stay until given again; any names will do.

    Examples
    --------
    >>> from latrans.train.progress import progress_bar
    >>> with progress_bar("autoencoder", 100, show=False) as report:
    ...     report(50, loss=0.25)
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
    )
    numbers: dict[str, float] = {}
    with Progress(*columns, console=console, disable=not (show and console.is_terminal)) as shown:
        task = shown.add_task(label, total=n_steps, numbers="")

        def report(step: int, **values: float) -> None:
            numbers.update(values)
            text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            shown.update(task, completed=step, numbers=text)

        yield report
