"""The recipe's shortcuts change nothing: packed, masked and fused equals plain; other architectures train too."""

import os

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from oneseek_core.api.v1alpha1.training_run import LoraSettings
from oneseek_core.files import write_atomic
from oneseek_runtime.train import job, lora
from oneseek_runtime.train.data import examples_of, pack
from oneseek_runtime.train.model import can_pack, cpu_limit, load_tokenizer, predict
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
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, head_dim=8, initializer_range=0.2,
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
    assert report.final_loss < report.epoch_losses[0] - 0.1


def test_a_window_shorter_than_the_rows_is_trained_row_by_row(base):
    model = AutoModelForCausalLM.from_pretrained(base)
    model.config.sliding_window = 32
    assert not can_pack(model, examples_of(ROWS, load_tokenizer(base), 64), 64)


@pytest.mark.parametrize(
    ("files", "cpus"),
    [({"cpu.max": b"100000 100000"}, 1), ({"cpu.max": b"max 100000"}, None), ({}, None), ({"cpu.max": b"50000 100000"}, 1)],
)  # fmt: skip
def test_threads_keep_to_the_control_groups_limit(tmp_path, files, cpus):
    for name, data in files.items():
        write_atomic(tmp_path / name, data)
    assert cpu_limit(tmp_path) == (cpus or len(os.sched_getaffinity(0)))
