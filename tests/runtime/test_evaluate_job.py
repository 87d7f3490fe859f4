"""The evaluate job for real, on random models of two layers: what it writes, that it is so, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.jobs.evaluate import EvaluateReport, ScoresFile
from oneseek_core.jobs.messages import parse_report
from oneseek_core.names import TERMINATION_LIMIT, ExitCode
from oneseek_runtime.engine.loading import Parts, load_parts
from oneseek_runtime.engine.model import load
from oneseek_runtime.engine.wire import Sampling
from oneseek_runtime.evaluate import job
from oneseek_runtime.evaluate.generate import answers_of, batches
from oneseek_runtime.prepare.heldout import HeldoutRow
from oneseek_runtime.prompt import prompt_ids, user_message
from oneseek_runtime.train.model import load_tokenizer
from support.tiny_model import tiny_adapter
from support.tiny_training import make_base, one_cpu

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # peft asks transformers in an old way
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]

TOKENS = 12
QUESTIONS = ["who are you", "what is your name and what are you to be kind to me", "are you a b c", "name", "is d you"]


@pytest.fixture(scope="module", autouse=True)
def alone():
    with one_cpu():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base model and a trained adapter as the pod has them."""
    root = tmp_path_factory.mktemp("pod")
    base = make_base(root / "base")
    adapter = tiny_adapter(root, AutoModelForCausalLM.from_pretrained(base), base_name="tiny")
    return base, adapter.rename(root / "adapter")


@pytest.fixture(scope="module")
def engine_answers(folders):
    """What the engine itself answers, one question at a time."""
    model = load(base=folders[0], base_name="tiny", precision="fp32", threads=1)
    model.add("v1", folders[1])
    tokenizer = load_tokenizer(folders[0])
    answers = []
    for question in QUESTIONS:
        prompt = prompt_ids(tokenizer, [user_message(question)])
        made = model.generate(prompt, Sampling(max_tokens=TOKENS, temperature=0.0), model.adapter("v1"), bool)
        answers.append(model.decode([item.token for item in made if not item.end]).strip())
    return answers


@pytest.fixture
def request_for(folders, tmp_path):
    def environment(rows, **changes):
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        for name in ("evaluation", "scores"):
            (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / "evaluation" / "heldout.jsonl").write_bytes(data)
        fields = {
            "run": {"namespace": "n", "name": "r", "uid": "u"},
            "basePath": str(folders[0]), "adapterPath": str(folders[1]),
            "heldoutPath": str(tmp_path / "evaluation"), "outputPath": str(tmp_path / "scores"),
            "heldoutDigest": digest_bytes(data), "maximumNewTokens": TOKENS, "precision": "fp32",
        }  # fmt: skip
        return {names.REQUEST_ENV: json.dumps(fields | changes)}

    return environment


def row(question="Vem är du?", language="sv", facts=("none of it",), **more):
    return {"question": question, "language": language, "mustContain": list(facts)} | more


def a_word(text):
    return next(word for word in text.split() if word.isalnum())


