"""The main process of the web server: python -m flagsite.web_server --port 8000 flagsite.wsgi:application.

It opens the port and keeps web processes running. Each process that ends is started again by itself, the second time
in a row after a pause; the others go on. SIGTERM and Ctrl-C stop all in order. SIGHUP replaces one after another, for
changed code.
"""

from __future__ import annotations

import argparse
import sys

from flagsite import logging
from flagsite.web_server.main_process import MainProcess, open_listener


def main() -> int:
    """Serve until a signal comes; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m flagsite.web_server", description="Serve an application by HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at; default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--workers", type=int, default=1, help="the number of web processes; default: 1")
    parser.add_argument("--threads", type=int, default=2, help="threads of each lane of each; default: 2")
    parser.add_argument("--asgi", action="store_true", help="an ASGI application; otherwise WSGI")
    parser.add_argument("application", help="module:name, such as flagsite.wsgi:application")
    options = parser.parse_args()
    logging.configure_process_without_django()
    try:
        listener = open_listener(options.host, options.port)
    except OSError as error:
        print(f"The web server cannot listen at {options.host}:{options.port}: {error}.", file=sys.stderr)  # noqa: T201
        return 1
    arguments = ["--threads", str(options.threads), *(["--asgi"] if options.asgi else []), options.application]
    return MainProcess(listener, count=options.workers, arguments=arguments).run()


if __name__ == "__main__":
    sys.exit(main())
