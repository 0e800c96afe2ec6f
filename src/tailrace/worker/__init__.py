"""The worker process: takes runs from the queue, executes them, tells how they stand.

Two kinds of threads: one loop talks to NATS and never runs user code; engines run in threads with
loops of their own and never talk to NATS.
"""
