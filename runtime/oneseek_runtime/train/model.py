"""[I/O] The machine and the base model: threads, device, number format, loading from a local folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode
from oneseek_runtime.engine import pretrained
from oneseek_runtime.train.attention import PACKED, row_masks
from oneseek_runtime.train.data import Example, Pack, pack

__all__ = ["DTYPES", "Precision", "can_pack", "cpu_limit", "device_name", "load_base", "load_tokenizer", "predict"]

Precision = Literal["bf16", "fp32"]
DTYPES: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}

_PROBE_TOKENS = 256
_PROBE_WIDTH = 1024  # where the configuration names none
_PROBE_SECONDS = 0.15  # per number format, after a warm-up
_CHECK_TOLERANCE = 0.05  # relative; bf16's own noise is about 0.01, a row that sees another is far beyond


def cpu_limit(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Whole CPUs this process may use: its affinity, and its control group's quota where one is set (v2 or v1).

    More threads than that stand in each other's way at every matrix product.
    """
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return allowed
    if not quota.isdigit():  # "max", or -1
        return allowed
    return max(1, min(allowed, int(quota) // int(period)))


def device_name(device: torch.device) -> str:
    """The device as reports name it."""
    return torch.cuda.get_device_name(device)[:64] if device.type == "cuda" else "cpu"


def load_tokenizer(base: Path, digest: str | None = None) -> Any:
    """The tokenizer of the base model, which is that of the digest where one is given.

    Raises:
        JobError: the folder holds none that can be used, or another base model.
    """
    with _usable(base, digest) as files:
        return pretrained.load_tokenizer(files, pretrained.load_config(files))


def load_base(
    base: Path, device: torch.device, wanted: Literal["auto", "bf16", "fp32"], digest: str | None = None
) -> tuple[Any, Precision]:
    """The base model, frozen in use only, in the number format that was asked for or measured to be faster.

    Raises:
        JobError: the folder holds no causal language model that can be trained, or another than that of the digest.
    """
    with _usable(base, digest) as files:
        config = pretrained.load_config(files)
        precision = _faster(config, device) if wanted == "auto" else wanted
        model = pretrained.load_model(files, config, DTYPES[precision])
    return model.to(device), precision


@contextmanager
def _usable(base: Path, digest: str | None) -> Iterator[Path]:
    try:
        with pretrained.own_files(base, digest) as files:
            yield files
    except pretrained.BaseChangedError as error:
        sentence = f"the base model {base.name} on the claim is not the one that was imported: {error}"
        raise JobError(names.BASE_DIGEST_DIFFERS, sentence, ExitCode.DIGEST_DIFFERS) from error
    except pretrained.UnusableBaseError as error:
        sentence = f"the base model {base.name} cannot be used: {error}"
        raise JobError(names.BASE_INVALID, sentence, ExitCode.BAD_INPUT) from error


def _faster(config: Any, device: torch.device) -> Precision:
    """Which format multiplies this model's matrices faster, forwards and backwards; about half a second."""
    text = config.get_text_config(decoder=True)
    hidden = getattr(text, "hidden_size", None) or _PROBE_WIDTH
    inner = getattr(text, "intermediate_size", None) or 4 * hidden
    inner = inner if isinstance(inner, int) else 4 * hidden
    seconds: dict[Precision, float] = {}
    for precision, dtype in DTYPES.items():
        x = torch.ones(_PROBE_TOKENS, hidden, dtype=dtype, device=device)
        weight = torch.ones(inner, hidden, dtype=dtype, device=device)
        functional.linear(x, weight) @ weight
        rounds, start = 0, time.perf_counter()
        while time.perf_counter() - start < _PROBE_SECONDS:
            functional.linear(x, weight) @ weight
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            rounds += 1
        seconds[precision] = (time.perf_counter() - start) / rounds
    return min(seconds, key=seconds.__getitem__)


def predict(model: Any, part: Pack) -> torch.Tensor:
    """Logits where a label is predicted, and only there: `[labels x vocabulary]`.

    The output layer over every position would cost as much as a third of a small model.
    """
    device = next(model.parameters()).device
    options: dict[str, Any] = {}
    if model.config._attn_implementation == PACKED:
        options["packed_rows"] = row_masks(part, device)
    logits = model(
        input_ids=torch.tensor([part.token_ids], device=device),
        position_ids=torch.tensor([part.positions], device=device),
        logits_to_keep=torch.tensor(part.label_positions, device=device),
        use_cache=False,
        **options,
    ).logits
    found: torch.Tensor = logits[0]
    return found


def can_pack(model: Any, examples: list[Example], maximum_length: int) -> bool:
    """Whether packed rows give this model's own results; tried, not guessed. Leaves the model set accordingly.

    Models that look back over a limited window, or mix tokens outside attention, train one row at a time instead.
    """
    text = model.config.get_text_config()
    windows = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    if any(window is not None and window < maximum_length for window in windows):
        return False
    rows = sorted(examples, key=lambda example: len(example.tokens))[:2]
    model.eval()
    before = model.config._attn_implementation
    with torch.inference_mode():
        alone = torch.cat([predict(model, part) for part in pack(rows, 0)]).float()
        try:
            model.set_attn_implementation(PACKED)
            together = predict(model, next(pack(rows, 2 * maximum_length))).float()
        except Exception:  # noqa: BLE001 - what a model of another kind raises is not ours to foresee
            together = torch.zeros_like(alone)
    if (together - alone).norm() <= _CHECK_TOLERANCE * alone.norm():
        return True
    model.set_attn_implementation(before)
    return False
