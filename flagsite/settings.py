"""All settings. Their values come from environment variables, which the README lists with their defaults."""

from __future__ import annotations

import os
from pathlib import Path

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL
from django.core.exceptions import ImproperlyConfigured

from flagsite import environment, logging, message_settings
from flagsite.admin_site import navigation
from flagsite.core import example_names
from flagsite.development import secret_key, servers

BASE_DIR = Path(__file__).resolve().parent.parent
MIN_SECRET_KEY_LENGTH = 32
MIN_TOKEN_LENGTH = 16
MAX_DAYS = 36_500
HOST_NAME = r"\*|\.?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
ORIGIN = r"[a-z][a-z0-9+.-]*://[^/\s]+"
ORIGIN_EXAMPLE = "origins such as https://flags.example.com, with scheme and without path"
FUNCTION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
FUNCTION_EXAMPLE = "the dotted name of a function, such as shop.flags.organization_of"

# --- Environment ----------------------------------------------------------------------------------------------------
_database_url = environment.text("DATABASE_URL")
_environments = ("production", "development") if _database_url else ("development", "production")
PRODUCTION = environment.choice("FLAGSITE_ENVIRONMENT", *_environments) == "production"
DEBUG = environment.boolean("DEBUG", default=False)
SECRET_KEY = environment.text("SECRET_KEY") or ("" if PRODUCTION else secret_key.secret_key(servers.data_folder()))
SECRET_KEY_FALLBACKS = environment.former_keys("SECRET_KEY_FALLBACKS", MIN_SECRET_KEY_LENGTH)
ALLOWED_HOSTS = environment.comma_separated(
    "ALLOWED_HOSTS", HOST_NAME, "host names without scheme and port",
    "" if PRODUCTION else "localhost,127.0.0.1,[::1],testserver",
)  # fmt: skip
CSRF_TRUSTED_ORIGINS = (
    environment.comma_separated("CSRF_TRUSTED_ORIGINS", ORIGIN, ORIGIN_EXAMPLE)
    or [
        f"https://{name}"  # a proxy ends HTTPS, so Flagsite itself may see HTTP
        for host in ALLOWED_HOSTS
        for name in ([host[1:], f"*{host}"] if host.startswith(".") else [host])
        if host != "*"
    ]
)
SITE_URL = environment.matching(
    "SITE_URL", r"https?://[^\s/?#@]+/?", "the address of this site, such as https://flags.example.com, without path"
).rstrip("/")
CSRF_FAILURE_VIEW = "flagsite.web.csrf_failure.page"
if PRODUCTION:
    if len(SECRET_KEY) < MIN_SECRET_KEY_LENGTH:
        raise ImproperlyConfigured(
            f"SECRET_KEY is missing or shorter than {MIN_SECRET_KEY_LENGTH} characters, so sessions would not be safe. "
            "Set it to a random text, such as the output of: python3 -c 'import secrets; print(secrets.token_hex())'"
        )
    if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured(
            "ALLOWED_HOSTS is empty or contains *, but in production Flagsite answers to known host names only. "
            "Set it to these names, such as flags.example.com."
        )
    if SITE_URL.startswith("http://"):
        raise ImproperlyConfigured(
            "SITE_URL begins with http://, but people sign in over HTTPS only. Set it to a URL that begins with https://."
        )
    if DEBUG:
        raise ImproperlyConfigured(
            "DEBUG is on, so clients would see error traces and settings of production. Unset it."
        )

