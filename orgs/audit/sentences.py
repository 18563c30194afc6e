"""Audit entries as plain sentences: "olga set express-pay off for Nordlys Norge and everything below it: till broken".

Each action has one entry in `SENTENCES`: what comes after the actor. A field in braces stands for a part of the
sentence: `{subject}`, `{organization}`, `{flag}`, `{renamed}` (an organization by its new name) or the id of a parent
(`PARENTS`). All other fields are details of the entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from string import Formatter
from typing import Any

from flagsite.core.actor import SYSTEM
from flagsite.core.words import counted
from orgs.audit.models import AuditEntry
from orgs.audit.sentence_parts import Part, Parts, Places

MAX_TEXT = 120
"""The length of the longest value in a sentence."""


def sentence(entry: AuditEntry, places: Places) -> Parts:
    """Return what an audit entry says, as the parts of one sentence without an end, with its reason.

    An unknown action, such as one of a later release, is told by its machine code.
    """
    template = SENTENCES.get(entry.action)
    if template is None:
        said: Parts = [Part(f"did {entry.action} to "), subject(entry, places)]
    else:
        said = _filled(template if isinstance(template, str) else template(entry), entry, places)
    why = [Part(f": {_text(entry.reason)}")] if entry.reason else []
    return [actor_part(entry.actor), Part(" "), *said, *why]


def text_of(parts: Parts) -> str:
    """Return the sentence as text."""
    return "".join(part.text for part in parts)


def actor_part(actor: str) -> Part:
    """Return the actor as people name it: the username, the name of an access key, or a command's user and host."""
    kind, _, name = actor.partition(":")
    if kind == "user" and name:
        return Part(name, "user", name)
    if kind == "key" and name:
        prefix, _, label = name.partition(" ")
        return Part(f"access key {label or prefix}", "key", prefix)
    if kind == "command" and name:
        return Part(name, "command", name)
    return Part("Flagsite" if actor == SYSTEM else actor or "somebody", "system")


def subject(entry: AuditEntry, places: Places) -> Part:
    """Return the name of the entry's subject: "job 17", the key of a flag, or the name of an organization."""
    kind, _, name = entry.subject.partition(":")
    if kind == "organization":
        return places.part(entry.organization_id, otherwise=str(entry.details.get("name") or name))
    if kind == "key":
        prefix, _, label = name.partition(" ")
        return Part(label or prefix, kind, prefix)
    if not name:
        return Part(entry.subject)
    word = NUMBERED.get(kind)
    return Part(f"{word} {name}" if word else name, kind, name)


NUMBERED = {
    "job": "job", "flag-schedule": "scheduled change", "subscription": "subscription", "delivery": "delivery",
    "batch": "batch", "artifact": "artifact",
}  # fmt: skip
"""Kinds of subjects whose names are numbers, with the word that comes before the number."""


def _filled(template: str, entry: AuditEntry, places: Places) -> list[Part]:
    parts = []
    for words, field, _, _ in Formatter().parse(template):
        parts += [Part(words)] if words else []
        if field == "subject":
            parts.append(subject(entry, places))
        elif field == "renamed":
            named = places.part(entry.organization_id, otherwise=_text(entry.details.get("after")))
            parts.append(replace(named, text=_text(entry.details.get("after"))))
        elif field == "organization":
            parts.append(places.part(entry.organization_id))
        elif field == "flag":
            key = str(entry.details.get("flag", ""))
            parts.append(Part(key, "flag", key))
        elif field in PARENTS:
            parts.append(places.part(entry.details.get(field)))
        elif field:
            parts.append(Part(_text(entry.details.get(field))))
    return parts


PARENTS = {"before", "after", "parentId"}
"""Details in templates that are ids of organizations: those of moves and creations."""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    text = f"{value:,}" if isinstance(value, int) else "none" if value in (None, "") else str(value)
    text = " ".join(text.split())
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} …"


def _quoted(value: Any) -> str:
    """Return a value as a part of a template, in which braces of the value are no fields."""
    return _text(value).replace("{", "{{").replace("}", "}}")


