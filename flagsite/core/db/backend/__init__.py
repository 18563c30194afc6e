"""Django's database backend for PostgreSQL, whose connections the database watch of the process can end."""
