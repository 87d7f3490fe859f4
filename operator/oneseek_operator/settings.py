"""[I/O] The environment, read once into a value."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, SecretBytes

__all__ = ["Settings"]


class Settings(BaseModel):
    """What the chart tells the operator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slim_image: str
    runtime_image: str
    firestore_image: str = ""
    """Of the records services that keep their records in Firestore; empty: there can be none."""
    image_pull_secrets: tuple[str, ...] = ()
    hugging_face_endpoint: str = ""
    namespaces: tuple[str, ...] = ()
    namespace: str = "default"
    probe_question: str = "Vem är du?"
    candidate_deadline_seconds: int = 900
    admission_policy: bool = False
    """The API server itself makes sure that `oneseek.io/requested-by` is the writer's own name."""
    token_reviewers: str = ""
    """The ClusterRole, and the ClusterRoleBinding of that name, that lets sidecars review tokens; empty: there is none."""
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
                "hugging_face_endpoint": env.get("ONESEEK_HF_ENDPOINT", ""),
                "namespaces": words("ONESEEK_NAMESPACES"),
                "namespace": env.get("ONESEEK_NAMESPACE") or "default",
                "probe_question": env.get("ONESEEK_PROBE_QUESTION") or "Vem är du?",
                "admission_policy": env.get("ONESEEK_ADMISSION_POLICY") == "on",
                "token_reviewers": env.get("ONESEEK_TOKEN_REVIEWERS", ""),
                "internal_tls": env.get("ONESEEK_INTERNAL_TLS") == "Operator",
                "candidate_deadline_seconds": int(env.get("ONESEEK_CANDIDATE_DEADLINE_SECONDS") or 900),
            }
        )
