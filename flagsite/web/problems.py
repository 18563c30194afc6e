"""Error responses, and the table with the status and type for each exception.

Programs get problem details (RFC 9457). People who wait for a page of the admin site get a page in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from flags import errors as flags
from flagsite.core.api.input import EmptyForm
from flagsite.core.api.path_converters import needs_an_id
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import MAX_ID
from flagsite.core.words import counted
from flagsite.web.message_page import WAYS_OUT, is_for_person, message_page
from jobs import errors as jobs
from orgs import errors as orgs

log = structlog.get_logger(__name__)
CONTENT_TYPE = "application/problem+json"

PROBLEMS: dict[type[Exception], tuple[int, str]] = {
    orgs.OrganizationNotFound: (404, "organization-not-found"),
    orgs.OrganizationAmbiguous: (409, "organization-ambiguous"),
    orgs.DuplicateOrganizationKey: (409, "duplicate-organization-key"),
    orgs.MoveUnderOwnDescendant: (409, "move-under-own-descendant"),
    orgs.OrganizationHasChildren: (409, "organization-has-children"),
    orgs.OrganizationBelowItself: (409, "organization-below-itself"),
    orgs.OrganizationHasStaff: (409, "organization-has-staff"),
    orgs.OutsideOfYourSubtree: (403, "outside-of-your-subtree"),
    orgs.MoreThanYouMay: (403, "more-than-you-may"),
    orgs.RoleNeeded: (403, "not-permitted"),
    orgs.InvalidAttribute: (400, "invalid-attribute"),
    orgs.TooManyAttributes: (409, "too-many-attributes"),
    orgs.AttributesChangedMeanwhile: (412, "attributes-changed-meanwhile"),
    orgs.AccessKeyNotFound: (404, "access-key-not-found"),
    orgs.PersonNotFound: (404, "person-not-found"),
    orgs.PersonExists: (409, "person-exists"),
    orgs.AccessKeyEnded: (409, "access-key-ended"),
    orgs.InvalidKeyName: (400, "invalid-key-name"),
    orgs.InvalidKeyExpiry: (400, "invalid-key-expiry"),
    orgs.TreeBusy: (503, "tree-busy"),
    orgs.IdempotencyConflict: (409, "idempotency-conflict"),
    orgs.IdempotentRequestRunning: (409, "idempotent-request-running"),
    jobs.JobNotFound: (404, "job-not-found"),
    jobs.JobEnded: (409, "job-ended"),
    jobs.UnknownQueue: (404, "queue-not-found"),
    jobs.QueueExists: (409, "queue-exists"),
    jobs.QueueInUse: (409, "queue-in-use"),
    jobs.InvalidQueueSettings: (400, "invalid-queue-settings"),
    jobs.UnknownKind: (400, "unknown-kind"),
    jobs.InvalidJobArguments: (400, "invalid-job-arguments"),
    jobs.SubscriptionNotFound: (404, "subscription-not-found"),
    jobs.InvalidSubscription: (400, "invalid-subscription"),
    jobs.TooManySubscriptions: (409, "too-many-subscriptions"),
    jobs.TooManyUploads: (409, "too-many-uploads"),
    jobs.DeliveryNotFound: (404, "delivery-not-found"),
    jobs.DeliveryOpen: (409, "delivery-open"),
    jobs.PeriodicTaskNotFound: (404, "periodic-task-not-found"),
    jobs.ScheduledNotFound: (404, "scheduled-not-found"),
    jobs.PeriodicTaskNotSent: (503, "periodic-task-not-sent"),
    jobs.InvalidPeriodicTask: (400, "invalid-periodic-task"),
    jobs.NotRetryable: (409, "job-not-retryable"),
    jobs.NotCancellable: (409, "job-not-cancellable"),
    jobs.TransitionRefused: (409, "job-state"),
    jobs.BatchNotFound: (404, "batch-not-found"),
    jobs.BatchEnded: (409, "batch-ended"),
    jobs.BatchNotRetryable: (409, "batch-not-retryable"),
    jobs.InvalidBatch: (400, "invalid-batch"),
    jobs.ArtifactNotFound: (404, "artifact-not-found"),
    jobs.ImportNotFound: (404, "import-not-found"),
    jobs.ImportNotApplicable: (409, "import-not-applicable"),
    jobs.ImportFileGone: (409, "import-file-gone"),
    flags.FlagNotFound: (404, "flag-not-found"),
    flags.StatisticNotFound: (404, "statistic-not-found"),
    flags.InvalidFlagKey: (400, "invalid-flag-name"),
    flags.InvalidFlagFile: (400, "invalid-flag-file"),
    flags.InvalidDefinition: (400, "invalid-definition"),
    flags.InvalidValue: (400, "invalid-value"),
    flags.UnknownPrerequisite: (400, "unknown-prerequisite"),
    flags.TargetingKeyMissing: (400, "targeting-key-missing"),
    flags.FlagExists: (409, "flag-exists"),
    flags.PrerequisiteCycle: (409, "prerequisite-cycle"),
    flags.FlagArchived: (409, "flag-archived"),
    flags.FlagTypeImmutable: (409, "flag-type-immutable"),
    flags.VariantInUse: (409, "variant-in-use"),
    flags.FlagLocked: (409, "flag-locked"),
    flags.FlagNotLocked: (409, "flag-not-locked"),
    flags.ChangeNotFound: (404, "change-not-found"),
    flags.ChangeNotUndoable: (409, "change-not-undoable"),
    flags.InvalidMoment: (400, "invalid-moment"),
    flags.BeforeHistory: (410, "before-history"),
    flags.PlanStale: (409, "plan-stale"),
    flags.BlastRadius: (409, "blast-radius"),
    flags.FlagPurging: (409, "flag-purging"),
    flags.FlagNotArchived: (409, "flag-not-archived"),
    flags.FlagNeeded: (409, "flag-needed"),
    flags.SegmentNotFound: (404, "segment-not-found"),
    flags.InvalidSegmentKey: (400, "invalid-segment-key"),
    flags.InvalidSegment: (400, "invalid-segment"),
    flags.UnknownSegment: (400, "unknown-segment"),
    flags.SegmentExists: (409, "segment-exists"),
    flags.SegmentCycle: (409, "segment-cycle"),
    flags.SegmentNeeded: (409, "segment-needed"),
    flags.SegmentChangedMeanwhile: (412, "segment-changed-meanwhile"),
    flags.FlagChangedMeanwhile: (412, "flag-changed-meanwhile"),
    flags.FlagFileChangedMeanwhile: (412, "flag-file-changed-meanwhile"),
    flags.ScheduleNotFound: (404, "schedule-not-found"),
    flags.InvalidSchedule: (400, "invalid-schedule"),
    flags.ScheduleNotCancellable: (409, "schedule-not-cancellable"),
    flags.ScheduleNotRetryable: (409, "schedule-not-retryable"),
}
"""Status and type of every exception that ends a request. `docs/errors.md` explains the types; a test compares both."""

NEVER_ANSWERED: frozenset[type[Exception]] = frozenset(
    {
        FlagsiteError,  # the base class
        orgs.ImportRefused,  # commands and jobs only
        orgs.InvalidImportOption,
        orgs.NoLongerAllowed,
        orgs.ActorMissing,  # mistakes in our own code: 500
        orgs.OutsideTransaction,
        flags.UnknownHashVersion,
        flags.ScheduleNoLongerAllowed,  # stored with the schedule
        jobs.PermanentFailure,  # between a worker and the engine
        jobs.NothingLeftToDo,
        jobs.ResultTooLarge,
        jobs.ResultNotStorable,
        jobs.InvalidArtifactName,
        jobs.LeaseLost,
        jobs.StopRequested,
        jobs.CancelRequested,
        jobs.AttemptTimedOut,
        jobs.DeliveryFailed,
    }
)
"""The exceptions of Flagsite's `errors.py` that never end a request of the API."""

