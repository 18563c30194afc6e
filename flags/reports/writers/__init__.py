"""The writers of reports: each makes one kind of file from a heading and figures."""
