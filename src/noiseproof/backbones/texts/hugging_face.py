"""`hf:NAME` and `st:NAME`: text encoders of transformers and sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, PositiveInt, TypeAdapter, ValidationError

from noiseproof.backbones.checkpoints.downloads import downloading
from noiseproof.backbones.texts.text_backbone import POOLINGS, PooledTransformer, TextBackbone, check_pooling
from noiseproof.core.errors import BadData, MissingFile, NoiseproofError, first_line, invalid
from noiseproof.core.storage.documents import describe_problem
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.regular_files import read_regular
from noiseproof.core.torchvision_ops import import_beside_torchvision

# Models for long texts would take minutes for each of them; the end of a longer text is cut off.
_MOST_TOKENS = 512
_NO_LIMIT = 1_000_000  # tokenizers without a limit give a larger number


class _Part(BaseModel):
    """An entry of `modules.json`."""

    type: str
    path: str = ""


class _Reading(BaseModel):
    """`sentence_bert_config.json`: how texts are read."""

    max_seq_length: PositiveInt | None = None
    do_lower_case: bool = False


def open_hugging_face(rest: str, *, layer: str | None = None) -> TextBackbone:
    """A transformer as a text encoder: any that `AutoModel` opens, by its name on the hub or its folder.

    Its usual pooling: "cls" for masked language models such as BERT and RoBERTa, "last" for causal ones such
    as GPT-2, "mean" for others, such as the encoder of T5. Of the model the last layer is pooled, before
    what its training put behind it. Pairs of texts are one input.

    Args:
        rest: what follows `hf:`.
        layer: "cls", "mean", "last" or "max"; `None` for the usual one.

    Raises:
        InvalidArgument: no such pooling, or the model is no text encoder.
        MissingFile: the model is neither here nor can it be downloaded.
        MissingExtra: transformers is not installed.
    """
    check_hugging_face_name(rest)
    check_pooling(layer)
    return load_transformer(f"hf:{rest}", rest, layer=layer)


def open_sentence_transformer(rest: str, *, layer: str | None = None) -> TextBackbone:
    """A model of sentence-transformers: a transformer, its own pooling, and unit length where it has that.

    Of pairs of texts the features are [u, v, |u - v|, u v], since such a model encodes one text at a time.

    Args:
        rest: what follows `st:`; a name on the hub, of sentence-transformers where it has no slash, or a
            folder.
        layer: as in `open_hugging_face`; `None` for the pooling of the model.

    Raises:
        InvalidArgument: no such pooling, or a model with parts beside a transformer, a pooling and unit
            length.
        MissingFile, MissingExtra: see `open_hugging_face`.
    """
    check_hugging_face_name(rest)
    check_pooling(layer)
    is_short = "/" not in rest and not Path(rest).is_dir()
    return load_sentence_transformer(
        f"st:{rest}", f"sentence-transformers/{rest}" if is_short else rest, layer=layer
    )


def check_hugging_face_name(rest: str) -> None:
    """Refuse an empty name."""
    if not rest:
        raise invalid("backbone", "hf:", "'hf:NAME', the name of a model on the hub or its folder")


def load_transformer(name: str, source: str, *, layer: str | None, **options: Any) -> TextBackbone:
    """A text encoder from a name on the hub or a folder."""
    model, tokenizer = _model_and_tokenizer(name, source, **options)
    layer = layer or usual_pooling(model.config)
    return text_backbone(name, model, tokenizer, layer=layer)


def load_sentence_transformer(name: str, source: str, *, layer: str | None) -> TextBackbone:
    """A text encoder with the pooling, the longest text and the unit length of its own configuration."""
    parts = _config_file(name, source, "modules.json", list[_Part])
    modules = [part.type.rpartition(".")[2] for part in parts]
    if modules not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise invalid(
            "backbone", name, "a model made of a transformer, a pooling and at most unit length",
            f"This one is made of {', '.join(modules)}. Next: encode the texts with sentence-transformers "
            "and pass the features.",
        )  # fmt: skip
    model, tokenizer = _model_and_tokenizer(name, source)
    reading = _config_file(name, source, "sentence_bert_config.json", _Reading)
    whole = _config_file(
        name, source, "config_sentence_transformers.json", dict[str, Any], may_be_missing=True
    )
    if whole.get("default_prompt_name") is not None or reading.do_lower_case:
        raise invalid(
            "backbone", name, "a model that reads texts as they are",
            "This one puts a prompt before each text, or lower-cases it. Next: encode the texts with "
            "sentence-transformers and pass the features.",
        )  # fmt: skip
    pooling = _config_file(name, source, f"{parts[1].path}/config.json", dict[str, Any])
    own = _own_pooling(name, pooling)
    return text_backbone(
        name, model, tokenizer, layer=layer or own, most_tokens=reading.max_seq_length,
        has_unit_length=modules[-1] == "Normalize" and layer in (None, own), has_joint_pairs=False,
    )  # fmt: skip


def _model_and_tokenizer(name: str, source: str, **options: Any) -> tuple[Any, Any]:
    """Both as transformers opens them.

    Raises:
        MissingFile: there is no such folder, or the weights cannot be downloaded.
        BadData: files are damaged or missing.
    """
    transformers = import_transformers(f"The backbone {name!r}")
    is_folder = Path(source).is_dir()
    if not is_folder and (Path(source).exists() or source.startswith(("/", ".", "~"))):
        raise MissingFile(
            f"`backbone` is {name!r}, and there is no folder {source!r}. Allowed: the folder of a model, or "
            "its name on the hub. Next: check the path."
        )
    try:
        with nullcontext() if is_folder else downloading(name), quiet():
            model = transformers.AutoModel.from_pretrained(source, dtype=torch.float32, **options)
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
    except (NoiseproofError, ImportError):
        raise
    except Exception as error:  # whatever transformers and its libraries raise for damaged files
        raise _damaged(name, first_line(error)) from error
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # what transformers makes up without a file
        raise BadData(
            f"The tokenizer of {name!r} has no words. Allowed: a model with its tokenizer. Next: save the "
            "tokenizer into the same folder with `save_pretrained`."
        )
    return model, tokenizer


def text_backbone(
    name: str,
    model: Any,
    tokenizer: Any,
    *,
    layer: str,
    most_tokens: int | None = None,
    has_unit_length: bool = False,
    has_joint_pairs: bool = True,
) -> TextBackbone:
    """The backbone of a model and a tokenizer of transformers.

    Raises:
        InvalidArgument: the model reads no texts, or its tokenizer is not one of the library `tokenizers`.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise invalid(
            "backbone", name, "a model whose tokenizer is one of the library `tokenizers`",
            f"This one has a {type(tokenizer).__name__}. Next: take another model.",
        )  # fmt: skip
    pad_token = tokenizer.pad_token_id  # GPT-2 has none; what stands there is masked
    module = PooledTransformer(
        model.get_encoder() if model.config.is_encoder_decoder else model, layer,
        pad_token=0 if pad_token is None else int(pad_token),
        reads_types="token_type_ids" in tokenizer.model_input_names, has_unit_length=has_unit_length,
    )  # fmt: skip
    most = most_tokens or _longest_text(model.config, tokenizer)
    return TextBackbone(
        name, tokenizer=backend, module=module, layer=layer, most_tokens=most, has_joint_pairs=has_joint_pairs
    )


