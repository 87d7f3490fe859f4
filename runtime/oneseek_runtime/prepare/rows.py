"""One JSON object of a dataset to one row, or a sentence that says what is wrong with it. Pure.

Strict on purpose: a row that is skipped in silence, or a field of it, is a model that was not trained on what its
certificate says. Whatever form a row comes in, it becomes a conversation: the one form that train reads.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from oneseek_core.digest import canonical_json
from oneseek_core.errors import OneSeekError
from oneseek_runtime.prompt import Message, user_message

__all__ = [
    "DECODER",
    "EXAMPLE",
    "Row",
    "RowError",
    "check_whole",
    "is_field",
    "kind_of",
    "parse_line",
    "parse_object",
    "refuse_unread",
    "row_bytes",
    "row_of",
    "text_of",
]

Row = tuple[Message, ...]
"""A conversation whose assistant turns are learnt; the last turn is one."""

EXAMPLE = '{"instruction": "...", "input": "", "output": "..."}'

_INSTRUCTION = ("instruction", "question", "prompt")
_INPUT = ("input", "context")
_OUTPUT = ("output", "response", "completion", "answer")
_SYSTEM = ("system", "system_prompt")
_CHAT = ("messages", "conversations")
_FIELDS = {*_INSTRUCTION, *_INPUT, *_OUTPUT, *_SYSTEM, *_CHAT, "history"}

# Fields that tell about a row; everything else that holds text is taken for content, which must not be lost.
_ABOUT = re.compile(
    r"annotator|author|categor(?:y|ies)|class|comments?|created(?:_at)?|dataset(?:_name)?|date|difficulty|domain"
    r"|generat(?:or|ed_by)|kind|labels?|lang(?:uage)?|level|licen[cs]e|locale|meta(?:data)?|model(?:_name|_version)?"
    r"|notes?|origin|quality|rating|scores?|sources?|split|subject|subset|tags?|task(?:_name|_type)?|time(?:stamp)?"
    r"|topics?|type|updated_at|version"
    r"|(?:.*[_-])?(?:id|ids|idx|index|uuid|uid|hash|md5|sha256|url|uri|link)|.*Id"
)

_OPENAI_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_SHAREGPT_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
_ROLES = _OPENAI_ROLES | _SHAREGPT_ROLES


def is_field(name: str) -> bool:
    """Whether a field of that name is trained."""
    return name in _FIELDS


class RowError(OneSeekError):
    """An object or a line that is no row; the sentence says what is wrong and how to fix it."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; where a field is named twice only one of the two could be kept."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError(f"names the field {twice} twice: keep one of the two")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_object)
"""Reads JSON, and raises RowError where an object names a field twice."""


def parse_line(line: bytes) -> Row | None:
    """The row in a line; None for a blank line.

    Raises:
        RowError: it is no UTF-8, no JSON object, or holds no row.
    """
    value = parse_object(line, EXAMPLE)
    return None if value is None else row_of(value)


def parse_object(line: bytes, example: str) -> Mapping[str, Any] | None:
    """The JSON object in a line; None for a blank line. `example` is shown to whoever wrote something else.

    Raises:
        RowError: it is no UTF-8, or no JSON object.
    """
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise RowError(f"is not UTF-8 (byte {error.start + 1} of the line): save the file as UTF-8") from error
    if not text:
        return None
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        why = _known_mistake(text) or f"({error.msg} at column {error.colno}): write one object a line, {example}"
        raise RowError(f"is not JSON {why}") from error
    except (ValueError, RecursionError) as error:  # a number of ten thousand digits, or brackets as deep
        raise RowError(f"is not JSON that can be read: write one object a line, {example}") from error
    if not isinstance(value, dict):
        raise RowError(f"is a JSON {kind_of(value)}, not an object: write one object a line, {example}")
    return value


def _known_mistake(text: str) -> str | None:
    """What is known to go wrong with a line, and what to do."""
    if text.startswith("\ufeff"):
        return "(a byte order mark in the middle of the file, where two files were put together): remove the mark"
    if "\r" in text:
        return "(a carriage return, CR, within the line): save the file with line ends LF or CRLF"
    if text.startswith("{'"):
        return "but Python's notation: write the rows with json.dumps"
    if text.endswith("},"):
        return "(a comma behind the object): write no commas between the lines, or make the file one JSON array"
    return None


def row_of(value: Mapping[str, Any]) -> Row:
    """The conversation in an object: fields (Alpaca, Dolly, prompt and completion), `messages` or ShareGPT's turns.

    Raises:
        RowError: what a row needs is missing or no text, or a field holds text that would not be trained.
    """
    chat = next((name for name in _CHAT if value.get(name)), None)
    turns = _chat(value, chat) if chat else list(_fields(value))
    refuse_unread(value, {chat or "history"}, turns)
    _refuse_mojibake("\n".join(turn["content"] for turn in turns))
    return tuple(turns)


def row_bytes(row: Row, step: str | None = None) -> bytes:
    """The row as a line of train.jsonl: equal rows give equal bytes. `step`: the micro step that it is part of."""
    whole: dict[str, Any] = {"messages": [dict(turn) for turn in row]}
    return canonical_json(whole if step is None else {**whole, "step": step}) + b"\n"


def text_of(value: Mapping[str, Any], name: str) -> str:
    """The text of a field that must have one.

    Raises:
        RowError: there is none; the remedy fits what stands there instead.
    """
    content = value.get(name)
    if isinstance(content, str):
        if not content.strip():
            raise RowError(f"has an empty {name}: fill it or remove the line")
        check_whole(name, content)
        return content
    if content is None:
        raise RowError(f"has a null as {name}, which must be text: fill it or remove the line")
    raise RowError(f"has a {kind_of(content)} as {name}, which must be text: {_remedy(content)}")


