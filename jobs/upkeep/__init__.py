"""The upkeep of the database: the maintenance of tables and indexes as a job."""
