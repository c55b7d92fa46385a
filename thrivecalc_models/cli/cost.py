"""`thrivecalc cost`: what the table costs, by user and month."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import click

from thrivecalc_models.cli.common import Session, UsageProblem, members, table_options
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.infra import (
    PRICE_LISTS,
    Estimate,
    OperationCost,
    Prices,
    Sample,
    Usage,
    estimate,
    mean,
    operation_costs,
    read_price,
    read_prices,
)
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.words import plural

USERS = (1, 1_000, 10_000)
READS, WRITES, BYTES = 3_000, 300, 10_240  # the guide's example

_LARGEST_PRICE_FILE = 1_000_000


def _number(name: str, help: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.IntRange(min=0), metavar="N", help=help)


def _price(name: str, of: str) -> Callable[[Any], Any]:
    """An option for a price in USD."""

    def convert(ctx: click.Context, option: click.Parameter, value: str | None) -> Decimal | None:
        try:
            return None if value is None else read_price(value, name)
        except ConfigurationError as wrong:
            raise UsageProblem(str(wrong)) from wrong

    return click.option(name, metavar="USD", callback=convert, help=f"For {of}.")


@click.command(
    help="""Estimate what a user costs in a month, from numbers or by measuring.

    Without options it uses the guide's example. Prices are those of on-demand tables in us-east-1,
    from a dated list that --prices or the --...-price options replace. Nothing is rounded before
    it is shown.
    """
)
@_number("--reads", f"Records read of one user in a month. Default: {READS:,}.")
@_number("--writes", f"Records written of one user in a month. Default: {WRITES:,}.")
@_number("--bytes", f"Stored of one user. Default: {BYTES:,}, or what is measured.")
@click.option("--measure", is_flag=True, help="Take sizes from a sample of the table.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=10_000,
    metavar="N",
    show_default=True,
    help="Read about as many items to measure: at most a page more.",
)
@click.option(
    "--prices",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Prices as JSON; "prices" of --json shows how.',
)
@_price("--read-price", "a million read units")
@_price("--write-price", "a million write units")
@_price("--storage-price", "a GB (2^30 bytes) stored for a month")
@table_options
def cost(
    session: Session,
    reads: int | None,
    writes: int | None,
    bytes: int | None,
    measure: bool,
    sample: int,
    file: Path | None,
    read_price: Decimal | None,
    write_price: Decimal | None,
    storage_price: Decimal | None,
) -> None:
    """Estimate the cost of the given usage, or of what is measured, and print it."""
    if measure and bytes is not None:
        raise UsageProblem("--measure finds the bytes; give --bytes or --measure, not both")
    prices = _prices(file, read_price, write_price, storage_price)
    counts = {
        "reads": Decimal(READS if reads is None else reads),
        "writes": Decimal(WRITES if writes is None else writes),
    }
    if measure:
        measured = _measure(session, sample)
        usage, operations = _usage_of(measured, counts), _operations_of(measured, prices)
    else:
        measured = None
        usage = Usage(**counts, bytes=Decimal(BYTES if bytes is None else bytes))
        operations = operation_costs(prices)
    if session.json:
        session.emit(_as_json(prices, usage, measured, operations))
    else:
        _show(session, prices, usage, measured, operations)


def _prices(
    file: Path | None, read: Decimal | None, write: Decimal | None, storage: Decimal | None
) -> Prices:
    """The latest prices, or those of a file, with the given ones in their place."""
    listed = PRICE_LISTS[-1] if file is None else _prices_of(file)
    return attrs.evolve(
        listed,
        read_million=listed.read_million if read is None else read,
        write_million=listed.write_million if write is None else write,
        storage_gb_month=listed.storage_gb_month if storage is None else storage,
    )


def _prices_of(file: Path) -> Prices:
    """The prices of a JSON file. Raises UsageProblem, which names the file."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_PRICE_FILE)
        return read_prices(content.decode("utf-8-sig"))
    except OSError as error:
        raise UsageProblem(f"{file}: {error.strerror}; give a file of prices as JSON") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{file} is not a price list: it is not text in UTF-8") from error
    except ConfigurationError as error:
        raise UsageProblem(f"{file} is not a price list: {error}") from error


