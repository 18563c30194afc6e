"""django-unfold: the theme's templates that `flagsite/templates/` replaces.

Why: the theme has no settings for these differences. `helpers/empty_results.html` shows the button to add a row only
to people who may add one, and the button to remove filters only if there are filters. `helpers/header_title.html` shows
a title once if the app and its page have the same title ("Jobs", not "Jobs > Jobs"), and it does not change the case of
organizations' names. `helpers/welcomemsg.html` shows the title of a page of our own behind that of its list.
`helpers/delete_submit_line.html` asks for a reason. `layouts/skeleton.html` and
`admin/actions.html` are copies with small changes, without which the Content-Security-Policy would need exceptions for
inline styles.

At an upgrade check: what has changed in the originals (a test compares them with the fingerprints below). Copy the
changes into the replacements.
"""

from __future__ import annotations

DISTRIBUTION = "django-unfold"
CHECKED_VERSION = "0.91.0"
REPLACED = {
    "admin/actions.html": "b5332aace8e6919204a65b842e626bd8b1d5f8ed855dc290ab114b08526c5f15",
    "admin/index.html": "9fdb849b7da18ccde0e5dda1923465830718700726570ea70554bffe1f012115",
    "unfold/helpers/delete_submit_line.html": "70849abab731016f689257cf767fd79adff421f35fbfcac56081c253e7d3f0f9",
    "unfold/helpers/empty_results.html": "5f4727a37a99da76e245048c8c7d7307ded9fe749533b33410e38657a9b1ef7e",
    "unfold/helpers/header_title.html": "b126ed2ab9ca16802d6763f49a74ba37b5bab125e5ff1af52a1ed586982dd0f3",
    "unfold/helpers/search.html": "91996c27181d14ade8b4cbf84d90a4b0d293fdd92ae4325cda0f6889c29e28fb",
    "unfold/helpers/welcomemsg.html": "e8eab02522ba2319b937086bbcb6bf2a2bbe1489d236ad90ff23edbe070a7d6b",
    "unfold/layouts/skeleton.html": "66af9f0bb45f98ba4e16ba5e5a11f36d87b8e07430d19066d088b29548491c2e",
}
"""SHA-256 of the theme's own templates, by template name."""
