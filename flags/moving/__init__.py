"""Moving flags: the flag file with all definitions, the files of other products, and the file for flagd."""
