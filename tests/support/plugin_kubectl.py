"""The simulated kubectl: a program of its own that imports next to nothing, so that hundreds of calls cost little.

Its cluster is the JSON file that FAKE_CLUSTER names. After every read the operator (if it runs) takes one step: it takes a
request up, or gives it the outcome that the test has laid down.
"""

# pathlib is slow to load
# ruff: noqa: PTH123, PTH105

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False  # what a type checker takes for true; importing it would cost more than all else here
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

    Object: TypeAlias = dict[str, Any]

PLACE = os.environ["FAKE_CLUSTER"]
KINDS = {
    "oneseekmodels.oneseek.io": "OneSeekModel",
    "trainingruns.oneseek.io": "TrainingRun",
    "deployments": "Deployment",
    "pods": "Pod",
    "configmap": "ConfigMap",
}
VERBS = ("rollback", "promote", "release", "reset", "retry")
VALUED = ("-o", "-c")
NOW = "2026-03-10T12:00:00Z"


def fail(sentence: str) -> NoReturn:
    """As kubectl fails."""
    print("Error from server " + sentence, file=sys.stderr)
    sys.exit(1)


class Command:
    """A command line: words, flags, and what runs within a pod."""

    def __init__(self, words: list[str]) -> None:
        cut = words.index("--") if "--" in words else len(words)
        self.inner = words[cut + 1 :]
        self.flags: dict[str, str] = {}
        self.words: list[str] = []
        told = iter(words[:cut])
        for word in told:
            if word in VALUED:
                self.flags[word] = next(told)
            elif word.startswith("-"):
                name, _, value = word.partition("=")
                self.flags[name] = value
            else:
                self.words.append(word)
        self.namespace = self.flags.get("--namespace", "team")


def main(words: list[str]) -> int:
    """One call."""
    with open(f"{PLACE}.calls", "a") as file:
        file.write(json.dumps(words) + "\n")
    with open(PLACE) as file:
        cluster: Object = json.load(file)
    command = Command(words)
    verb = command.words.pop(0)
    code = {
        "get": get,
        "exec": execute,
        "annotate": annotate,
        "patch": patch,
        "create": post,
        "logs": logs,
        "auth": auth,
    }[verb](cluster, command)
    save(cluster)
    return code


def save(cluster: Object) -> None:
    """Whole or not at all."""
    new = f"{PLACE}.{os.getpid()}"
    with open(new, "w") as file:
        json.dump(cluster, file)
    os.replace(new, PLACE)


def get(cluster: Object, command: Command) -> int:
    """Objects by kind, name, namespace and labels."""
    resources, _, name = command.words[0].partition("/")
    name = name or (command.words[1] if len(command.words) > 1 else "")
    if resources in cluster["forbidden"]:
        fail(f"(Forbidden): {resources} is forbidden: User cannot list it")
    wanted = [KINDS[part] for part in resources.split(",")]
    labels = dict(pair.split("=") for pair in command.flags.get("--selector", "").split(",") if pair)
    found = [
        item
        for item in cluster["objects"]
        if item["kind"] in wanted
        and ("--all-namespaces" in command.flags or item["metadata"]["namespace"] == command.namespace)
        and labels.items() <= item["metadata"].get("labels", {}).items()
    ]
    if name:
        print(json.dumps(named(found, resources, name)))
    else:
        print(json.dumps({"kind": "List", "items": found}))
    if cluster["operator"] is not None:
        for item in cluster["objects"]:
            operate(cluster["operator"], item)
    return 0


def named(found: list[Object], resources: str, name: str) -> Object:
    """The one of that name."""
    for item in found:
        if item["metadata"]["name"] == name:
            return item
    fail(f'(NotFound): {resources} "{name}" not found')