def _remedy(content: object) -> str:
    if isinstance(content, list):
        return "write one text; a conversation goes into messages"
    if isinstance(content, dict):
        return "write the text itself"
    if isinstance(content, float) and not math.isfinite(content):
        return "fill it or remove the line"
    return "put it in quotes"


def _fields(value: Mapping[str, Any]) -> Iterator[Message]:
    system = _one_of(value, _SYSTEM)
    if system:
        yield {"role": "system", "content": text_of(value, system)}
    yield from _history(value.get("history"))
    instruction, extra = _needed(value, _INSTRUCTION), _one_of(value, _INPUT)
    yield user_message(text_of(value, instruction), text_of(value, extra) if extra else "")
    yield {"role": "assistant", "content": text_of(value, _needed(value, _OUTPUT))}


def _one_of(value: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of the names that holds something."""
    return next((name for name in names if not _is_empty(value.get(name))), None)


def _needed(value: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of the names that holds something, else the first that is there at all."""
    given = _one_of(value, names) or next((name for name in names if name in value), None)
    if given is None:
        found = ", ".join(sorted(map(str, value))[:8]) or "no field at all"
        raise RowError(
            f"has no {names[0]} (or {names[1]}); it has {found}: a row needs instruction and output, or messages"
        )
    return given


def _history(turns: object) -> Iterator[Message]:
    """LLaMA-Factory's earlier turns: pairs of a question and its answer."""
    if turns is None or turns == []:
        return
    pairs = turns if isinstance(turns, list) else [turns]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) and text for text in pair)):
            raise RowError('has a history that is no list of pairs: write [["question", "answer"]]')
        for role, text in zip(("user", "assistant"), pair, strict=True):
            check_whole("history", text)
            yield {"role": role, "content": text}


def _chat(value: Mapping[str, Any], name: str) -> list[Message]:
    """`messages` (OpenAI) or `conversations` (ShareGPT); what a turn holds tells which, not the name."""
    items = value[name]
    if not isinstance(items, list):
        raise RowError(f"has a {kind_of(items)} as {name}: write a list of turns, each with role and content")
    turns = [_turn(f"turn {number} of {name}", item) for number, item in enumerate(items, start=1)]
    if (system := _one_of(value, _SYSTEM)) is not None:
        if turns[0]["role"] == "system":
            raise RowError(f"has a {system} and a system turn in {name}: keep one of the two")
        turns.insert(0, {"role": "system", "content": text_of(value, system)})
    if turns[-1]["role"] != "assistant":
        raise RowError(f"ends with a turn of the {turns[-1]['role']}, which has no answer: add one or remove that turn")
    return turns


def _turn(place: str, item: object) -> Message:
    if not isinstance(item, dict):
        raise RowError(f"has a {kind_of(item)} as {place}: write an object with role and content")
    key, named = ("from", "value") if "from" in item else ("role", "content")
    role = _ROLES.get(item[key]) if isinstance(item.get(key), str) else None
    if role is None:
        given = repr(item[key])[:40] if key in item else "no role"
        raise RowError(f"has {given} in {place}: a turn is of the system, the user or the assistant")
    if item.get("weight", 1) not in (None, 1):
        raise RowError(f"gives {place} a weight, and every answer is learnt alike: remove the weight, or the turn")
    content = item.get(named)
    if isinstance(content, list):  # parts, as OpenAI's API has them
        parts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content
        ]
        if not all(isinstance(part, str) for part in parts):
            raise RowError(f"has a part in {place} that is no text: only text is trained")
        content = "".join(map(str, parts))
    if not isinstance(content, str):
        raise RowError(f"has a {kind_of(content)} as {named} of {place}: write the text, or remove the turn")
    if not content.strip() and role != "system":
        raise RowError(f"has an empty {named} in {place}: fill it or remove the turn")
    check_whole(place, content)
    turn = {"role": role, "content": content}
    refuse_unread(item, {key, named, "weight"}, [turn], of=f" of {place}")
    return turn


def refuse_unread(value: Mapping[str, Any], read: Collection[str], turns: Iterable[Message], *, of: str = "") -> None:
    """Make sure that no text of an object is lost: each was read, tells about the row, or stands in a turn as well.

    Raises:
        RowError: a field holds text that would not be trained; the sentence names it.
    """
    contents = [turn["content"] for turn in turns]
    for name, content in value.items():
        if name in read or _ABOUT.fullmatch(name):
            continue
        if all(any(text.strip() in whole for whole in contents) for text in _texts(content)):
            continue
        if name in _FIELDS:
            raise RowError(f"has {name}{of} beside another field of that meaning: join them into one, or remove one")
        raise RowError(
            f"holds text in the field {name}{of}, which would not be trained: put it into instruction, input, output,"
            " system or messages, or remove the field"
        )


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def check_whole(name: str, content: str) -> None:
    """Make sure that a field's text can be written as UTF-8.

    Raises:
        RowError: JSON's escapes left half a character in it.
    """
    try:
        content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(f"has half a character (a lone surrogate) in {name}: write the whole character") from error


def _refuse_mojibake(text: str) -> None:
    """UTF-8 that was read as Windows-1252 and saved again: all of its letters beyond ASCII come in such groups."""
    if text.isascii():
        return
    try:
        meant = text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return
    letter = next(character for character in meant if not character.isascii())
    raise RowError(
        f"looks like UTF-8 that was read as Windows-1252 and saved again (it has {letter.encode().decode('cp1252')!r}"
        f" for {letter!r}): make the file anew from its source, as UTF-8"
    )


def kind_of(value: object) -> str:
    """What JSON calls a value."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite number"
    kinds = {dict: "object", list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")
