"""Work out what a month costs: `python3 -m infra.costs`, which writes the table of docs/operate.md.

Prices are parameters, since they differ by region and change: `--price stored_gb=0.023` sets one, `--cabs 250000` and
`--megabytes 3` ask for another month. Requests are those of bench/results.md; what nobody measured is an assumption,
and stands below as one.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operate.md"
BEGIN, END = "<!-- python3 -m infra.costs -->\n", "<!-- its end -->\n"
MONTHS = (10_000, 100_000, 1_000_000)
# Megabytes, or dollars: more is a slip, and of enough of it nobody can work out a sum.
_MOST = 1_000_000
_MICROSOFT_SAMPLE = "Microsoft's sample prices, *Estimate the cost of using Azure Blob Storage*, July 2024"
_UNCHECKED = "the usual list price, from memory"


@dataclass(frozen=True)
class Price:
    """What one of something costs.

    Args:
        dollars: US dollars.
        per: Of how many.
        what: What it is.
        source: Where the number is from, and of which day.
    """

    dollars: float
    per: int
    what: str
    source: str


PRICES = {
    "gb_second": Price(0.000026, 1, "GB-second of working instances", "modal.com, *Azure Functions pricing*, 2025"),
    "execution": Price(0.40, 1_000_000, "executions", _UNCHECKED),
    "blob_write": Price(0.055, 10_000, "writes of blobs", _MICROSOFT_SAMPLE),
    "blob_list": Price(0.055, 10_000, "listings of blobs", _MICROSOFT_SAMPLE),
    "table": Price(0.00036, 10_000, "operations of tables", _UNCHECKED),
    "queue": Price(0.004, 10_000, "operations of queues", _UNCHECKED),
    "index_tag": Price(0.03, 10_000, "index tags, a month", _UNCHECKED),
    "stored_gb": Price(0.0208, 1, "GB stored, a month (LRS)", _MICROSOFT_SAMPLE),
    "log_gb": Price(2.30, 1, "GB of logs", "monitoringcost.com, *Azure Monitor cost 2026*"),
    "alert": Price(0.50, 1, "alert rule that looks once an hour, a month", _UNCHECKED),
    "endpoint_hour": Price(0.01, 1, "hour of a private endpoint", "c3x.dev, *azurerm_private_endpoint*, 2026"),
    "endpoint_gb": Price(0.01, 1, "GB through a private endpoint", "the same"),
    "zone": Price(0.50, 1, "private DNS zone, a month", "gigxp.com, *Azure Private Link Cost Calculator*, 2025"),
}  # fmt: skip
# Assumptions.
CABS_A_FAILURE = 100
RETENTION_DAYS = 28
INSTANCE_GB = 2
SECONDS_A_PULL = 2.0  # lease, first page, read-back, end
COPIES_A_SECOND = 800  # 32 in flight, 40 ms each (docs/scaling.md)
STREAMED_MB_A_SECOND = 50.0  # bench/results.md has 121 on one machine; between services it will be less
TIMED_RUNS = (48 + 12 + 4) * 30  # the three timers, as they are set by default
SECONDS_A_TIMED_RUN = 5.0
POLLS = 4 * 6 * 60 * 24 * 30  # four queues, every ten seconds
BYTES_A_LOG_LINE = 1_000
LINES_A_RUN = 30  # the request, its lines, spans and events, and a row of each metric that it told
ALERTS = 11
ENDPOINTS, ZONES = 7, 4


def requests(cabs: float, failures: float) -> float:
    """Return the storage requests of new cabs, as bench/results.md has them.

    Args:
        cabs: How many.
        failures: In how many failures.
    """
    return 1.02 * cabs + 5 * failures


def month(cabs: int, megabytes: float, prices: dict[str, Price]) -> list[tuple[str, str]]:
    """Return the rows of one month: what there is of it, or what it costs.

    Args:
        cabs: New ones in the month; those of the month before are stored as long.
        megabytes: Of a cab.
        prices: As `PRICES`.
    """

    def dollars(name: str, amount: float) -> float:
        return prices[name].dollars / prices[name].per * amount

    failures = cabs / CABS_A_FAILURE
    gigabytes = cabs * megabytes / 1_000
    stored = RETENTION_DAYS / 30
    seconds = failures * SECONDS_A_PULL + cabs / COPIES_A_SECOND + TIMED_RUNS * SECONDS_A_TIMED_RUN
    executions = failures + TIMED_RUNS
    # Storage notes each of its writes and listings, and the app what it does.
    logged = (cabs + failures + LINES_A_RUN * executions) * BYTES_A_LOG_LINE / 1e9
    costs = {
        "instances and executions": dollars("gb_second", seconds * INSTANCE_GB) + dollars("execution", executions),
        "blobs written and listed": dollars("blob_write", cabs) + dollars("blob_list", failures),
        "tables and queues": dollars("table", requests(cabs, failures) - cabs - failures)
        + dollars("queue", 3 * failures + POLLS),
        "index tags": dollars("index_tag", 4 * cabs * stored),
        "storing": dollars("stored_gb", gigabytes * stored),
        "logs": dollars("log_gb", logged),
        "alerts": dollars("alert", ALERTS),
    }
    streamed = dollars("gb_second", gigabytes * 1_000 / STREAMED_MB_A_SECOND * INSTANCE_GB)
    endpoints = dollars("endpoint_hour", ENDPOINTS * 730) + dollars("zone", ZONES)
    return [
        ("failures, each a pull", _count(failures)),
        ("calls of the Dev Center, at most", _count(cabs / 100 + failures)),
        ("storage requests", _count(requests(cabs, failures))),
        ("executions", _count(executions)),
        ("seconds that an instance works", _count(seconds)),
        ("GB stored", _count(gigabytes * stored)),
        ("GB of logs", f"{logged:,.2f}"),
        *((name, _money(cost)) for name, cost in costs.items()),
        ("**together**", f"**{_money(sum(costs.values()))}**"),
        ("with `VNET_ENABLED`, more", _money(endpoints)),
        ("were every cab streamed, more", _money(streamed)),
        ("the same with `VNET_ENABLED`", _money(streamed + dollars("endpoint_gb", gigabytes))),
    ]


def table(months: tuple[int, ...] = MONTHS, megabytes: float = 1.0, prices: dict[str, Price] | None = None) -> str:
    """Return the months side by side, and the prices that they were worked out with, as Markdown."""
    prices = PRICES if prices is None else prices
    columns = [month(cabs, megabytes, prices) for cabs in months]
    lines = [
        f"| a month, cabs of {megabytes:g} MB | " + " | ".join(f"{cabs:,} cabs" for cabs in months) + " |",
        "|---|" + "---:|" * len(months),
        *(f"| {rows[0][0]} | " + " | ".join(value for _, value in rows) + " |" for rows in zip(*columns, strict=True)),
        "",
        "| price | US dollars | of | as of |",
        "|---|---:|---|---|",
        *(
            f"| `{name}` | {_price(each.dollars)} | {each.per:,} {each.what} | {each.source} |"
            for name, each in prices.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """Return a page with today's table in the place of the one that it has."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"


