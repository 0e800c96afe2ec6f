"""Rooms that are heated or cooled: a foreach within a repeat, a switch within both, an until."""

from __future__ import annotations

from typing import TypedDict

from tailrace import Context

STEP = 2  # °C that one hour of heating or cooling changes


class Room(TypedDict):
    """A room and its temperature in °C when the flow starts."""

    name: str
    start: int


class Reading(TypedDict):
    """What was measured; ``state`` is cold, warm or fine."""

    name: str
    temperature: int
    state: str


class Setting(TypedDict):
    """What was done about a reading, and where that leads."""

    name: str
    action: str
    temperature: int


def measure(room: Room, target: int, ctx: Context) -> Reading:
    """Return the temperature of a room at this hour, going towards the target hour by hour."""
    hour = ctx.loops[0].index
    distance = room["start"] - target
    moved = min(abs(distance), hour * STEP)
    temperature = room["start"] - (moved if distance > 0 else -moved)
    state = "fine" if temperature == target else "cold" if temperature < target else "warm"
    return Reading(name=room["name"], temperature=temperature, state=state)


def heat(measure: Reading) -> Setting:
    """Make the room warmer."""
    return Setting(name=measure["name"], action="heat", temperature=measure["temperature"] + STEP)


def cool(measure: Reading) -> Setting:
    """Make the room colder."""
    return Setting(name=measure["name"], action="cool", temperature=measure["temperature"] - STEP)


def keep(measure: Reading) -> Setting:
    """Leave the room as it is."""
    return Setting(name=measure["name"], action="keep", temperature=measure["temperature"])


def poll(ctx: Context) -> dict[str, object]:
    """Return how far the air still moves; it halves with every look."""
    drift = 8 / 2 ** ctx.loops[-1].iteration
    return {"drift": drift, "calm": drift < 1}


def summary(hours: list[list[Setting]], settled: dict[str, object]) -> dict[str, object]:
    """Return what was done in each room, hour by hour."""
    actions = {
        room["name"]: [hour[place]["action"] for hour in hours]
        for place, room in enumerate(hours[0])
    }
    return {"actions": actions, "drift": settled["drift"]}
