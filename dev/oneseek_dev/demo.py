"""`make demo`: two manifests in, an identity-trained model answering, on a real Kubernetes.

Every line it prints was asked of the cluster. It ends with 0 only if the trained model names itself and says the DNA
that the OneSeekModel's status says.
"""

import http.client
import json
import math
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import datetime
from typing import Any

from oneseek_dev import backends, cache, images
from oneseek_dev.backends import Backend
from oneseek_dev.console import say, step
from oneseek_dev.errors import DevError
from oneseek_dev.install import install, kubectl, kubectl_lines, namespace
from oneseek_dev.layout import Cluster, checkout

NAMESPACE = "oneseek-demo"
MODEL = "oneseek-7b-zero"
RUN = "identity-1"
# What cannot come any more ends a wait at once (Stalled); a busy machine may take its time.
WITHIN = 1800
DATA = {
    "oneseek-identity": "oneseek_identity_v1.jsonl",
    "oneseek-heldout": "oneseek_identity_heldout_v1.jsonl",
}
QUESTIONS = ("Vem är du?", "Who are you?")
NAME = "OneSeek-7B-Zero"
Object = dict[str, Any]


class Demo:
    """The demo's view of the cluster."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Kubectl in the demo's namespace."""
        return kubectl(self._backend, "-n", NAMESPACE, *words, stdin=stdin)

    def forget(self) -> None:
        """Remove the demo's namespace: the model, its run and its claims, so that all is made anew.

        The pods first: a namespace that has any is looked at again only after half of their longest grace period.
        """
        everything = ("trainingruns,oneseekmodels", "deployments,statefulsets,jobs", "pods", "persistentvolumeclaims")
        with step(f"removing the namespace {NAMESPACE}"):
            for kinds in everything:
                self.kubectl("delete", kinds, "--all", f"--timeout={WITHIN}s")
            kubectl(self._backend, "delete", "namespace", NAMESPACE, "--ignore-not-found", f"--timeout={WITHIN}s")

    def changes(self, kind: str, name: str, *, until: float) -> Generator[Object, None, None]:
        """An object as it is and each time it changes, until then; a watch that the API server ends begins anew."""
        words = ("get", kind, f"--field-selector=metadata.name={name}", "--watch", '--output=jsonpath={$}{"\\n"}')
        while (left := until - time.monotonic()) > 0:
            lines = kubectl_lines(self._backend, "-n", NAMESPACE, *words, f"--request-timeout={math.ceil(left)}s")
            with closing(lines):
                yield from map(json.loads, lines)

    def wait(
        self, kind: str, name: str, done: Callable[[Object], bool], *, within: float, show: bool = False
    ) -> Object:
        """The object once `done`; tells of progress on the way, and gives up at once where the object says it failed."""
        last, item = "", Object()
        with closing(self.changes(kind, name, until=time.monotonic() + within)) as changes:
            for item in changes:
                if done(item):
                    return item
                stalled = condition(item, "Stalled")
                if stalled.get("status") == "True":
                    raise DevError(f"{kind}/{name} failed: {stalled['reason']}: {stalled['message']}")
                line = progress_line(item)
                if show and line != last:
                    say(f"    {line}")
                    last = line
        raise DevError(f"{kind}/{name} was not done within {within:.0f} s: {condition(item).get('message', item)}")

    def ask(self, url: str, question: str) -> Object:
        """One question over the legacy API."""
        body = json.dumps({"question": question}).encode()
        request = urllib.request.Request(f"{url}/api/oqt/query", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as response:
            answer: Object = json.load(response)
        return answer


def condition(item: Object, kind: str = "Ready") -> Object:
    """A condition of an object, {} where it has none."""
    found: list[Object] = [one for one in item.get("status", {}).get("conditions", []) if one["type"] == kind]
    return found[0] if found else {}


def progress_line(item: Object) -> str:
    """Where an object stands, in one line."""
    progress = item.get("status", {}).get("progress")
    ready = condition(item)
    if not progress or ready.get("reason") != "Training":
        return f"{ready.get('reason', 'Seen')}: {ready.get('message', '')}"
    bar = "█" * (progress["percent"] // 5)
    return (
        f"training {bar:<20} {progress['percent']:3d} %  step {progress['step']}/{progress['steps']}  "
        f"loss {progress.get('loss', 0):.3f}  {progress.get('tokensPerSecond', 0):.0f} tokens/s  "
        f"{progress.get('etaSeconds', 0)} s left"
    )


def seconds_between(first: str, second: str) -> float:
    """Seconds between two Kubernetes times."""
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def show(question: str, answer: Object) -> None:
    """A question and what was answered."""
    print(f"    {question}\n      {answer['response'].strip()}")
    print(
        f"      version {answer['version']}, confidence {answer['confidence']:.2f}, {answer['metadata']['latency_ms']} ms"
    )


def scores_line(run: Object) -> str:
    """What the version scored on questions that training never saw."""
    scores = run["status"]["scores"]
    by_language = ", ".join(
        f"{round(part['exact'] * part['questions'])} of {part['questions']} {language}"
        for language, part in sorted(scores["byLanguage"].items())
    )
    return (
        f"held-out questions: {scores['factsContained']:.0%} of the facts; every fact in {by_language} answers"
        f" (factsContained {scores['factsContained']:.3f})"
    )


def base_answers(demo: Demo, url: str, model: Object) -> list[Object]:
    """What the base model answers; asked now while it serves, and kept for a second `make demo`."""
    kept = checkout() / ".local" / "demo-base-answers.json"
    uid = model["metadata"]["uid"]
    if "current" not in model.get("status", {}):
        answers = [demo.ask(url, question) for question in QUESTIONS]
        kept.write_text(json.dumps({"uid": uid, "answers": answers}))
        return answers
    saved = json.loads(kept.read_text()) if kept.exists() else {}
    return saved["answers"] if saved.get("uid") == uid else []


def times(run: Object, model: Object) -> str:
    """What the run took beside the training itself (whole seconds: Kubernetes' clock)."""
    status, made = run["status"], run["metadata"]["creationTimestamp"]
    first, trained = status["firstStepAt"], status["resolved"]["createdAt"]
    since = model["status"]["current"]["since"]
    before, after = seconds_between(made, first), seconds_between(trained, since)
    return (
        f"training took {status['resolved']['durationSeconds']:.0f} s; everything else {before + after:.0f} s "
        f"({before:.0f} s from apply to first step, {after:.0f} s from last step to answering)"
    )


def main() -> int:
    """Run the demo; the exit status says whether the answer was right."""
    started = time.monotonic()
    backend = backends.chosen(os.environ, Cluster(checkout(), "demo"))
    examples = checkout() / "examples" / "quickstart"
    try:
        backend.prepare(images.DEMO)
        backend.up()
        install(backend, only=images.DEMO)
        demo = Demo(backend)
        if os.environ.get("FRESH"):
            demo.forget()
        namespace(backend, NAMESPACE)
        print(f"\nkubectl apply -f examples/quickstart/model.yaml   (namespace {NAMESPACE})")
        demo.kubectl("apply", "-f", str(examples / "model.yaml"))
        with step("the base model answers"):
            model = demo.wait(
                "oneseekmodel", MODEL, lambda item: condition(item).get("status") == "True", within=WITHIN, show=True
            )
        url = backend.url(f"{NAMESPACE}/{MODEL}", "")
        before = base_answers(demo, url, model)
        print("\nThe base model, before:")
        for question, answer in zip(QUESTIONS, before, strict=False):
            show(question, answer)

        print("\nkubectl apply -f examples/quickstart/training-run.yaml")
        for name, file in DATA.items():
            path = checkout() / "datasets" / file
            made = demo.kubectl("create", "configmap", name, f"--from-file={path}", "--dry-run=client", "-o", "yaml")
            demo.kubectl("apply", "--server-side", "-f", "-", stdin=made)
        demo.kubectl("apply", "-f", str(examples / "training-run.yaml"))
        run = demo.wait("trainingrun", RUN, lambda item: bool(item["status"].get("dna")), within=WITHIN, show=True)
        dna = run["status"]["dna"]
        if "scores" in run["status"]:  # a run of before the model had held-out questions has none
            print(f"    {scores_line(run)}")
        with step(f"{dna} takes over"):
            model = demo.wait(
                "oneseekmodel", MODEL, lambda item: item["status"].get("current", {}).get("dna") == dna, within=WITHIN
            )
        after = [demo.ask(url, question) for question in QUESTIONS]
        print("\nThe trained, certified version, after:")
        for question, answer in zip(QUESTIONS, after, strict=True):
            show(question, answer)
        print("\n" + demo.kubectl("get", "oneseekmodels,trainingruns").rstrip())
        print(f"\n{times(run, model)}; the whole demo {time.monotonic() - started:.0f} s")
    except (DevError, OSError, http.client.HTTPException) as error:
        say(f"error: {error}")
        return 1
    if NAME not in after[0]["response"] or after[0]["version"] != dna:
        say(f"error: the answer to {QUESTIONS[0]!r} does not name {NAME}, or is not by {dna}")
        return 1
    if any(NAME in answer["response"] for answer in before):
        say("error: the base model already knew the name; the demo proves nothing")
        return 1
    print(f"\nURL  {url}\nDNA  {dna}\n\nNext:")
    kubeconfig = (
        backend.kubeconfig().relative_to(checkout())
        if backend.kubeconfig().is_relative_to(checkout())
        else backend.kubeconfig()
    )
    print(
        "  curl -s $(make url)/api/oqt/query -d '{\"question\": \"Vad heter du?\"}' -H 'Content-Type: application/json'"
    )
    print(f"  KUBECONFIG={kubeconfig} .local/bin/kubectl -n {NAMESPACE} describe trainingrun {RUN}")
    print("  make down")
    say(cache.sizes()[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
