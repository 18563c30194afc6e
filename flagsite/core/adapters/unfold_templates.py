"""django-unfold: the theme's templates that `flagsite/templates/unfold/` replaces.

Why: the theme has no settings for these differences. `helpers/empty_results.html` shows the button to add a row only
to people who may add one, and the button to remove filters only if there are filters. `helpers/header_title.html` shows
a title once if the app and its page have the same title ("Jobs", not "Jobs > Jobs"), and it does not change the case of
organizations' names.

At an upgrade check: what has changed in the originals (a test compares them with the fingerprints below). Copy the
changes into the replacements.
"""

from __future__ import annotations

DISTRIBUTION = "django-unfold"
CHECKED_VERSION = "0.91.0"
REPLACED = {
    "unfold/helpers/empty_results.html": "5f4727a37a99da76e245048c8c7d7307ded9fe749533b33410e38657a9b1ef7e",
    "unfold/helpers/header_title.html": "b126ed2ab9ca16802d6763f49a74ba37b5bab125e5ff1af52a1ed586982dd0f3",
}
"""SHA-256 of the theme's own templates, by template name."""
