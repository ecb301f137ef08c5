"""What the shop keeps. Money is in cents of one currency."""

from __future__ import annotations

from aioredisca import DateTime, Integer, ListOf, Model, Reference, String, conf, utcnow


@conf(tag="shop")  # one slot in a cluster: a checkout is one atomic call there as well
class Shop(Model):
    """What all of it shares."""


@conf(prefix="product")
class Product(Shop):
    """Something to sell, and how many there are."""

    name = String(required=True)
    price = Integer(required=True, minval=0)
    stock = Integer(required=True, minval=0, index=True)


@conf(prefix="order")
class Order(Shop):
    """What somebody bought. ``key`` is the word by which a client may ask for the same once more."""

    key = String(unique=True, required=True)
    buyer = String(required=True, index=True)
    status = String(new="pending", index=True)
    total = Integer(required=True)
    at = DateTime(new=utcnow, index=True)
    lines = ListOf(String())


@conf(prefix="account")
class Account(Shop):
    """Where the money of a buyer is."""

    balance = Integer(required=True, minval=0)


@conf(prefix="payment")
class Payment(Shop):
    """The payment of an order, under its id: there is one at most."""

    order = Reference(Order)
    amount = Integer(required=True)