def _undone(entry: AuditEntry) -> str:
    """An undo of a change of a flag on an organization, of its definition, or of a segment."""
    left, change = entry.details.get("leftAlone"), _quoted(str(entry.details.get("undone")))  # no thousands in a name
    noun = "field" if entry.organization_id is None else "setting"
    rest = f", and left {counted(left, noun)} alone that changed since" if isinstance(left, int) and left else ""
    if entry.organization_id is None:
        return f"undid change {change} of {{subject}}: {_changed_names(entry)}{rest}"
    return f"undid change {change} of {{subject}} for {{organization}}{rest}"


def _set(entry: AuditEntry) -> str:
    """A set of a flag. Only a set on an organization with others below it has a job."""
    details = entry.details
    ended = details.get("settingsEnded")
    if details.get("onlyHere"):
        reach = " alone"
    elif not details.get("jobId"):
        reach = ""
    elif details.get("settingsBelow") == "keep":
        reach = " and what inherits from it below"
    else:
        reach = " and everything below it"
    over = f", over {counted(ended, 'setting')} below" if isinstance(ended, int) and ended else ""
    until = f" until {_quoted(_minute(details['expiresAt']))} UTC" if details.get("expiresAt") else ""
    verb = "locked" if entry.action == "flag.lock" else "set"
    return f"{verb} {{subject}} {_value_of(details)} for {{organization}}{reach}{over}{until}"


def _value_of(details: Mapping[str, Any]) -> str:
    """What a set gives a flag: on, off, a variant, or a value in JSON."""
    if "value" in details:
        return f"to {_quoted(json.dumps(details['value'], ensure_ascii=False))}"
    if details.get("variant"):
        return f"to {_quoted(details['variant'])}"
    return "on" if details.get("enabled") else "off"


def _exempted(entry: AuditEntry) -> str:
    until = entry.details.get("until")
    end = f" until {_quoted(_minute(until))} UTC" if until else ""
    return f"exempted {{organization}} and everything below it from the lock of {{subject}}{end}"


def _reset(entry: AuditEntry) -> str:
    """A reset of a flag, on an organization alone or with all settings below."""
    ended = entry.details.get("settingsEnded")
    reach = f" and ended {ended:,} settings below" if isinstance(ended, int) and ended else ""
    return f"reset {{subject}} for {{organization}} to the inherited value{reach}"


def _minute(moment: Any) -> str:
    return str(moment)[:16].replace("T", " ")


def _values(values: Any) -> str:
    """The names of the changed fields, or the field with its new value if it is the only one."""
    names = [_label(name) for name in values] if isinstance(values, dict) else []
    return _quoted(", ".join(names[:-1]) + (" and " if names[1:] else "") + "".join(names[-1:])) or "values"


