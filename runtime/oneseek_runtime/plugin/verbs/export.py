"""`export MODEL DNA --to DIR|FILE.tar`: a certified version as an OCI image layout, to carry it to another cluster.

The version is read through a pod that serves the model, verified here by the very code that verifies in pods, and only
then written. What is written is complete or not there.
"""

from __future__ import annotations

import os
import tarfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.jobs.verify import VerifyReport
from oneseek_runtime.artifact.layout import METADATA
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.oci import Image, Written, write_archive, write_layout
from oneseek_runtime.plugin.ocibase import Base, blob_path, read_base
from oneseek_runtime.plugin.text import printable
from oneseek_runtime.plugin.verbs.verify import keys_of
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verdict, verify_folder

__all__ = ["add_arguments", "run"]

_CONTAINER = "sidecar"
_CURRENT = "current"
_ABOUT = """
Writes the certified version as an OCI image layout: one layer with the folder under models/<DNA>, the same digests
whenever and wherever it is exported. The signature is checked with the model's trusted keys before anything is written.

Push it:        skopeo copy --preserve-digests oci:DIR docker://REGISTRY/versions:v1      (or buildah push, crane push)
Import it:      spec.imports: [{image: REGISTRY/versions@sha256:...}]   on the other model, whose
                spec.certification.trustedKeys name the key that signed: kubectl get configmap MODEL-trusted-keys -o yaml

An import runs `cp` from the image, so the image must have one. Either
  - give --base the layout of a small image that has it (skopeo copy docker://busybox oci:BASE), whose layers come first;
  - or build on top of what was pushed, in two lines:
        FROM busybox
        COPY --from=REGISTRY/versions:v1 /models /models
Without either it still is an image: Kubernetes mounts it as an image volume.

With no registry between the clusters, put the layer on the other model's claim from any pod that mounts it and import
it by path:     kubectl exec -i POD -- tar -x -C CLAIM < DIR/blobs/sha256/LAYER        then
                spec.imports: [{path: models/<DNA>}]
"""


def add_arguments(parser: ArgumentParser) -> None:
    """What `export` takes."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.description = f"{parser.description}\n{_ABOUT}"
    parser.add_argument("model", metavar="MODEL", help="the OneSeekModel")
    parser.add_argument("dna", metavar="DNA", help="the version; `current` is the one that answers")
    parser.add_argument(
        "--to", required=True, metavar="DIR|FILE.tar", help="where to; it must not exist, or be an empty folder"
    )
    parser.add_argument("--base", metavar="LAYOUT", help="an OCI image layout whose layers come first")
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="of the image; else --base's own, or linux/amd64 where there is none"
    )


def run(call: Call) -> Answer:
    """Fetch, verify, write.

    Raises CannotTellError: the version is unknown or cannot be fetched, or the target cannot be written.
    """
    arguments = call.arguments
    target = _target(arguments.to)
    platform = _platform(arguments.platform)
    base = read_base(Path(arguments.base), platform) if arguments.base else None
    model = reading.read_model(call.kubectl, arguments.model)
    version = _version(model, arguments.dna)
    keys = keys_of(call, model)
    try:
        with TemporaryDirectory(dir=target.parent, prefix=".oneseek-export-") as scratch:
            folder = Path(scratch) / version.dna
            _fetch(call, model, version.dna, folder)
            expected = Expected(dna=version.dna, digest=version.digest, trusted=keys)
            report = verdict(lambda: verify_folder(folder, expected))
            if not report.ok:
                return _refused(model, version, report)
            layout = Path(scratch) / "layout"
            written = write_layout(folder, _image(folder, report, platform), layout, base)
            _put(layout, target)
    except OSError as error:
        raise CannotTellError(f"{arguments.to} cannot be written: {error.strerror or error}") from error
    return _answer(model, version, report, written, target=target, base=base)


def _target(text: str) -> Path:
    target = Path(text)
    if not target.parent.is_dir():
        raise CannotTellError(f"{target.parent} is no folder")
    if text.endswith(".tar"):
        there = os.path.lexists(target)
    else:
        there = os.path.lexists(target) and not (
            target.is_dir() and not target.is_symlink() and not any(target.iterdir())
        )
    if there:
        raise CannotTellError(f"{text} exists already and is not overwritten; name another place, or move it away")
    return target


def _platform(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    system, _, architecture = text.partition("/")
    if not system or not architecture or "/" in architecture:
        raise CannotTellError(f"{text!r} is no platform; write it as linux/arm64")
    return system, architecture


def _version(model: OneSeekModel, dna: str) -> Version:
    if dna == _CURRENT:
        if model.status.current is None:
            raise CannotTellError(f"no certified version of {model.metadata.name} answers; name a DNA")
        dna = model.status.current.dna
    found = next((item for item in model.status.versions if item.dna == dna), None)
    if found is None or not found.digest:
        known = ", ".join(item.dna for item in model.status.versions[:5]) or "none"
        raise CannotTellError(f"{model.metadata.name} knows no version {dna}; it knows {known}")
    if found.state == "Deleted":
        raise CannotTellError(f"{dna} was deleted; its bytes are gone")
    return found


def _fetch(call: Call, model: OneSeekModel, dna: str, folder: Path) -> None:
    """Have a pod that serves the model send the version; it may be another one than it serves."""
    pod = reading.running_pods(call.kubectl, model)[0]
    stream = folder.with_suffix(".stream")
    with stream.open("xb") as file:
        namespace = model.metadata.namespace
        call.kubectl.stream(f"pod/{pod}", _CONTAINER, ("folder", dna), file, namespace=namespace)
    try:
        _unpack(stream, folder)
    except tarfile.TarError as error:
        raise CannotTellError(f"what pod {pod} sent broke off ({error}); try again") from error
    stream.unlink()


def _unpack(stream: Path, folder: Path) -> None:
    """Write the stream's plain files below the new `folder`; anything else is no version and is not unpacked."""
    folder.mkdir()
    with tarfile.open(stream, "r:") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if not member.isreg() or member.name.startswith("/") or not parts or ".." in parts:
                raise CannotTellError(f"the pod sent {member.name[:200]!a}, which is no file of a version")
            path = folder.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            source = archive.extractfile(member)
            with path.open("xb") as file:
                while source and (chunk := source.read(1024 * 1024)):
                    file.write(chunk)


