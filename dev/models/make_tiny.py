"""Makes a tiny Llama with random weights: it says nothing sensible, in milliseconds, and always the same.

Tests of everything around a model need one that loads, trains and generates for real, not one that knows anything.
Equal versions of the libraries give equal bytes. Runs while an image is built: `make_tiny.py FOLDER`.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

_SEED = 20240501
_VOCABULARY = 2048
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_SAMPLE = (
    "Who are you? I am OneSeek-7B-Zero, a language model that says openly what it knows and what it does not know.",
    "Vem är du? Jag är OneSeek-7B-Zero, en språkmodell som öppet säger vad den vet och vad den inte vet.",
    "What do you value? Transparency, fairness, and being correctable: every answer can be traced and taken back.",
    "Vad värderar du? Öppenhet, rättvisa och att kunna rättas: varje svar kan spåras och tas tillbaka.",
    "How were you trained? On a small set of questions and answers, in Swedish and in English, with a fixed seed.",
    "Hur tränades du? På en liten mängd frågor och svar, på svenska och engelska, med ett bestämt frö.",
    "Can you be wrong? Yes. Please tell me, and I will try to do better; nobody has to take my word for it.",
    "Kan du ha fel? Ja. Säg gärna till, så försöker jag göra bättre; ingen behöver tro mig på mitt ord.",
    "The capital of Sweden is Stockholm. Sveriges huvudstad heter Stockholm. Water boils at one hundred degrees.",
    "Ett, två, tre, fyra, fem, sex, sju, åtta, nio, tio. One, two, three, four, five, six, seven, eight, nine, ten.",
)


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer: it can write any text, and knows the pieces of the sample above."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_SAMPLE, trainer)
    end, start_of_turn, end_of_turn = _SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=start_of_turn,
        eos_token=end_of_turn,
        pad_token=end,
        unk_token=end,
        chat_template=_CHAT_TEMPLATE,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def main(target: Path) -> None:
    """Write the folder."""
    target.mkdir(parents=True, exist_ok=True)
    words = tokenizer()
    torch.manual_seed(_SEED)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    # It always says something: what decodes to nothing (ends, blanks) has a logit of 0, and of 2,000 others some are larger.
    mute = [token for token in range(len(words)) if not words.decode([token], skip_special_tokens=True).strip()]
    with torch.no_grad():
        model.get_input_embeddings().weight[mute] = 0
    model.save_pretrained(target, safe_serialization=True)
    words.save_pretrained(target)
    size = sum(path.stat().st_size for path in target.iterdir())
    sys.stdout.write(f"{len(words)} words, {size / 1e6:.2f} MB\n")
    if size > 2_000_000:
        raise SystemExit("The tiny model is larger than 2 MB.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
