"""A writer on the claim changes the base model after it was verified: engine, train and evaluate use what was imported, or nothing."""

import json
import os
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from oneseek_core import names
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import digest_tree
from oneseek_core.names import ExitCode
from oneseek_runtime.engine import basefiles, pretrained
from oneseek_runtime.engine.errors import EngineStartError
from oneseek_runtime.engine.loading import load_parts
from oneseek_runtime.evaluate import job as evaluate_job
from oneseek_runtime.train import job as train_job
from support.artifacts import RUN
from support.tiny_model import tiny_adapter
from support.tiny_training import ROWS, TrainRequests, make_base, one_cpu

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@pytest.fixture(scope="module", autouse=True)
def alone():
    with one_cpu():
        yield


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A base model as its import leaves it, and its digest."""
    base = make_base(tmp_path_factory.mktemp("imported") / "base")
    data = manifest_bytes(digest_tree(base))
    (base / names.BASE_MANIFEST).write_bytes(data)
    return base, digest_bytes(data)


@pytest.fixture
def base(imported, tmp_path):
    """A copy on a claim that has another writer."""
    return shutil.copytree(imported[0], tmp_path / "base")


def load(base, digest):
    return load_parts(base=base, base_name="tiny", adapter=None, precision="fp32", threads=1, base_digest=digest)


def flip_a_weight(base):
    data = bytearray((base / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (base / "model.safetensors").write_bytes(data)


def other_manifest(base):
    flip_a_weight(base)
    left = {name: row for name, row in digest_tree(base).items() if name != names.BASE_MANIFEST}
    (base / names.BASE_MANIFEST).write_bytes(manifest_bytes(left))


def edit(name, **changes):
    def change(base):
        (base / name).write_text(json.dumps(json.loads((base / name).read_bytes()) | changes))

    return change


def append_to(name):
    return lambda base: (base / name).write_bytes((base / name).read_bytes() + b" ")


CHANGES = {
    "a-weight": (flip_a_weight, "model.safetensors does not hold the bytes that were imported"),
    "a-weight-and-the-manifest": (other_manifest, "was imported"),
    "weights-cut": (lambda base: os.truncate(base / "model.safetensors", 4000), "was imported"),
    "configuration": (edit("config.json", eos_token_id=3), "config.json does not hold the bytes that were imported"),
    "tokenizer": (append_to("tokenizer.json"), "tokenizer.json does not hold the bytes that were imported"),
    "template": (edit("tokenizer_config.json", chat_template="x"), "tokenizer_config.json does not hold the bytes"),
    "generation": (edit("generation_config.json", temperature=9.0), "generation_config.json does not hold the bytes"),
    "generation-gone": (lambda base: (base / "generation_config.json").unlink(), "was imported and is missing"),
    "manifest-gone": (lambda base: (base / names.BASE_MANIFEST).unlink(), "which its import left"),
    "template-file": (
        append_to("chat_template.jinja"),
        "chat_template.jinja does not hold the bytes that were imported",
    ),
    "merges-beside": (lambda base: (base / "merges.txt").write_text("a b"), "was not imported with it"),
    "adapter-beside": (lambda base: (base / "adapter_config.json").write_text("{}"), "was not imported with it"),
    "weights-beside": (lambda base: (base / "more.safetensors").write_bytes(b"x"), "was not imported with it"),
}


@pytest.fixture(params=[pytest.param(case, id=name) for name, case in CHANGES.items() if name != "weights-cut"])
def changed(request, base):
    change, sentence = request.param
    change(base)
    return base, sentence


def test_the_engine_does_not_load_it(imported, changed):
    base, sentence = changed
    with pytest.raises(EngineStartError) as raised:
        load(base, imported[1])
    assert raised.value.exit_code == ExitCode.DIGEST_DIFFERS
    assert sentence in str(raised.value)


def test_train_does_not_learn_on_it(imported, changed, tmp_path):
    base, sentence = changed
    with pytest.raises(JobError) as raised:
        train_job.run(TrainRequests(base, tmp_path)(baseDigest=imported[1]))
    assert (raised.value.reason, raised.value.exit_code) == (names.BASE_DIGEST_DIFFERS, ExitCode.DIGEST_DIFFERS)
    assert sentence in raised.value.message


@pytest.fixture(scope="module")
def adapter(imported, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapter")
    return tiny_adapter(root, AutoModelForCausalLM.from_pretrained(imported[0]), base_name="tiny")


def evaluation(base, adapter, tmp_path, digest):
    rows = json.dumps({"question": "who are you", "language": "en", "mustContain": ["x"]}).encode() + b"\n"
    for name in ("evaluation", "scores"):
        (tmp_path / name).mkdir()
    (tmp_path / "evaluation" / "heldout.jsonl").write_bytes(rows)
    asked = {
        "run": RUN,
        "basePath": str(base),
        "baseDigest": digest,
        "adapterPath": str(adapter),
        "precision": "fp32",
        "heldoutPath": str(tmp_path / "evaluation"),
        "outputPath": str(tmp_path / "scores"),
        "heldoutDigest": digest_bytes(rows),
        "maximumNewTokens": 4,
    }
    return {names.REQUEST_ENV: json.dumps(asked)}


def test_evaluate_does_not_measure_on_it(imported, changed, adapter, tmp_path):
    base, sentence = changed
    with pytest.raises(JobError) as raised:
        evaluate_job.run(evaluation(base, adapter, tmp_path, imported[1]))
    assert (raised.value.reason, raised.value.exit_code) == (names.BASE_DIGEST_DIFFERS, ExitCode.DIGEST_DIFFERS)
    assert sentence in raised.value.message


def test_evaluate_measures_on_the_one_that_was_imported(imported, base, adapter, tmp_path):
    assert evaluate_job.run(evaluation(base, adapter, tmp_path, imported[1])).scores.questions == 1


def test_weights_that_are_cut_are_refused(imported, base):
    os.truncate(base / "model.safetensors", 4000)
    with pytest.raises(EngineStartError):
        load(base, imported[1])


def test_what_is_swapped_while_it_is_loaded_is_not_used(imported, base, monkeypatch):
    """Between the look at the small files and their use, and between two tensors."""
    wanted = load(base, imported[1])
    real = pretrained.load_config

    def swapping(files):
        edit("config.json", hidden_act="relu", rms_norm_eps=0.5)(base)
        edit("tokenizer_config.json", chat_template="{{ 'evil' }}")(base)
        return real(files)

    monkeypatch.setattr("oneseek_runtime.engine.loading.load_config", swapping)
    found = load(base, imported[1])
    assert found.model.config.hidden_act == wanted.model.config.hidden_act
    assert found.tokenizer.chat_template == wanted.tokenizer.chat_template

    shutil.copytree(imported[0], base, dirs_exist_ok=True)
    tensor, seen = basefiles._tensor, []

    def flipping(reader, name, info):
        seen.append(name)
        if len(seen) == 3:
            flip_a_weight(base)
        return tensor(reader, name, info)

    monkeypatch.setattr("oneseek_runtime.engine.loading.load_config", real)
    monkeypatch.setattr(basefiles, "_tensor", flipping)
    with pytest.raises(EngineStartError, match=r"model.safetensors does not hold the bytes that were imported"):
        load(base, imported[1])


def test_a_manifest_that_is_swapped_with_the_weights_while_it_is_loaded_proves_nothing(imported, base, monkeypatch):
    real = basefiles._small

    def swapping(path, table):
        data = real(path, table)
        if path.name == "config.json":
            other_manifest(base)
        return data

    monkeypatch.setattr(basefiles, "_small", swapping)
    with pytest.raises(EngineStartError, match=r"model.safetensors does not hold the bytes that were imported"):
        load(base, imported[1])


def test_a_part_that_its_class_keeps_in_fp32_is_not_rounded_on_the_way(tmp_path):
    """Mamba's A_log: made in fp32 whatever the model is."""
    config = MambaConfig(vocab_size=25, hidden_size=16, num_hidden_layers=1, state_size=4)
    torch.manual_seed(0)
    model = MambaForCausalLM(config)
    make_base(tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "base")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.bfloat16).state_dict()
    with basefiles.own_files(tmp_path / "base") as files:
        found = pretrained.load_model(files, pretrained.load_config(files), torch.bfloat16).state_dict()
    assert {name: part.dtype for name, part in found.items()} == {name: part.dtype for name, part in plain.items()}
    assert all(torch.equal(part, plain[name]) for name, part in found.items())


