"""[I/O] The environment, read once into a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SecretBytes

from oneseek_core.api.base import ApiModel

__all__ = ["Destinations", "NetworkPolicies", "Settings"]


class Destinations(ApiModel):
    """Where pods may connect to for one purpose: ports, of these NetworkPolicyPeers (empty: of any)."""

    ports: tuple[int, ...]
    to: tuple[dict[str, Any], ...] = ()


class NetworkPolicies(ApiModel):
    """The chart's values of `networkPolicies`, and the labels of the operator's own pod."""

    operator: dict[str, str]
    public_from: tuple[dict[str, Any], ...] = ()
    dns: Destinations
    api_server: Destinations
    hub: Destinations


class Settings(BaseModel):
    """The chart's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slim_image: str
    runtime_image: str
    firestore_image: str = ""
    """Of the records services that keep their records in Firestore; empty: there can be none."""
    image_pull_secrets: tuple[str, ...] = ()
    user_image_pull_policy: Literal["Always", "IfNotPresent"] = "Always"
    """Of images that users name: a node hands out what it has cached without asking whose it is."""
    hugging_face_endpoint: str = ""
    namespaces: tuple[str, ...] = ()
    namespace: str = "default"
    probe_question: str = "Vem är du?"
    candidate_deadline_seconds: int = 900
    admission_policy: bool = False
    """The API server itself makes sure that `oneseek.io/requested-by` is the writer's own name."""
    token_reviewers: str = ""
    """The ClusterRole, and the ClusterRoleBinding of that name, that lets sidecars review tokens; empty: there is none."""
    network_policies: NetworkPolicies | None = None
    """What the policies of every model's pods say; None: there are none."""
    internal_tls: bool = False
    """What a model's own parts say to each other, and the operator to them, goes over TLS, with certificates of ours."""
    token_key: SecretBytes = SecretBytes(b"")
    """The operator's own key, from which tokens are derived; from its Secret, not from the environment."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Settings:
        """Read `ONESEEK_*`.

        Raises:
            pydantic.ValidationError: an image is not named.
        """

        def words(name: str) -> tuple[str, ...]:
            return tuple(env.get(name, "").split())

        return cls.model_validate(
            {
                "slim_image": env.get("ONESEEK_SLIM_IMAGE") or None,
                "runtime_image": env.get("ONESEEK_RUNTIME_IMAGE") or None,
                "firestore_image": env.get("ONESEEK_FIRESTORE_IMAGE", ""),
                "image_pull_secrets": words("ONESEEK_IMAGE_PULL_SECRETS"),
                "user_image_pull_policy": env.get("ONESEEK_USER_IMAGE_PULL_POLICY") or "Always",
                "hugging_face_endpoint": env.get("ONESEEK_HF_ENDPOINT", ""),
                "namespaces": words("ONESEEK_NAMESPACES"),
                "namespace": env.get("ONESEEK_NAMESPACE") or "default",
                "probe_question": env.get("ONESEEK_PROBE_QUESTION") or "Vem är du?",
                "admission_policy": env.get("ONESEEK_ADMISSION_POLICY") == "on",
                "token_reviewers": env.get("ONESEEK_TOKEN_REVIEWERS", ""),
                "network_policies": _network_policies(env),
                "internal_tls": env.get("ONESEEK_INTERNAL_TLS") == "Operator",
                "candidate_deadline_seconds": int(env.get("ONESEEK_CANDIDATE_DEADLINE_SECONDS") or 900),
            }
        )


def _network_policies(env: Mapping[str, str]) -> NetworkPolicies | None:
    """The chart's values, with the API server's port in this cluster added."""
    text = env.get("ONESEEK_NETWORK_POLICIES")
    if not text:
        return None
    policies = NetworkPolicies.model_validate_json(text)
    own = int(env.get("KUBERNETES_SERVICE_PORT") or 443)
    ports = tuple(dict.fromkeys((*policies.api_server.ports, own)))
    return policies.model_copy(update={"api_server": policies.api_server.model_copy(update={"ports": ports})})
