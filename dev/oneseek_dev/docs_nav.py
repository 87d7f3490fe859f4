"""A hook of MkDocs: an entry of `nav` that is a folder (`adr/`) stands for the folder's pages, newest name last."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Replace each folder in the navigation by its pages."""
    config["nav"] = _expanded(config["nav"], Path(config["docs_dir"]))
    return config


def _expanded(item: Any, docs: Path) -> Any:
    if isinstance(item, list):
        return [_expanded(one, docs) for one in item]
    if isinstance(item, dict):
        return {name: _expanded(value, docs) for name, value in item.items()}
    if item.endswith("/"):
        return [str(page.relative_to(docs)) for page in sorted((docs / item).glob("*.md"))]
    return item
