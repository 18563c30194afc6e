"""Django's command line, with the embedded servers around it where no others are set."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from flagsite import servers


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
    try:
        with servers.running():
            execute_from_command_line(sys.argv)
    except servers.ServerError as error:
        sys.exit(f"Flagsite: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
