"""What users get wrong in models, on a real cluster: a base model or a claim that cannot be had is named with its reason."""

from __future__ import annotations

from typing import Any

from support.cluster_objects import tiny_model
from support.images import images
from support.kube import Kube

DIGEST = "sha256:" + "0" * 64


def model_fails(kube: Kube, manifest: dict[str, Any], reason: str, *words: str, within: float = 120) -> None:
    """The model says why it cannot be; its Event too."""
    name = manifest["metadata"]["name"]
    kube.apply(manifest)
    ready = kube.wait_reason("oneseekmodel", name, reason, within=within)
    assert ready["status"] == "False"
    for word in words:
        assert word in ready["message"]
    kube.wait_event(name, reason)
    kube.delete("oneseekmodel", name)


def base(**source: Any) -> dict[str, Any]:
    """A base model from a source."""
    return {"name": "mine", "source": source}


def test_a_base_model_that_cannot_be_had_is_named(kube: Kube) -> None:
    missing = tiny_model(kube.namespace, "no-repo", baseModel=base(huggingFace={"repo": "no/such-model"}))
    model_fails(kube, missing, "BaseModelUnavailable", "no/such-model", within=180)


def test_a_base_image_that_cannot_be_pulled_is_named(kube: Kube) -> None:
    image = "registry.oneseek.internal/oneseek/nothing:1"
    model_fails(kube, tiny_model(kube.namespace, "no-image", baseModel=base(image=image)), "ImageUnavailable", image)


def test_a_base_path_that_is_not_on_the_claim_is_named(kube: Kube) -> None:
    model_fails(kube, tiny_model(kube.namespace, "no-path", baseModel=base(path="a/b")), "BaseModelUnavailable", "a/b")


def test_a_base_model_other_than_the_pinned_one_is_refused(kube: Kube) -> None:
    pinned = base(image=images()["base-tiny"]) | {"digest": DIGEST}
    model_fails(kube, tiny_model(kube.namespace, "pinned", baseModel=pinned), "BaseModelDigestDiffers", DIGEST)


def test_a_claim_that_does_not_exist_is_named(kube: Kube) -> None:
    model_fails(
        kube, tiny_model(kube.namespace, "no-claim", storage={"claimName": "absent"}), "ClaimNotFound", "absent"
    )


def test_a_claim_that_no_volume_fits_is_told(kube: Kube) -> None:
    storage = {"size": "900Ti", "reclaimPolicy": "Delete"}
    model_fails(kube, tiny_model(kube.namespace, "huge", storage=storage), "ClaimNotBound", "persistent volume")


def test_a_volume_that_is_too_small_is_told(kube: Kube) -> None:
    storage = {"size": "10Mi", "storageClassName": "oneseek-tiny", "reclaimPolicy": "Delete"}
    big = base(image=images()["base-smollm2"])
    model_fails(kube, tiny_model(kube.namespace, "tiny-disk", storage=storage, baseModel=big), "StorageFull", "larger")


def test_a_claim_of_another_model_is_refused(kube: Kube) -> None:
    kube.apply(tiny_model(kube.namespace, "owner", serving={"replicas": 0}))
    kube.wait("oneseekmodel", "owner", lambda item: "baseModel" in item["status"], within=120)
    thief = tiny_model(kube.namespace, "thief", storage={"claimName": "owner-models"})
    model_fails(kube, thief, "ClaimInUse", f"{kube.namespace}/owner")
