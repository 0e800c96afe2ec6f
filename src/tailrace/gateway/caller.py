"""Who asks, and what they may."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.model.remote import Job

ROLES = ("read", "submit", "operate", "admin")
"""Each may what the ones before it may."""
_RANK = {role: rank for rank, role in enumerate(ROLES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who asks. Without authentication everybody is ``ANYBODY``."""

    key_id: str | None = None
    tenant_id: str | None = None
    role: str = "admin"

    def may(self, role: str) -> bool:
        """Whether the caller has this role, or a higher one."""
        return _RANK[self.role] >= _RANK[role]

    @property
    def sees_all(self) -> bool:
        """Whether runs of all tenants are the caller's to see."""
        return self.tenant_id is None or self.role == "admin"

    def sees(self, job: Job) -> bool:
        """Whether a run is the caller's to see."""
        return self.tenant_id is None or self.role == "admin" or job.tenant_id == self.tenant_id

    @property
    def name(self) -> str | None:
        """How the caller is written down: ``api_key:`` and the key's id; None: nobody knows."""
        return None if self.key_id is None else f"api_key:{self.key_id}"


ANYBODY = Caller()
