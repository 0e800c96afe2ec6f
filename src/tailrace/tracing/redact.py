"""What must never be shown in a trace or a report."""

from tailrace.model.secret import REDACTED, Secret, is_secret, redact_text, use_rules

__all__ = ["REDACTED", "Secret", "is_secret", "redact_text", "use_rules"]
