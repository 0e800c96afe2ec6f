"""What comes out of the queue: jobs, and things that are none."""

from __future__ import annotations

import re

import msgspec

from tailrace.model.remote import Job, decode_job

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class InvalidJob(Exception):  # noqa: N818 - says why a message is none
    """A message is no job; the text says why."""


def read_job(body: bytes) -> Job:
    """Return the job that a message holds.

    Raises:
        InvalidJob: it holds none.
    """
    try:
        job = decode_job(body)
    except msgspec.ValidationError as error:
        raise InvalidJob(f"invalid_schema: {error}") from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidJob(f"invalid_body: {error}") from error
    if not _TOKEN.fullmatch(job.run_id):
        raise InvalidJob(f"missing_fields: {job.run_id!r} is no run id")
    if not job.flow_name:
        raise InvalidJob("missing_fields: flow_name is empty")
    return job
