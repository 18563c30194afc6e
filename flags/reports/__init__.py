"""Reports: documents on the usage of flags, the audit log and the performance of jobs, which a job makes as files."""
