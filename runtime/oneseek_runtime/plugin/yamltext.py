"""A JSON document as YAML, as kubectl prints it and reads it back. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import yaml

__all__ = ["to_yaml"]

# Words and dots only, starting with a letter; then it is no number, no date and no indicator. Booleans are left out.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some YAML reader takes for something else; PyYAML leaves `0o17` bare."""

    def ignore_aliases(self, data: Any) -> bool:
        """What stands twice in a document is printed twice."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    """The document in block style. Law: a YAML reader gets the document back."""
    plain = json.loads(json.dumps(document))
    text = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)
    # Beyond ASCII there are quoted texts only; PyYAML leaves marks in them that turn a terminal's writing direction.
    text = _BEYOND_ASCII.sub(lambda found: found[0] if found[0].isprintable() else f"\\u{ord(found[0]):04x}", text)
    return text.removesuffix("\n").removesuffix("\n...")
