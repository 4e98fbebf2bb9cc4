"""Acts in the words of a reader: `viewed page` for `page.view`, `failed to sign in` for a login that failed."""

from __future__ import annotations

_PAST = {
    "add": "added to",
    "change": "changed",
    "create": "created",
    "delete": "deleted",
    "disable": "switched off",
    "enable": "switched on",
    "export": "exported",
    "give": "gave",
    "hide": "hid",
    "leave": "left",
    "read": "read",
    "remove": "removed from",
    "run": "ran",
    "send": "sent",
    "set": "set",
    "stop": "stopped",
    "submit": "submitted",
}
_WHOLE = {
    "session.login": "signed in",
    "session.logout": "signed out",
    "user.impersonate": "logged in as another",
    "mfa.disable": "switched off two-step verification",
    "mfa.enable": "switched on two-step verification",
    "admin.grant": "gave admin access",
    "admin.revoke": "took admin access",
    "role.grant": "gave a role",
    "role.revoke": "took a role",
    "permission.grant": "gave a permission",
    "permission.revoke": "took a permission",
    "api_token.create": "made an API token",
    "restriction.remove": "removed a restriction",
}
_FAILED = {"session.login": "failed to sign in"}


def said(act: str | None, outcome: str | None) -> str:
    """Return an act and how it went for people; an act that the catalogue does not know stays as Atlassian names it."""
    if not act:
        return "an act without a name"
    if outcome == "failure":
        return _FAILED.get(act) or f"failed: {_done(act)}"
    return _done(act)


def _done(act: str) -> str:
    if act in _WHOLE:
        return _WHOLE[act]
    thing, dot, verb = act.partition(".")
    if not dot or not verb:
        return act
    return f"{_PAST.get(verb) or _regular(verb)} {thing.replace('_', ' ')}"


def _regular(verb: str) -> str:
    verb = verb.replace("_", " ")
    if verb.endswith("e"):
        return f"{verb}d"
    return f"{verb[:-1]}ied" if verb.endswith("y") and verb[-2:-1] not in "aeiou" else f"{verb}ed"