# --- measuring ------------------------------------------------------------------------------------


@attrs.frozen
class Measured:
    """A sample of the table: how many items were read, at what cost, and whether that is all."""

    sample: Sample
    items: int
    complete: bool
    read_units: Decimal


def _measure(session: Session, wanted: int) -> Measured:
    """Read items, eventually consistently, until there are as many as wanted."""
    session.leaves("nothing was changed.")
    sample = Sample()
    items, units, complete = 0, Decimal(0), False
    pages = WholeTable(session.store()).scan(segments=1, consistent=False, limit=wanted)
    for page in pages:
        sample.add(page.items)
        items += len(page.items)
        units += Decimal(str(page.units))
        complete = page.after is None
        if items >= wanted:
            break
    sample.end(complete=complete)
    if not sample.all.items:
        raise UsageProblem("the table is empty and has nothing to measure; give --bytes instead")
    return Measured(sample, items, complete, units)


def _usage_of(measured: Measured, counts: dict[str, Decimal]) -> Usage:
    counted = measured.sample.all
    return Usage(
        **counts,
        bytes=mean(counted.stored, counted.users),
        read_units=mean(counted.read_units, counted.items),
        write_units=mean(counted.write_units, counted.items),
    )


def _operations_of(measured: Measured, prices: Prices) -> list[OperationCost]:
    counted = measured.sample.all
    lists = [of_type for _, of_type in measured.sample.types]
    return operation_costs(
        prices,
        read_units=mean(counted.read_units, counted.items),
        write_units=mean(counted.write_units, counted.items),
        list_units=mean(sum(each.together for each in lists), sum(each.users for each in lists)),
        list_all_units=mean(counted.together, counted.users),
    )


# --- printing -------------------------------------------------------------------------------------


def _show(
    session: Session,
    prices: Prices,
    usage: Usage,
    measured: Measured | None,
    operations: Sequence[OperationCost],
) -> None:
    """Print the estimate as tables: by month, at other prices, and by operation."""
    if measured is not None:
        _show_measured(session, measured)
    _show_prices(session, prices)
    _show_months(session, usage, estimate(usage, prices))
    _table(
        session,
        "One user at other prices",
        ["since", "read", "write", "storage", "the guide's estimate", "as it should be"],
        [_at_prices(usage, each) for each in PRICE_LISTS if each != prices],
    )
    _table(
        session,
        "USD for a million requests",
        ["operation", "of", "units each", "USD"],
        [
            (each.operation, each.what, f"{each.units:,.1f}", f"{each.usd_million:,.4f}")
            for each in operations
        ],
    )
    session.say("Reads are eventually consistent unless it says so; writes count the index too.")


def _show_measured(session: Session, measured: Measured) -> None:
    """Print what was read, and the means of each type and of all items."""
    part = "the whole table" if measured.complete else "a part of the table"
    all = measured.sample.all
    session.say(
        f"Measured on {part}: {plural(all.items, 'item')} of {plural(all.users, 'user')}, read"
        f" for {measured.read_units:,} read units."
    )
    rows = [
        (
            name,
            f"{each.items:,}",
            f"{each.users:,}",
            f"{mean(each.bytes, each.items):,.0f}",
            f"{mean(each.read_units, each.items):,.2f}",
            f"{mean(each.write_units, each.items):,.2f}",
        )
        for name, each in [*measured.sample.types, ("all", all)]
    ]
    columns = ["type", "items", "users", "bytes an item", "read units", "write units"]
    _table(session, "", columns, rows)
    session.say("")