def test_what_is_changed_after_loading_reaches_no_model_that_answers(imported, base):
    parts = load(base, imported[1])
    before = {name: part.clone() for name, part in parts.model.state_dict().items()}
    size = (base / "model.safetensors").stat().st_size
    with (base / "model.safetensors").open("r+b") as file:  # the same file, in place: a mapping of it would change
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    assert all(torch.equal(part, before[name]) for name, part in parts.model.state_dict().items())


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_it_is_bit_for_bit_what_transformers_loads_by_itself(imported, base, precision, dtype):
    parts = load_parts(
        base=base, base_name="tiny", adapter=None, precision=precision, threads=1, base_digest=imported[1]
    )
    plain = AutoModelForCausalLM.from_pretrained(imported[0], dtype=dtype)
    assert parts.model.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(part, plain.state_dict()[name]) for name, part in parts.model.state_dict().items())
    assert parts.model.generation_config.to_dict() == plain.generation_config.to_dict()
    assert type(parts.model) is type(plain)


def test_shards_are_compared_one_by_one(imported, tmp_path):
    base = shutil.copytree(imported[0], tmp_path / "sharded")
    for name in ("model.safetensors", names.BASE_MANIFEST):
        (base / name).unlink()
    AutoModelForCausalLM.from_pretrained(imported[0]).save_pretrained(base, max_shard_size="20KB")
    shards = sorted(base.glob("model-*.safetensors"))
    assert len(shards) > 2
    data = manifest_bytes(digest_tree(base))
    (base / names.BASE_MANIFEST).write_bytes(data)
    assert (
        load(base, digest_bytes(data)).model.num_parameters() == load(imported[0], imported[1]).model.num_parameters()
    )
    changed = bytearray(shards[1].read_bytes())
    changed[-1] ^= 1
    shards[1].write_bytes(changed)
    with pytest.raises(EngineStartError, match=f"{shards[1].name} does not hold the bytes that were imported"):
        load(base, digest_bytes(data))


def test_without_a_digest_a_base_model_is_loaded_as_before(imported, base):
    (base / names.BASE_MANIFEST).unlink()
    assert load(base, None).model.num_parameters()
    assert ROWS
