"""`history MODEL [--at TIME]`: what happened to a model, and which version answered when, from its ledger.

Every line's hash is checked, and of a whole copy the chain too; what a cut tail or a rewritten history would hide only
`audit` can find. A ledger that does not hold is shown as far as it can be read, and the exit code says so.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from oneseek_core.ledger import GENESIS, Block, BlockError, Defect, parse_block, read_chain
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.copies import Copy, copy_from_cluster, copy_from_file
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.text import printable, table
from oneseek_runtime.plugin.timeline import Event, Reign, events_of, gaps, live_at, reigns_of
from oneseek_runtime.plugin.times import moment, parse_time, stamp

__all__ = ["add_arguments", "run"]

_BASE = "(base model)"


def add_arguments(parser: ArgumentParser) -> None:
    """What `history` takes."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help="name of a OneSeekModel; not needed with --file")
    parser.add_argument(
        "--at", metavar="TIME", help="what answered then: 2026-03-01T12:00:00Z, 2026-03-01 or 90m (ago)"
    )
    parser.add_argument("--file", metavar="FILE", help="read a copy of the ledger, without any cluster; - is stdin")


def run(call: Call) -> Answer:
    """Read the ledger and tell what it says.

    Raises CannotTellError: it cannot be read, or does not reach back to the time asked for.
    """
    arguments = call.arguments
    at = parse_time(arguments.at, call.now) if arguments.at else None
    copy = _copy(call)
    blocks, defects = _blocks(copy)
    events = events_of(blocks)
    notes = (*_notes(copy, defects), *gaps(events))
    begin = next((block.timestamp for block in blocks), None)
    if begin is None:
        raise CannotTellError(f"{copy.source} holds no block that can be read")
    reigns = reigns_of(events, begin)
    code = Exit.REFUSED if defects else Exit.OK
    document: dict[str, Any] = {"source": copy.source, "verified": not defects, "begins": reigns[0].since}
    if at is None:
        live = [reign.document() for reign in reigns]
        return Answer(
            {**document, "transitions": [event.document() for event in events], "reigns": live},
            render(events, reigns[-1]),
            code,
            notes,
        )
    reign = live_at(reigns, at)
    if reign is None:
        raise CannotTellError(f"the ledger begins at {reigns[0].since}; of {stamp(at)} it knows nothing")
    if copy.whole and (end := moment(blocks[-1].timestamp)) and at > end:
        notes += (f"the copy ends at {blocks[-1].timestamp}: what came after is not in it",)
    document |= {"at": stamp(at), "live": reign.document()}
    return Answer(document, render_at(reign, stamp(at)), code, notes)


def _copy(call: Call) -> Copy:
    arguments = call.arguments
    if arguments.file:
        return copy_from_file(arguments.file)
    if not arguments.model:
        raise CannotTellError("name a MODEL, or a copy of its ledger with --file")
    if arguments.model.endswith(".jsonl"):
        raise CannotTellError(f"{arguments.model} looks like a file: write --file {arguments.model}")
    return copy_from_cluster(call.kubectl, reading.read_model(call.kubectl, arguments.model), whole=False)


def _blocks(copy: Copy) -> tuple[list[Block], list[Defect]]:
    """The lines that are blocks, and what is wrong. Where the queries were left out only each line is judged."""
    blocks, defects = [], []
    if copy.whole:
        for block, defect in read_chain(copy.lines):
            blocks += [block] if block else []
            defects += [defect] if defect else []
        return blocks, defects
    for place, line in enumerate(copy.lines):
        try:
            block = parse_block(line)
        except BlockError as error:
            defects.append(Defect(error.reason, place, place, str(error), (place,), error.expected, error.actual))
            continue
        if blocks and block.number <= blocks[-1].number:
            sentence = f"block {block.number} comes after block {blocks[-1].number}"
            defects.append(Defect("Block out of place", block.number, block.number, sentence, (place,)))
        else:
            blocks.append(block)
    if blocks and blocks[0].data.get("type") != GENESIS:
        defects.append(Defect("Block missing", 0, 0, "the ledger does not begin with its genesis block"))
    return blocks, defects


def _notes(copy: Copy, defects: Sequence[Defect]) -> tuple[str, ...]:
    if not defects:
        return ()
    first = defects[0]
    more = f" and {len(defects) - 1} more" if len(defects) > 1 else ""
    return (f"the ledger does not hold: {first.reason}: {first.message}{more}; see `kubectl oneseek audit`",)


def render(events: Sequence[Event], live: Reign) -> str:
    """The table of all transitions, and what answers since the last of them."""
    rows = [
        [str(event.block), event.happened, event.kind, _version(event, live), _actor(event), event.reason]
        for event in events
    ]
    lines = [table(["BLOCK", "TIME", "WHAT", "VERSION", "BY", "REASON"], rows)] if rows else ["no transitions yet"]
    return "\n".join([*lines, f"live since {live.since}: {printable(live.dna or _BASE)}"])


def _version(event: Event, live: Reign) -> str:
    """The version it was about; what answers now is marked."""
    if not event.moves:
        return event.dna or ""
    return f"{'● ' if event is live.began else ''}{event.after or _BASE}"


def render_at(reign: Reign, at: str) -> str:
    """What answered at a moment, since when, until when, and why."""
    lines = [f"at      {at}", f"live    {reign.dna or _BASE}"]
    if reign.digest:
        lines.append(f"digest  {reign.digest}")
    lines.append(f"since   {reign.since}   {_why(reign.began) if reign.began else 'the ledger begins'}")
    lines.append(
        f"until   {reign.until}   {_why(reign.ended)}" if reign.ended else "until   now, as far as it is known"
    )
    return "\n".join(map(printable, lines))


def _why(event: Event | None) -> str:
    return f"{event.kind} by {_actor(event)}, block {event.block}: {event.reason}" if event else ""


def _actor(event: Event) -> str:
    return event.actor if event.verified else f"{event.actor or '?'} (unverified)"
