"""What DATABASE_URL says, and what Flagsite adds to it."""

from __future__ import annotations

from flagsite import environment

URL = "postgresql://ada:s%40crt@db.example:6432/flags"


def test_connections_notice_a_server_that_says_nothing_more() -> None:
    options = environment.database(URL)["OPTIONS"]
    assert isinstance(options, dict)
    assert options.items() >= environment.KEEP_ALIVE.items()


def test_the_url_has_the_last_word() -> None:
    options = environment.database(f"{URL}?keepalives_idle=60&sslmode=require")["OPTIONS"]
    assert isinstance(options, dict)
    assert (options["keepalives_idle"], options["sslmode"]) == ("60", "require")
