"""Whether a Secret that somebody may not read can be sent to an address of theirs: admission, operator, sidecar, one after another."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import cel
import yaml

from oneseek_core import names
from support.asgi import REPOSITORY, serving
from support.audit.attempts import ROOT, RefusedError
from support.driver import settle
from support.makers import model_manifest
from support.openai_simulator import OpenAISimulator
from support.sidecar_process import sidecar_process
from support.world import World

SECRET, VALUE = "somebody-elses", "the-password-in-it"


async def make(folder: Path, attempt: Callable[[str, Coroutine[Any, Any, str]], Coroutine[Any, Any, None]]) -> None:
    await attempt("secret", secret(folder))


async def secret(folder: Path) -> str:
    """Who may write OneSeekModels, and read no Secret, names one with a URL of their own; then anybody asks a question."""
    thief = OpenAISimulator(["m"])
    async with serving(thief.app()) as url:
        external = {"name": "other", "url": f"{url}/v1", "model": "m", "keySecret": {"name": SECRET}}
        model = model_manifest(serving={"externalModels": [external]})
        for refusal in refusals(model):
            raise RefusedError(f"admission policy: {refusal}")
        world = World()
        world.apply_as_user(model)
        await settle(world)
        pod = next(item for key, item in world.objects.items() if key[0] == "Deployment")["spec"]["template"]["spec"]
        sidecar = next(one for one in pod["containers"] if one["name"] == "sidecar")
        told = next(one["value"] for one in sidecar["env"] if one["name"] == names.EXTERNAL_MODELS_ENV)
        assert SECRET in json.dumps(pod["volumes"])
        key = folder / "key"
        key.write_text(VALUE)
        ours = [one | {"keyPath": str(key)} for one in json.loads(told)]
        environment = {names.EXTERNAL_MODELS_ENV: json.dumps(ours)}
        async with (
            sidecar_process(folder, certified=folder, **environment) as process,
            aiohttp.ClientSession(process.url) as client,
        ):
            body = {"question": "Vem är du?", "includeExternal": True}
            async with client.post("/api/oqt/multi-model-query", json=body) as answer:
                said = await answer.text()
    if f"Bearer {VALUE}" not in thief.keys:
        raise RefusedError(said)
    return "no policy asks who names a Secret; a question without a token had the sidecar send its value there"


def refusals(manifest: dict[str, Any]) -> Iterator[str]:
    """What the chart's admission policies say to it as a new object, by somebody who may get no Secret."""
    images = [word for one in ("operator", "slim", "runtime") for word in ("--set", f"images.{one}=x:1")]
    helm = [str(ROOT / ".local/bin/helm"), "template", "oneseek", str(REPOSITORY / "charts/oneseek"), *images]
    done = subprocess.run([*helm, "--kube-version", "1.34.0"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for item in yaml.safe_load_all(done.stdout):
        if item and item["kind"] == "ValidatingAdmissionPolicy":
            yield from _refusals(item["spec"], manifest)


def _refusals(policy: dict[str, Any], manifest: dict[str, Any]) -> Iterator[str]:
    request = {
        "userInfo": {"username": "editor", "groups": ["system:authenticated"], "extra": {}},
        "namespace": manifest["metadata"]["namespace"],
        "operation": "CREATE",
        "name": manifest["metadata"]["name"],
        "resource": {"resource": "oneseekmodels"},
    }
    variables: dict[str, Any] = {}
    scope = {"request": request, "object": manifest, "oldObject": None, "authorizer": {}, "variables": variables}
    if not all(_value(one["expression"], scope) for one in policy.get("matchConditions", [])):
        return
    for one in policy.get("variables", []):
        variables[one["name"]] = _value(one["expression"], scope)
    for rule in policy["validations"]:
        if not _value(rule["expression"], scope):
            yield str(_value(rule["messageExpression"], scope))


_PATH, _STEP = r"((?:\w+\.)*\w+)", r"\.\?(\w+)|\[\?'([^']+)'\]"
_STEPS = f"((?:{_STEP.replace('(', '(?:')})+)"


def _value(expression: str, scope: dict[str, Any]) -> Any:
    """The value of a CEL expression. The library has no optional fields: they become calls of functions."""

    def call(function: str, end: str) -> Callable[[re.Match[str]], str]:
        def made(found: re.Match[str]) -> str:
            words = [field or key for field, key in re.findall(_STEP, found[2])]
            return f"{function}({found[1]}, {json.dumps(words)}{end}"

        return made

    text = re.sub(rf"\[\?{_PATH}{_STEPS}\]", call("maybe", ")"), expression)
    text = re.sub(rf"{_PATH}{_STEPS}\.orValue\(", call("orValue", ", "), text)
    context = cel.Context()
    for name, value in scope.items():
        context.add_variable(name, value)
    for name, function in _FUNCTIONS.items():
        context.add_function(name, function)
    return cel.evaluate(text, context)


def _or(value: Any, words: list[str], default: Any) -> Any:
    for word in words:
        if not isinstance(value, dict) or word not in value:
            return default
        value = value[word]
    return value


def _asking(part: str) -> Callable[[dict[str, Any], str], dict[str, Any]]:
    return lambda asked, value: {**asked, part: value}


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "orValue": _or,
    "maybe": lambda value, words: [found] if (found := _or(value, words, None)) is not None else [],
    "indexOf": lambda items, item: items.index(item),
    "join": lambda items, between: between.join(items),
    "dyn": lambda value: value,
    "allowed": lambda asked: asked["group"] == names.GROUP,
    **{part: _asking(part) for part in ("group", "resource", "namespace", "name", "check")},
}