def main(arguments: list[str] | None = None) -> None:
    """Print a month that is asked for, or write the table of the docs."""
    parser = argparse.ArgumentParser(prog="python3 -m infra.costs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cabs", type=_whole, help="print a month with so many new cabs")
    parser.add_argument("--megabytes", type=_number, default=1.0, help="of a cab (default: 1)")
    parser.add_argument(
        "--price", action="append", type=_price_given, default=[], metavar="NAME=DOLLARS", help="of those in the table"
    )
    given = parser.parse_args(arguments)
    prices = PRICES | dict(given.price)
    if given.cabs or given.price:
        print(table((given.cabs,) if given.cabs else MONTHS, given.megabytes, prices))
    else:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def _price_given(text: str) -> tuple[str, Price]:
    name, _, dollars = text.partition("=")
    if name not in PRICES:
        raise argparse.ArgumentTypeError(f"no price is called {name!r}; there are {', '.join(PRICES)}")
    return name, replace(PRICES[name], dollars=_number(dollars), source="given")


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 0 to {_MOST:,}, such as 0.023")
    return number


def _whole(text: str) -> int:
    if not (re.fullmatch(r"\d{1,12}", text) and int(text)):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a whole number from 1 on, of 12 digits at most")
    return int(text)


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _money(dollars: float) -> str:
    return f"${dollars:,.2f}" if dollars < 100 else f"${dollars:,.0f}"  # noqa: PLR2004 - cents count below that


def _price(dollars: float) -> str:
    return f"{dollars:.6f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    main()
