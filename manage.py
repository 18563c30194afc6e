"""Django's command line, with the embedded servers around it where no others are set."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command that the arguments name; Ctrl-C ends it without a word, also while it is only loading."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
    try:
        _run(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: list[str]) -> None:
    import getpass  # noqa: PLC0415 - all of these take half a second, in which a person may press Ctrl-C
    import socket  # noqa: PLC0415

    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import InterfaceError, OperationalError, ProgrammingError  # noqa: PLC0415

    from flagsite.core.actor import acting  # noqa: PLC0415
    from flagsite.development import servers  # noqa: PLC0415

    me = f"command:{getpass.getuser()}@{socket.gethostname()}"
    try:
        with servers.running(), acting("command", actor=me):
            try:
                execute_from_command_line(arguments)
            finally:
                if serving := sys.modules.get(
                    "flags.serving.process_cache"
                ):  # as in a shell where flags were asked for
                    serving.end()
    except (servers.ServerError, ImproperlyConfigured) as error:
        sys.exit(f"Flagsite: {error}")
    except (OperationalError, InterfaceError, ProgrammingError) as error:
        if "--traceback" in arguments:
            raise
        from flagsite.core.console.command import error_message  # noqa: PLC0415 - needs the settings

        sys.exit(f"Flagsite: {error_message(error)}")


if __name__ == "__main__":
    main()
