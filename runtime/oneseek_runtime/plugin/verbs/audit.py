"""`audit MODEL|FILE`: was a ledger tampered with? A file needs no cluster, and the checkpoints are the auditor's own.

A cut tail or a rewritten history shows only by a checkpoint that was saved where the ledger's owner could not reach
it. `--save` takes the copy and its checkpoint home for the next audit.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneseek_core.audit import REWRITTEN, TRUNCATED, audit
from oneseek_core.ledger import BlockError, Defect, Verdict, parse_block, to_copy
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.checkpoints import Saved, parse_saved, read_keys, read_saved, unsigned
from oneseek_runtime.plugin.copies import Copy, copy_from_cluster, copy_from_file
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.text import printable, table

__all__ = ["add_arguments", "run", "witness"]

_SHOWN = 20  # defects in the table; -o json has them all
_UNSUPPORTED = "no checkpoint was given: a cut tail or a rewritten history would not show (--checkpoint FILE)"
STATUS = "Head differs"  # from what the operator wrote into the model's status
_BOUNDED = (TRUNCATED, REWRITTEN, STATUS)


def add_arguments(parser: ArgumentParser) -> None:
    """What `audit` takes."""
    parser.add_argument(
        "what", metavar="MODEL|FILE", help="a OneSeekModel (osm/NAME is always one), or a copied ledger"
    )
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="FILE", help="a checkpoint that you saved earlier; repeat"
    )
    parser.add_argument(
        "--own", metavar="FILE", help="the checkpoint that came with the copy: the copy must end where it does"
    )
    parser.add_argument(
        "--key", action="append", default=[], metavar="KEY", help="checkpoints must be signed with this verifier key"
    )
    parser.add_argument(
        "--save", metavar="FILE", help="MODEL: write the copy to FILE, its checkpoint to FILE.checkpoint"
    )


def run(call: Call) -> Answer:
    """Audit a copy.

    Raises CannotTellError: the copy, a checkpoint or a key cannot be read, or they are of different ledgers.
    """
    arguments = call.arguments
    saved, keys = read_saved(arguments.checkpoint), read_keys(arguments.key)
    if reading.is_path(arguments.what):
        if arguments.save:
            raise CannotTellError("--save is for a model: a file is there already")
        copy = copy_from_file(arguments.what)
        own = next(iter(read_saved([arguments.own])), None) if arguments.own else None
        kept: list[Saved] = []
    else:
        if arguments.own:
            raise CannotTellError("--own is for a file; a model's ledger comes with its own checkpoint")
        copy = copy_from_cluster(call.kubectl, reading.read_model(call.kubectl, arguments.what), whole=True)
        own = parse_saved(copy.head, copy.source) if copy.head else None
        kept = [parse_saved(note, copy.source) for note in copy.kept]
        keys = keys or read_keys([copy.key] if copy.key else [])
        if arguments.save:
            _save(copy, Path(arguments.save))
    owned = [own] if own else []
    _same_ledger(copy, [*saved, *kept, *owned])
    forged = unsigned([*saved, *kept, *owned], keys)
    points = [item.checkpoint for item in (*saved, *kept) if item not in forged]
    found = audit(copy.lines, points, own=own.checkpoint if own and own not in forged else None)
    defects = (*found.defects, *witness(copy), *forged.values())
    # What is located exactly comes before what only checkpoints bound.
    verdict = Verdict(found.height, tuple(sorted(defects, key=lambda defect: defect.reason in _BOUNDED)))
    code = Exit.OK if verdict.ok else Exit.REFUSED
    notes = (_UNSUPPORTED,) if verdict.ok and not saved else ()
    return Answer(_document(copy, verdict, saved, kept), render(copy.source, verdict, saved), code, notes)


def _save(copy: Copy, path: Path) -> None:
    try:
        path.write_bytes(to_copy(copy.lines))
        if copy.head:
            path.with_name(f"{path.name}.checkpoint").write_text(copy.head, encoding="utf-8")
    except OSError as error:
        raise CannotTellError(f"{path} cannot be written: {error.strerror}") from error


def _same_ledger(copy: Copy, saved: Sequence[Saved]) -> None:
    """Checkpoints of another ledger would make a sound copy look rewritten."""
    origin = copy.origin
    for item in saved:
        origin = origin or item.checkpoint.origin
        if item.checkpoint.origin != origin:
            raise CannotTellError(f"{item.source} is a checkpoint of {item.checkpoint.origin}, not of {origin}")


def witness(copy: Copy) -> list[Defect]:
    """What the operator last saw, held against the copy: another place than the records' volume remembers it."""
    seen = copy.witnessed
    if seen is None or not seen.height:
        return []
    last = seen.height - 1
    if seen.height > len(copy.lines):
        sentence = f"status.ledger saw {seen.height} blocks, the ledger ends after {len(copy.lines)}"
        return [Defect(STATUS, len(copy.lines), last, sentence, (), str(seen.height), str(len(copy.lines)))]
    try:
        digest = parse_block(copy.lines[last]).hash
    except BlockError:
        return []  # the audit itself has named that line
    if digest == seen.head:
        return []
    sentence = f"block {last} is not the one that status.ledger saw: it or blocks before it were rewritten"
    return [Defect(STATUS, 0, last, sentence, (last,), seen.head, digest)]


