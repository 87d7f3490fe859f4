"""Analysis of a version: the pod asks itself the operator's questions, before it may answer clients and while it is watched.

Generation is greedy, so a wrong answer is final. A question without an answer is asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from oneseek_core import names
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_core.serving.analysis import AnalysisRequest, AnalysisState
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.engine.completion import Completion, Question
from oneseek_runtime.sidecar.errors import UpstreamError

__all__ = ["AnalysedPod", "Analysis", "judge", "question_of"]

_RETRY_SECONDS = 1.0
_TOKENS, _FEW_TOKENS = 160, 24
_MESSAGE = 1000  # characters


class AnalysedPod(Protocol):
    """The pod's own engine."""

    @property
    def target(self) -> str:
        """The engine's name of the model that answers at the moment."""

    def dna_of(self, model: str) -> str | None:
        """The DNA of a model name; None for the base model."""

    async def ask(self, question: Question) -> Completion:
        """One generation by the target; raises UpstreamError."""


def question_of(probe: Probe) -> Question:
    """Returns the question of a probe; without expectations a few tokens are generated."""
    return Question(probe.question, max_tokens=_TOKENS if probe.must_contain else _FEW_TOKENS)


def judge(probe: Probe, text: str) -> str:
    """Returns what is wrong with an answer; empty if nothing."""
    if not text.strip():
        return f"{probe.question!r} got an empty answer"
    lacking = [part for part in probe.must_contain if part.casefold() not in text.casefold()]
    if lacking:
        return f"the answer to {probe.question!r} lacks {', '.join(map(repr, lacking))}: {text[:120]!r}"
    return ""


class Analysis:
    """The newest analysis request and its state."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.state: AnalysisState | None = None
        self._changed = changed
        self._work: asyncio.Task[None] | None = None

    def want(self, request: AnalysisRequest, pod: AnalysedPod) -> AnalysisState:
        """Start a request. The same digest again changes nothing, another one cancels the running analysis."""
        if self.state is None or self.state.digest != request.digest:
            if self._work is not None:
                self._work.cancel()
            state = AnalysisState(digest=request.digest, dna=request.dna, phase="Running")
            self._set_state(state)
            self._work = asyncio.create_task(self._rounds(request, state, pod))
            return state
        return self.state

    async def _rounds(self, request: AnalysisRequest, state: AnalysisState, pod: AnalysedPod) -> None:
        while True:
            for probe in request.probes:
                if failure := await self._failure(probe, state, pod):
                    self._set_state(state, phase="Failed", reason=names.PROBE_FAILED, message=failure[:_MESSAGE])
                    return
            state = state.model_copy(update={"phase": "Passed", "rounds": state.rounds + 1})
            self._set_state(state)
            if request.repeat_seconds is None:
                return
            await asyncio.sleep(request.repeat_seconds)

    async def _failure(self, probe: Probe, state: AnalysisState, pod: AnalysedPod) -> str:
        """Returns what is wrong with the answer, once the analysed version has given one."""
        name, asked = state.dna or "the base model", repr(probe.question)
        while True:
            if pod.dna_of(pod.target) != state.dna:
                self._set_state(state, message=f"waits until {name} is what this pod answers with")
            else:
                self._set_state(state, message=f"{asked} is asked"[:_MESSAGE])
                try:
                    answer = await pod.ask(question_of(probe))
                except UpstreamError as error:
                    self._set_state(state, message=f"{asked} has no answer yet: {error}"[:_MESSAGE])
                else:
                    if pod.dna_of(pod.target) == state.dna:  # else the version changed meanwhile
                        dna = pod.dna_of(answer.model)
                        other = f"{asked} was answered by {dna or 'the base model'}" if dna != state.dna else ""
                        return other or judge(probe, answer.text)
            await asyncio.sleep(_RETRY_SECONDS)

    def _set_state(self, state: AnalysisState, **update: str) -> None:
        before, self.state = self.state, state.model_copy(update=update)
        if before is None or (before.digest, before.phase) != (self.state.digest, self.state.phase):
            say("analysis", phase=self.state.phase, dna=self.state.dna, message=self.state.message)
            self._changed()