def _show_prices(session: Session, prices: Prices) -> None:
    given = "" if prices in PRICE_LISTS else ", but for what was given"
    session.say(
        f"Prices of {prices.since} in {prices.region}{given}, in USD:\n"
        f"{prices.read_million} a million read units, {prices.write_million} a million write"
        f" units,\n{prices.storage_gb_month} a GB (2^30 bytes) stored for a month,"
        f" {prices.recovery_gb_month} more to recover it.\n"
        "A unit reads 4 KB of an item consistently, or writes 1 KB of one."
    )


def _show_months(session: Session, usage: Usage, found: Estimate) -> None:
    """Print the cost of a month for each number of USERS, and what would change it."""
    columns = ["", *(plural(users, "user") for users in USERS)]
    rows = [
        _row(f"{plural(usage.reads, 'read')}, consistent", found.reads),
        _row(plural(usage.writes, "write"), found.writes),
        _row(f"{usage.bytes:,.0f} bytes stored", found.storage),
        _row("the guide's estimate", found.simple),
        _row("+ writes of the index", found.index_writes),
        _row("+ storage of the index", found.index_storage),
        _row("+ point-in-time recovery", found.recovery),
        _row("the table as it should be", found.total),
    ]
    _table(session, "USD a month", columns, rows)
    rows = [
        _row("reads eventually consistent", found.if_eventually_consistent),
        _row("all writes in transactions", found.if_atomic),
        _row("all writes in batches", found.if_batched),
    ]
    _table(session, "What would change that", columns, rows)
    session.say(
        "An eventually consistent read takes half the units, a write in a transaction\n"
        "twice as many. A batch takes the units of its items, in fewer requests."
    )


def _row(label: str, usd: Decimal) -> tuple[str, ...]:
    """The amount for each number of USERS, in USD: to 6 decimals for one user, else to cents."""
    places = (6, 2, 2)
    amounts = (f"{usd * users:,.{digits}f}" for users, digits in zip(USERS, places, strict=True))
    return label, *amounts


def _at_prices(usage: Usage, prices: Prices) -> tuple[str, ...]:
    """The row of one price list: its prices, and the two estimates at them."""
    found = estimate(usage, prices)
    listed = (prices.since, prices.read_million, prices.write_million, prices.storage_gb_month)
    return (*map(str, listed), f"{found.simple:,.6f}", f"{found.total:,.6f}")


def _table(
    session: Session, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print a table below an empty line, with columns of numbers, as text, on the right."""
    numbers = {name for name, cell in zip(columns, rows[0], strict=True) if _is_number(cell)}
    session.say("")
    session.table(title, columns, rows, right=numbers)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "", 1).isdigit()


def _as_json(
    prices: Prices,
    usage: Usage,
    measured: Measured | None,
    operations: Sequence[OperationCost],
) -> dict[str, Any]:
    found = estimate(usage, prices)
    result = {
        "prices": _plain(members(prices)),
        "usage": _plain(members(usage)),
        "usdAMonth": {str(users): _amounts(found, users) for users in USERS},
        "operations": [_plain(members(each)) for each in operations],
    }
    if measured is not None:
        result["measured"] = {
            "complete": measured.complete,
            "readUnits": _text(measured.read_units),
            "all": members(measured.sample.all),
            "byType": {name: members(each) for name, each in measured.sample.types},
        }
    return result


def _amounts(found: Estimate, users: int) -> dict[str, str]:
    amounts = {
        **members(found),
        "guideEstimate": found.simple,
        "total": found.total,
        "ifEventuallyConsistent": found.if_eventually_consistent,
        "ifAtomic": found.if_atomic,
        "ifBatched": found.if_batched,
    }
    return {name: _text(usd * users) for name, usd in amounts.items()}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _text(value) if isinstance(value, Decimal) else value
        for name, value in values.items()
    }


def _text(number: Decimal) -> str:
    """All significant digits, without trailing zeros or an exponent."""
    return f"{number.normalize():f}" if number else "0"
