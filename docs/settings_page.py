"""The page of the settings: one table per section and per component, from the models themselves."""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.markdown import code, table
from forwarder.config.settings import Settings
from forwarder.contracts.descriptions import descriptions
from forwarder.contracts.settings import Secret, SinkConfig, SourceConfig
from forwarder.contracts.units import Within, duration_text, parse_duration, parse_size, size_text
from forwarder.registry import FORMATS, OWN_DISTRIBUTION, SINKS, SOURCES, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_UNITS: dict[Any, tuple[str, Callable[[Any], str]]] = {
    parse_size: ("size", size_text),
    parse_duration: ("duration", duration_text),
}
_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    dict: "a group of settings",
    Path: "path",
    Secret: "secret",
}

HEAD = ["Setting", "Value", "Default", "Meaning"]

INTRO = """One YAML file, such as [examples/config.yaml](../../examples/config.yaml); every setting with its meaning
is in [examples/full.yaml](../../examples/full.yaml). `audit-forwarder check` says at once everything that is wrong.

- **Precedence**, from strong to weak: `--set` on the command line, environment, secrets directory, YAML file, defaults.
  A stronger place replaces single settings of a weaker one.
- **Environment**: the path in capitals, joined by two underscores: `sinks.elastic.api_key` is
  `FORWARDER__SINKS__ELASTIC__API_KEY`. Lists are JSON. A whole section or component may be a JSON object. An unknown
  `FORWARDER__…` name is an error. A change needs a restart.
- **Secrets directory** (`--secrets-dir` or `FORWARDER_SECRETS_DIR`): one file per setting, named like the environment
  variable in small letters without the prefix: `sinks__elastic__api_key`. Hidden files and names without `__` are
  left alone. A secret follows its file: a rotated one needs no restart.
- **`…_file`**: every secret may be given as a file instead, such as `api_key_file: /run/secrets/elastic`; it is read
  again when it changes. `x` and `x_file` are one setting: a stronger place replaces either by the other.
- **Names** of components: small letters, digits and single underscores, beginning with a letter.
- **Sizes** are bytes or text such as `512MiB`; **durations** are seconds or text such as `30s`, `1h30m` or `7d`.
- **Relative paths** are relative to the working directory of the process, wherever the file is.
- **`http://`** to anything but loopback needs `insecure: true` in the component.
- **Dates** need no quotes; a secret of digits does, or with one of `* & ! % @ : #`.
"""


def configuration() -> str:
    """Return the page's body."""
    parts = [INTRO]
    for name, field in Settings.model_fields.items():
        parts += [f"## {name}", "", descriptions(Settings).get(name, ""), ""]
        model = model_of(field.annotation)
        if model is not None:
            parts.append(table(HEAD, list(rows(model, f"{name}."))))
        elif name == "budgets":
            parts.append(table(HEAD, list(rows(model_of(get_args(field.annotation)[1]), "budgets.<name>."))))
        elif name == "sources":
            parts += _components("sources", SourceConfig, SOURCES)
        else:
            parts += _components("sinks", SinkConfig, SINKS)
    formats = ", ".join(code(name) for name in FORMATS.names(distribution=OWN_DISTRIBUTION))
    return "\n".join(parts) + f"\n## Formats\n\n{formats}: see [Formats](formats.md).\n"


def _components(section: str, common: type[BaseModel], registry: Registry) -> Iterator[str]:
    prefix = f"{section}.<name>."
    yield f"### Every {registry.kind}\n"
    yield table(HEAD, list(rows(common, prefix)))
    for name in registry.names(distribution=OWN_DISTRIBUTION):
        config = registry.load(name).Config
        inherited = {
            key
            for key, field in common.model_fields.items()
            if key != "type"
            and _same(field, config.model_fields[key])
            and descriptions(common).get(key) == descriptions(config).get(key)
        }
        yield f"### {registry.kind}: `{name}`\n"
        yield f"{' '.join((config.__doc__ or '').split())}\n"
        yield table(HEAD, list(rows(config, prefix, leave_out=inherited)))


