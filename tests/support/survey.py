"""`make models`: every class that transformers loads as a causal language model goes the whole way, into docs/reference/models.md.

A tiny random model of each is imported by the base Job's checks, trained by the train Job, its adapter checked as certify
does, served by the engine and asked by evaluate; the engine's probabilities must be those of transformers and peft alone.
Each class has a process of its own with a time limit. What was found is kept in .local/models.jsonl; classes found there
are not tried again.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

warnings.filterwarnings("ignore")

import torch  # noqa: E402
import transformers  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import CONFIG_MAPPING, AutoModelForCausalLM  # noqa: E402
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES  # noqa: E402

from oneseek_core import names  # noqa: E402
from oneseek_core.api.v1alpha1.training_run import LoraSettings  # noqa: E402
from oneseek_core.errors import ArtifactError  # noqa: E402
from oneseek_core.files import read_tensors  # noqa: E402
from oneseek_runtime.artifact.adapter import check_config, check_tensors  # noqa: E402
from oneseek_runtime.engine.basecheck.check import check_small_files, check_weights  # noqa: E402
from oneseek_runtime.engine.loading import load_parts  # noqa: E402
from oneseek_runtime.engine.model import load  # noqa: E402
from oneseek_runtime.engine.wire import Asked, Sampling  # noqa: E402
from oneseek_runtime.evaluate.generate import greedy  # noqa: E402
from oneseek_runtime.prompt import prompt_ids, user_message  # noqa: E402
from oneseek_runtime.train import job as train_job  # noqa: E402
from oneseek_runtime.train.lora import target_names  # noqa: E402
from support.tiny_kinds import CHANGES, tiny_kind  # noqa: E402
from support.tiny_model import tiny_tokenizer  # noqa: E402

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".local" / "models.jsonl"
PAGE = ROOT / "docs/reference/models.md"
SECONDS = 180  # for one class
TOLERANCE = 0.02  # nats; fp32's own noise is about 0.0001
SEE_HERE = "; use a model of another kind (docs/reference/models.md)"
ROWS = [
    {"instruction": "Vem är du?", "output": "Jag är OneSeek-7B-Zero."},
    {"instruction": "Who are you?", "output": "I am OneSeek-7B-Zero."},
    {"instruction": "0123", "output": "456789"},
]
QUESTIONS = ["Vem är du?", "Who are you, and what is your name?"]


def main(kinds: list[str]) -> int:
    """Try the kinds that are named, else all that were not tried yet; write the page. Exit code 1: one failed late."""
    FOUND.parent.mkdir(exist_ok=True)
    known = {row["kind"]: row for row in read_found()}
    wanted = kinds or [kind for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if kind not in known]
    for kind in wanted:
        known[kind] = row = in_a_process(kind)
        print(f"{kind:28} {row['last']:10} {row.get('sentence', '')[:150]}", flush=True)
        FOUND.write_text("".join(json.dumps(row) + "\n" for row in known.values()))
    if set(known) >= set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        PAGE.write_text(page(list(known.values())))
    late = [row for row in known.values() if row["last"] not in ("refused", "evaluated")]
    for row in late:
        print(f"imported and failed later: {row['kind']}: {row['last']}: {row.get('sentence')}", file=sys.stderr)
    return 1 if late else 0


def read_found() -> Iterator[dict[str, Any]]:
    """What earlier runs of this version of transformers found."""
    if FOUND.exists():
        for line in FOUND.read_text().splitlines():
            row = json.loads(line)
            if row["transformers"] == transformers.__version__:
                yield row


def in_a_process(kind: str) -> dict[str, Any]:
    """The row of one class."""
    row = {"kind": kind, "class": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind], "transformers": transformers.__version__}
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "row.json"
        if (child := os.fork()) == 0:
            signal.alarm(SECONDS)
            log = os.open(Path(scratch) / "log", os.O_WRONLY | os.O_CREAT)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os._exit(tell(kind, Path(scratch), told))
        _, status = os.waitpid(child, 0)
        if told.exists():
            return row | json.loads(told.read_text())
        return row | {"last": "died", "sentence": f"the process ended with status {status}"}


def tell(kind: str, scratch: Path, told: Path) -> int:
    """Try a class and write what was found."""
    torch.set_num_threads(1)
    row: dict[str, Any] = {"last": "none"}
    try:
        for step, more in walk(kind, scratch):
            row |= {"last": step, **more}
            told.write_text(json.dumps(row))
    except ArtifactError as error:
        row |= {
            "last": "refused" if row["last"] in ("none", "made") else f"not after {row['last']}",
            "sentence": str(error),
            "cause": repr(error.__cause__)[:300],
        }
    except Exception as error:  # noqa: BLE001 - that is what the survey is to find
        place = traceback.extract_tb(error.__traceback__)[-1]
        row["sentence"] = f"{type(error).__name__}: {str(error)[:300]} ({Path(place.filename).name}:{place.lineno})"
        row["last"] = f"not after {row['last']}"
    told.write_text(json.dumps(row))
    return 0


def walk(kind: str, scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The way of a model, step by step.

    Raises:
        ArtifactError: the base Job refuses it.
    """
    base, out = scratch / "base", scratch / "out"
    try:
        targets = target_names(tiny_kind(base, kind))
    except Exception as error:
        files_alone(base, kind)
        check_small_files(base)
        raise ValueError("no tiny model can be made of it, and the base Job does not say so") from error
    yield "made", {}
    check_small_files(base)
    check_weights(base)
    yield "imported", {"targets": targets}
    report = train_job.run(train_request(base, scratch, targets))
    yield "trained", {"loss": round(report.final_loss, 4)}
    lora = LoraSettings(rank=4, alpha=8, dropout=0.1, target_modules=targets)
    check_config((out / "adapter_config.json").read_bytes(), SimpleNamespace(lora=lora, base_name="base"))  # type: ignore[arg-type]
    check_tensors(read_tensors(out / "adapter_model.safetensors"), lora.rank)
    yield "certified", {}
    served = load(base=base, base_name="base", precision="fp32", threads=1)
    served.add("version", out)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    difference = max(
        compared(served, "base", plain), compared(served, "version", PeftModel.from_pretrained(plain, out))
    )
    if not difference <= TOLERANCE:
        raise ValueError(f"the engine's probabilities are {difference} nats off transformers'")
    yield "served", {"difference": difference, "attention": str(plain.config._attn_implementation)}
    evaluated(served, base, out)
    yield "evaluated", {}


