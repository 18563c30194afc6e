"""The program `mail_server.py PORT FILE`: an SMTP server that accepts each message and notes its id and the time."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from email import message_from_bytes
from email.policy import SMTP as SMTP_POLICY

from aiosmtpd.smtp import SMTP, Envelope, Session


class Handler:
    """Accepts everything."""

    def __init__(self, name: str) -> None:
        self._file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = message_from_bytes(content, policy=SMTP_POLICY)
        os.write(self._file, f"{message['Message-ID']} {time.time()}\n".encode())
        return "250 OK"


async def main(port: int, name: str) -> None:
    """Serve until somebody ends the process."""
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler(name)), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
