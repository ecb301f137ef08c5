"""The shop over HTTP: uvicorn examples.shop.app:app"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header, Response
from pydantic import BaseModel, PositiveInt

from aioredisca.fastapi import Create, IfMatch, check_match, etag_of, install

from .checkout import check_out, pay
from .models import Order, Product


class Cart(BaseModel):
    """What somebody is to buy: ids of products, and how many of each."""

    buyer: str
    lines: dict[str, PositiveInt]


class Price(BaseModel):
    """What a product is to cost."""

    price: PositiveInt


def create_app(db: object = None) -> FastAPI:
    """The shop, in a database of its own."""
    app = FastAPI(title="Shop")
    install(app, db, health="/health")

    @app.post("/products", status_code=201)
    async def offer(body: Create[Product]) -> Product:
        return await body.new()

    @app.get("/products/{id}")
    async def show(id: str, response: Response) -> Product:
        product = await Product.get(id)
        response.headers["ETag"] = etag_of(product)
        return product

    @app.patch("/products/{id}")
    async def reprice(id: str, body: Price, if_match: IfMatch = None) -> Product:
        product = await Product.get(id)
        check_match(product, if_match, needed=True)
        product.price = body.price
        return product

    @app.post("/orders")
    async def order(
        cart: Cart, response: Response, key: Annotated[str, Header(alias="Idempotency-Key")]
    ) -> Order:
        found, created = await check_out(key, cart.buyer, cart.lines)
        response.status_code = 201 if created else 200
        return found

    @app.post("/orders/{id}/payment", status_code=204)
    async def payment(id: str) -> None:
        await pay(id)

    return app


app = create_app()