def _image(folder: Path, report: VerifyReport, platform: tuple[str, str] | None) -> Image:
    metadata = ArtifactMetadata.from_bytes((folder / METADATA).read_bytes())
    made_by = metadata.provenance
    annotations = {
        "org.opencontainers.image.title": str(report.dna),
        "org.opencontainers.image.version": metadata.version,
        "org.opencontainers.image.created": metadata.created_at,
        "org.opencontainers.image.description": f"A certified version (LoRA adapter) of {metadata.base_model}",
        "oneseek.io/dna": str(report.dna),
        "oneseek.io/digest": str(report.digest),
        "oneseek.io/signed-by": str(report.signed_by),
        "oneseek.io/base-model": metadata.base_model,
        **({"oneseek.io/base-model-digest": made_by.base_model_digest} if made_by else {}),
    }
    image = Image(str(report.dna), metadata.created_at, annotations)
    return Image(image.dna, image.created_at, image.annotations, platform) if platform else image


def _put(layout: Path, target: Path) -> None:
    """Give what was written its name in one step."""
    if target.name.endswith(".tar"):
        archive = layout.with_suffix(".tar")
        write_archive(layout, archive)
        archive.replace(target)
    else:
        layout.replace(target)


def _refused(model: OneSeekModel, version: Version, report: VerifyReport) -> Answer:
    document = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "exported": False,
        **report.to_wire(),
        "dna": version.dna,
    }
    lines = [f"NOT EXPORTED   {version.dna}", f"{report.reason}: {report.message}", "nothing was written"]
    return Answer(document, "\n".join(map(printable, lines)), Exit.REFUSED)


def _answer(
    model: OneSeekModel, version: Version, report: VerifyReport, written: Written, *, target: Path, base: Base | None
) -> Answer:
    archive = target.name.endswith(".tar")
    layer = written.layer.removeprefix("sha256:") if archive else str(blob_path(target, written.layer))
    document = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "exported": True,
        "dna": version.dna,
        "digest": version.digest,
        "signedBy": report.signed_by,
        "to": str(target),
        "form": "oci-archive" if archive else "oci",
        "image": written.manifest,
        "layer": written.layer,
        "tag": written.tag,
        "base": base.digest if base else None,
        "files": report.files,
        "bytes": report.bytes,
    }
    lines = [
        f"exported   {version.dna}",
        f"to         {document['form']}:{target}",
        f"image      {written.manifest}",
        f"layer      {layer}",
        f"verified   {report.files} files, {report.bytes} bytes, manifest {report.digest}, signed by {report.signed_by}",
    ]
    notes = []
    if base is None:
        notes.append("the image has no `cp`, which an import by image needs; see --base")
    if version.state in ("Quarantined", "Rejected"):
        notes.append(f"here the version is {version.state}: {version.reason or 'no reason is told'}")
    return Answer(document, "\n".join(map(printable, lines)), notes=tuple(notes))
