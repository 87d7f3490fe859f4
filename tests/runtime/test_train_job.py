"""Training for real, on a random Llama of two layers: figures, masks, kills, stops, files."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import LoraSettings
from oneseek_core.errors import JobError
from oneseek_core.files import write_atomic
from oneseek_core.job_contract import TrainProgress, TrainReport
from oneseek_core.names import ExitCode
from oneseek_runtime.train import job, lora
from oneseek_runtime.train.data import examples_of, pack
from oneseek_runtime.train.model import can_pack, cpu_limit, load_tokenizer, predict

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # peft asks transformers in an old way
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]

TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}] be kind {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
WORDS = "[unk] [end] [user] [assistant] be kind who what are is you your name i am my one seek zero a b c d e f".split()
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
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("bases") / "tiny-llama")


@pytest.fixture
def request_for(base, tmp_path):
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl").write_bytes(data)

    def make(output="out", **changes):
        (tmp_path / output).mkdir(exist_ok=True)
        fields = {
            "run": {"namespace": "n", "name": "r", "uid": "u"},
            "basePath": str(base),
            "dataPath": str(tmp_path / "data"),
            "outputPath": str(tmp_path / output),
            "dataDigest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            "epochs": 6, "learningRate": 0.02, "batchSize": 2, "maximumLength": 64, "seed": 1, "precision": "fp32",
            "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "targetModules": TARGETS},
        }  # fmt: skip
        return {names.REQUEST_ENV: json.dumps(fields | changes)}

    return make


def lines(text):
    return [TrainProgress.model_validate_json(line) for line in text.splitlines()]


def test_a_run_learns_reports_and_leaves_an_adapter_that_peft_loads(request_for, base, tmp_path, capsys):
    report = job.run(request_for(epochs=20))
    out = tmp_path / "out"

    assert (report.steps, report.epochs, report.samples, report.device) == (60, 20, 6, "cpu")
    assert report.epoch_losses[0] == pytest.approx(math.log(len(WORDS)), abs=0.5)  # a random model knows nothing
    assert 0.05 < report.final_loss < 1.2
    assert report.final_loss == report.epoch_losses[-1]
    assert report.label_tokens == 20 * sum(len(row["output"].split()) + 1 for row in ROWS)
    assert sorted(path.name for path in out.iterdir()) == [
        ".finished.json", "adapter_config.json", "adapter_model.safetensors", "training_report.json",
    ]  # fmt: skip
    assert TrainReport.model_validate_json((out / "training_report.json").read_bytes()) == report
    weights = (out / "adapter_model.safetensors").read_bytes()
    assert report.weights_digest == f"sha256:{hashlib.sha256(weights).hexdigest()}"
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny-llama"

    said = lines(capsys.readouterr().out)
    assert (said[0].step, said[-1].step, said[-1].percent, said[-1].eta_seconds) == (1, 60, 100, 0)
    assert said[-1].loss < said[0].loss
    assert len(said[-1].curve) <= 64

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), out)
    tokenizer = load_tokenizer(base)
    (example,) = examples_of(ROWS[:1], tokenizer, 64)
    asked = torch.tensor([example.tokens[: example.prompt_length]])
    answer = model.generate(input_ids=asked, max_new_tokens=8, do_sample=False, pad_token_id=1)
    assert tokenizer.decode(answer[0, asked.shape[1] :]) == "i am one seek zero [end]"


def test_a_finished_run_answers_at_once_and_another_request_does_not_get_its_answer(request_for):
    report = job.run(request_for(epochs=1))
    assert job.run(request_for(epochs=1)) == report
    assert job.run(request_for(epochs=2)).epochs == 2


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_packed_masked_and_fused_gives_the_plain_loss_and_gradients(base, dropout):
    settings = LoraSettings(rank=4, alpha=8, dropout=dropout, target_modules=TARGETS)
    examples = examples_of(ROWS, load_tokenizer(base), 64)
    plain = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS)
    )
    model = AutoModelForCausalLM.from_pretrained(base)
    assert can_pack(model, examples, 64)
    ours = lora.add_adapter(model, settings, base_name="tiny", seed=3)
    for name, parameter in lora.adapter_parameters(ours).items():
        values = torch.randn_like(parameter) * 0.1
        parameter.data.copy_(values)
        plain.get_parameter(name).data.copy_(values)
    ours.train(dropout == 0)  # with dropout the two draw different numbers: compared as in evaluation

    (part,) = pack(examples, 999)
    assert part.shared >= 3
    loss = cross_entropy(predict(ours, part), torch.tensor(part.label_ids), reduction="sum")
    loss.backward()
    expected = torch.tensor(0.0)
    for example in examples:  # full logits of each row alone
        logits = plain(input_ids=torch.tensor([example.tokens])).logits[0]
        labels = torch.tensor([-100] * example.prompt_length + list(example.labels))
        expected = expected + cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")
    expected.backward()

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    for name, parameter in lora.adapter_parameters(ours).items():
        torch.testing.assert_close(parameter.grad, plain.get_parameter(name).grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        (lambda: Qwen3ForCausalLM(Qwen3Config(
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, head_dim=8,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)), ["q_proj", "up_proj"]),
        (lambda: GPT2LMHeadModel(GPT2Config(
            vocab_size=len(WORDS), n_embd=32, n_layer=2, n_head=4, n_positions=128)), ["c_attn"]),
    ],
    ids=["qwen3", "gpt2"],
)  # fmt: skip
def test_other_architectures_train_too(request_for, base, tmp_path, model, targets):
    torch.manual_seed(0)
    load_tokenizer(base).save_pretrained(tmp_path / "other")
    model().save_pretrained(tmp_path / "other")
    settings = {"rank": 4, "alpha": 8, "dropout": 0.0, "targetModules": targets}
    report = job.run(request_for(basePath=str(tmp_path / "other"), lora=settings))
    assert report.final_loss < report.epoch_losses[0] - 0.3


def test_a_window_shorter_than_the_rows_is_trained_row_by_row(base):
    model = AutoModelForCausalLM.from_pretrained(base)
    model.config.sliding_window = 32
    assert not can_pack(model, examples_of(ROWS, load_tokenizer(base), 64), 64)


START = """
import os, sys
from oneseek_core.errors import JobError
from oneseek_runtime.train import job
job.run(os.environ)
"""


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(request_for, tmp_path):
    env = os.environ | request_for("killed", epochs=80)
    checkpoint = tmp_path / "killed/checkpoint/state.safetensors"
    with subprocess.Popen([sys.executable, "-c", START], env=env, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not checkpoint.exists():
            assert time.monotonic() < deadline
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
        process.kill()
    assert not (tmp_path / "killed/adapter_model.safetensors").exists()

    resumed = job.run(request_for("killed", epochs=80))
    unbroken = job.run(request_for("unbroken", epochs=80))

    assert resumed.resumed_from_step
    assert unbroken.resumed_from_step is None
    assert resumed.weights_digest == unbroken.weights_digest
    assert resumed.epoch_losses == unbroken.epoch_losses
    assert (resumed.steps, resumed.label_tokens) == (unbroken.steps, unbroken.label_tokens)
    assert not checkpoint.parent.exists()


def test_sigterm_leaves_a_checkpoint_in_the_middle_of_an_epoch(request_for, tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(job, "_say", lambda _: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(JobError, match="step 1 of 18") as caught:
            job.run(request_for("stopped"))
    assert caught.value.exit_code == ExitCode.INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) is before
    resumed = job.run(request_for("stopped"))
    assert resumed.resumed_from_step == 1
    assert resumed.weights_digest == job.run(request_for("unbroken")).weights_digest


def test_another_requests_checkpoint_is_not_gone_on_from(request_for, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job, "_say", lambda _: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(JobError):
            job.run(request_for())
    assert job.run(request_for(seed=2)).resumed_from_step is None


def test_a_loss_that_is_no_number_is_named_diverged(request_for, base, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(base)
    model.lm_head.weight.data[3] = float("inf")
    model.save_pretrained(tmp_path / "broken")
    load_tokenizer(base).save_pretrained(tmp_path / "broken")
    with pytest.raises(JobError, match="NaN at step 1") as caught:
        job.run(request_for(basePath=str(tmp_path / "broken")))
    assert (caught.value.reason, caught.value.exit_code) == (names.DIVERGED, ExitCode.DIVERGED)


def test_auto_stop_ends_the_run_with_a_reason_and_an_adapter(request_for, tmp_path, capsys):
    report = job.run(request_for(autoStop={"threshold": 10, "patience": 2, "minimumSteps": 0}))
    assert (report.auto_stopped.step, report.epochs) == (9, 3)
    assert "did not fall by 10" in report.auto_stopped.reason
    assert (tmp_path / "out/adapter_model.safetensors").exists()
    assert lines(capsys.readouterr().out)[-1].percent == 100


@pytest.mark.parametrize(
    ("changes", "reason", "code", "words"),
    [
        ({"dataDigest": f"sha256:{'0' * 64}"}, names.DATASET_DIGEST_DIFFERS, ExitCode.DIGEST_DIFFERS, "changed after"),
        ({"dataPath": "/nowhere"}, names.DATASET_NOT_FOUND, ExitCode.BAD_INPUT, "cannot be read"),
        ({"basePath": "/nowhere"}, names.BASE_INVALID, ExitCode.BAD_INPUT, "tokenizer"),
        ({"lora": {"targetModules": ["q_proj", "wq"]}}, names.JOB_FAILED, ExitCode.BAD_INPUT, "names wq, but .* q_proj"),
        ({"epochs": "many"}, "BadRequest", ExitCode.BAD_REQUEST, "epochs"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_in_a_sentence(request_for, changes, reason, code, words):
    with pytest.raises(JobError, match=words) as caught:
        job.run(request_for(**changes))
    assert (caught.value.reason, caught.value.exit_code) == (reason, code)


def test_a_full_volume_is_named(request_for, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oneseek_runtime.train.weights.write_atomic", full)
    with pytest.raises(JobError) as caught:
        job.run(request_for())
    assert caught.value.reason == names.STORAGE_FULL


def test_the_saved_tensors_are_the_adapters_alone(request_for, tmp_path):
    job.run(request_for(epochs=1))
    tensors = load_file(tmp_path / "out/adapter_model.safetensors")
    assert len(tensors) == 2 * len(TARGETS) * 2
    assert all(name.startswith("base_model.model.model.layers.") for name in tensors)


@pytest.mark.parametrize(
    ("files", "cpus"),
    [({"cpu.max": b"100000 100000"}, 1), ({"cpu.max": b"max 100000"}, None), ({}, None), ({"cpu.max": b"50000 100000"}, 1)],
)  # fmt: skip
def test_threads_keep_to_the_control_groups_limit(tmp_path, files, cpus):
    for name, data in files.items():
        write_atomic(tmp_path / name, data)
    assert cpu_limit(tmp_path) == (cpus or len(os.sched_getaffinity(0)))