HTTP_TYPES = {
    400: "bad-request",
    401: "not-authenticated",
    403: "not-permitted",
    404: "not-found",
    405: "method-not-allowed",
    411: "length-required",
    413: "request-too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
    500: "internal-error",
    503: "database-away",
}

RETRY_AFTER = {"Retry-After": "5"}
"""The header of a 503, in seconds."""
RETRY_SOON = {"Retry-After": "1"}
"""The header of a 503 because of the tree lock, which is seldom held for longer than a moment."""
LONGEST_REASON = 200
"""Characters of what a client has sent that the log gets."""
NOT_PERMITTED = "You may not do this."
OTHER_METHOD = "This method does nothing at this address. Use one of these: {}."
TOO_LARGE = "The body of the request is too large."
DATABASE_AWAY = (
    "The database cannot be reached. Send the request again in a few seconds, writes with the same Idempotency-Key."
)
KEY_NEEDED = "Send an access key in the header Authorization: Bearer …, or in X-API-Key: …."
NOTHING_HERE = (
    "There is nothing at this address. /docs and /openapi.json list all addresses; none of the API ends with a slash. "
    "An organization is at /organizations/{id or key}. If its key is also the beginning of another address, write key: "
    "before it, as in /key:jobs/new-checkout."
)
NOT_AN_ID = f"This address needs an id: a whole number from 1 to {MAX_ID}, as in /job-status/42."
NOT_STORABLE = (
    "The request has a character or a number that the database cannot store. Send texts in UTF-8 without NUL "
    "characters and without single surrogates, and smaller numbers."
)
FOR_PEOPLE = {
    NOTHING_HERE: "",
    NOT_PERMITTED: "",
    DATABASE_AWAY: "The database cannot be reached. Nothing is wrong with what you have sent.",
}
"""Words for people instead of those for programs; empty where the title of the page says it already."""
INVALID_INPUT = "invalid-input"
"""The type of a 400 whose `errors` name each invalid field and the reason."""