def render(source: str, verdict: Verdict, saved: Sequence[Saved]) -> str:
    """The verdict, the first defect in full, and a table of the others."""
    vouched = max((item.checkpoint.size for item in saved), default=0)
    if verdict.ok:
        vouching = f", the first {vouched} vouched for by your checkpoints" if vouched else ""
        return printable(f"clean   {source}: {verdict.height} blocks{vouching}")
    first, *others = verdict.defects
    lines = [f"NOT CLEAN   {source}: {len(verdict.defects)} defects in {verdict.height} blocks", *_first(first)]
    if not others:
        return "\n".join(map(printable, lines))
    rows = [[item.reason, _blocks(item), _lines(item), item.message] for item in others[:_SHOWN]]
    more = [f"and {len(others) - _SHOWN} more; -o json has them all"] if len(others) > _SHOWN else []
    return "\n".join([*map(printable, lines), "", table(["ALSO", "BLOCKS", "LINES", "WHAT"], rows), *more])


def _first(defect: Defect) -> list[str]:
    lines = [f"first   {defect.reason}, {_named(defect)}", f"        {defect.message}"]
    if defect.expected:
        lines.append(f"        expected {defect.expected}, found {defect.actual}")
    return lines


def _named(defect: Defect) -> str:
    where = f"line {_lines(defect)} of the copy" if defect.lines else "not in the copy"
    return f"block {_blocks(defect)}, {where}"


def _blocks(defect: Defect) -> str:
    return str(defect.first) if defect.first == defect.last else f"{defect.first} to {defect.last}"


def _lines(defect: Defect) -> str:
    """Line numbers as editors count them, from 1."""
    numbers = [place + 1 for place in defect.lines]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")


def _document(copy: Copy, verdict: Verdict, saved: Sequence[Saved], kept: Sequence[Saved]) -> dict[str, Any]:
    defects = [_defect(item) for item in verdict.defects]
    return {
        "source": copy.source,
        "clean": verdict.ok,
        "blocks": verdict.height,
        "checkpoints": [{"source": item.source, "size": item.checkpoint.size} for item in (*saved, *kept)],
        "first": defects[0] if defects else None,
        "defects": defects,
    }


def _defect(defect: Defect) -> dict[str, Any]:
    return {
        "reason": defect.reason,
        "firstBlock": defect.first,
        "lastBlock": defect.last,
        "lines": [place + 1 for place in defect.lines],
        "message": defect.message,
        "expected": defect.expected,
        "actual": defect.actual,
    }
