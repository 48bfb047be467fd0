#!/usr/bin/env python3
"""Makes the tokenizers of examples/models from examples/data: run it from anywhere; it replaces the files in place."""

import json
import math
from collections import Counter
from pathlib import Path

import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import ByteLevelBPETokenizer

MODELS = Path(__file__).resolve().parent
DATA = MODELS.parent / "data"


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(path):
    return [row[column] for row in rows(path) for column in ("model_input", "model_output")]


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def scan_pieces(corpus):
    """SCAN's words with the logarithm of their share; then each single character, far less likely than any word."""
    words = Counter(word for text in corpus for word in text.split())
    total = sum(words.values())
    pieces = [("\u2581" + word, math.log(count / total)) for word, count in sorted(words.items())]
    unlikely = min(score for _, score in pieces) - 10
    letters = sorted(set("".join(words))) + ["\u2581"]
    return pieces + [(letter, unlikely) for letter in letters]


def make_scan(folder):
    """A unigram model of SCAN's 19 words, a piece each, behind what T5 reserves: pad 0, eos 1, unk 2.

    SentencePiece's own trainer prunes whole words from so regular a text, so the pieces are written down instead.
    """
    corpus = texts(DATA / "scan" / "train.jsonl")
    model = ModelProto()
    model.trainer_spec.model_type = model.trainer_spec.UNIGRAM
    model.trainer_spec.pad_id, model.trainer_spec.eos_id, model.trainer_spec.unk_id = 0, 1, 2
    model.trainer_spec.bos_id = -1
    model.normalizer_spec.name = "identity"
    piece_type = model.SentencePiece
    for piece, kind in (("<pad>", piece_type.CONTROL), ("</s>", piece_type.CONTROL), ("<unk>", piece_type.UNKNOWN)):
        model.pieces.add(piece=piece, score=0, type=kind)
    for piece, score in scan_pieces(corpus):
        model.pieces.add(piece=piece, score=score, type=piece_type.NORMAL)
    model.trainer_spec.vocab_size = len(model.pieces)
    (folder / "spiece.model").write_bytes(model.SerializeToString(deterministic=True))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    split = [word for text in corpus for word in text.split() if len(processor.encode(word)) != 1]
    assert not split, f"words of several pieces: {split[:5]}"
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "T5Tokenizer",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "extra_ids": 0,
            "additional_special_tokens": [],
        },
    )


def make_nl2bash(folder):
    """Byte-level BPE as GPT-2's, with 2,000 tokens; <|endoftext|> is 0 and the only special one."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        texts(DATA / "nl2bash" / "train.jsonl"),
        vocab_size=2000,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.save_model(str(folder))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "GPT2Tokenizer",
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "add_prefix_space": False,
            "model_max_length": 256,
        },
    )


if __name__ == "__main__":
    make_scan(MODELS / "scan-t5")
    make_nl2bash(MODELS / "nl2bash-gpt2")
