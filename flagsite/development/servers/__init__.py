"""The embedded servers: a real PostgreSQL and a real Valkey under the data folder, for whoever sets no other.

Knows nothing of Django. Importing it starts nothing; `running()` does.
"""

from flagsite.development.servers.base import Server
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.locations import ROOT, data_folder, database_url, redis_url
from flagsite.development.servers.postgres import PostgresServer
from flagsite.development.servers.use import embedded, running
from flagsite.development.servers.valkey import ValkeyServer

__all__ = [
    "ROOT",
    "PostgresServer",
    "Server",
    "ServerError",
    "ValkeyServer",
    "data_folder",
    "database_url",
    "embedded",
    "redis_url",
    "running",
]
