"""What pydantic finds, in our words: what is wrong, and what to write instead.

Invariant: none of its own sentences reaches people, and no value of the configuration is repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic_core.core_schema import ErrorType

from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

QUOTE = "put the value in quotes"
_TEXT, _NUMBER, _WHOLE = "not a text", "not a number", "not a whole number"
_SWITCH = "not a switch", "write true or false"
_LIST = "not a list", "write [first, second], or one line with a dash for each"
_MAP = "not a map of settings", "write `key: value`, one a line and set in"
_OF_TEXT = {"string_type", "path_type", "secret"}
_NOT_OURS = "not usable here", "see its line in `audit-forwarder docs configuration`"

_WORDS: dict[str, tuple[str, str]] = {
    "greater_than_equal": ("less than {ge}", "write {ge} or more"),
    "greater_than": ("not more than {gt}", "write more than {gt}"),
    "less_than_equal": ("more than {le}", "write {le} or less"),
    "less_than": ("not less than {lt}", "write less than {lt}"),
    "int_parsing": (_WHOLE, "write digits alone, such as 10"),
    "int_type": (_WHOLE, "write digits alone, such as 10"),
    "int_from_float": (_WHOLE, "write digits alone, such as 10"),
    "int_parsing_size": ("a number without end", "write digits alone, such as 10"),
    "float_parsing": (_NUMBER, "write a number such as 2.5"),
    "float_type": (_NUMBER, "write a number such as 2.5"),
    "finite_number": ("a number without end", "write a number such as 2.5"),
    "bool_parsing": _SWITCH,
    "bool_type": _SWITCH,
    "string_type": (_TEXT, QUOTE),
    "path_type": (_TEXT, QUOTE),
    "string_unicode": ("text with characters that do not exist", "write it again by hand"),
    "string_too_short": ("empty", "write a text, or leave it out"),
    "string_too_long": ("longer than {max_length} characters", "shorten it"),
    "string_pattern_mismatch": ("holds characters that do not belong there", "look for spaces, slashes and quotes"),
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "dict_type": _MAP,
    "model_type": _MAP,
    "model_attributes_type": _MAP,
    "dataclass_type": _MAP,
    "too_short": ("empty", "write at least {min_length}, or leave it out"),
    "too_long": ("more than {max_length} of them", "leave some out"),
    "none_required": ("not empty", "leave it out"),
}
_FOREIGN = set(get_args(ErrorType)) - {"value_error", "assertion_error"}


def explained(kind: str, context: Mapping[str, Any], message: str, value: Any = None) -> tuple[str, str]:
    """Return what is wrong and the fix, which may be empty.

    Args:
        kind: pydantic's type of the error; one that is not its own is a component's, whose words are passed on.
        context: What it says beside.
        message: Its sentence; of a component's the part behind a semicolon is the fix.
        value: What was written, to guess what was meant.
    """
    if kind in _OF_TEXT and value is None:
        return "empty", "write a text, or leave it out"
    if kind in _OF_TEXT and isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'map'}, not a text", "write one value, without brackets"
    if kind == "too_long" and isinstance(value, str):
        kind = "string_too_long"
    if kind in {"literal_error", "enum"}:
        return _choice(str(context["expected"]), value)
    if kind in _WORDS:
        numbers = {key: f"{number:g}" if isinstance(number, float) else number for key, number in context.items()}
        what, fix = (text.format(**numbers) for text in _WORDS[kind])
        return what, fix
    if kind in _FOREIGN:
        return _NOT_OURS
    what = message.removeprefix("Value error, ").removeprefix("Assertion failed, ").removesuffix(".")
    what, _, fix = what.partition("; ")
    return what, fix


def _choice(expected: str, value: Any) -> tuple[str, str]:
    known = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    if (isinstance(value, bool) and {"on", "off", "yes", "no"} & set(known)) or str(value) in known:
        return "not one of its words", QUOTE
    if isinstance(value, str) and "://" in value:
        return "not one of its words", f"{_every(known)}; an address is written as url"
    guess = nearest(value, known, cutoff=0.6) if isinstance(value, str) else None
    every = _every(known)
    return "not one of its words", f"did you mean {guess}? ({every})" if guess else every


def _every(known: list[str]) -> str:
    return f"write one of: {', '.join(known)}" if len(known) > 1 else f"write {known[0]}"
