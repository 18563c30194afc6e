"""What a request says of its effect, so that nothing happens that its author does not know."""

from __future__ import annotations

from rest_framework import serializers

from flagsite.core.api.input import Text, WriteInput


class AgreedInput(WriteInput):
    """The effect that the author of a write agrees to, beside the reason."""

    atMost = serializers.IntegerField(
        required=False, min_value=0, help_text="Refuse the request if more organizations would get another value."
    )
    planHash = Text(
        required=False,
        max_length=200,
        help_text="The hash of a plan. The request is refused if something that the plan depends on has changed.",
    )