def problem(status: int, kind: str, detail: str, **more: Any) -> dict[str, Any]:
    """The body of a problem: type, title, status, detail, and further members in `more`."""
    return {"type": f"/problems/{kind}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler: the answer for a known error, None for any other exception."""
    known = PROBLEMS.get(type(error))
    if known is not None:
        status, kind = known
        headers = _headers_of(error) if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        more = getattr(error, "members", {})
        return _problem_response(problem(status, kind, getattr(error, "detail", str(error)), **more), headers)
    if isinstance(error, Http404):
        return _problem_response(problem(404, HTTP_TYPES[404], NOTHING_HERE))
    if isinstance(error, PermissionDenied):
        return _problem_response(problem(403, HTTP_TYPES[403], NOT_PERMITTED))
    if isinstance(error, RequestDataTooBig):
        return _problem_response(problem(413, HTTP_TYPES[413], TOO_LARGE))
    if isinstance(error, (OperationalError, InterfaceError)):
        log.error("database_away", error=str(error).strip())
        return _problem_response(_database_away_problem(), RETRY_AFTER)
    if _cannot_be_stored(error):
        log.warning("input_not_storable", error=str(error), exc_info=error)
        return _problem_response(problem(400, HTTP_TYPES[400], NOT_STORABLE))
    if isinstance(error, exceptions.APIException):
        return _problem_response(_framework_problem(error, context), _framework_headers(error))
    return None


def _headers_of(error: Exception) -> dict[str, str]:
    """Return the headers of a 503."""
    return RETRY_SOON if isinstance(error, orgs.TreeBusy) else RETRY_AFTER


def _cannot_be_stored(error: Exception) -> bool:
    """Return whether PostgreSQL or UTF-8 has refused a value of the request: NUL, half of a character, a big number."""
    return isinstance(error, (DataError, UnicodeEncodeError)) or (isinstance(error, ValueError) and "NUL" in str(error))


def _framework_problem(error: exceptions.APIException, context: dict[str, Any]) -> dict[str, Any]:
    kind = HTTP_TYPES.get(error.status_code, "error")
    if isinstance(error, exceptions.ValidationError):
        return problem(400, INVALID_INPUT, "Some of the input is not valid.", errors=field_errors(error.detail))
    if isinstance(error, exceptions.Throttled):
        seconds = counted(math.ceil(getattr(error, "wait", None) or 1), "second")
        return problem(429, kind, f"Too many requests; wait {seconds}.")
    return problem(error.status_code, kind, _way_out(error, context.get("view")) or str(error.detail))


def _way_out(error: exceptions.APIException, view: Any) -> str:
    """Return words with a way out for an error whose own words have none; empty if its words will do."""
    if isinstance(error, exceptions.NotAuthenticated):
        return KEY_NEEDED
    if isinstance(error, exceptions.MethodNotAllowed) and view is not None:
        said = OTHER_METHOD.format(", ".join(view.allowed_methods))
        return f"{said} {getattr(view, 'hint_for_other_methods', '')}".rstrip()
    if isinstance(error, exceptions.UnsupportedMediaType) and view is not None:
        types = [parser.media_type for parser in view.get_parsers() if not isinstance(parser, EmptyForm)]
        return f"This address does not read such a body. Send one of these as Content-Type: {', '.join(types)}."
    return ""


def field_errors(detail: Any, path: str = "") -> list[dict[str, str]]:
    """Flatten a ValidationError to [{"field": "a.b", "message": …}]. The field "" means the whole body."""
    if isinstance(detail, dict):
        inner = {key: path if key == "non_field_errors" else f"{path}.{key}".strip(".") for key in detail}
        return [error for key, value in detail.items() for error in field_errors(value, inner[key])]
    if isinstance(detail, list):
        return [error for value in detail for error in field_errors(value, path)]
    return [{"field": path, "message": str(detail)}]


def _framework_headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(error.wait))
    return headers