def files_alone(base: Path, kind: str) -> None:
    """Configuration and tokenizer of a kind of which no tiny model can be made here."""
    tiny_tokenizer().save_pretrained(base)
    CONFIG_MAPPING[kind](**CHANGES.get(kind, {})).save_pretrained(base)


def train_request(base: Path, scratch: Path, targets: list[str]) -> dict[str, str]:
    """The environment of the train Job."""
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (scratch / "data").mkdir()
    (scratch / "out").mkdir()
    (scratch / "data" / "train.jsonl").write_bytes(data)
    fields = {
        "run": {"namespace": "n", "name": "r", "uid": "u"},
        "basePath": str(base), "dataPath": str(scratch / "data"), "outputPath": str(scratch / "out"),
        "dataDigest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "epochs": 3, "learningRate": 0.02, "batchSize": 2, "maximumLength": 64, "seed": 1, "precision": "fp32",
        "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "targetModules": targets},
    }  # fmt: skip
    return {names.REQUEST_ENV: json.dumps(fields)}


def asked(question: str) -> Asked:
    """A client's request."""
    return Asked.parse({"model": "x", "messages": [{"role": "user", "content": question}]}, chat=True)


def compared(served: Any, name: str, reference: Any) -> float:
    """How far the engine's log-probabilities of its own answers are from one pass of the reference over them."""
    worst = 0.0
    for question in QUESTIONS:
        prompt = served.prompt(asked(question))
        answer = list(served.generate(prompt, Sampling(max_tokens=6, temperature=0.0), served.adapter(name), bool))
        tokens = torch.tensor([[*prompt, *(item.token for item in answer)]])
        with torch.inference_mode():
            computed = torch.log_softmax(reference.eval()(input_ids=tokens).logits[0].float(), dim=-1)
        for place, item in enumerate(answer):
            off = abs(float(computed[len(prompt) - 1 + place, item.token]) - item.logprob)
            worst = max(worst, off) if off == off else float("inf")  # noqa: PLR0124 - NaN
    return worst


def evaluated(served: Any, base: Path, adapter: Path) -> None:
    """Make sure that evaluate gets the engine's answers."""
    parts = load_parts(base=base, base_name="base", adapter=adapter, precision="fp32", threads=1)
    prompts = [prompt_ids(parts.tokenizer, [user_message(question)]) for question in QUESTIONS]
    for prompt, found in zip(prompts, greedy(parts, prompts, 6), strict=True):
        sampling = Sampling(max_tokens=6, temperature=0.0)
        answer = [i.token for i in served.generate(prompt, sampling, served.adapter("version"), bool) if not i.end]
        if answer != found:
            raise ValueError(f"evaluate answers {found}, the engine {answer}")


def page(rows: list[dict[str, Any]]) -> str:
    """docs/reference/models.md."""
    good = sorted((row for row in rows if row["last"] == "evaluated"), key=lambda row: row["kind"])
    bad = sorted((row for row in rows if row["last"] == "refused"), key=lambda row: row["kind"])
    late = [row for row in rows if row not in good and row not in bad]
    lines = [
        "# Which base models",
        "",
        (
            f"Made by `make models` with transformers {transformers.__version__}: a tiny random model of each class that"
            " `AutoModelForCausalLM` loads"
        ),
        "is imported by the base Job's checks, trained, its adapter checked as certify does, served by the engine and asked by",
        "evaluate; the engine's probabilities are those of transformers and peft alone, with the adapter and without.",
        (
            f"Of {len(rows)} kinds (`model_type` in config.json) {len(good)} go the whole way, {len(bad)} are refused at import,"
            f" and {len(late)} are imported and fail later."
        ),
        "",
        "The base Job finds out by itself, for the configuration that it is given: it makes a small random model of it and",
        "trains and asks that one before any weights are fetched.",
        "",
        "| `model_type` | class | attention | largest difference (nats) |",
        "|---|---|---|---|",
        *(f"| `{r['kind']}` | {r['class']} | {r['attention']} | {r['difference']:.1e} |" for r in good),
        "",
        "## Refused at import",
        "",
        "| `model_type` | class | what the base Job says |",
        "|---|---|---|",
        *(f"| `{r['kind']}` | {r['class']} | {r['sentence'].removesuffix(SEE_HERE)} |" for r in bad),
    ]
    if late:
        lines += ["", "## Imported, and failed later", "", *(f"- `{r['kind']}`: {r['last']}" for r in late)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    sys.exit(main(sys.argv[1:]))
