from _people import Row, fields
from ours import Person, close, conf, open  # noqa: F401

NAME = "aioredisca, cache"
PACKAGES: list[str] = []
NOTE = "`conf(cache=10_000)`: what was loaded once comes out of the memory of the client"


@conf(cache=10_000)
class Remembered(Person):
    pass


async def fill(first: int, number: int) -> None:
    await Remembered.save_many([Remembered.new(str(i), **fields(i)) for i in range(first, first + number)])


async def cached(number: int) -> None:
    await Remembered.get(str(number))


async def cached_read(number: int) -> Row:
    found = await Remembered.get(str(number))
    return found.email, found.name, found.city, found.age