def _problem_response(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _database_away_problem() -> dict[str, Any]:
    return problem(503, HTTP_TYPES[503], DATABASE_AWAY)


class UnavailableDatabaseMiddleware:
    """Answers errors outside the API's views: 503 when the database is away, and what a page does not catch itself.

    Examples are authentication, other middleware and the admin site.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, FlagsiteError) and type(error) in PROBLEMS:
            body = problem(*PROBLEMS[type(error)], error.detail)
            return _answer(request, body, RETRY_SOON if isinstance(error, orgs.TreeBusy) else None)
        if not isinstance(error, (OperationalError, InterfaceError)):
            return None
        return database_away(request, error)


def database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the answer of a request that could not reach the database, and log the error."""
    log.error("database_away", error=str(error).strip())
    return _answer(request, _database_away_problem(), RETRY_AFTER)


class NulCharacterMiddleware:
    """Refuses the character NUL in the path (404) and in the query (400), because PostgreSQL cannot store it.

    Bodies are checked where they are parsed. What no other code refuses, PostgreSQL does: then the answer is 400 too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_admin = request.path.startswith("/admin/")
        if "\x00" in request.path:
            raise BadRequest if is_admin else Http404
        if is_admin and any("\x00" in text for name, values in request.GET.lists() for text in (name, *values)):
            raise BadRequest
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not _cannot_be_stored(error):
            return None
        log.warning("input_not_storable", error=str(error), exc_info=error)
        return _answer(request, problem(400, HTTP_TYPES[400], NOT_STORABLE))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if isinstance(exception, RequestDataTooBig):
        return _answer(request, problem(413, HTTP_TYPES[413], TOO_LARGE))
    detail = "The request is malformed."
    if isinstance(exception, SuspiciousOperation):
        request.refused_as = str(exception)[:LONGEST_REASON]  # type: ignore[attr-defined]
        detail = "The request was refused as suspicious. Check that its host name is one of ALLOWED_HOSTS."
    return _answer(request, problem(400, HTTP_TYPES[400], detail))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return _answer(request, problem(403, HTTP_TYPES[403], NOT_PERMITTED))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    detail = NOT_AN_ID if needs_an_id(request.path, exception) else NOTHING_HERE
    return _answer(request, problem(404, HTTP_TYPES[404], detail))


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """Return the 405 of a page; `allowed` is the value of the header Allow."""
    return _answer(request, problem(405, HTTP_TYPES[405], OTHER_METHOD.format(allowed)), {"Allow": allowed})


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500. The log has the traceback under the id of the request."""
    correlation_id = getattr(request, "correlation_id", "")
    detail = f"An internal error occurred. The log has its details (request {correlation_id})."
    return _answer(request, problem(500, HTTP_TYPES[500], detail))


def _answer(request: HttpRequest, body: dict[str, Any], headers: dict[str, str] | None = None) -> HttpResponse:
    """Return a page for a person, and the problem itself for a program."""
    status = body["status"]
    if is_for_person(request):
        said = FOR_PEOPLE.get(body["detail"], body["detail"])
        paragraphs = [sentence for sentence in (said, WAYS_OUT.get(status, "")) if sentence]
        return message_page(request, status, paragraphs, headers=headers)
    return JsonResponse(body, status=status, headers=headers, content_type=CONTENT_TYPE)
