"""Writes 1,000 records by redis-om 1.2, to the server on the port that it is given. Runs in an environment of its own."""

import datetime
import decimal
import sys
import uuid
from typing import Any

from redis_om import Field, HashModel, get_redis_connection

database: Any = get_redis_connection(url=f"redis://127.0.0.1:{sys.argv[1]}/0?decode_responses=True")
DAY = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


class Customer(HashModel, index=True):
    first_name: str
    email: str = Field(index=True)
    join_date: datetime.date
    seen: datetime.datetime
    age: int = Field(index=True)
    active: bool
    bio: str | None = None
    score: float
    token: uuid.UUID

    class Meta:
        database: Any


class Order(HashModel, index=True):
    number: int = Field(primary_key=True)
    customer: str
    price: decimal.Decimal
    state: str = Field(index=True)

    class Meta:
        database: Any


Customer._meta.database = Order._meta.database = database
customers = [
    Customer(
        first_name=f"Name {n % 300}",
        email=f"user{n}@example.com",
        join_date=(DAY + datetime.timedelta(days=n)).date(),
        seen=DAY + datetime.timedelta(minutes=n, microseconds=n),
        age=n % 90,
        active=n % 3 == 0,
        bio=f"Knows {n} things,\nor more." if n % 4 else None,
        score=n / 7,
        token=uuid.UUID(int=n * 2**90),
    )
    for n in range(700)
]
Customer.add(customers)
Order.add(
    [
        Order(
            number=n,
            customer=customers[n].pk,
            price=decimal.Decimal(n) / 4,
            state=("open", "paid", "sent")[n % 3],
        )
        for n in range(300)
    ]
)
