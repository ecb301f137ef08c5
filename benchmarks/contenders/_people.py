"""The persons that all contenders store, and the right answers to what they are asked. Needs nothing."""

from __future__ import annotations

Row = tuple[str, str, str, int]
"""E-mail address, name, city and age: what is read of a person."""

AGES = 100
MEMBERS = {1000: range(1000, 2000), 100: range(2000, 2100), 1: range(2100, 2101)}
"""The persons of the cities of that many."""

NEEDED = {"find": 2200, "range_": 5000}
"""How many persons an operation needs, where that is not what all others do with."""


def city(number: int) -> str:
    for size, members in MEMBERS.items():
        if number in members:
            return city_of(size)
    return f"City {number % 50}"


def city_of(size: int) -> str:
    return f"City of {size}"


def fields(number: int) -> dict[str, str | int]:
    return {
        "email": f"person{number}@example.com",
        "name": f"Person {number}",
        "city": city(number),
        "age": number % AGES,
    }


def changed(number: int) -> dict[str, str | int]:
    """Other values for all fields of a person."""
    return {
        "email": f"changed{number}@example.com",
        "name": f"Renamed {number}",
        "city": f"Town {number % 50}",
        "age": (number + 1) % AGES,
    }


def row(number: int) -> Row:
    email, name, city, age = fields(number).values()
    return str(email), str(name), str(city), int(age)


def answer(operation: str, argument: int) -> list[Row]:
    """The right rows, sorted; of ``range_`` those aged *argument* or a year more, of 5,000 persons."""
    if operation == "find":
        numbers = list(MEMBERS[argument])
    elif operation == "range_":
        numbers = [n for n in range(NEEDED["range_"]) if argument <= n % AGES <= argument + 1]
    elif operation == "get_many":
        numbers = list(range(argument))
    else:
        numbers = [argument]
    return sorted(row(number) for number in numbers)