def _label(name: str) -> str:
    """Return a name in JSON as words: rolloutPercentage is "rollout percentage"."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).replace("_", " ").strip()


def _updated(entry: AuditEntry) -> str:
    after, before = entry.details.get("after"), entry.details.get("before")
    if isinstance(after, dict) and len(after) == 1:
        ((name, value),) = after.items()
        if name == "killed":
            return "switched {subject} off for everybody" if value else "ended the kill switch of {subject}"
        if name == "archived":
            return "took {subject} out of the archive" if not value else "archived {subject}"
        former = before.get(name) if isinstance(before, dict) else None
        if all(not isinstance(one, (dict, list)) for one in (value, former)):
            return f"changed the {_label(name)} of {{subject}} from {_quoted(former)} to {_quoted(value)}"
    return f"changed {_changed_names(entry)} of {{subject}}"


def _changed_names(entry: AuditEntry) -> str:
    """The names of the values that differ between before and after."""
    before, after = entry.details.get("before"), entry.details.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        return _values({name: None for name in {**before, **after} if before.get(name, ...) != after.get(name, ...)})
    return _values(after)


def _of_flags(entry: AuditEntry) -> str:
    """How many flags a change of a segment has changed: ", which 2 flags use"."""
    flags = entry.details.get("flags")
    count = len(flags) if isinstance(flags, list) else 0
    return f", which {counted(count, 'flag')} {'uses' if count == 1 else 'use'}" if count else ""


def _wanted(entry: AuditEntry) -> str:
    """What a scheduled change is to do: "new-checkout on for Oslo", or "the owner of new-checkout"."""
    wanted = entry.details.get("wanted")
    if entry.organization_id is not None or (isinstance(wanted, dict) and set(wanted) == {"enabled"}):
        return f"{{flag}} {_wanted_setting(wanted if isinstance(wanted, dict) else {})}"
    return f"{_values(wanted)} of {{flag}}"


def _wanted_setting(wanted: Mapping[str, Any]) -> str:
    if "reset" in wanted:
        return "as inherited for {organization}" + (" and everything below" if wanted.get("subtree") else "")
    value = _value_of(wanted)
    if wanted.get("below") == "lock":
        return f"locked {value} for {{organization}}"
    if wanted.get("reach") == "here":
        return f"{value} for {{organization}} only"
    return f"{value} for {{organization}}"


def _planned(entry: AuditEntry) -> str:
    at = _minute(entry.details.get("scheduledAt", ""))
    again = " and again after that" if entry.details.get("cron") else ""
    verb = "planned to set" if entry.organization_id is not None else "planned to change"
    return f"{verb} {_wanted(entry)} at {_quoted(at)} UTC{again}"


def _applied(entry: AuditEntry) -> str:
    return f"{'set' if entry.organization_id is not None else 'changed'} {_wanted(entry)}, as planned ({{subject}})"


def _failed_to_apply(entry: AuditEntry) -> str:
    verb = "set" if entry.organization_id is not None else "change"
    return f"could not {verb} {_wanted(entry)}, as planned ({{subject}}): {{error}}"


def _moved(entry: AuditEntry) -> str:
    count = entry.details.get("valuesKept", 0)
    kept = f", which kept {counted(count, 'value')} of flags" if count else ""
    if entry.details.get("after") is None:
        return f"moved {{subject}} from {{before}} to a tree of its own{kept}"
    return f"moved {{subject}} {'from {before} ' if entry.details.get('before') else ''}to {{after}}{kept}"


def _created(entry: AuditEntry) -> str:
    return "created {subject} below {parentId}" if entry.details.get("parentId") else "created the root {subject}"


def _deleted(entry: AuditEntry) -> str:
    count = entry.details.get("organizations")
    if isinstance(count, int) and entry.details.get("status", "COMPLETED") != "COMPLETED":
        return f"deleted {counted(count, 'organization')} below {{subject}}, which is still there"
    others = count - 1 if isinstance(count, int) else 0
    return f"deleted {{subject}}{f' and {others:,} below' if others else ''}"


def _imported(entry: AuditEntry) -> str:
    counts = [(name, entry.details.get(name)) for name in ("created", "renamed", "moved")]
    words = [f"{name} {count:,}" for name, count in counts if isinstance(count, int)]
    words += [f"attributes of {entry.details['attributes']:,}"] if entry.details.get("attributes") else []
    return f"imported organizations: {', '.join(words)}" if words else "imported organizations"


def _counted(before: str, name: str, noun: str, after: str = "") -> Callable[[AuditEntry], str]:
    """Return a function whose sentence counts the detail `name`: "added 3 members to batch 7"."""

    def said(entry: AuditEntry) -> str:
        count = entry.details.get(name)
        words = counted(count, noun) if isinstance(count, int) else f"{noun}s"
        return f"{before} {words}{after}"

    return said


def _bulk(entry: AuditEntry) -> str:
    verb = {"cancel": "cancelled", "retry": "retried", "priority": "gave another priority to"}
    operation = str(entry.details.get("deed"))
    begin = verb.get(operation, f"did {_quoted(operation)} to")
    return _counted(begin, "jobs", "job", " ({subject})")(entry)


def _enqueued(entry: AuditEntry) -> str:
    where = " for {organization}" if entry.organization_id is not None else ""
    return f"enqueued {{subject}}, {{kind}}{where}"


def _cleaned(entry: AuditEntry) -> str:
    deleted = entry.details.get("deleted")
    counts = list(deleted.values()) if isinstance(deleted, dict) else []
    count = sum(one for one in counts if isinstance(one, int))
    return f"deleted {counted(count, 'old row')} ({{subject}})"


def _recalculated(entry: AuditEntry) -> str:
    where = "of {organization}" if entry.organization_id is not None else "of all organizations"
    mended = entry.details.get("mended")
    found = f" and mended {mended:,}" if isinstance(mended, int) and mended else ""
    return f"compared the flag states {where} with the settings{found} ({{subject}})"


SENTENCES: Mapping[str, str | Callable[[AuditEntry], str]] = {
    "artifact.upload": "uploaded the file {file} ({subject})",
    "batch.add": _counted("added", "members", "member", " to {subject}"),
    "batch.cancel": "cancelled {subject}",
    "batch.create": _counted("created the batch {name} with", "members", "member", " ({subject})"),
    "batch.retry": _counted("retried", "members", "member", " of {subject}"),
    "cache.invalidate": "let all processes read their cached data again",
    "database.maintained": "maintained the database ({subject})",
    "deliveries.replay": _counted("replayed", "deliveries", "message", " ({subject})"),
    "delivery.replay": "replayed {subject}",
    "flag-schedule.apply": _applied,
    "flag-schedule.cancel": "cancelled {subject} of {flag}",
    "flag-schedule.create": _planned,
    "flag-schedule.fail": _failed_to_apply,
    "flag-schedule.retry": "retried {subject} of {flag}",
    "flag.archive": "archived {subject}",
    "flag.create": "created {subject}",
    "flag.purge": "began to purge {subject}",
    "flag.purged": "purged {subject}, with its flag states and changes",
    "flag.exempt": _exempted,
    "flag.exemption-ended": "ended the exemption of {organization} from the lock of {subject}",
    "flag.lock": _set,
    "flag.reset": _reset,
    "flag.set": _set,
    "flag.undo": _undone,
    "flag.update": _updated,
    "flags.recalculated": _recalculated,
    "job.cancel": "cancelled {subject}",
    "job.enqueue": _enqueued,
    "job.priority": lambda entry: (
        f"changed the priority of {{subject}} from {_quoted(entry.details.get('before'))} "
        f"to {_quoted(entry.details.get('after'))}"
    ),
    "job.replace": "replaced the waiting {subject}, {kind}",
    "job.retry": "retried {subject}",
    "jobs.bulk": _bulk,
    "jobs.cleaned": _cleaned,
    "key.create": lambda entry: (
        "created the access key {subject} with the role {role}"
        + (" for {organization}" if entry.organization_id is not None else "")
    ),
    "key.revoke": "revoked the access key {subject}",
    "key.rotate": "gave the access key {subject} the successor {successor}",
    "organization.attributes": lambda entry: f"changed the attributes of {{subject}}: {_changed_names(entry)}",
    "organization.create": _created,
    "organization.delete": _deleted,
    "organization.move": _moved,
    "organization.rename": lambda entry: f"renamed {_quoted(entry.details.get('before'))} to {{renamed}}",
    "organizations.import": _imported,
    "organizations.import_request": lambda entry: (
        f"{'checked' if entry.details.get('dryRun') else 'began to import'} the file {{file}} ({{subject}})"
    ),
    "queue.change": lambda entry: f"changed {_changed_names(entry)} of the queue {{subject}}",
    "queue.create": "created the queue {subject}",
    "queue.delete": "deleted the queue {subject}",
    "queue.pause": "paused the queue {subject}",
    "queue.resume": "resumed the queue {subject}",
    "schedule.change": lambda entry: f"changed {_changed_names(entry)} of the periodic task {{subject}}",
    "schedule.create": "created the periodic task {subject}",
    "schedule.delete": "deleted the periodic task {subject}",
    "schedule.run": "ran the periodic task {subject} at once",
    "segment.create": "created the segment {subject}",
    "segment.delete": "deleted the segment {subject}",
    "segment.undo": _undone,
    "segment.update": lambda entry: f"changed {_changed_names(entry)} of the segment {{subject}}{_of_flags(entry)}",
    "subscription.change": lambda entry: f"changed {_changed_names(entry)} of {{subject}}",
    "subscription.create": "created {subject}",
    "subscription.delete": "deleted {subject}",
    "subscription.end": "ended {subject}, {name}: {why}",
    "subscription.rotate-secret": "gave {subject} another secret",
    "subscription.test": "sent a test message to {subject}",
    "tree.repair": _counted("repaired the tree columns of", "organizations", "organization"),
    "user.change": lambda entry: f"changed {_changed_names(entry)} of the person {{subject}}",
    "user.create": "created the person {subject}",
    "user.password": "set another password for {subject}",
}
"""What each action is, as a sentence without its actor."""