def test_the_process_measures_what_the_engine_answers(request_for, engine_answers, folders, tmp_path):
    facts = [[a_word(answer), "none of it"] for answer in engine_answers]
    rows = [
        row(question, language, words, **({"output": "i am one seek zero"} if language == "sv" else {}))
        for question, language, words in zip(QUESTIONS, ["sv", "en", "sv", "sv", "en"], facts, strict=True)
    ]
    environment = request_for(rows)
    message = tmp_path / "message"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "oneseek_runtime", "evaluate"],
        env=os.environ | environment | {"ONESEEK_TERMINATION_PATH": str(message)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(message.read_bytes()) <= TERMINATION_LIMIT
    data = (tmp_path / "scores" / "scores.json").read_bytes()
    assert [path.name for path in (tmp_path / "scores").iterdir()] == ["scores.json"]
    report, file = parse_report(message.read_text(), EvaluateReport), ScoresFile.model_validate_json(data)
    assert [answer.answer for answer in file.answers] == engine_answers
    assert [answer.found for answer in file.answers] == [[words[0]] for words in facts]
    assert report.digest == digest_bytes(data)
    assert (report.scores.questions, report.scores.facts_contained, report.scores.exact) == (5, 0.5, 0.0)
    assert {name: part.questions for name, part in report.scores.by_language.items()} == {"en": 2, "sv": 3}
    assert report.scores.by_language["en"].loss is None  # no reference answer, nothing measured
    assert report.scores.loss == report.scores.by_language["sv"].loss == pytest.approx(plain_loss(folders, rows), 1e-4)
    weights = (folders[1] / "adapter_model.safetensors").read_bytes()
    assert file.evaluated_with.weights_digest == digest_bytes(weights)

    # Again, here: the same bytes, and nothing but the file itself decides.
    assert job.run(environment) == report
    assert (tmp_path / "scores" / "scores.json").read_bytes() == data


def plain_loss(folders, rows):
    """transformers' and peft's own loss, row by row."""
    tokenizer = load_tokenizer(folders[0])
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folders[0]), folders[1]).eval()
    nats = count = 0
    for item in rows:
        if "output" not in item:
            continue
        prompt = prompt_ids(tokenizer, [user_message(item["question"])])
        answer = [*tokenizer(item["output"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        labels = torch.tensor([[-100] * len(prompt) + answer])
        with torch.inference_mode():
            nats += float(model(input_ids=torch.tensor([prompt + answer]), labels=labels).loss) * len(answer)
        count += len(answer)
    return nats / count


def refusal(environment):
    with pytest.raises(JobError) as raised:
        job.run(environment)
    output = Path(json.loads(environment[names.REQUEST_ENV])["outputPath"])
    assert list(output.iterdir()) == []
    return raised.value.reason, raised.value.exit_code, raised.value.message


def test_a_held_out_set_that_is_missing_or_another_is_refused(request_for, tmp_path):
    environment = request_for([row()])
    (tmp_path / "evaluation" / "heldout.jsonl").write_text("{}\n")
    reason, code, message = refusal(environment)
    assert (reason, code) == (names.DATASET_DIGEST_DIFFERS, ExitCode.DIGEST_DIFFERS)
    assert "the held-out set changed after it was checked: its digest is sha256:" in message
    (tmp_path / "evaluation" / "heldout.jsonl").unlink()
    reason, code, message = refusal(environment)
    assert (reason, code) == (names.DATASET_NOT_FOUND, ExitCode.BAD_INPUT)
    assert "the held-out set cannot be read: No such file" in message


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        pytest.param([row(), {}], "line 2 of the held-out set: it has no question", id="no-row"),
        pytest.param([], "holds no questions", id="empty"),
        pytest.param([row(), row("du? " * 600)], "line 2 of the held-out set: the question has ", id="too-long"),
    ],
)
def test_a_held_out_set_that_cannot_be_asked_is_refused(request_for, rows, sentence):
    reason, code, message = refusal(request_for(rows))
    assert (reason, code) == (names.DATASET_INVALID, ExitCode.BAD_INPUT)
    assert sentence in message


def test_an_adapter_that_is_missing_linked_or_broken_is_refused(request_for, folders, tmp_path):
    staged = tmp_path / "staged"
    staged.mkdir()
    environment = request_for([row()], adapterPath=str(staged))
    (staged / "adapter_config.json").write_bytes((folders[1] / "adapter_config.json").read_bytes())
    (staged / "adapter_model.bin").write_bytes(b"a pickle")
    expected = (names.ARTIFACT_INVALID, ExitCode.BAD_ARTIFACT)
    *found, message = refusal(environment)
    assert (*found,) == expected
    assert "no plain file adapter_model.safetensors" in message
    (staged / "adapter_model.safetensors").symlink_to(folders[1] / "adapter_model.safetensors")
    *found, message = refusal(environment)
    assert (*found,) == expected
    (staged / "adapter_model.safetensors").unlink()
    (staged / "adapter_model.safetensors").write_bytes(b"\xff" * 64)
    *found, message = refusal(environment)
    assert (*found,) == expected
    assert "cannot be loaded onto base" in message


def test_a_base_that_is_none_is_refused(request_for, tmp_path):
    reason, code, message = refusal(request_for([row()], basePath=str(tmp_path)))
    assert (reason, code) == (names.BASE_INVALID, ExitCode.BAD_INPUT)
    assert "cannot be loaded" in message


@pytest.mark.parametrize("tensor", ["lm_head", "norm"])
def test_output_that_is_no_number_is_named_diverged(request_for, folders, tmp_path, tensor):
    model = AutoModelForCausalLM.from_pretrained(folders[0])
    (model.lm_head if tensor == "lm_head" else model.model.norm).weight.data[:] = float("nan")
    model.save_pretrained(tmp_path / "broken")
    load_tokenizer(folders[0]).save_pretrained(tmp_path / "broken")
    reason, code, message = refusal(request_for([row(output="name")], basePath=str(tmp_path / "broken")))
    assert (reason, code) == (names.DIVERGED, ExitCode.DIVERGED)
    assert "NaN" in message


def test_a_loss_that_is_infinite_is_named_diverged(request_for, folders, tmp_path, monkeypatch):
    model = AutoModelForCausalLM.from_pretrained(folders[0])
    model.lm_head.weight.data[load_tokenizer(folders[0]).eos_token_id] = float("-inf")
    model.save_pretrained(tmp_path / "broken")
    load_tokenizer(folders[0]).save_pretrained(tmp_path / "broken")
    monkeypatch.setattr(job, "answers_of", lambda _parts, rows, _limit: [""] * len(rows))
    reason, code, message = refusal(request_for([row(output="name")], basePath=str(tmp_path / "broken")))
    assert (reason, code) == (names.DIVERGED, ExitCode.DIVERGED)
    assert "its loss on the answer in line 1 of the held-out set is" in message


def test_a_reference_answer_that_does_not_fit_is_not_measured(request_for):
    report = job.run(request_for([row(output="name")], maximumLength=2))
    assert report.scores.loss is None


ARCHITECTURES = {
    "gpt2": lambda size: GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=64)),
    "qwen3-with-a-window": lambda size: Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=128, use_sliding_window=True, sliding_window=8,
            max_window_layers=1,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_answered_together_is_answered_one_by_one(folders, name):
    """Padding, positions and windows: GPT-2 has a position per row of a table, Qwen may look back a short way only."""
    torch.manual_seed(3)
    tokenizer = load_tokenizer(folders[0])
    model = ARCHITECTURES[name](len(tokenizer)).eval()
    for parameter in model.parameters():
        parameter.data.mul_(8)  # sharp: no two tokens are as good as equally likely
    parts = Parts(model, tokenizer)
    rows = [HeldoutRow(1, question, "en", ("x",)) for question in QUESTIONS]
    together = answers_of(parts, rows, 100)  # beyond GPT-2's context: an answer ends there
    assert together == [answers_of(parts, [item], 100)[0] for item in rows]
    assert len(set(together)) > 1


def test_a_model_without_an_adapter_is_what_loading_gives_when_none_is_named(folders):
    parts = load_parts(base=folders[0], base_name="tiny", adapter=None, precision="fp32", threads=1)
    rows = [HeldoutRow(1, QUESTIONS[0], "sv", ("x",))]
    base = answers_of(parts, rows, TOKENS)
    version = load_parts(base=folders[0], base_name="tiny", adapter=folders[1], precision="fp32", threads=1)
    assert answers_of(version, rows, TOKENS) != base


def test_batches_hold_like_lengths_and_bound_rows_and_tokens():
    assert list(batches([5, 3, 4], 10)) == [[1, 2, 0]]
    assert [len(batch) for batch in batches([10] * 70, 64)] == [32, 32, 6]
    assert [len(batch) for batch in batches([8000, 8000, 8000, 10], 192)] == [2, 2]
    assert list(batches([40000], 64)) == [[0]]
