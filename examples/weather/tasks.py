"""The tasks of the weather flow: plain functions that pass plain data along."""

from __future__ import annotations

import csv
from datetime import date
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TypedDict

from drawing import line_chart, sparkline
from tailrace import Context

HERE = Path(__file__).parent
COLUMNS = ("date", "precipitation", "temp_max", "temp_min", "wind", "weather")
NUMBERS = {"precipitation": "mm", "temp_max": "°C", "temp_min": "°C", "wind": "m/s"}
SHOWN = 3  # bad rows that the error message spells out


class Day(TypedDict):
    """One valid row; units are those of ``NUMBERS``."""

    date: str
    precipitation: float
    temp_max: float
    temp_min: float
    wind: float
    weather: str


class Summary(TypedDict):
    """What is kept of one year; months are January to December."""

    year: int
    days: int
    precipitation: float
    wet_days: int
    mean_max: float
    hottest: Day
    monthly_max: list[float | None]
    """None for a month without data."""
    monthly_rain: list[float]


class Comparison(TypedDict):
    """What the years have to say about one another."""

    wettest: int
    driest: int
    warmest: int
    warming: float
    """Change of the mean daily maximum from the first year to the last, in °C."""


class BadRowsError(ValueError):
    """Rows that are no measurements; the message names their lines."""


def read(source: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file; a relative path may also start from this folder."""
    path = Path(source)
    if not path.exists():
        path = HERE / source
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    print(f"{len(rows)} rows in {path.name}")
    return rows


def validate(read: list[dict[str, str]]) -> list[Day]:
    """Return every row as a measurement.

    Raises:
        BadRowsError: a column is missing, a value is no number, or a date is none or out of order.
    """
    days: list[Day] = []
    problems: list[str] = []
    previous = ""
    for line, row in enumerate(read, start=2):  # line 1 is the header
        try:
            day = _day(row, previous)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        previous = day["date"]
        days.append(day)
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise BadRowsError(
            f"{len(problems)} of {len(read)} rows: {'; '.join(problems[:SHOWN])}{more}"
        )
    return days


def _day(row: dict[str, str], previous: str) -> Day:
    missing = [column for column in COLUMNS if not row.get(column)]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    try:
        day = date.fromisoformat(row["date"].replace("/", "-")).isoformat()
    except ValueError:
        raise ValueError(f"date is {row['date']!r}; expected YYYY/MM/DD") from None
    if day <= previous:
        raise ValueError(f"date {day} does not come after {previous}")
    values = {column: _number(column, row[column]) for column in NUMBERS}
    if values["temp_min"] > values["temp_max"]:
        raise ValueError(f"temp_min {values['temp_min']} is above temp_max {values['temp_max']}")
    return Day(
        date=day,
        precipitation=values["precipitation"],
        temp_max=values["temp_max"],
        temp_min=values["temp_min"],
        wind=values["wind"],
        weather=row["weather"],
    )


def _number(column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{column} is {text!r}; expected a number ({NUMBERS[column]})") from None


def by_year(validate: list[Day]) -> dict[int, list[Day]]:
    """Return the days of each year; the loop over them names its iterations by year."""
    groups = groupby(validate, key=lambda day: int(day["date"][:4]))
    return {year: list(days) for year, days in groups}


def aggregate(year: tuple[int, list[Day]]) -> Summary:
    """Return the figures of one year; the loop runs this for several years at once."""
    number, days = year
    months = [[day for day in days if int(day["date"][5:7]) == month] for month in range(1, 13)]
    return Summary(
        year=number,
        days=len(days),
        precipitation=round(sum(day["precipitation"] for day in days), 1),
        wet_days=sum(day["precipitation"] > 0 for day in days),
        mean_max=round(fmean(day["temp_max"] for day in days), 2),
        hottest=max(days, key=lambda day: day["temp_max"]),
        monthly_max=[
            round(fmean(day["temp_max"] for day in month), 1) if month else None for month in months
        ],
        monthly_rain=[round(sum(day["precipitation"] for day in month), 1) for month in months],
    )


def compare(years: list[Summary]) -> Comparison:
    """Return which year stands out in what."""
    rain = {summary["year"]: summary["precipitation"] for summary in years}
    warmth = {summary["year"]: summary["mean_max"] for summary in years}
    return Comparison(
        wettest=max(rain, key=rain.__getitem__),
        driest=min(rain, key=rain.__getitem__),
        warmest=max(warmth, key=warmth.__getitem__),
        warming=round(years[-1]["mean_max"] - years[0]["mean_max"], 2),
    )


def plot(years: list[Summary]) -> str:
    """Return an SVG with a line per year: the mean daily maximum of each month."""
    return line_chart(
        {str(summary["year"]): summary["monthly_max"] for summary in years},
        title="Mean daily maximum by month, °C",
    )


def report(years: list[Summary], compare: Comparison, plot: str, ctx: Context) -> dict[str, str]:
    """Save the report and its plot as artifacts of the run; return the headline and the path."""
    ctx.save_artifact("weather.svg", plot)
    headline = (
        f"{compare['warmest']} was the warmest year, {compare['wettest']} the wettest,"
        f" {compare['driest']} the driest; the mean daily maximum changed by"
        f" {compare['warming']:+.2f} °C from {years[0]['year']} to {years[-1]['year']}."
    )
    path = ctx.save_artifact("report.md", _markdown(years, headline))
    return {"headline": headline, "report": path}


def _markdown(years: list[Summary], headline: str) -> str:
    rows = [
        f"| {one['year']} | {one['days']} | {one['precipitation']:,.1f} | {one['wet_days']} "
        f"| {one['mean_max']:.2f} | {one['hottest']['temp_max']:.1f} on {one['hottest']['date']} "
        f"| `{sparkline(one['monthly_rain'])}` |"
        for one in years
    ]
    return "\n".join(
        [
            "# Weather of Seattle",
            "",
            headline,
            "",
            "| year | days | rain (mm) | wet days | mean max (°C) | hottest (°C) | rain by month |",
            "|---|---:|---:|---:|---:|---|---|",
            *rows,
            "",
            "![Mean daily maximum by month](weather.svg)",
            "",
            "Source: NOAA Global Historical Climatology Network (public domain).",
            "",
        ]
    )
