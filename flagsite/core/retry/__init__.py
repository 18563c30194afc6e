"""Decorators that call a function again after a transient failure. docs/retries.md describes them."""

from flagsite.core.retry.decorators import (
    RetryInsideTransaction,
    api_retry,
    async_retry,
    database_retry,
    redis_retry,
    retry_on_transient,
)
from flagsite.core.retry.http_failures import UnwantedStatus

__all__ = [
    "RetryInsideTransaction",
    "UnwantedStatus",
    "api_retry",
    "async_retry",
    "database_retry",
    "redis_retry",
    "retry_on_transient",
]