# --- What is installed ----------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # without the theme's own site
    "unfold.contrib.filters",
    "flagsite.admin_site.apps.FlagsiteAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "csp",
    "rest_framework",
    "rest_framework_api_key",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "flagsite.admin_site.apps.PeriodicTasksConfig",
    "mptt",
    "orgs.apps.OrgsConfig",
    "jobs.apps.JobsConfig",
    "flags.apps.FlagsConfig",
    "flagsite.apps.FlagsiteConfig",
]
MIDDLEWARE = [
    "flagsite.web.request_context.RequestIdMiddleware",
    "flagsite.web.request_log.RequestLogMiddleware",
    "flagsite.health.probes.ProbesMiddleware",
    "csp.middleware.CSPMiddleware",  # so early that pages about errors have the policy too
    "flagsite.web.problems.UnavailableDatabaseMiddleware",
    "flagsite.web.allowed_methods.AllowedMethodsMiddleware",  # before the check against forged forms
    "flagsite.web.problems.NulCharacterMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "flagsite.web.request_context.AdminActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "flagsite.urls"
WSGI_APPLICATION = "flagsite.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "flagsite" / "templates"],  # before the theme's
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = environment.text("STATIC_ROOT", str(BASE_DIR / "staticfiles") if PRODUCTION else "") or None
WHITENOISE_USE_FINDERS = not PRODUCTION  # development serves the files from the packages
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "flagsite.formats"
TIME_ZONE = "UTC"
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = environment.integer("MAX_REQUEST_BYTES", 1_048_576, minimum=1024)
MAX_IMPORT_BYTES = environment.integer("MAX_IMPORT_BYTES", 104_857_600, minimum=1024)

# --- Security ---------------------------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = environment.boolean("SECURE_SSL_REDIRECT", default=False)
SECURE_HSTS_SECONDS = environment.integer("SECURE_HSTS_SECONDS", 0)
TRUST_PROXY_HEADERS = environment.boolean("TRUST_PROXY_HEADERS", default=False)
if TRUST_PROXY_HEADERS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # The theme's library Alpine evaluates the expressions in the attributes of its templates, so it needs eval.
        # A page still runs no script that is not a file of Flagsite.
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
PASSWORD_HASHERS = ["flagsite.core.password_hasher.PatientPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- PostgreSQL and the Redis-protocol server -----------------------------------------------------------------------
_direct_url = environment.text("DATABASE_DIRECT_URL")
DATABASE_DIRECT = environment.database(_direct_url, "DATABASE_DIRECT_URL") if _direct_url else None
"""The database for connections that need a session of their own, past the connection pooler of DATABASE_URL."""
DATABASES = {
    "default": environment.database(_database_url or servers.database_url())
    | {
        "CONN_MAX_AGE": environment.integer("DATABASE_CONNECTION_SECONDS", 600),
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": bool(DATABASE_DIRECT),  # a pooler would run the parts in several sessions
    }
}
if DATABASE_DIRECT and not _database_url:
    raise ImproperlyConfigured(
        "DATABASE_DIRECT_URL is set, but DATABASE_URL is not. Set DATABASE_URL to the URL of the connection pooler, or "
        "unset DATABASE_DIRECT_URL."
    )
REDIS_URL = environment.redis_url(servers.redis_url())
if PRODUCTION and not (_database_url and os.environ.get("REDIS_URL")):
    raise ImproperlyConfigured(
        "DATABASE_URL or REDIS_URL is missing, and the embedded servers are for development only. Set both for "
        "production, or set FLAGSITE_ENVIRONMENT=development."
    )
try:
    servers.require_embedded_servers()
except servers.ServerError as error:
    raise ImproperlyConfigured(str(error)) from None

# --- Jobs -------------------------------------------------------------------------------------------------------------
_queue_enabled = environment.boolean("QUEUE_ENABLED", default=True)
JOBS_INLINE = environment.boolean("JOBS_INLINE", default=False) or not _queue_enabled
JOB_LEASE_SECONDS = environment.number("JOB_LEASE_SECONDS", 30, minimum=1, maximum=3600)
JOB_SWEEP_SECONDS = environment.number("JOB_SWEEP_SECONDS", 5, minimum=0.5, maximum=600)
DEFAULT_JOB_TIMEOUT = environment.number("DEFAULT_JOB_TIMEOUT", 600, minimum=1, maximum=86_400)
RETRY_MAX_ATTEMPTS = environment.integer("RETRY_MAX_ATTEMPTS", 3, minimum=1, maximum=100)
RETRY_WAIT_MIN = environment.number("RETRY_WAIT_MIN", 1, maximum=3600)
RETRY_WAIT_MAX = environment.number("RETRY_WAIT_MAX", 10, maximum=3600)
RETRY_JITTER = environment.number("RETRY_JITTER", 1, maximum=3600)
if RETRY_WAIT_MIN > RETRY_WAIT_MAX:
    raise ImproperlyConfigured("RETRY_WAIT_MIN is greater than RETRY_WAIT_MAX. Set it to a smaller number of seconds.")
WORKER_STOP_SECONDS = environment.number("WORKER_STOP_SECONDS", 20, minimum=1, maximum=3600)
JOBS_KEEP_COMPLETED_DAYS = environment.integer("JOBS_KEEP_COMPLETED_DAYS", 30, maximum=MAX_DAYS)
JOBS_KEEP_FAILED_DAYS = environment.integer("JOBS_KEEP_FAILED_DAYS", 7, maximum=MAX_DAYS)
LOG_FOLDER = environment.text("LOG_FOLDER") or None
"""The folder whose rotated log files the clean-up deletes; Flagsite itself writes its log to the standard output."""
LOG_KEEP_DAYS = environment.integer("LOG_KEEP_DAYS", 30, minimum=1, maximum=MAX_DAYS)
FLAGS_CREATE_ON_SET = environment.boolean("FLAGS_CREATE_ON_SET", default=True)
FLAGS_DEFAULT_ROLLOUT = environment.integer("FLAGS_DEFAULT_ROLLOUT", 100, maximum=100)
FLAGS_DEFINED_BY = environment.choice("FLAGS_DEFINED_BY", "editor", "operator", "admin")
EVALUATION_CACHE_ORGANIZATIONS = environment.integer("EVALUATION_CACHE_ORGANIZATIONS", 100_000, minimum=1)
EVALUATION_CACHE_MEGABYTES = environment.integer("EVALUATION_CACHE_MEGABYTES", 512, minimum=16)
EVALUATION_CACHE_SECONDS = environment.number("EVALUATION_CACHE_SECONDS", 300, minimum=1, maximum=3600)
EVALUATION_RATE_LIMIT = environment.integer("EVALUATION_RATE_LIMIT", 600_000, minimum=1)
EVENTS_URL = environment.matching("EVENTS_URL", r"https?://\S+", "a URL such as https://events.example.com").rstrip("/")
CORS_ORIGINS = environment.comma_separated("CORS_ORIGINS", rf"\*|{ORIGIN}", f"* or {ORIGIN_EXAMPLE}")
FLAG_ENVIRONMENT = environment.matching(
    "FLAG_ENVIRONMENT", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "an environment's name, such as staging"
)
FLAG_REQUEST_ORGANIZATION = environment.matching("FLAG_REQUEST_ORGANIZATION", FUNCTION, FUNCTION_EXAMPLE)
FLAG_REQUEST_USER = environment.matching("FLAG_REQUEST_USER", FUNCTION, FUNCTION_EXAMPLE)
FLAG_USAGE_SECONDS = environment.number("FLAG_USAGE_SECONDS", 60, minimum=0.1, maximum=600)
FLAG_USAGE_KEEP_DAYS = environment.integer("FLAG_USAGE_KEEP_DAYS", 62, minimum=1, maximum=MAX_DAYS)
FLAG_STALE_DAYS = environment.integer("FLAG_STALE_DAYS", 30, minimum=1, maximum=MAX_DAYS)
FLAG_SCHEDULE_MAX_RETRIES = environment.text("FLAG_SCHEDULE_MAX_RETRIES", "3")
FLAG_SCHEDULE_KEEP_DAYS = environment.integer("FLAG_SCHEDULE_KEEP_DAYS", 90, maximum=MAX_DAYS)
FLAG_HISTORY_KEEP_DAYS = environment.integer("FLAG_HISTORY_KEEP_DAYS", 0, maximum=MAX_DAYS)
FLAGS_DRIFT_SAMPLE = environment.integer("FLAGS_DRIFT_SAMPLE", 1000, maximum=100_000)
FLAGS_INLINE_ROWS = environment.integer("FLAGS_INLINE_ROWS", 2000)
TREE_INLINE_ORGANIZATIONS = environment.integer("TREE_INLINE_ORGANIZATIONS", 5000)

CELERY_BROKER_URL = (
    REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
    if REDIS_URL.startswith("unix://")
    else REDIS_URL
)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": not REDIS_URL.startswith("unix://"),
    "health_check_interval": 10,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "global_keyprefix": "flagsite:",
}
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # a message that comes twice does no harm
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# No task_time_limit: a time limit cannot tell a job that hangs from a long job. It would kill each attempt of the
# propagation in a very large tree, and the job would fail. A chunk cannot hang: its statements and its wait for the
# tree lock have timeouts (flags/states/sql.py), and a connection to a dead server ends (environment.KEEP_ALIVE).
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_SEND_TASK_EVENTS = environment.boolean("WORKER_TASK_EVENTS", default=False)
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = WORKER_STOP_SECONDS
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "flagsite.beat.OneAtATimeScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SYNC_EVERY = 1

# --- Notifications ----------------------------------------------------------------------------------------------------
EMAIL = message_settings.email()
EMAIL_BACKEND = EMAIL.backend
EMAIL_HOST, EMAIL_PORT = EMAIL.host, EMAIL.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = EMAIL.user, EMAIL.password
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL.use_starttls, EMAIL.use_tls
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = EMAIL.sender
ANYMAIL = EMAIL.provider
VAPID_SUBJECT, VAPID_PRIVATE_KEY = message_settings.vapid_keys()
APPRISE_URLS = message_settings.apprise_urls()
SEND_WEBHOOKS = environment.boolean("SEND_WEBHOOKS", default=False)
OUTGOING_ALLOWED = message_settings.outgoing_allowed()
DELIVERIES_KEEP_DAYS = environment.integer("DELIVERIES_KEEP_DAYS", 30, maximum=MAX_DAYS)
SUBSCRIPTIONS_PER_ORGANIZATION = environment.integer("SUBSCRIPTIONS_PER_ORGANIZATION", 100, minimum=1)
UPLOADS_PER_ORGANIZATION = environment.integer("UPLOADS_PER_ORGANIZATION", 100, minimum=1)
ARTIFACTS_KEEP_DAYS = environment.integer("ARTIFACTS_KEEP_DAYS", 7, minimum=1, maximum=MAX_DAYS)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "artifacts": environment.artifacts_storage("ARTIFACTS_URL", servers.data_folder() / "artifacts"),
}

