"""The embedded servers: a real PostgreSQL and a real Valkey under the data folder, for whoever sets no other.

Knows nothing of Django. Importing it starts nothing; `running()` does.
"""

from flagsite.servers.base import Server
from flagsite.servers.errors import ServerError
from flagsite.servers.locations import ROOT, data_folder, database_url, redis_url
from flagsite.servers.postgres import PostgresServer
from flagsite.servers.use import embedded, running
from flagsite.servers.valkey import ValkeyServer

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
