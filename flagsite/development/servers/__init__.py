"""Running Flagsite on one machine: embedded PostgreSQL and Valkey, and a supervisor for our own processes.

The embedded servers keep their data in the data folder. This package knows nothing of Django. Importing it starts
nothing; `running()` does.
"""

from flagsite.development.servers.data_folder_layout import ROOT, data_folder, database_url, redis_url
from flagsite.development.servers.embedded import embedded_servers, require_embedded_servers, running
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.postgres import PostgresServer
from flagsite.development.servers.server import Server
from flagsite.development.servers.valkey import ValkeyServer

__all__ = [
    "ROOT",
    "PostgresServer",
    "Server",
    "ServerError",
    "ValkeyServer",
    "data_folder",
    "database_url",
    "embedded_servers",
    "redis_url",
    "require_embedded_servers",
    "running",
]
