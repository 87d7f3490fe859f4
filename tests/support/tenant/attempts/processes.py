"""What code does inside a pod of the model that runs it: mounts, files, the process's own rights."""

from __future__ import annotations

from support.tenant.attempt import Attempt, Refusal, Who, kernel
from support.tenant.calls import file, keys_in, osdo, port, python

__all__ = ["ATTEMPTS"]

TRAINER, SIDECAR, ENGINE = Who.TRAINER, Who.SIDECAR, Who.ENGINE
_READ_ONLY = kernel("Read-only file system")
_NOT_THERE = kernel("No such file or directory")
_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_UNSHARE = """
import ctypes, os
lib = ctypes.CDLL(None, use_errno=True)
said = "done" if lib.unshare(0x10000000 | 0x20000) == 0 else os.strerror(ctypes.get_errno())
"""
_RAW = """
import socket
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
"""
_SETUID = """
import os
os.setuid(0)
"""
_OTHERS = """
import os
seen = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        text = open(f"/proc/{pid}/cmdline").read().replace(chr(0), " ")
    except OSError:
        continue
    seen.append(text)
said = "others: " + str([t for t in seen if "oneseek_runtime" in t]) if any("oneseek_runtime" in t for t in seen) else "nobody else's process"
"""
_LOAD = {"lora_name": "$first", "lora_path": "/spool/mine"}

ATTEMPTS = (
    Attempt("find a key or token in environment and files", TRAINER, keys_in("/models", "/staging", "/var/run", "/tmp"), kernel("nothing found")),
    Attempt("find the token of an account", TRAINER, file("read", _TOKEN), _NOT_THERE),
    Attempt("change the base model", TRAINER, file("write", "/models/base/config.json"), _READ_ONLY),
    Attempt("add a file to the base model", TRAINER, file("write", "/models/base/mine.py"), _READ_ONLY),
    Attempt("change the data it is trained on", TRAINER, file("write", "/staging/data/train.jsonl"), _READ_ONLY),
    Attempt("read the held-out questions", TRAINER, file("read", "/staging/evaluation"), _NOT_THERE),
    Attempt("write its own scores", TRAINER, osdo("mkdir", "/staging/scores"), _READ_ONLY),
    Attempt("reach other versions beside its folders", TRAINER, file("read", "/staging/adapter/../../oneseek-certified"), _NOT_THERE),
    Attempt("give the base model's file a second name in staging", TRAINER, osdo("link", "/models/base/config.json", "/staging/adapter/config.json"), kernel("Invalid cross-device link")),
    Attempt("make a device file in staging", TRAINER, osdo("mknod", "/staging/adapter/disk", 0o60660, 0x0800), kernel("Operation not permitted")),
    Attempt("change our code in the image", TRAINER, file("write", "/app/mine.py"), _READ_ONLY),
    Attempt("become root", TRAINER, python(_SETUID), kernel("Operation not permitted")),
    Attempt("mount", TRAINER, python(_UNSHARE), kernel("Operation not permitted")),
    Attempt("listen to the network's packets", TRAINER, python(_RAW), kernel("Operation not permitted")),
    Attempt("see the node's processes", TRAINER, python(_OTHERS), kernel("nobody else's process")),
    Attempt("change the version that is served, on the claim", SIDECAR, file("write", "/app/models/oneseek-certified/$current/adapter_model.safetensors"), _READ_ONLY),
    Attempt("publish a version of its own", SIDECAR, osdo("mkdir", "/app/models/oneseek-certified/mine"), _READ_ONLY),
    Attempt("change the verified copy that the engine loads", SIDECAR, file("read", "/models/verified"), _NOT_THERE),
    Attempt("say which version is wanted, in its own mount", SIDECAR, file("write", "/wanted/wanted.json"), _READ_ONLY),
    Attempt("find the private signing key", SIDECAR, file("read", "/keys/signing.key"), _NOT_THERE),
    Attempt("find the key that signs checkpoints", SIDECAR, file("read", "/token/checkpoint.key"), _NOT_THERE),
    Attempt("have the engine load an adapter of its own", SIDECAR, port("127.0.0.1", 8000, "POST", "/v1/load_lora_adapter", _LOAD), Refusal("engine", "only what the verifier has copied there is loaded", 400)),
    Attempt("change the verified copy it was given", ENGINE, file("write", "/models/verified/mine"), _READ_ONLY),
    Attempt("change the base model it was given", ENGINE, file("write", "/models/base/config.json"), _READ_ONLY),
    Attempt("find the token of the pod's account", ENGINE, file("read", _TOKEN), _NOT_THERE),
    Attempt("find a key or token in environment and files, as the engine", ENGINE, keys_in("/models", "/var/run", "/tmp"), kernel("nothing found")),
)  # fmt: skip