def operate(answers: Object, item: Object) -> None:
    """One step of the operator on an object: the first of two takes a request up, the second ends it."""
    status, annotations = item.get("status", {}), item["metadata"].get("annotations", {})
    request = status.get("request")
    if request and request["outcome"] == "Pending":
        if (answer := answers.get(request["verb"])) is not None:
            request.update({"outcome": "Succeeded", "reason": "Done", "message": "", "completedAt": NOW} | answer)
        return
    for verb in VERBS:
        value = annotations.pop(f"oneseek.io/{verb}", None)
        if value is not None:
            by = annotations.pop("oneseek.io/requested-by", "")
            number = str(int(item["metadata"].get("resourceVersion", "0")) + 1)
            item["metadata"]["resourceVersion"] = number
            pending = {"outcome": "Pending", "reason": "Requested", "message": "under way", "createdAt": NOW}
            status["request"] = {"id": number, "verb": verb, "value": value, "requestedBy": by, **pending}
    if (wanted := answers.get("suspend")) is not None and item["kind"] in ("OneSeekModel", "TrainingRun"):
        status["observedGeneration"] = item["metadata"]["generation"]
        reason = "Suspended" if item["spec"].get("suspend") else wanted
        status["conditions"] = [{"type": "Ready", "status": "False", "reason": reason, "message": "as it was asked"}]


def annotate(cluster: Object, command: Command) -> int:
    """Annotations on an object that is still at the version that the caller has read."""
    target, *pairs = command.words
    item = writable(cluster, command, target)
    if item["metadata"].get("resourceVersion", "") != command.flags["--resource-version"]:
        conflict(cluster, target)
    item["metadata"].setdefault("annotations", {}).update(pair.split("=", 1) for pair in pairs)
    return 0


def patch(cluster: Object, command: Command) -> int:
    """A merge patch of the spec; as the API server does it, with the version as a condition."""
    item = writable(cluster, command, command.words[0])
    change = json.loads(command.flags["--patch"])
    if change["metadata"]["resourceVersion"] != item["metadata"].get("resourceVersion", ""):
        conflict(cluster, command.words[0])
    item["spec"].update(change["spec"])
    item["metadata"]["generation"] += 1
    return 0


def writable(cluster: Object, command: Command, target: str) -> Object:
    """The object that is to be written; a laid-down conflict happens first."""
    resources, _, name = target.partition("/")
    if "patch" in cluster["forbidden"]:
        fail(f"(Forbidden): {resources} is forbidden: User cannot patch it")
    here = [item for item in cluster["objects"] if item["metadata"]["namespace"] == command.namespace]
    item = named([one for one in here if one["kind"] == KINDS[resources]], resources, name)
    if cluster["conflicts"]:
        cluster["conflicts"] -= 1
        item["metadata"]["resourceVersion"] = item["metadata"].get("resourceVersion", "") + "1"
    return item


def conflict(cluster: Object, target: str) -> NoReturn:
    """Somebody was faster; what the object became stays."""
    save(cluster)
    fail(f"(Conflict): Operation cannot be fulfilled on {target}: the object has been modified; please try again")


def post(cluster: Object, command: Command) -> int:
    """`create --raw`: what lies at the path; an answer that is no object is an error's text."""
    body, path = json.load(sys.stdin), command.flags["--raw"]
    with open(f"{PLACE}.posts", "a") as file:
        file.write(json.dumps([path, body]) + "\n")
    answer = cluster["posts"].get(path)
    if answer is None:
        fail("(NotFound): the server could not find the requested resource")
    if isinstance(answer, str):
        fail(answer)
    print(json.dumps(answer))
    return 0


def logs(cluster: Object, command: Command) -> int:
    """The lines of a pod's container."""
    found = cluster["logs"].get(command.words[0].removeprefix("pod/"))
    if found is None:
        fail(f'(NotFound): pods "{command.words[0]}" not found')
    print("\n".join(found))
    return 0


def auth(cluster: Object, command: Command) -> int:
    """`auth whoami`."""
    if cluster["whoami"] is None:
        print('error: unknown command "whoami" for "kubectl auth"', file=sys.stderr)
        return 1
    print(json.dumps({"kind": "SelfSubjectReview", "status": {"userInfo": {"username": cluster["whoami"]}}}))
    return 0


def execute(cluster: Object, command: Command) -> int:
    """What is to run in a container runs here, with the container's environment."""
    target = command.words[0]
    found = cluster["containers"].get(f"{target}/{command.flags['-c']}")
    if found is None or command.namespace != "team":
        fail(f'(NotFound): pods "{target}" not found')
    if "says" in found:
        sys.stdout.write(found["says"])
        sys.stdout.flush()
        return 0
    import subprocess  # noqa: PLC0415 - only here, and it is slow to load

    done = subprocess.run([sys.executable, *command.inner[1:]], env={**os.environ, **found["environment"]}, check=False)
    if done.returncode:
        print(f"command terminated with exit code {done.returncode}", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
