"""Django's command line, with the embedded servers around it where no others are set."""

from __future__ import annotations

import getpass
import os
import socket
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from flagsite import servers
from orgs.origin import coming_from


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
    try:
        with servers.running(), coming_from("command", actor=f"command:{getpass.getuser()}@{socket.gethostname()}"):
            execute_from_command_line(sys.argv)
    except (servers.ServerError, ImproperlyConfigured) as error:
        sys.exit(f"Flagsite: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