def usual_pooling(config: Any) -> str:
    """The pooling that the family of a model is used with."""
    from transformers.models.auto import modeling_auto

    if config.is_encoder_decoder:
        return "mean"
    if config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "cls"
    return "last" if config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else "mean"


def import_transformers(purpose: str) -> Any:
    """The module `transformers`, or `MissingExtra`."""
    return import_beside_torchvision("transformers", extra="text", purpose=purpose)


@contextmanager
def quiet() -> Iterator[None]:
    """transformers reports every weight it leaves out (such as a pooler, which nobody uses), with a bar."""
    from transformers.utils import logging

    before, had_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if had_bar:
            logging.enable_progress_bar()


def _longest_text(config: Any, tokenizer: Any) -> int:
    limits = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None), _MOST_TOKENS]
    return int(min(limit for limit in limits if limit and 0 < limit < _NO_LIMIT))


def _own_pooling(name: str, config: dict[str, Any]) -> str:
    ways = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last", "max_tokens": "max"}
    found = [way for key, way in ways.items() if config.get(f"pooling_mode_{key}")]
    if "pooling_mode" in config:  # newer files
        found = [config["pooling_mode"]] if config["pooling_mode"] in POOLINGS else []
    if len(found) != 1:
        raise invalid(
            "backbone", name, f"a model with one pooling of {', '.join(POOLINGS)}",
            "Next: name one with `layer`.",
        )  # fmt: skip
    return found[0]


def _config_file(name: str, source: str, file: str, kind: Any, *, may_be_missing: bool = False) -> Any:
    """A JSON file of a model, from its folder or the hub; an empty object for one that may be missing."""
    content = _content(name, source, file, may_be_missing=may_be_missing)
    try:
        return TypeAdapter(kind).validate_python(parse_json(content))
    except (BadJson, ValidationError) as error:
        raise _damaged(name, f"{file}: {describe_problem(error)}") from error


def _content(name: str, source: str, file: str, *, may_be_missing: bool) -> bytes:
    if Path(source).is_dir():
        path = Path(source) / file
        if path.is_file():
            return read_regular(path)
        if may_be_missing:
            return b"{}"
        raise invalid(
            "backbone", name, f"the folder of a sentence-transformers model, with {file}",
            f"Next: hf:{source} for a model of transformers.",
        )  # fmt: skip
    from huggingface_hub import file_exists, hf_hub_download

    with downloading(name):
        if may_be_missing and not file_exists(source, file):
            return b"{}"
        return read_regular(hf_hub_download(source, file))


def _damaged(name: str, reason: str) -> BadData:
    return BadData(
        f"The model {name!r} cannot be opened ({reason}). Allowed: a folder with config.json, weights and "
        "tokenizer.json that belong together. Next: save the model and its tokenizer again with "
        "`save_pretrained`."
    )
