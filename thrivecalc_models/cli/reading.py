"""What the commands that read many items share: parallel segments, and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import click

from thrivecalc_models.cli.common import Session
from thrivecalc_models.words import plural

P = TypeVar("P")

SEGMENTS = click.option(
    "--segments",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=4,
    show_default=True,
    help="How many segments of the table are read in parallel.",
)


def counted(session: Session, pages: Iterable[P], items: Callable[[P], int]) -> Iterator[P]:
    """Yield the pages, and show on a terminal how many items were read so far."""
    count = 0
    with session.progress("{task.description}") as progress:
        task = progress.add_task("reading")
        for page in pages:
            yield page
            count += items(page)
            progress.update(task, description=f"{plural(count, 'item')} read")
