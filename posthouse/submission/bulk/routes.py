"""The table of the bulk routes; where the store keeps no campaigns each of them says so."""

import time

from posthouse.store.base import Reads
from posthouse.submission.answers import Answer
from posthouse.submission.bulk.create import SEND_BULK, Bulk, send_bulk
from posthouse.submission.bulk.jobs import (
    ACTS,
    BREAKDOWN,
    GET_JOB,
    LIST_ACTS,
    LIST_JOBS,
    RETRY_FAILED,
    Jobs,
    act_doc,
    breakdown,
    get_job,
    list_acts,
    list_jobs,
    retry_failed,
    steer,
)
from posthouse.submission.bulk.live import EVENTS, watch_job
from posthouse.submission.bulk.pace import Pace
from posthouse.submission.bulk.recipients import EXPORT, LIST_RECIPIENTS, export_recipients, list_recipients
from posthouse.submission.bulk.request import BulkRequest
from posthouse.submission.endpoint import Call, Handler, Route
from posthouse.submission.problems import Problem
from posthouse.submission.reference.describe import Doc

SEND = "/api/emails/send-bulk"
JOBS = "/api/emails/jobs"
JOB = f"{JOBS}/{{jobId}}"

TABLE: dict[tuple[str, str], Doc] = {
    ("POST", SEND): SEND_BULK,
    ("GET", JOBS): LIST_JOBS,
    ("GET", JOB): GET_JOB,
    ("GET", f"{JOB}/recipients"): LIST_RECIPIENTS,
    ("GET", f"{JOB}/recipients.csv"): EXPORT,
    ("GET", f"{JOB}/breakdown"): BREAKDOWN,
    ("GET", f"{JOB}/events"): EVENTS,
    ("GET", f"{JOB}/acts"): LIST_ACTS,
    **{("POST", f"{JOB}/{name}"): act_doc(name) for name in ACTS},
    ("POST", f"{JOB}/retry-failed"): RETRY_FAILED,
}


def bulk_routes(bulk: Bulk | None, reads: Reads) -> list[Route]:
    """All of them; `bulk` is None where the store keeps no campaigns."""
    handlers = dict.fromkeys(TABLE, _none) if bulk is None else _handlers(bulk, reads)
    return [
        Route(
            method=method,
            path=path,
            scope="bulk",
            handler=handlers[method, path],
            doc=doc,
            request=BulkRequest if doc is SEND_BULK else None,
        )
        for (method, path), doc in TABLE.items()
    ]


def _handlers(bulk: Bulk, reads: Reads) -> dict[tuple[str, str], Handler]:
    jobs = Jobs(
        bulk.campaigns,
        bulk.trail,
        bulk.announcements,
        Pace(time.monotonic),
        bulk.now,
        bulk.expire,
        bulk.stopping,
    )
    return {
        ("POST", SEND): send_bulk(bulk),
        ("GET", JOBS): list_jobs(jobs),
        ("GET", JOB): get_job(jobs),
        ("GET", f"{JOB}/recipients"): list_recipients(jobs, reads),
        ("GET", f"{JOB}/recipients.csv"): export_recipients(jobs, reads),
        ("GET", f"{JOB}/breakdown"): breakdown(jobs),
        ("GET", f"{JOB}/events"): watch_job(jobs),
        ("GET", f"{JOB}/acts"): list_acts(jobs),
        **{("POST", f"{JOB}/{name}"): steer(jobs, act) for name, (act, _, _) in ACTS.items()},
        ("POST", f"{JOB}/retry-failed"): retry_failed(jobs),
    }


async def _none(call: Call) -> Answer:
    raise Problem(
        "no-campaigns",
        "Bulk sends need POSTHOUSE_STORE to be sqlite: or postgresql:, and no POSTHOUSE_CATALOG beside it.",
    )
