"""What people, and a sidecar's account, ask of the API server that is not theirs to ask."""

from __future__ import annotations

from typing import Any

from support.tenant.attempt import Attempt, Refusal, Who, policy, rbac, schema
from support.tenant.calls import api, noted, patched

__all__ = ["ATTEMPTS"]

EDIT, AUTHOR, PROMOTER, VIEWER, SIDECAR = Who.EDIT, Who.AUTHOR, Who.PROMOTER, Who.VIEWER, Who.SIDECAR
NOBODY = Who.NOBODY
_CERTIFIED = {"status": {"current": {"dna": "$first"}}}
_BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "mine"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "editor", "namespace": "$namespace"}],
}
_REVIEWERS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/oneseek-system-oneseek-operator-tokens"
_ME = {"subjects": [{"kind": "ServiceAccount", "name": "editor", "namespace": "$namespace"}]}
_SYSTEM = "/api/v1/namespaces/oneseek-system"
_THROUGH = "pods/$pod_name/proxy/internal/swap"


def _pod(**spec: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "x", "securityContext": spec.pop("security", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mine"},
        "spec": {"containers": [main], **spec},
    }


def _standard() -> Refusal:
    return Refusal("Pod Security Standard", 'violates PodSecurity "restricted', 403)


ATTEMPTS = (
    Attempt("read the model's signing key", EDIT, api("GET", "secrets/zero-signing-keys"), rbac('cannot get resource "secrets"')),
    Attempt("list the namespace's Secrets", EDIT, api("GET", "secrets"), rbac('cannot list resource "secrets"')),
    Attempt("read the operator's own key", EDIT, api("GET", f"{_SYSTEM}/secrets/oneseek-operator-key"), rbac('cannot get resource "secrets"')),
    Attempt("open a shell in the operator's pod", EDIT, api("POST", f"{_SYSTEM}/pods/any/exec?command=sh"), rbac('cannot create resource "pods/exec"')),
    Attempt("write another version into the model's status", EDIT, api("PATCH", "ours:oneseekmodels/zero/status", _CERTIFIED), rbac('cannot patch resource "oneseekmodels/status"')),
    Attempt("write a DNA into a run's status", EDIT, api("PATCH", "ours:trainingruns/first/status", {"status": {"dna": "$first"}}), rbac('cannot patch resource "trainingruns/status"')),
    Attempt("promote as the sidecar's account, impersonated", EDIT, noted("oneseekmodels", "zero", {"Impersonate-User": "$sidecar"}, promote="$first", requested_by="anna via oneseek-sidecar-zero"), policy("this does not come from a pod of theirs"), "M3"),
    Attempt("impersonate the sidecar's account with a pod's name in the extras", EDIT, noted("oneseekmodels", "zero", {"Impersonate-User": "$sidecar", "Impersonate-Extra-Authentication.kubernetes.io%2fpod-name": "$pod_name"}, promote="$first", requested_by="anna via oneseek-sidecar-zero"), rbac('cannot impersonate resource "userextras/authentication.kubernetes.io/pod-name"')),
    Attempt("impersonate the operator", EDIT, api("GET", "ours:oneseekmodels", headers={"Impersonate-User": "system:serviceaccount:oneseek-system:oneseek-operator"}), rbac('cannot impersonate resource "serviceaccounts"')),
    Attempt("enter oneself among those who review tokens", EDIT, api("PATCH", _REVIEWERS, _ME), rbac('cannot patch resource "clusterrolebindings"')),
    Attempt("give oneself `admin`", EDIT, api("POST", "rbac.authorization.k8s.io:rolebindings", _BINDING), rbac('cannot create resource "rolebindings"')),
    Attempt("widen the sidecar's role", EDIT, api("PATCH", "rbac.authorization.k8s.io:roles/oneseek-sidecar-zero", {"rules": []}), rbac('cannot patch resource "roles"')),
    Attempt("put a container into a serving pod", EDIT, api("PATCH", "pods/$pod_name/ephemeralcontainers", {"spec": {"ephemeralContainers": [{"name": "mine", "image": "x"}]}}), rbac('cannot patch resource "pods/ephemeralcontainers"')),
    Attempt("mount the node's disk, where claims lie", EDIT, api("POST", "pods", _pod(volumes=[{"name": "node", "hostPath": {"path": "/"}}])), _standard()),
    Attempt("run as root with the node's network", EDIT, api("POST", "pods", _pod(hostNetwork=True, security={"runAsUser": 0})), _standard()),
    Attempt("switch the admission policies off", EDIT, api("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/oneseek-system-oneseek-operator-requests"), rbac('cannot delete resource "validatingadmissionpolicies"')),
    Attempt("rewrite the kind's definition", EDIT, api("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/oneseekmodels.oneseek.io", {"spec": {}}), rbac('cannot patch resource "customresourcedefinitions"')),
    Attempt("promote without the verb", AUTHOR, noted("oneseekmodels", "zero", promote="$first"), policy("may not promote oneseekmodels.oneseek.io/zero")),
    Attempt("roll back without the verb", AUTHOR, noted("oneseekmodels", "zero", rollback="base"), policy("may not rollback oneseekmodels.oneseek.io/zero")),
    Attempt("reset without the verb", AUTHOR, noted("oneseekmodels", "zero", reset="RESET"), policy("may not reset oneseekmodels.oneseek.io/zero")),
    Attempt("have a window trained without the verb", PROMOTER, noted("oneseekmodels", "zero", micro_window="1"), policy("may not train oneseekmodels.oneseek.io/zero")),
    Attempt("open the routes to everybody, to reset without the verb", AUTHOR, patched({"serving": {"auth": {"mode": "Legacy"}}}), policy("spec.serving.auth.mode: Legacy lets everybody do it")),
    Attempt("acknowledge another ledger with the right to promote", PROMOTER, noted("oneseekmodels", "zero", acknowledge_ledger="0" * 64), policy("may not acknowledge-ledger oneseekmodels.oneseek.io/zero")),
    Attempt("acknowledge another ledger", SIDECAR, noted("oneseekmodels", "zero", acknowledge_ledger="0" * 64, requested_by="anna via oneseek-sidecar-zero"), policy("is a sidecar, and no route of it asks for this")),
    Attempt("release what is in quarantine", SIDECAR, noted("oneseekmodels", "zero", release="all", requested_by="anna via oneseek-sidecar-zero"), policy("is a sidecar, and no route of it asks for this")),
    Attempt("ask in another's name", PROMOTER, noted("oneseekmodels", "zero", promote="$first", requested_by="anna"), policy("oneseek.io/requested-by is anna, but the one who asks is")),
    Attempt("say that the sidecar vouches", PROMOTER, noted("oneseekmodels", "zero", promote="$first", requested_by="anna via oneseek-sidecar-zero"), policy("but the one who asks is"), "held"),
    Attempt("change the spec with the right to promote", PROMOTER, patched({"suspend": True}), policy("may patch oneseekmodels.oneseek.io/zero and not update it"), "H4"),
    Attempt("trust a key of one's own with the right to promote", PROMOTER, patched({"certification": {"trustedKeys": []}}), policy("may patch oneseekmodels.oneseek.io/zero and not update it")),
    Attempt("take the finalizer off with the right to promote", PROMOTER, api("PATCH", "ours:oneseekmodels/zero", {"metadata": {"finalizers": []}}), policy("may patch oneseekmodels.oneseek.io/zero and not update it")),
    Attempt("write the status with the right to promote", PROMOTER, api("PATCH", "ours:oneseekmodels/zero/status", _CERTIFIED), rbac('cannot patch resource "oneseekmodels/status"')),
    Attempt("delete the model with the right to promote", PROMOTER, api("DELETE", "ours:oneseekmodels/zero"), rbac('cannot delete resource "oneseekmodels"')),
    Attempt("promote with the right to look", VIEWER, noted("oneseekmodels", "zero", promote="$first"), rbac('cannot patch resource "oneseekmodels"')),
    Attempt("train with the right to look", VIEWER, api("POST", "ours:trainingruns", {"apiVersion": "oneseek.io/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "mine"}, "spec": {}}), rbac('cannot create resource "trainingruns"')),
    Attempt("read Secrets", SIDECAR, api("GET", "secrets"), rbac('cannot list resource "secrets"')),
    Attempt("read the trusted keys at their source", SIDECAR, api("GET", "configmaps/zero-trusted-keys"), rbac('cannot get resource "configmaps"')),
    Attempt("say which version is wanted", SIDECAR, api("PATCH", "configmaps/zero-$colour-wanted", {"data": {"wanted.json": "{}"}}), rbac('cannot patch resource "configmaps"')),
    Attempt("point the Service at another colour", SIDECAR, api("PATCH", "services/zero", {"spec": {"selector": {"a": "b"}}}), rbac('cannot patch resource "services"')),
    Attempt("change its model's spec", SIDECAR, patched({"suspend": True}), policy("may change nothing of its OneSeekModel but annotations that start with oneseek.io/"), "held"),
    Attempt("take its model's finalizer off", SIDECAR, api("PATCH", "ours:oneseekmodels/zero", {"metadata": {"finalizers": []}}), policy("may change nothing of its OneSeekModel"), "held"),
    Attempt("give its model an owner, to have it deleted", SIDECAR, api("PATCH", "ours:oneseekmodels/zero", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "0"}]}}), policy("may change nothing of its OneSeekModel"), "held"),
    Attempt("write its model's status", SIDECAR, api("PATCH", "ours:oneseekmodels/zero/status", _CERTIFIED), rbac('cannot patch resource "oneseekmodels/status"')),
    Attempt("ask of another model", SIDECAR, noted("oneseekmodels", "other", promote="$first"), rbac('cannot patch resource "oneseekmodels"'), "held"),
    Attempt("make a run", SIDECAR, api("POST", "ours:trainingruns", {"apiVersion": "oneseek.io/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "mine"}, "spec": {}}), rbac('cannot create resource "trainingruns"')),
    Attempt("promote in a person's own name", SIDECAR, noted("oneseekmodels", "zero", promote="$first", requested_by="$promoter"), policy("a sidecar names the person it asks for"), "held"),
    Attempt("promote in the name of another sidecar", SIDECAR, noted("oneseekmodels", "zero", promote="$first", requested_by="anna via oneseek-sidecar-one"), policy("a sidecar names the person it asks for"), "held"),
    Attempt("impersonate the operator from its pod", SIDECAR, api("GET", "ours:oneseekmodels/zero", headers={"Impersonate-User": "system:serviceaccount:oneseek-system:oneseek-operator"}), rbac("cannot impersonate resource")),
    Attempt("make itself another token", SIDECAR, api("POST", "serviceaccounts/oneseek-sidecar-zero/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}), rbac('cannot create resource "serviceaccounts/token"')),
    Attempt("read models of another namespace", SIDECAR, api("GET", "/apis/oneseek.io/v1alpha1/namespaces/$elsewhere/oneseekmodels"), rbac('cannot list resource "oneseekmodels"')),
    Attempt("read the model without a token", NOBODY, api("GET", "ours:oneseekmodels/zero"), rbac('User "system:anonymous" cannot get resource "oneseekmodels"')),
    Attempt("flood an object with 300 KiB of annotations", AUTHOR, noted("oneseekmodels", "zero", note="x" * 300_000), schema("may not be more than 262144 bytes")),
    Attempt("write 4 MB into a spec", AUTHOR, patched({"version": "v" * 4_000_000}), Refusal("API server", "", 413)),
)  # fmt: skip
