"""``tailrace failures classify``: what a failure would be taken for, without one."""

from __future__ import annotations

import errno as errors
from difflib import get_close_matches

import click

from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, show_facts
from tailrace.cli.options import format_option


def _errno(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if value.isdecimal() and value.isascii():
        return int(value)
    number = getattr(errors, value.upper(), None)
    if isinstance(number, int):
        return number
    near = get_close_matches(value.upper(), errors.errorcode.values(), 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    message = f"{value!r} is no error number; write 28 or ENOSPC{meant}"
    raise click.BadParameter(message, context, parameter)


@command()
@click.option(
    "--type", "type_name", metavar="NAME", help="Exception class: TimeoutError, httpx.ReadTimeout."
)
@click.option("--status", type=int, help="HTTP status of the answer.")
@click.option("--errno", metavar="NUMBER|NAME", callback=_errno, help="28, or ENOSPC.")
@click.option("--message", default="", metavar="TEXT", help="Text of the exception.")
@click.option("--retry-after", metavar="SECONDS|DATE", help="Value of the header Retry-After.")
@format_option(*FORMATS)
def classify_error(
    *,
    type_name: str | None,
    status: int | None,
    errno: int | None,
    message: str,
    retry_after: str | None,
    output: str,
) -> int:
    """Say which category and class a failure would get, and which rule decides.

    The rules of tailrace.toml and of plug-ins take part.

    \b
      tailrace failures classify --type TimeoutError
      tailrace failures classify --status 429 --retry-after 12
      tailrace failures classify --errno ENOSPC
    """  # noqa: D301 - \b is click's mark for lines to keep
    if type_name is None and status is None and errno is None and not message:
        raise click.UsageError("name what is known of it: --type, --status, --errno or --message")
    from tailrace.failures.classification import explain_verdict  # noqa: PLC0415 - not for --help
    from tailrace.failures.rules import use_rules  # noqa: PLC0415 - likewise
    from tailrace.settings import load_settings  # noqa: PLC0415 - likewise

    use_rules(load_settings().failures.rules)
    verdict = explain_verdict(
        type_name=type_name,
        status=status,
        errno=errno,
        message=message,
        retry_after=retry_after,
    )
    facts = {
        "category": verdict.category.value,
        "class": verdict.class_.value,
        "rule": verdict.rule,
        "retry_after_s": verdict.retry_after,
        "never_retried": verdict.is_refused,
        "fingerprint": verdict.fingerprint or None,
    }
    pairs = [(name.replace("_", " "), str(value)) for name, value in facts.items() if value]
    show_facts(pairs, output, data=lambda: facts)
    return 0
