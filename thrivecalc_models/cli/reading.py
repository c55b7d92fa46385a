"""What the commands that read many items share: parallel segments, and progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import click

from thrivecalc_models.cli.common import Session
from thrivecalc_models.words import plural


class HasItems(Protocol):
    """A page: its items, or how many it has."""

    @property
    def items(self) -> Any: ...


P = TypeVar("P", bound=HasItems)

SEGMENTS = click.option(
    "--segments",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=4,
    show_default=True,
    help="How many segments of the table are read in parallel.",
)


def counted(session: Session, pages: Iterable[P]) -> Iterator[P]:
    """Yield the pages, and show on a terminal how many items were read so far."""
    count = 0
    with session.progress("{task.description}") as progress:
        task = progress.add_task("reading")
        for page in pages:
            yield page
            count += page.items if isinstance(page.items, int) else len(page.items)
            progress.update(task, description=f"{plural(count, 'item')} read")
