"""[I/O] Copies of a ledger: from a file, or out of a model's records pod."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger import from_copy
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.kubectl import Kubectl
from oneseek_runtime.plugin.reading import read_file

__all__ = ["Copy", "copy_from_cluster", "copy_from_file", "parse_dump"]

_CONTAINER = "records"


@dataclass(frozen=True, slots=True)
class Copy:
    """A ledger's lines, and what came with them.

    `whole`: every block is there; else all but the queries. `head` is the note that the copy was made up to, `kept`
    the checkpoints that its service has kept, `witnessed` what the operator last wrote of it into the model's status.
    """

    source: str
    lines: Sequence[bytes]
    whole: bool = True
    origin: str | None = None
    head: str | None = None
    kept: tuple[str, ...] = ()
    key: str | None = None
    witnessed: LedgerHead | None = None


def copy_from_file(path: str) -> Copy:
    """A ledger as it was copied: its canonical lines.

    Raises CannotTellError: the file cannot be read or holds nothing.
    """
    data = read_file(path)
    if not data.strip():
        raise CannotTellError(f"{path} is empty: there is no ledger in it")
    return Copy(path, from_copy(data))


def copy_from_cluster(kubectl: Kubectl, model: OneSeekModel, *, whole: bool) -> Copy:
    """The ledger of a model, through its records pod. Without `whole` the queries stay there.

    Raises CannotTellError: the pod cannot be entered, or what it wrote broke off.
    """
    meta = model.metadata
    target = f"statefulset/{meta.name}-records"
    command = ["ledger" if whole else "transitions"]
    data = kubectl.execute(target, _CONTAINER, command, namespace=meta.namespace)
    return parse_dump(data, target, whole=whole, witnessed=model.status.ledger)


def parse_dump(data: bytes, source: str, *, whole: bool, witnessed: LedgerHead | None = None) -> Copy:
    """Read what `inpod` wrote. Raises CannotTellError: it is not all there."""
    try:
        first, *lines, last = data.split(b"\n")[:-1]
        told, end = json.loads(first), json.loads(last)["end"]
        head = told["head"]["checkpoint"]
        kept = tuple(str(note) for note in told["checkpoints"])
        origin, key = str(told["origin"]), told.get("verifierKey")
    except (ValueError, KeyError, TypeError) as error:
        raise CannotTellError(f"the ledger from {source} broke off; try again") from error
    if end != len(lines):
        raise CannotTellError(f"the ledger from {source} has {len(lines)} blocks of {end}; try again")
    return Copy(source, lines, whole, origin, head, kept, key, witnessed)
