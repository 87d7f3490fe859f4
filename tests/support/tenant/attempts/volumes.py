"""What a pod that mounts the whole claim may break: a version, and the base model. Neither may answer then.

These come last: what was tampered with goes to quarantine.
"""

from __future__ import annotations

from support.kube import condition
from support.tenant.attempt import Attempt, Call, Seen, Who, operator
from support.tenant.calls import file, noted, osdo, python
from support.tenant.place import Place, conditions

__all__ = ["ATTEMPTS"]

WRITER = Who.WRITER
_ALONE = "OneSeek-7B-Zero.v9.0.sv.dsIdentity.00000000.00000000"
_QUARANTINE = (
    "status.quarantine",
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
        return Seen(conditions(place.kube, "OneSeekModel", "zero", reason, within=within))

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


ATTEMPTS = (
    Attempt("move the marker of the current version", WRITER, still_ready(file("write", _MARK, "$first")), operator("answers as before: True"), may_change=("file oneseek-certified/OneSeek-7B-Zero-CURRENT",)),
    Attempt("put a folder of one's own among the versions, and have it promoted", WRITER, then(osdo("mkdir", f"/models/oneseek-certified/{_ALONE}"), file("write", f"/models/oneseek-certified/{_ALONE}/metadata.json", "{}"), asks=_ALONE, reason="NoSuchVersion"), operator("NoSuchVersion")),
    Attempt("have a path promoted", WRITER, then(osdo("mkdir", "/models/mine"), asks="../mine", reason="NoSuchVersion"), operator("NoSuchVersion")),
    Attempt("change a version's weights, and have it promoted", WRITER, then(python(_FLIP), asks="$first", reason="FileChanged", within=90), operator("FileChanged"), "held", _QUARANTINE),
    Attempt("change the base model between two starts, and have a version promoted", WRITER, then(python(_SWAP_BASE), asks="$other", reason="BaseModelDigestDiffers", within=90), operator("BaseModelDigestDiffers"), "M6", (*_QUARANTINE, "file basemodeller/")),
)  # fmt: skip
