"""The flow of ``flow.yaml``, written with Python operators."""

from tailrace import Flow, Policy, foreach, task
from tasks import aggregate, by_year, compare, plot, read, report, validate

years = foreach("{{ results.by_year }}", item="year", concurrency=4, name="years")

flow = Flow(
    "weather",
    task(policy=Policy(timeout="10s"))(read)
    >> task(validate)  # a bad row stops the flow here, by its line number
    >> task(by_year)
    >> years(task(aggregate))
    >> (task(compare) & task(plot))
    >> task(report),
    defaults={"source": "seattle-weather.csv"},
)
