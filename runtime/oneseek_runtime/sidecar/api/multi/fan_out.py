"""[I/O] Sends one question to every loaded model, and to external models if requested, concurrently.

Loaded are the version that answers, the base model, and the previous version while it is kept in the engine (HotSwap) or has pods
of its own (BlueGreen). A loaded version that is not promoted yet is not asked. A failed model does not affect the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from oneseek_core.serving.settings import ExternalEndpoint
from oneseek_runtime.sidecar.deps import Deps
from oneseek_runtime.sidecar.engine.completion import Completion, Question
from oneseek_runtime.sidecar.engine.external import ExternalModels
from oneseek_runtime.sidecar.errors import EngineAnswerError, EngineBusyError, QuestionRefusedError, UpstreamError

__all__ = ["Reply", "Role", "ask_all", "loaded_roles"]

Role = Literal["current", "previous", "base", "external"]

Complete = Callable[[Mapping[str, Any]], Awaitable[Completion]]

_OTHER_PODS_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer, or why there is none (`error`). None: not measured."""

    model: str
    role: Role
    seconds: float
    text: str | None = None
    tokens: int | None = None
    confidence: float | None = None
    error: str | None = None
    busy: bool = False
    refused: bool = False


def loaded_roles(*, target: str, base: str, listed: Sequence[str], kept: str | None) -> list[tuple[str, Role]]:
    """Returns the engine's models to ask with their roles, the target first.

    The target is asked even if the engine does not list it, so that its error is reported. `kept`: the previous version in the engine.
    """
    found: list[tuple[str, Role]] = [(target, "base" if target == base else "current")]
    if kept is not None and kept != target and kept in listed:
        found.append((kept, "previous"))
    if base != target and base in listed:
        found.append((base, "base"))
    return found


async def ask_all(deps: Deps, question: Question, *, external: bool) -> list[Reply]:
    """Returns all replies, also failed ones, in the order current, previous, base, external. Raises UpstreamError if all failed."""
    listed = await deps.engine.models(within=None)
    kept = deps.swapper.kept if deps.swapper is not None else None
    with deps.lease() as target:
        roles = loaded_roles(target=target, base=deps.settings.serving.base_name, listed=listed, kept=kept)
        calls: list[Awaitable[Reply]] = [_ask_loaded(deps.engine.complete, question, *role) for role in roles]
        warm = deps.previous.warm
        if warm is not None and warm.dna not in [name for name, _ in roles]:
            complete = partial(deps.previous.complete, warm, deps.way)
            calls.insert(1, _ask_loaded(complete, question, warm.dna, "previous", within=_OTHER_PODS_SECONDS))
        if external and deps.external is not None:
            external_models = deps.external
            calls += [_ask_external(external_models, endpoint, question) for endpoint in external_models.endpoints]
        replies = list(await asyncio.gather(*calls))
    if not any(reply.error is None for reply in replies):
        raise _all_failed(replies)
    return replies


def _all_failed(replies: Sequence[Reply]) -> UpstreamError:
    why = "; ".join(f"{reply.model}: {reply.error}" for reply in replies)
    kind: type[UpstreamError] = EngineAnswerError
    if any(reply.busy for reply in replies):
        kind = EngineBusyError
    elif any(reply.refused for reply in replies):
        kind = QuestionRefusedError
    return kind(f"no model answered: {why}")


async def _ask_loaded(
    complete: Complete, question: Question, name: str, role: Role, *, within: float | None = None
) -> Reply:
    """One model's reply. `within` limits other pods only; our own engine is waited for."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(within):
            completion = await complete(question.body(name))
        if completion.model != name:
            raise EngineAnswerError(f"the engine answered as {completion.model!r}")
    except UpstreamError as error:
        busy, refused = isinstance(error, EngineBusyError), isinstance(error, QuestionRefusedError)
        return Reply(name, role, time.monotonic() - started, error=str(error), busy=busy, refused=refused)
    except TimeoutError:
        return Reply(name, role, time.monotonic() - started, error=f"its pods gave no answer within {within:g} s")
    seconds = time.monotonic() - started
    return Reply(name, role, seconds, completion.text, completion.tokens, completion.confidence)


async def _ask_external(models: ExternalModels, endpoint: ExternalEndpoint, question: Question) -> Reply:
    started = time.monotonic()
    # Parameters that every such API accepts; many refuse log-probabilities.
    body = {
        "messages": [{"role": "user", "content": question.text}],
        "temperature": question.temperature,
        "max_tokens": question.max_tokens,
        "stream": False,
    }
    try:
        answer = await models.complete(endpoint, body)
    except UpstreamError as error:
        return Reply(endpoint.name, "external", time.monotonic() - started, error=str(error))
    return Reply(endpoint.name, "external", time.monotonic() - started, answer.text, answer.tokens)
