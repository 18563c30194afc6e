"""Characters that nobody sees: control characters, zero-width characters, and marks for the direction of writing.

A name with one of them looks like another name, so names that people compare by eye must not have them.
"""

from __future__ import annotations

INVISIBLE = r"\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
"""The characters as ranges, for a class of characters in a regular expression of Python or of JSON Schema."""
