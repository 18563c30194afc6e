"""Template tags for flags: `if_flag` and `flag_enabled`. `{% load flags %}` makes them available."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context

from flags.client.context import request_context_unless_set
from flags.client.evaluate import is_enabled

register = template.Library()
OPTIONS = ("user_id", "organization", "environment", "attributes")


@register.simple_tag(takes_context=True)
def flag_enabled(context: Context, name: str, **options: Any) -> bool:
    """Evaluate a flag: `{% flag_enabled "name" as x %}`. Options: user_id, organization, environment,
    attributes.

    An option that is not given comes from the request. If the evaluation fails, the flag counts as off.
    """
    with request_context_unless_set(context.get("request")):
        return is_enabled(name, **options, default=False)


@register.tag
def if_flag(parser: Parser, token: Token) -> IfFlag:
    """Show one of two blocks: `{% if_flag "name" %}on{% else %}off{% endif_flag %}`; options as for `flag_enabled`."""
    tag, *words = token.split_contents()
    if not words:
        raise template.TemplateSyntaxError(f"{tag} needs the name of a flag.")
    name, rest = parser.compile_filter(words[0]), words[1:]
    options = token_kwargs(rest, parser)
    if rest or set(options) - set(OPTIONS):
        raise template.TemplateSyntaxError(f"{tag} takes the name of a flag and the options {', '.join(OPTIONS)}.")
    on = parser.parse(("else", "endif_flag"))
    off = NodeList()
    if parser.next_token().contents == "else":
        off = parser.parse(("endif_flag",))
        parser.delete_first_token()
    return IfFlag(name, options, on, off)


class IfFlag(template.Node):
    """The two blocks of `if_flag`: one for a flag that is on, one for a flag that is off."""

    child_nodelists = ("on", "off")

    def __init__(
        self, name: FilterExpression, options: dict[str, FilterExpression], on: NodeList, off: NodeList
    ) -> None:
        self.name = name
        self.options = options
        self.on = on
        self.off = off

    def render(self, context: Context) -> str:
        options = {option: value.resolve(context) for option, value in self.options.items()}
        enabled = flag_enabled(context, self.name.resolve(context), **options)
        return (self.on if enabled else self.off).render(context)
