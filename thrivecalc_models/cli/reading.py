"""Shared by the commands that read many items: parallel segments, and progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import click

from thrivecalc_models.cli.common import Session
from thrivecalc_models.words import plural


class HasItems(Protocol):
    @property
    def items(self) -> Any: ...


P = TypeVar("P", bound=HasItems)

SEGMENTS = click.option(
    "--segments",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=4,
    show_default=True,
    help="How many parts of the table are read at the same time.",
)


def counted(session: Session, pages: Iterable[P]) -> Iterator[P]:
    """The pages; a terminal shows how many items they had so far."""
    count = 0
    with session.progress("{task.description}") as progress:
        task = progress.add_task("reading")
        for page in pages:
            yield page
            count += page.items if isinstance(page.items, int) else len(page.items)
            progress.update(task, description=f"{plural(count, 'item')} read")