# --- Web server -------------------------------------------------------------------------------------------------------
WEB_TUNING = environment.boolean("WEB_TUNING", default=True)
WEB_CONNECTIONS = environment.integer("WEB_CONNECTIONS", 8192, minimum=16)
WEB_HEAD_SECONDS = environment.number("WEB_HEAD_SECONDS", 10, minimum=0.5, maximum=3600)
WEB_BODY_SECONDS = environment.number("WEB_BODY_SECONDS", 30, minimum=0.5, maximum=3600)
WEB_IDLE_SECONDS = environment.number("WEB_IDLE_SECONDS", 75, minimum=0.5, maximum=3600)

# --- API --------------------------------------------------------------------------------------------------------------
RATE_LIMIT = environment.matching(
    "RATE_LIMIT",
    r"[1-9][0-9]{0,8}/(second|minute|hour|day)",
    "a rate such as 6000/minute; the period is second, minute, hour or day",
    "6000/minute",
)
PAGE_SIZE = environment.integer("PAGE_SIZE", 50, minimum=1, maximum=1000)
IDEMPOTENCY_HOURS = environment.integer("IDEMPOTENCY_HOURS", 24, minimum=1, maximum=24 * MAX_DAYS)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orgs.access.authentication.AccessKeyAuthentication",
        "orgs.access.authentication.AdminSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["orgs.access.permissions.HasRole"],
    "DEFAULT_THROTTLE_CLASSES": ["flagsite.web.api_rate_limit.KeyRateLimit"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "flagsite.core.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "flagsite.openapi.input_schemas.InputSchema",
    "EXCEPTION_HANDLER": "flagsite.web.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

ORGANIZATION_IN_PATH = {
    "type": "string",
    "minLength": 1,
    "maxLength": 259,
    "pattern": r"^[^/\u0000]+$",
    "format": "organization-reference",
    "description": f"An organization by its id or its key: {example_names.WAYS_TO_NAME}.",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Flagsite",
    "DESCRIPTION": "Feature flags for trees of organizations: a flag set on an organization reaches its whole subtree.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["orgs.access.permissions.OpenOnPurpose"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"displayOperationId": True, "docExpansion": "none", "filter": True},
    "COMPONENT_SPLIT_REQUEST": False,
    "ENUM_NAME_OVERRIDES": {
        "JobStatus": "jobs.engine.states.Status",
        "SettingKind": "flags.states.setting_rules.SETTING_KINDS",
        "OwnSettingKind": "flags.states.setting_rules.LIVE_KINDS",
        "ChangeKind": "flags.undoing.undone.KINDS",
        "KindEnum": "flags.definitions.models.Flag.Kind",
        "AttemptStatus": "jobs.engine.states.ATTEMPT_STATUSES",
        "JobTrigger": "jobs.engine.models.Job.Trigger",
        "EnqueueTrigger": "jobs.operations.enqueue.TRIGGER_CHOICES",
        "CheckResult": "flagsite.health.probes.PartResult",
        "EvaluationReason": "flags.evaluation.reasons.REASON_CHOICES",
        "FlagType": "flags.values.types.TYPES",
        "WhyStale": "flags.insights.staleness.STALE_CAUSE_CHOICES",
    },
    "PATH_CONVERTER_OVERRIDES": {
        "id": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**63 - 1},
        "organization": ORGANIZATION_IN_PATH,
        "top_organization": ORGANIZATION_IN_PATH,
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "flagsite.openapi.schema.add_common_parts",
        "flagsite.openapi.evaluation.describe_evaluation",
        "flagsite.openapi.parameter_examples.add_parameter_examples",
    ],
}

