"""Django's command line. It runs the embedded servers if no other servers are configured."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command that the arguments name. Ctrl-C ends it without a traceback, even while modules are loading."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
    try:
        _run(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: list[str]) -> None:
    # these imports take half a second, and Ctrl-C must work meanwhile
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import InterfaceError, NotSupportedError, OperationalError, ProgrammingError  # noqa: PLC0415

    from flagsite.core.actor import acting, command_actor  # noqa: PLC0415
    from flagsite.development import servers  # noqa: PLC0415

    try:
        with servers.running(), acting("command", actor=command_actor()):
            try:
                execute_from_command_line(arguments)
            finally:
                # loaded if the command has evaluated flags, for example in a shell
                if process_cache := sys.modules.get("flags.serving.process_cache"):
                    process_cache.end()
    except (servers.ServerError, ImproperlyConfigured) as error:
        sys.exit(f"Flagsite: {error}")
    except (OperationalError, InterfaceError, NotSupportedError, ProgrammingError) as error:
        if "--traceback" in arguments:
            raise
        from flagsite.core.console.command import error_message  # noqa: PLC0415 - needs the settings

        sys.exit(f"Flagsite: {error_message(error)}")


if __name__ == "__main__":
    main()
