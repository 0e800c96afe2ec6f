"""A first flow: two functions, one after the other."""

from tailrace import Flow, task


@task
def greet(names: list[str]) -> list[str]:
    """Return one greeting per name; ``names`` is a param of the flow."""
    return [f"Hello, {name}" for name in names]


@task
def shout(greet: list[str]) -> str:
    """Return all greetings, loudly; ``greet`` is the result of the node of that name."""
    return "! ".join(greet).upper() + "!"


flow = Flow("hello", greet >> shout, defaults={"names": ["Ada", "Grace"]})
