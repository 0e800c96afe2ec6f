"""One error tree with stable codes."""

from tailrace.errors.tree import (
    RUN_EXISTS,
    Conflict,
    DefinitionError,
    ExpressionError,
    NotAllowed,
    NotFound,
    PolicyValidationError,
    QueryError,
    RunCancelled,
    RunError,
    RunFailed,
    SettingsError,
    StoreError,
    TailraceError,
    TransportError,
)

__all__ = [
    "RUN_EXISTS",
    "Conflict",
    "DefinitionError",
    "ExpressionError",
    "NotAllowed",
    "NotFound",
    "PolicyValidationError",
    "QueryError",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "SettingsError",
    "StoreError",
    "TailraceError",
    "TransportError",
]
