"""[I/O] Make the place: model, others' objects beside it, accounts, pods; and take it down again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from support.auth_accounts import token
from support.dev import url_of
from support.kube import Kube, condition, scratch_namespace
from support.makers import model_manifest, run_manifest
from support.tenant import actors
from support.tenant.attempt import Who
from support.tenant.hands import Hands, hands_in
from support.tenant.place import Place
from support.volumes import BASE_NAME, BASE_PATH, Given, given, trusted_keys

__all__ = ["settled"]

Object = dict[str, Any]
MODEL = "zero"
_SERVING = "app.kubernetes.io/component=serving,oneseek.io/model=zero"
_LEAST = 16  # characters of a secret that are looked for


@contextmanager
def settled() -> Iterator[Place]:
    """A place whose model answers."""
    with ExitStack() as stack:
        kube = stack.enter_context(scratch_namespace("tenant"))
        elsewhere = stack.enter_context(scratch_namespace("stranger"))
        found = stack.enter_context(given(kube, MODEL, versions=3))
        kube.apply(_model(kube, found), *_others(kube), *actors.accounts(kube))
        elsewhere.apply(*actors.account(elsewhere, "neighbour", actors.ACCOUNTS[Who.AUTHOR][1]))
        kube.apply(actors.pod(kube, "nobody"))
        elsewhere.apply(actors.pod(elsewhere, "nobody"))
        model = kube.wait("oneseekmodel", MODEL, _answers, within=240, what="Ready")
        kube.apply(run_manifest("first", MODEL, kube.namespace))
        run = kube.wait("trainingrun", "first", lambda item: bool(item.get("status", {}).get("conditions")), within=30)
        colour = model["status"]["colour"]
        labels = {"oneseek.io/model": MODEL, "app.kubernetes.io/component": "serving"}
        kube.apply(actors.train_pod(model, run), actors.pod(kube, "lookalike", labels))
        kube.apply(actors.pod(kube, "writer", models=found.claim, records=f"data-{MODEL}-records-0"))
        kube.apply(actors.pod(kube, "impostor", {**labels, "oneseek.io/colour": colour}))
        for one in {*actors.PODS.values()}:
            kube.wait("pod", one, _runs, within=60, what="Running")
        elsewhere.wait("pod", "nobody", _runs, within=60, what="Running")
        yield _place(kube, elsewhere, found, stack)


def _answers(item: Object) -> bool:
    return condition(item).get("status") == "True" and "current" in item["status"]


def _runs(item: Object) -> bool:
    return item["status"].get("phase") == "Running"


def _model(kube: Kube, found: Given) -> Object:
    """Trains nothing by itself: runs are what attempts are made of here, and two cores have other things to do."""
    return model_manifest(
        MODEL,
        kube.namespace,
        baseModel={"name": BASE_NAME, "source": {"path": BASE_PATH}},
        storage={"claimName": found.claim},
        certification={"trustedKeys": trusted_keys()},
        serving={"serviceType": "NodePort", "rateLimits": {"enabled": False}},
        training={"suspend": True, "micro": {"enabled": True}},
    )


def _others(kube: Kube) -> list[Object]:
    """What other people keep in the namespace, under names that a model of theirs would take."""

    def named(kind: str, name: str, **more: Any) -> Object:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": kube.namespace}, **more}

    port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    secret = {"token": "hf_" + "5" * 34 + "\n", "password": "correct-horse-battery-staple"}
    return [
        named("Service", "payments", spec={"selector": {"app": "payments"}, "ports": [port]}),
        named("PersistentVolumeClaim", "payroll-models", spec=claim),
        named("ServiceAccount", "oneseek-sidecar-payouts"),
        named("ConfigMap", "ledgers-trusted-keys", data={"model.pub": "theirs"}),
        named("Secret", "payments", stringData=secret),
        named("ConfigMap", "data", data={"data.jsonl": '{"instruction": "a", "input": "", "output": "b"}\n'}),
    ]


def _place(kube: Kube, elsewhere: Kube, found: Given, stack: ExitStack) -> Place:
    serving = kube.list("pods", _SERVING)
    own = next(item for item in serving if item["metadata"].get("ownerReferences"))
    records, impostor = kube.get("pod", f"{MODEL}-records-0"), kube.get("pod", "impostor")
    operator = Kube("oneseek-system").list("pods")[0]
    api, dns = Kube("default").get("service", "kubernetes"), Kube("kube-system").list("services")[0]
    service, records_service = kube.get("service", MODEL), kube.get("service", f"{MODEL}-records")
    assert all((records, impostor, api, service, records_service)), "what the operator makes is there"
    pod_name: str = own["metadata"]["name"]
    run = kube.get("trainingrun", "first")
    assert run
    facts = {
        "namespace": kube.namespace,
        "elsewhere": elsewhere.namespace,
        **dict(zip(("first", "other", "current"), found.versions, strict=True)),
        "claim": found.claim,
        "colour": own["metadata"]["labels"]["oneseek.io/colour"],
        "pod": own["status"]["podIP"],
        "pod_name": pod_name,
        "records": records["status"]["podIP"],
        "records_service": records_service["spec"]["clusterIP"],
        "service": service["spec"]["clusterIP"],
        "impostor": impostor["status"]["podIP"],
        "operator": operator["status"]["podIP"],
        "node": own["status"]["hostIP"],
        "api": api["spec"]["clusterIP"],
        "dns": dns["spec"]["clusterIP"],
        "run_uid": run["metadata"]["uid"],
        "sidecar": f"system:serviceaccount:{kube.namespace}:oneseek-sidecar-{MODEL}",
        "promoter": f"system:serviceaccount:{kube.namespace}:promoter",
        **{f"{name}_token": token(kube, name) for name in (account for account, _ in actors.ACCOUNTS.values())},
        "public_key": trusted_keys()[0],
        "api_token": token(kube, "promoter", "https://kubernetes.default.svc"),
        "neighbour_token": token(elsewhere, "neighbour"),
    }
    tokens = {
        who: kube.kubectl("create", "token", name, "--duration", "1h").strip()
        for who, (name, _) in actors.ACCOUNTS.items()
    }

    def enter(who: Who) -> AbstractContextManager[Hands]:
        if who in (Who.SIDECAR, Who.ENGINE):
            return hands_in(kube, pod_name, "sidecar" if who is Who.SIDECAR else "engine")
        return hands_in(elsewhere if who in (Who.NOBODY, Who.CLIENT) else kube, actors.PODS[who], "main")

    place = Place(
        kube=kube,
        elsewhere=elsewhere,
        given=found,
        url=url_of(kube.namespace, MODEL),
        facts=facts,
        apis={},
        secrets=_secrets(kube),
        enter=enter,
        stack=stack,
    )
    taken = place.hands(Who.SIDECAR).do("read", path="/var/run/secrets/kubernetes.io/serviceaccount/token").said
    tokens |= {
        Who.SIDECAR: taken,
        Who.NOBODY: "",
        Who.NEIGHBOUR: elsewhere.kubectl("create", "token", "neighbour", "--duration", "1h").strip(),
    }
    place.apis = {who: actors.api_of(kube, bearer) for who, bearer in tokens.items()}
    place.was = place.look()
    return place


def _secrets(kube: Kube) -> list[str]:
    """Every line of every value of every Secret that is long enough to be one."""
    found = set()
    for item in json.loads(kube.kubectl("get", "secrets", "-o", "json"))["items"]:
        for value in item.get("data", {}).values():
            text = base64.b64decode(value).decode("latin-1")
            found |= {line for line in text.splitlines() if len(line) >= _LEAST and "-----" not in line}
    return sorted(found)
