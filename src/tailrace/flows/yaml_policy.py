"""Reading a policy of a YAML file, each problem at its own place."""

from __future__ import annotations

from tailrace.flows.yaml_shape import Section, data_of
from tailrace.flows.yaml_text import Entry, Table
from tailrace.model import Policy
from tailrace.policy import PolicyValidator, problems


def read_policy(section: Section) -> Policy | None:
    """Return the policy of a section; None when it has none, or a wrong one, which is reported."""
    table = section.table_of("policy")
    if table is None:
        return None
    data = data_of(table)
    path = section.subject("policy")
    found = problems(data, path)
    for problem in found:
        entry = _entry_at(table, problem.path.removeprefix(path).strip("."))
        is_key = problem.code == "TR171" or entry is None
        place = None if entry is None else entry.key if is_key else entry.value
        section.findings.add(
            problem.code,
            problem.message,
            where=section.key_at("policy") if place is None else section.at(place),
            hint=problem.hint,
            subject=problem.path,
        )
    return None if found else PolicyValidator.from_dict(data, path)


def _entry_at(table: Table, path: str) -> Entry | None:
    """Return the entry of a dotted path, or of the longest part of it that is there."""
    found: Entry | None = None
    for name in path.split("."):
        entry = next((entry for entry in table.entries if entry.key.value == name), None)
        if entry is None:
            return found
        found = entry
        if not isinstance(entry.value, Table):
            return found
        table = entry.value
    return found
