"""django-unfold: the theme's templates that `flagsite/templates/unfold/` replaces.

Why: there is no setting for what Flagsite shows otherwise. `helpers/empty_results.html` offers to add a row only to
people who may, and to remove filters only where there are some. `helpers/header_title.html` does not repeat an app's
name that is also its page's ("Jobs", not "Jobs > Jobs"), and shows organizations' names as they are.

At an upgrade check: what has changed in the originals (a test compares them with the fingerprints below), and take it
over into the replacements.
"""

from __future__ import annotations

DISTRIBUTION = "django-unfold"
CHECKED_VERSION = "0.91.0"
REPLACED = {
    "unfold/helpers/empty_results.html": "5f4727a37a99da76e245048c8c7d7307ded9fe749533b33410e38657a9b1ef7e",
    "unfold/helpers/header_title.html": "b126ed2ab9ca16802d6763f49a74ba37b5bab125e5ff1af52a1ed586982dd0f3",
}
"""SHA-256 of the theme's own template, by the name under which Flagsite replaces it."""