# --- Audit log --------------------------------------------------------------------------------------------------------
AUDIT_ACTOR_REQUIRED = False
"""Whether an audit entry without an actor is an error, as in tests. If not, Flagsite writes it and logs a warning."""

# --- Admin site -------------------------------------------------------------------------------------------------------
LOGIN_REDIRECT_URL = "admin:index"
UNFOLD = navigation.LOOKS

# --- Metrics, version ------------------------------------------------------------------------------------------------
METRICS_TOKEN = environment.text("METRICS_TOKEN")
if METRICS_TOKEN and len(METRICS_TOKEN) < MIN_TOKEN_LENGTH:
    raise ImproperlyConfigured(
        f"METRICS_TOKEN is shorter than {MIN_TOKEN_LENGTH} characters, so it can be guessed. Set a longer random text."
    )
METRICS_FOLDER = environment.text("PROMETHEUS_MULTIPROC_DIR") or str(servers.data_folder() / "metrics")
FLAGSITE_COMMIT = environment.text("FLAGSITE_COMMIT")

# --- Logs -------------------------------------------------------------------------------------------------------------
LOG_LEVEL = environment.matching(
    "LOG_LEVEL", "(?i)debug|info|warning|error|critical", "DEBUG, INFO, WARNING, ERROR or CRITICAL", "INFO"
).upper()
LOG_FORMAT = environment.choice("LOG_FORMAT", *(("json", "console") if PRODUCTION else ("console", "json")))
LOGGING = logging.configuration(level=LOG_LEVEL, style=LOG_FORMAT)
logging.configure_structlog()
