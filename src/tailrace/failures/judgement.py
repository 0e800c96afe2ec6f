"""What a project says of failures, as one thing that a process takes over."""

from __future__ import annotations

from typing import NamedTuple

from tailrace.failures.rules import use_rules
from tailrace.failures.tags import use_tag_limit
from tailrace.model import secret
from tailrace.model.rule import Rule
from tailrace.settings import Settings


class Judgement(NamedTuple):
    """Rules of classification, names of secrets, and how many tags are kept."""

    rules: tuple[Rule, ...]
    redact: tuple[str, ...]
    tags: int
    values: tuple[str, ...] = ()
    """Secret values that another process has seen."""

    @classmethod
    def of(cls, settings: Settings) -> Judgement:
        """Return what the settings say."""
        return cls(settings.failures.rules, settings.redact, settings.failures.tags)

    def install(self) -> None:
        """Judge all failures of this process so from now on.

        Raises:
            SettingsError: a pattern is none (TR193), or a callable cannot be loaded (TR195).
        """
        secret.use_rules(self.redact)
        secret.remember_values(self.values)
        use_rules(self.rules)
        use_tag_limit(self.tags)
