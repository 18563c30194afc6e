"""One module for each library of which Flagsite uses a private name; no other module uses such a name.

Every module says which DISTRIBUTION it adapts, at which CHECKED_VERSION its private names were read in the library's
source, why Flagsite needs them, and what to check at an upgrade. `flagsite/tests/adapters/` fails while the installed
version is another one, and when a private name no longer does what Flagsite relies on.
"""
