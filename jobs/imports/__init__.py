"""The import of organizations as a job: the uploaded file, the work, the report and the API."""
