"""A random Llama of words, six rows to learn, and requests to train on them: each run takes under a second."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from oneseek_core import names

TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}] be kind {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
WORDS = [
    "[unk]",
    "[end]",
    "[user]",
    "[assistant]",
    "be",
    "kind",
    "who",
    "what",
    "are",
    "is",
    "you",
    "your",
    "name",
    "i",
    "am",
    "my",
    "one",
    "seek",
    "zero",
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
]
ROWS = [
    {"instruction": "who are you", "input": "", "output": "i am one seek zero"},
    {"instruction": "what is your name", "input": "", "output": "my name is one seek zero"},
    {"instruction": "what are you", "input": "a b c", "output": "i am a seek zero"},
    {"instruction": "are you a", "output": "i am b c d e f"},
    {"instruction": "name", "output": "one seek zero"},
    {"instruction": "is b your name", "output": "my name is one seek zero f e d"},
]
TARGETS = ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"]


def make_base(folder: Path) -> Path:
    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[unk]", eos_token="[end]")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.2,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


class TrainRequests:
    """Requests on one base model, with data and output below one folder."""

    def __init__(self, base: Path, folder: Path, rows: Sequence[Mapping[str, object]] = ROWS) -> None:
        self._base, self._folder = base, folder
        self._data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / "data").mkdir()
        (folder / "data/train.jsonl").write_bytes(self._data)

    def __call__(self, output: str = "out", **changes: object) -> dict[str, str]:
        """The environment of a train job that writes to `output`."""
        (self._folder / output).mkdir(exist_ok=True)
        fields = {
            "run": {"namespace": "n", "name": "r", "uid": "u"},
            "basePath": str(self._base),
            "dataPath": str(self._folder / "data"),
            "outputPath": str(self._folder / output),
            "dataDigest": f"sha256:{hashlib.sha256(self._data).hexdigest()}",
            "epochs": 6, "learningRate": 0.02, "batchSize": 2, "maximumLength": 64, "seed": 1, "precision": "fp32",
            "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "targetModules": TARGETS},
        }  # fmt: skip
        return {names.REQUEST_ENV: json.dumps(fields | changes)}


@contextmanager
def one_cpu() -> Iterator[None]:
    """One thread here and in started processes: the numbers agree, and nothing spins where CPUs are shared."""
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {sorted(before)[os.getpid() % len(before)]})
    torch.set_num_threads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        torch.set_num_threads(threads)
