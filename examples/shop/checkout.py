"""The two things that must be right: to take what is in the cart, and to take the money."""

from __future__ import annotations

from collections.abc import Mapping

from aioredisca import AlreadyExists, OutOfBounds, UniqueViolation, session

from .models import Account, Order, Payment, Product


async def check_out(key: str, buyer: str, cart: Mapping[str, int]) -> tuple[Order, bool]:
    """The order of a cart, ids of products with how many of each, and whether it was made now.

    One flush: the order with its lines, and the stock of each product. OutOfBounds where there is too little
    of one, and then nothing is sold. The same *key* twice is one order.
    """
    try:
        async with session(autosave=True) as s:
            products = [await Product.get(id) for id in sorted(cart)]
            total = sum(product.price * cart[product.id] for product in products)
            order = Order.new(key=key, buyer=buyer, total=total)
            for product in products:
                s.require(product, Product.price == product.price)  # at the price that the buyer was shown
                s.incr(product, Product.stock, -cart[product.id])  # minval=0 of the field refuses
                s.append(order, Order.lines, f"{product.id}*{cart[product.id]}")
        return order, True
    except (UniqueViolation, OutOfBounds):
        before = await Order.where(Order.key == key).one_or_none()
        if before is None:
            raise
        return before, False  # this request was answered already


async def pay(order_id: str) -> bool:
    """Take the money of an order, once; whether it was taken now.

    StaleWrite where the order is not pending any more, OutOfBounds where the money does not suffice.
    """
    try:
        async with session(autosave=True) as s:
            order = await Order.get(order_id)
            s.require(order, Order.status == "pending")
            order.status = "paid"
            s.incr(Account(order.buyer), Account.balance, -order.total)
            Payment.new(order_id, order=order, amount=order.total)
        return True
    except AlreadyExists:
        return False
