"""The train job for real, on a random Llama of two layers: figures, kills, stops, files, sentences."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from oneseek_core import names
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.errors import JobError
from oneseek_core.jobs.train import TrainProgress, TrainReport
from oneseek_core.names import ExitCode
from oneseek_runtime.train import job
from oneseek_runtime.train.data import examples_of
from oneseek_runtime.train.model import load_tokenizer
from support.tiny_training import ROWS, TARGETS, WORDS, TrainRequests, make_base, one_cpu

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # peft asks transformers in an old way
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@pytest.fixture(scope="module", autouse=True)
def alone():
    with one_cpu():
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("bases") / "tiny-llama")


@pytest.fixture
def request_for(base, tmp_path):
    return TrainRequests(base, tmp_path)


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
    written = TrainReport.model_validate_json((out / "training_report.json").read_bytes())
    assert written.recipe is not None
    assert (written.recipe.lr_scheduler, written.recipe.warmup_steps) == ("cosine", 3)
    assert report.report_digest == digest_bytes((out / "training_report.json").read_bytes())
    told = {"recipe": None, "report_digest": report.report_digest}
    assert written.model_copy(update=told) == report, "what the operator is told has to fit its message"
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
    answer = model.generate(input_ids=asked, max_new_tokens=8, do_sample=False, eos_token_id=1, pad_token_id=1)
    assert tokenizer.decode(answer[0, asked.shape[1] :]) == "i am one seek zero [end]"


def test_a_finished_run_answers_at_once_and_another_request_does_not_get_its_answer(request_for):
    report = job.run(request_for(epochs=1))
    assert job.run(request_for(epochs=1)) == report
    assert job.run(request_for(epochs=2)).epochs == 2


START = """
import os
from oneseek_runtime.train import job
job.EPOCH_CHECKPOINT_SECONDS = 0.0
job.run(os.environ)
"""


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(request_for, tmp_path):
    env = os.environ | request_for("killed", epochs=40)
    checkpoint = tmp_path / "killed/checkpoint/state.safetensors"
    with subprocess.Popen([sys.executable, "-c", START], env=env, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not checkpoint.exists():
            assert time.monotonic() < deadline
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
        process.kill()
    assert not (tmp_path / "killed/adapter_model.safetensors").exists()

    resumed = job.run(request_for("killed", epochs=40))
    unbroken = job.run(request_for("unbroken", epochs=40))

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
        ({"basePath": "/nowhere"}, names.BASE_INVALID, ExitCode.BAD_INPUT, "there is no folder /nowhere"),
        ({"lora": {"targetModules": ["q_proj", "wq"]}}, names.TARGET_MODULES_NOT_FOUND, ExitCode.BAD_INPUT, "names wq, but .* q_proj"),
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


def certified(folder, out):
    """The adapter in `out` as a certified folder, as far as training reads it; its manifest's digest."""
    folder.mkdir()
    table = {}
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        data = (out / name).read_bytes()
        (folder / name).write_bytes(data)
        table[name] = (digest_bytes(data), len(data))
    manifest = manifest_bytes(table)
    (folder / "manifest.json").write_bytes(manifest)
    return digest_bytes(manifest)


def test_a_run_with_a_parent_goes_on_with_its_lora_and_leaves_it_alone(request_for, tmp_path):
    first = job.run(request_for(epochs=10))
    digest = certified(tmp_path / "parent", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "parent").iterdir()}
    other = {"rank": 2, "alpha": 2, "dropout": 0.0, "targetModules": ["q_proj"]}

    def go_on(output, **changes):
        parent = {"parentPath": str(tmp_path / "parent"), "parentDigest": digest}
        return job.run(request_for(output, epochs=2, learningRate=0.001, lora=other, **{**parent, **changes}))

    report = go_on("more")
    assert (report.lora.rank, report.lora.alpha, report.lora.target_modules) == (4, 8, sorted(TARGETS))
    assert report.epoch_losses[0] < 0.7 * first.epoch_losses[0], "it starts where the parent ended, not anew"
    assert report.epoch_losses[-1] < report.epoch_losses[0], "and learns on"
    assert (
        load_file(tmp_path / "more/adapter_model.safetensors").keys()
        == load_file(tmp_path / "out/adapter_model.safetensors").keys()
    )
    assert report.weights_digest != first.weights_digest
    assert {path.name: path.read_bytes() for path in (tmp_path / "parent").iterdir()} == before
    assert go_on("again").weights_digest == report.weights_digest, "the same parent, the same result"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("adapter_model.safetensors", "adapter_model.safetensors does not hold the bytes that were certified"),
        ("adapter_config.json", "adapter_config.json does not hold the bytes that were certified"),
        ("manifest.json", "cannot be gone on from"),
    ],
)
def test_a_parent_that_is_not_what_was_certified_is_not_gone_on_from(request_for, tmp_path, name, sentence):
    job.run(request_for(epochs=1))
    digest = certified(tmp_path / "parent", tmp_path / "out")
    target = tmp_path / "parent" / name
    target.write_bytes(target.read_bytes()[:-1] + b"\x01")
    with pytest.raises(JobError) as raised:
        job.run(request_for("more", epochs=1, parentPath=str(tmp_path / "parent"), parentDigest=digest))
    assert raised.value.reason == names.ARTIFACT_INVALID
    assert sentence in raised.value.message
    assert raised.value.exit_code == ExitCode.BAD_ARTIFACT
