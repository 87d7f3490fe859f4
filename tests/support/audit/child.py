"""Makes a group's attempts: `python -P child.py GROUP FOLDER`, with the paths of the checkout that they are made against.

`support` is then that checkout's; of this one only `support.audit` is added to it.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def add_ourselves() -> None:
    """Have `support.audit` be this folder, whichever checkout `support` comes from."""
    importlib.import_module("support")
    spec = importlib.util.spec_from_file_location(
        "support.audit", HERE / "__init__.py", submodule_search_locations=[str(HERE)]
    )
    assert spec is not None
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)


async def main(group: str, folder: Path) -> None:
    """Write one line an attempt to FOLDER/outcomes.jsonl."""
    add_ourselves()
    refused = importlib.import_module("support.audit.attempts").RefusedError

    async def attempt(name: str, trying: Coroutine[Any, Any, str]) -> None:
        try:
            result, seen = "succeeded", await trying
        except refused as error:
            result, seen = "refused", str(error)
        except Exception:  # noqa: BLE001 - told, and never taken for a refusal
            result, seen = "broken", traceback.format_exc()
        with (folder / "outcomes.jsonl").open("a") as file:
            file.write(json.dumps({"name": name, "result": result, "seen": seen}) + "\n")

    await importlib.import_module(f"support.audit.{group}").make(folder, attempt)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