def _same(one: FieldInfo, other: FieldInfo) -> bool:
    return (one.annotation, repr(one.default)) == (other.annotation, repr(other.default))


def rows(
    model: type[BaseModel] | None, prefix: str, *, leave_out: set[str] | None = None, defaults: Any = None
) -> Iterator[list[str]]:
    """Yield a row per setting, nested models included; `defaults` is what a nested model has unless it is changed."""
    if model is None:
        return
    shown_items: list[type[BaseModel]] = []
    for name, field in model.model_fields.items():
        if leave_out and name in leave_out:
            continue
        default = getattr(defaults, name) if defaults is not None else field.get_default(call_default_factory=True)
        nested = model_of(field.annotation)
        if nested is not None and get_origin(field.annotation) is None:
            yield from rows(nested, f"{prefix}{name}.", defaults=None if default is PydanticUndefined else default)
            continue
        secret = is_secret(field.annotation)
        shown = f"`{prefix}{name}`" + (f"<br>or `{prefix}{name}_file`" if secret else "")
        value = value_text(field.annotation, field.metadata)
        item = _item_model(field.annotation)
        if item is not None and item in shown_items:
            value = "the same rules"
        yield [shown, value, default_text(field, default), descriptions(model).get(name, "")]
        if item is not None and item not in shown_items:
            shown_items.append(item)
            yield from rows(item, f"{prefix}{name}[].")
        yield from rows(optional_model_of(field.annotation), f"{prefix}{name}.")


def value_text(annotation: Any, metadata: Any = ()) -> str:
    """Return what may be written for a setting, in words."""
    metadata = [inner for mark in metadata for inner in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    word, shown = next((_UNITS[mark.func] for mark in metadata if getattr(mark, "func", None) in _UNITS), ("", str))
    if word or not get_args(annotation):
        return (word or _WORDS.get(annotation, "rules, see below")) + _limits(metadata, shown)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return value_text(arguments[0], (*annotation.__metadata__, *metadata))
    if origin in {Union, types.UnionType}:
        if optional_model_of(annotation) is not None:
            arguments = (dict,)
        return " or ".join(value_text(part, metadata) for part in arguments if part is not type(None))
    if origin is Literal:
        return " or ".join(code(str(option)) for option in arguments)
    if origin is list:
        return f"list of {value_text(arguments[0])}"
    if origin is dict:
        return f"map of {value_text(arguments[0])} to {value_text(arguments[1])}"
    raise TypeError(f"no words for {annotation}")


def _limits(metadata: Any, shown: Callable[[Any], str]) -> str:
    bounds = (("from", "ge"), ("above", "gt"), ("up to", "le"), ("below", "lt"))
    texts = [f"{word} {shown(getattr(mark, key))}" for word, key in bounds for mark in metadata if hasattr(mark, key)]
    texts += [mark.words for mark in metadata if isinstance(mark, Within)]
    return f" {' '.join(texts)}" if texts else ""


def default_text(field: FieldInfo, default: Any) -> str:
    """Return a default as people write it, as code."""
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "-"
    kind = value_text(field.annotation, field.metadata)
    if kind.startswith("size"):
        return code(size_text(default))
    if kind.startswith("duration"):
        return code(duration_text(default))
    return code(str(default).lower() if isinstance(default, bool) else str(default))


def is_secret(annotation: Any) -> bool:
    """Say whether a setting is a secret, and so may come from a file."""
    return annotation is Secret or Secret in get_args(annotation)


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model when a setting is a group of settings."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def optional_model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model when a setting is a group of settings that may be left out."""
    parts = get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else ()
    return next((model for part in parts if (model := model_of(part)) is not None), None)


def _item_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a list's items, as in `list[FilterRule] | None`."""
    parts = [annotation, *get_args(annotation)]
    return next((model_of(get_args(part)[0]) for part in parts if get_origin(part) is list), None)
