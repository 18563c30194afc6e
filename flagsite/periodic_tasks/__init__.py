"""The periodic tasks, which beat sends: their rules, operations and API. The tables are the library's."""
