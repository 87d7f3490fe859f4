"""What a pod that mounts the whole claim may break: a version, and the base model. Neither may answer then.

These come last: what was tampered with goes to quarantine.
"""

from __future__ import annotations

from support.kube import condition
from support.tenant import actors
from support.tenant.attempt import Attempt, Call, Refusal, Seen, Who, operator
from support.tenant.calls import file, noted, osdo, python
from support.tenant.place import Place, conditions

__all__ = ["ATTEMPTS"]

WRITER = Who.WRITER
_ALONE = "OneSeek-7B-Zero.v9.0.sv.dsIdentity.00000000.00000000"
_QUARANTINE = (
    "status.quarantine",
    "status.selection",  # what the promoter asked for
    "status.versions",
    "file oneseek-certified/$first",
    "file oneseek-certified/.quarantine",
)
_FLIP = """
path = "/models/oneseek-certified/$first/adapter_model.safetensors"
data = bytearray(open(path, "rb").read())
data[-1] ^= 1
open(path, "wb").write(data)
said = "written"
"""
_SWAP_BASE = """
path = "/models/basemodeller/tiny/config.json"
text = open(path).read()
open(path, "w").write(text + " ")
said = "written"
"""
_MARK = "/models/oneseek-certified/OneSeek-7B-Zero-CURRENT.txt"


def then(*steps: Call, asks: str = "", reason: str = "", within: float = 60) -> Call:
    """The steps, then the promoter promotes; what the model says of it in the end."""

    def call(place: Place, who: Who) -> Seen:
        for step in steps:
            seen = step(place, who)
            if not seen.said.startswith(("written", "done")):
                return seen
        if asks:
            asked = noted("oneseekmodels", "zero", promote=asks)(place, Who.PROMOTER)
            if asked.status != 200:
                return asked
        return Seen(conditions(place.kube, "OneSeekModel", "zero", place.fill(reason), within=within))

    return call


def still_ready(*steps: Call) -> Call:
    """The steps, and whether the model still answers as it did."""

    def call(place: Place, who: Who) -> Seen:
        for step in steps:
            seen = step(place, who)
            if not seen.said.startswith(("written", "done")):
                return seen
        ready = condition(place.kube.get("oneseekmodel", "zero") or {})
        return Seen(f"answers as before: {ready.get('status')}")

    return call


_KEEP = """
import os, shutil
os.makedirs("/records/kept", exist_ok=True)
for name in os.listdir("/records"):
    if name.startswith("records.sqlite3"):
        shutil.copy("/records/" + name, "/records/kept/" + name)
said = "done"
"""
_PUT_BACK = """
import os
for name in ("records.sqlite3-wal", "records.sqlite3-shm", "records.sqlite3"):
    if os.path.exists("/records/kept/" + name):
        os.replace("/records/kept/" + name, "/records/" + name)
    elif os.path.exists("/records/" + name):
        os.remove("/records/" + name)
said = "done"
"""


def older_ledger(place: Place, who: Who) -> Seen:
    """The copy that was kept before the latest transitions comes back, and the records pod starts anew."""
    put = python(_PUT_BACK)(place, who)
    if put.said != "done":
        return put
    place.kube.delete("pod", "zero-records-0")
    noted("oneseekmodels", "zero", promote=_ALONE)(place, Who.PROMOTER)
    return Seen(conditions(place.kube, "OneSeekModel", "zero", "LedgerRolledBack", within=60))


def certified(*steps: Call) -> Call:
    """The train pod's code leaves something in staging; then certify looks at it, as the operator would have it do."""

    def call(place: Place, who: Who) -> Seen:
        for step in steps:
            seen = step(place, who)
            if not seen.said.startswith(("written", "done")):
                return seen
        model, run = place.kube.get("oneseekmodel", "zero"), place.kube.get("trainingrun", "first")
        assert model is not None
        assert run is not None
        place.kube.apply(actors.certify_pod(model, run))
        try:
            pod = place.kube.wait("pod", "certify", lambda item: item["status"]["phase"] == "Failed", within=60)
        finally:
            place.kube.delete("pod", "certify")
            python(_CLEAR)(place, who)
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        return Seen(f"exit code {ended['exitCode']}: {ended.get('message', '')}")

    return call


_CLEAR = """
import os
for name in os.listdir("/staging/adapter"):
    os.remove("/staging/adapter/" + name)
"""
_STAGED = "/staging/adapter/"
_HEADER = """
import struct
with open("/staging/adapter/adapter_model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", 2**62) + b"{}")
said = "written"
"""
TRAINER = Who.TRAINER

ATTEMPTS = (
    Attempt("have certify read the signing key as the adapter's configuration", TRAINER, certified(osdo("symlink", "/keys/signing.key", _STAGED + "adapter_config.json")), Refusal("certify", "exit code 15"), "held"),
    Attempt("have certify wait for ever on a pipe", TRAINER, certified(osdo("mkfifo", _STAGED + "adapter_model.safetensors")), Refusal("certify", "exit code 15"), "held"),
    Attempt("lie about the length of the weights' header", TRAINER, certified(python(_HEADER), file("write", _STAGED + "adapter_config.json", "{}")), Refusal("certify", "exit code 15"), "held"),
    Attempt("move the marker of the current version", WRITER, still_ready(python(_KEEP), file("write", _MARK, "$first")), operator("answers as before: True")),
    Attempt("put a folder of one's own among the versions, and have it promoted", WRITER, then(osdo("mkdir", f"/models/oneseek-certified/{_ALONE}"), file("write", f"/models/oneseek-certified/{_ALONE}/metadata.json", "{}"), asks=_ALONE, reason="NoSuchVersion"), operator("NoSuchVersion")),
    Attempt("have a path promoted", WRITER, then(osdo("mkdir", "/models/mine"), asks="../mine", reason="NoSuchVersion"), operator("NoSuchVersion")),
    Attempt("change a version's weights, and have it promoted", WRITER, then(python(_FLIP), asks="$first", reason="$first (FileChanged)", within=90), operator("FileChanged"), "held", _QUARANTINE),
    Attempt("change the base model between two starts, and have a version promoted", WRITER, then(python(_SWAP_BASE), asks="$other", reason="$other (FileChanged)", within=90), operator("FileChanged"), "M6", (*_QUARANTINE, "file basemodeller/")),
    Attempt("put an older copy of the ledger in its place", WRITER, older_ledger, operator("LedgerRolledBack"), "M2", ("pod zero-records-0",)),
)  # fmt: skip
