"""The messages of a chat request: roles and texts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from oneseek_runtime.engine.errors import InvalidRequestError
from oneseek_runtime.engine.fields import writable

__all__ = ["read_messages"]

_CALLS = ("tool_calls", "function_call")
_TEXTS = {"text": "text", "refusal": "refusal"}  # kinds of parts that are text, and where it stands


def read_messages(value: object) -> tuple[Mapping[str, str], ...]:
    """The conversation.

    Raises:
        InvalidRequestError: the sentence names the message and what is wrong with it.
    """
    if value is None:
        raise InvalidRequestError("messages is missing", param="messages", code="missing_required_parameter")
    if not isinstance(value, list) or not value:
        code = "empty_array" if value == [] else "invalid_type"
        raise InvalidRequestError("messages must be a list with at least one message", param="messages", code=code)
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(value))


def _message(item: object, place: str) -> Mapping[str, str]:
    if not isinstance(item, dict) or not isinstance(role := item.get("role"), str):
        raise InvalidRequestError(f"{place} needs a role", param=f"{place}.role", code="invalid_type")
    if called := [name for name in _CALLS if item.get(name)]:
        # The model would read on without what it had called, which is another conversation.
        raise InvalidRequestError(
            f"{place}.{called[0]}: this engine supports no tool calls; send what was called and found as text",
            param=f"{place}.{called[0]}",
            code="unsupported_parameter",
        )
    if item.get("audio"):
        raise InvalidRequestError(
            f"{place}.audio: this engine supports text only", param=f"{place}.audio", code="unsupported_parameter"
        )
    return {"role": role, "content": writable(_content(item, role, f"{place}.content"))}


def _content(item: Mapping[str, object], role: str, place: str) -> str:
    """The text of a message. An assistant's turn may have none: it called a tool, or refused in its own field."""
    content = item.get("content")
    if content is None and role == "assistant":
        content = item.get("refusal") or ""
    if isinstance(content, list):
        return "".join(_part(part, f"{place}[{index}]") for index, part in enumerate(content))
    if not isinstance(content, str):
        raise InvalidRequestError(f"{place} must be a content that is text", param=place, code="invalid_type")
    return content


def _part(part: object, place: str) -> str:
    for kind, name in _TEXTS.items():
        if isinstance(part, dict) and part.get("type") == kind and isinstance(text := part.get(name), str):
            return text
    raise InvalidRequestError(
        f"{place}: a message's content may hold text parts only", param=place, code="invalid_value"
    )
