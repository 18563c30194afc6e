"""The program of one web process: python -m flagsite.web_server.process_main. The main process starts it.

It ends when it gets SIGTERM, or when the main process is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import structlog
import uvloop

from flagsite import logging
from flagsite.web_server.asgi import AsgiAnswers
from flagsite.web_server.limits import Limits
from flagsite.web_server.threads import Threads
from flagsite.web_server.web_process import WebProcess

log = structlog.get_logger(__name__)
SWITCH_SECONDS = 0.001
"""How soon a thread lets the event loop go on, which answers evaluations in less."""
STREAMS_STOP_SECONDS = 1.0


def main() -> None:
    """Load the application, say so, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--main", type=int, required=True, help="a pipe; its end is the end of the main process")
    parser.add_argument("--ready", type=int, required=True, help="a pipe; a byte says that requests are answered")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--asgi", action="store_true")
    parser.add_argument("application")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the main process sends SIGTERM
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.configure_process_without_django()  # Django's settings do it again
    module, _, name = options.application.partition(":")
    application = getattr(importlib.import_module(module), name)
    sys.setswitchinterval(SWITCH_SECONDS)
    listener = socket.socket(fileno=options.listener)
    listener.setblocking(False)  # noqa: FBT003
    uvloop.run(_serve(application, listener, options))


async def _serve(application: Any, listener: socket.socket, options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(options.main, stop.set)
    limits = getattr(application, "limits", Limits())
    process = WebProcess(listener, limits, loop, getattr(application, "answer_now", None))
    begin_in_loop = getattr(application, "run_in_event_loop", None)
    if begin_in_loop is not None:
        begin_in_loop()
    streams = AsgiAnswers(application, loop) if options.asgi else None
    threads = None
    if not streams:
        threads = Threads(application, count=options.threads, limits=limits, loop=loop, refused=process.refused)
    process.answering = streams or threads  # type: ignore[assignment]
    if streams:
        streams.start()
    process.start()
    with suppress(OSError):
        os.write(options.ready, b"r")
    os.close(options.ready)
    log.info("web_process_started", application=options.application)
    await stop.wait()
    if streams:
        await streams.stop()
    await process.stop(STREAMS_STOP_SECONDS if streams else limits.stop_seconds)
    if threads:
        threads.stop(within=1.0)
    log.info("web_process_stopped", application=options.application)


if __name__ == "__main__":
    main()
