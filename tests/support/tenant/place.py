"""The place where attempts are made: one model that answers, everybody who tries, and what must be as it was.

The model adopts two certified versions; the older one answers, by the real engine over a tiny base model.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from string import Template
from typing import Any

from kubernetes import client

from support.kube import Kube, condition, wait_until
from support.tenant import standing
from support.tenant.attempt import Seen, Who
from support.tenant.hands import Hands
from support.volumes import Given

__all__ = ["Place", "conditions"]

Object = dict[str, Any]


@dataclass
class Place:
    """What attempts are made with, and what is known of the place."""

    kube: Kube
    elsewhere: Kube
    given: Given
    url: str
    facts: dict[str, str]
    """What `$name` stands for."""
    apis: Mapping[Who, client.ApiClient]
    """The API server, with each actor's own token."""
    secrets: list[str]
    """What must stand in no answer, and in no file or variable of an actor's."""
    enter: Callable[[Who], AbstractContextManager[Hands]]
    stack: ExitStack
    was: standing.Standing = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    _hands: dict[Who, Hands] = field(default_factory=dict)

    def fill(self, value: Any) -> Any:
        """A value with the facts in its texts."""
        if isinstance(value, str):
            return Template(value).safe_substitute(self.facts)
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        return [self.fill(item) for item in value] if isinstance(value, list) else value

    def hands(self, who: Who) -> Hands:
        """The actor's hands in its pod."""
        if who not in self._hands:
            self._hands[who] = self.stack.enter_context(self.enter(who))
        return self._hands[who]

    def ask(self, who: Who, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Seen:
        """One call to the API server as the actor."""
        api = self.apis[who]
        asked = api.param_serialize(
            method,
            path,
            header_params={"Accept": "application/json", **headers},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = api.call_api(*asked, _request_timeout=30)
        text = answer.read().decode(errors="replace")
        return Seen(_message(text) if answer.status >= HTTPStatus.BAD_REQUEST else text, answer.status)

    def look(self) -> standing.Standing:
        """How everything stands now."""
        found = standing.of(self.kube, self.given.folder)
        try:
            with urllib.request.urlopen(f"{self.url}/api/inference/status", timeout=10) as response:
                found["who answers"] = json.load(response)["model"]
        except OSError as error:
            found["who answers"] = f"nobody: {error}"
        return found

    def changed(self, may_change: Sequence[str]) -> list[str]:
        """What is no longer as it was; from now on that is how it is, so that one attempt alone is told of it."""
        now = {name: text for name, text in self.look().items() if name in self.was}
        before, self.was = self.was, self.was | now
        return [
            text
            for text in standing.differences(before, now)
            if not text.startswith(tuple(self.fill(list(may_change))))
        ]

    def ready(self) -> bool:
        """The model says that it answers."""
        return condition(self.kube.get("oneseekmodel", "zero") or {}).get("status") == "True"


def _message(text: str) -> str:
    """The sentence of an API server's refusal."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text


def conditions(kube: Kube, kind: str, name: str, reason: str, *, within: float) -> str:
    """All that an object's status says, once a reason stands in it or the time is over."""
    said = ""

    def there() -> bool:
        nonlocal said
        status = (kube.get(kind.lower(), name) or {}).get("status", {})
        told = [f"{item['reason']}: {item.get('message', '')}" for item in status.get("conditions", [])]
        asked = status.get("request") or {}
        said = "\n".join([*told, f"{asked.get('outcome')} {asked.get('reason')}: {asked.get('message')}"])
        return reason in said

    try:
        wait_until(there, within=within, what=reason)
    except AssertionError:
        print(said)
        return f"the status did not say so within {within:.0f} s; what it says is printed"
    return said
