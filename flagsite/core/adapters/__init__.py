"""One module for each library of which Flagsite uses a private name; no other module uses such a name.

Every module names the DISTRIBUTION that it adapts, and the CHECKED_VERSION for which a person has read the private
names in the library's source. Its docstring gives the reason for the private names and the checks for an upgrade. The
tests in `flagsite/tests/adapters/` fail if another version is installed, or if a private name no longer does what
Flagsite relies on.
"""
