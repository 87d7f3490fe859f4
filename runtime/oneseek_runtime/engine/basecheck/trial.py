"""[I/O] A small random model of the same kind goes the whole way: trained, its adapter added in, asked token by token.

It tells before gigabytes are moved what no look at the files can: whether train's, evaluate's and the engine's code fit
this class. The steps are that code itself; the numbers must be those of one plain pass over the text.
"""

from __future__ import annotations

import copy
import inspect
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from oneseek_core.api.v1alpha1.training_run import LoraSettings
from oneseek_runtime.engine.basecheck.shrink import sharpen, shrunk
from oneseek_runtime.engine.loading import Parts
from oneseek_runtime.engine.model import LoadedModel
from oneseek_runtime.engine.pretrained import UnusableBaseError, random_model, refused
from oneseek_runtime.engine.wire import Sampling
from oneseek_runtime.evaluate.generate import greedy
from oneseek_runtime.log import say
from oneseek_runtime.train.data import Example, pack
from oneseek_runtime.train.lora import adapter_parameters, add_adapter, target_names
from oneseek_runtime.train.model import can_pack, predict
from oneseek_runtime.train.recipe import Settings, State, fine_tune, make_optimiser
from oneseek_runtime.train.schedule import Plan
from oneseek_runtime.train.weights import save_adapter

__all__ = ["try_out"]

_NEEDED = ("past_key_values", "logits_to_keep")  # of forward: what an answer token by token takes
_VOCABULARY = 128
_BASE, _VERSION = "base", "version"
_ROWS = [
    Example((5, 7, 9, 11, 13, 15, 17, 19), 4),
    Example((5, 7, 9, 21, 23, 25), 4),
    Example((5, 7, 27, 29, 31, 33, 35), 3),
]
_PROMPTS = [[5, 7, 9, 11, 13], [6, 8, 10]]
_ANSWER = 4  # tokens
_TOLERANCE = 0.02  # nats; fp32's own noise is about 0.0001
_OTHER = "use a model of another kind (docs/reference/models.md)"


def try_out(config: Any) -> None:
    """Train and ask a small random model of the configuration's kind.

    Raises:
        UnusableBaseError: it cannot be trained or served, or does not answer what it computes.
    """
    small = _small(config)
    kind = type(small).__name__
    if missing := [name for name in _NEEDED if name not in inspect.signature(small.forward).parameters]:
        raise UnusableBaseError(
            f"models of the class {kind} cannot be served: their forward takes no {' and no '.join(missing)}; {_OTHER}"
        )
    _name_no_end(small)
    words = SimpleNamespace(eos_token_id=None, get_vocab=lambda: {"": 0})  # the trial's prompts are tokens already
    served = LoadedModel(model=copy.deepcopy(small), tokenizer=words, base_name=_BASE)
    with refused(f"models of the class {kind} cannot be served: they do not answer token by token; {_OTHER}"):
        for prompt in _PROMPTS:
            _compare(small, served, _BASE, prompt)
        greedy(Parts(copy.deepcopy(small), words), _PROMPTS, _ANSWER)
    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        with refused(f"models of the class {kind} cannot be trained: a small one was tried and failed; {_OTHER}"):
            adapted = _trained(small, Path(folder))
        with refused(f"models of the class {kind} cannot be served with an adapter; {_OTHER}"):
            served.add(_VERSION, Path(folder))
            for prompt in _PROMPTS:
                _compare(adapted, served, _VERSION, prompt)


def _small(config: Any) -> Any:
    """A model of the configuration made small; of its class's own, where its sizes do not go together any more then."""
    with refused(f"a small {config.model_type} model cannot be made of config.json, so it cannot be tried; {_OTHER}"):
        try:
            return _made(config)
        except ImportError:
            raise
        except Exception as error:  # noqa: BLE001 - that is shrink.py's fault, not the model's
            say("trying the class's own configuration instead", error=f"{type(error).__name__}: {error}")
            return _made(type(config)())


def _made(config: Any) -> Any:
    torch.manual_seed(0)
    model = random_model(shrunk(config, vocabulary=_VOCABULARY), torch.float32).eval()
    sharpen(model)
    with torch.inference_mode():
        model(input_ids=torch.tensor([_PROMPTS[0]]))
    return model


def _name_no_end(model: Any) -> None:
    """Answers of the whole length: a random model may say any token."""
    model.generation_config.eos_token_id = None
    model.config.get_text_config(decoder=True).eos_token_id = None


def _trained(small: Any, folder: Path) -> Any:
    """The model with an adapter in it, trained for a few steps and written to the folder."""
    targets = target_names(small)
    if not targets:
        raise UnusableBaseError(f"models of the class {type(small).__name__} have no linear layers to train; {_OTHER}")
    packs = can_pack(small, _ROWS, 64)
    adapted = add_adapter(
        small, LoraSettings(rank=2, alpha=4, dropout=0.0, target_modules=targets), base_name=_BASE, seed=1
    )
    parameters = adapter_parameters(adapted)
    optimiser = make_optimiser(parameters)
    settings = Settings(plan=Plan(2, 2, 0.05), batch_size=2, seed=1, pack_tokens=64 if packs else 0)
    for _ in fine_tune(adapted, optimiser, _ROWS, settings, State()):
        pass
    if not any(bool(part.any()) for name, part in parameters.items() if "lora_B" in name):
        raise ValueError("training changed nothing")
    save_adapter(adapted, folder)
    return adapted.eval()


def _compare(model: Any, served: LoadedModel, name: str, prompt: list[int]) -> None:
    """Make sure that the engine's probabilities of its own answer are those of one pass over question and answer."""
    sampling = Sampling(max_tokens=_ANSWER, temperature=0.0)
    answer = list(served.generate(prompt, sampling, served.adapter(name), bool))
    tokens = [item.token for item in answer]
    (part,) = pack([Example((*prompt, *tokens), len(prompt))], 0)
    with torch.inference_mode():
        computed = torch.log_softmax(predict(model, part).float(), dim=-1)
    for place, item in enumerate(answer):
        if not abs(float(computed[place, item.token]) - item.logprob) <= _TOLERANCE:  # NaN too
            raise ValueError(
                f"token {place} of the answer: {item.logprob} nats instead of {computed[place, item.token]}"
            )
