"""A flow for workers: each order is reserved, charged once, and confirmed.

tailrace up --flows orders            (in this folder; Ctrl-C ends it)
python send_orders.py                 (in another terminal)
"""

from typing import Any

from tailrace import Context, Flow, Policy, Retry, task


@task
def reserve(order: str, amount: int) -> dict[str, Any]:
    """Put the goods of an order aside."""
    if amount <= 0:
        raise ValueError(f"order {order}: an amount of {amount} cannot be charged")
    return {"order": order, "amount": amount}


@task(policy=Policy(retry=Retry(max_attempts=3, delay="200ms")))
def charge(reserve: dict[str, Any], ctx: Context) -> str:
    """Ask for payment.

    A worker that dies here leaves it open whether the customer has paid. The next worker asks
    again with the same key, and the provider drops a second payment with a key that it knows.
    """
    return f"payment of {reserve['amount']} with key {ctx.idempotency_key[-8:]}"


@task
def confirm(reserve: dict[str, Any], charge: str) -> str:
    """Tell the customer."""
    return f"order {reserve['order']}: {charge.partition(' with ')[0]}"


orders = Flow("orders", reserve >> charge >> confirm, defaults={"order": "A1", "amount": 10})
