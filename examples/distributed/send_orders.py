"""Send orders to the workers of ``tailrace up`` and wait for what becomes of them."""

from tailrace.client import Client

ORDERS = {"A1": 30, "A2": 12, "A3": 0}

with Client() as client:
    # The same key is the same run: sending this file again charges nobody twice.
    runs = {
        order: client.submit(
            "orders", {"order": order, "amount": amount}, idempotency_key=f"order-{order}"
        ).run_id
        for order, amount in ORDERS.items()
    }
    for run_id in runs.values():
        run = client.wait(run_id, timeout=60)
        print(run.status, run.output if run.ok else f"{run.failed_node}: {run.error}")
