"""Transformers of a few thousand random weights in a folder, as `hf:FOLDER` opens them."""

import json
from pathlib import Path

from noiseproof.backbones.texts.hugging_face import import_transformers

WORDS = [
    "a",
    "the",
    "bad",
    "good",
    "film",
    "plot",
    "was",
    "is",
    "not",
    "very",
    "long",
    "short",
    "of",
    "and",
    "sea",
    "sun",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def save_transformer(folder: Path, family: str = "bert") -> Path:
    """Save a model and its tokenizer; the family is "bert", "roberta", "gpt2" or "t5"."""
    transformers = import_transformers("A test")
    import torch

    size = len(SPECIAL) + len(WORDS)
    small = {"vocab_size": size, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    configs = {
        "bert": lambda: transformers.BertConfig(**small, intermediate_size=32, max_position_embeddings=24),
        "roberta": lambda: transformers.RobertaConfig(
            **small, intermediate_size=32, max_position_embeddings=26, pad_token_id=0
        ),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=size, n_embd=16, n_layer=2, n_head=2, n_positions=24, bos_token_id=2, eos_token_id=3
        ),
        "t5": lambda: transformers.T5Config(
            vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
            decoder_start_token_id=0,
        ),
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(configs[family]())
    model.save_pretrained(folder)
    _tokenizer(family).save_pretrained(folder)
    return folder


def add_pooling(folder: Path, *, pooling: str = "mean", most_tokens: int = 24) -> Path:
    """What makes a folder one of sentence-transformers; "mean", "cls", "max" or "lasttoken"."""
    parts = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        for number, (name, path) in enumerate([("Transformer", ""), ("Pooling", "1_Pooling")])
    ]
    (folder / "modules.json").write_text(json.dumps(parts))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": most_tokens}))
    (folder / "1_Pooling").mkdir()
    key = f"pooling_mode_{pooling if pooling == 'lasttoken' else f'{pooling}_tokens'}"
    (folder / "1_Pooling/config.json").write_text(json.dumps({key: True, "word_embedding_dimension": 16}))
    return folder


def _tokenizer(family: str):
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ["input_ids", "attention_mask"]
    if family == "gpt2":  # neither padding nor a token around the text
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="[UNK]", model_max_length=24, model_input_names=names
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )  # fmt: skip
    if family == "bert":
        names = [*names, "token_type_ids"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", model_max_length=24, model_input_names=names,
    )  # fmt: skip
