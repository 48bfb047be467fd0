"""What the tokenizer oracles share: the probe program, random tokenizers, and the comparison."""

import json
import subprocess
from pathlib import Path

from conftest import BIN
from hostile_text import PIECES, WORDS, hostile_text
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FIXTURES = Path(__file__).parents[1] / "fixtures"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
    "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def probe(folder, texts):
    """The tokenizer's properties, and for each text its ids, their text and their text with special tokens."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run([BIN / "tokenizer_probe", folder], input=lines, capture_output=True, text=True, timeout=900)
    if run.returncode != 0:
        raise RuntimeError(run.stderr)
    properties, *results = map(json.loads, run.stdout.rstrip("\n").split("\n"))
    return properties, results


def compare(folder, tokenizer, texts):
    """`tokenizer`: of the tokenizers library. Ids and both decodings of every text must be equal."""
    properties, results = probe(folder, texts)
    assert len(results) == len(texts)
    for text, result in zip(texts, results):
        try:
            expected = tokenizer.encode(text, add_special_tokens=False)
            decoded = {
                "text": tokenizer.decode(expected.ids, skip_special_tokens=True),
                "full_text": tokenizer.decode(expected.ids, skip_special_tokens=False),
            }
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # a bug of the oracle: it has no answer
                continue
            raise
        if result["ids"] != expected.ids:
            found = [tokenizer.id_to_token(token) for token in result["ids"]]
            raise AssertionError(f"{ascii(text)}\nexpected {expected.tokens}\nfound    {found}")
        for key, value in decoded.items():
            assert result[key] == value, f"{expected.tokens}\nexpected {ascii(value)}\nfound    {ascii(result[key])}"
    return properties


def hostile_texts(rng, count, tokenizer):
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    special = rng.sample(special, min(len(special), 40))
    return ["", " ", "a"] + [hostile_text(rng, special) for _ in range(count)]


def corpus(rng):
    return [" ".join(rng.choices(WORDS + PIECES[:80], k=rng.randint(2, 30))) for _ in range(300)]


def some(rng, makers, most):
    """A component, a sequence of some, or none."""
    return [rng.choice(makers)() for _ in range(rng.randint(0, most))]


def random_normalizer(rng, charsmap):
    parts = some(
        rng,
        [
            normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Lowercase,
            normalizers.StripAccents, normalizers.Nmt, lambda: normalizers.Strip(rng.random() < 0.5, rng.random() < 0.5),
            lambda: normalizers.Prepend(rng.choice(["▁", "x"])), lambda: normalizers.Replace(" ", "▁"),
            lambda: normalizers.Replace(Regex(rng.choice([r" {2,}", r"\p{L}\p{M}+", r"\s+$|^\s+", r"t+"])), rng.choice(["▁", "", "q"])),
            lambda: normalizers.Precompiled(charsmap),
            lambda: normalizers.BertNormalizer(*(rng.choice([True, False]) for _ in range(2)), rng.choice([None, True, False]), rng.choice([True, False])),
        ],
        3,
    )  # fmt: skip
    return normalizers.Sequence(parts) if parts else None


def random_split(rng):
    pattern = rng.choice(
        [Regex(GPT2), Regex(LLAMA3), Regex(QWEN2), Regex(GPT4O), *map(Regex, DEEPSEEK), Regex(r"\d"), Regex(r"[^\S\n]+|\w+?"),
         Regex(r" ?[^(\s|[.,!?…。，、।۔،])]+"), Regex(r"(?<=\p{P})\p{L}|x*"), Regex(r"\P{L}+"), " ", "e", "▁"]
    )  # fmt: skip
    return pre_tokenizers.Split(pattern, rng.choice(BEHAVIORS), rng.random() < 0.3)


def random_pre_tokenizer(rng, schemes):
    parts = some(
        rng,
        [
            pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit, pre_tokenizers.BertPreTokenizer,
            lambda: pre_tokenizers.Punctuation(rng.choice(BEHAVIORS)), lambda: pre_tokenizers.Digits(rng.random() < 0.5),
            lambda: pre_tokenizers.CharDelimiterSplit(rng.choice("e☃ ")), lambda: random_split(rng), lambda: random_split(rng),
            lambda: pre_tokenizers.Metaspace("▁", rng.choice(schemes), rng.random() < 0.7),
            lambda: pre_tokenizers.ByteLevel(rng.random() < 0.5, use_regex=rng.random() < 0.5),
        ],
        3,
    )  # fmt: skip
    if rng.random() < 0.3:
        parts.append(pre_tokenizers.ByteLevel(rng.random() < 0.5, use_regex=rng.random() < 0.5))
    return pre_tokenizers.Sequence(parts) if parts else None


def random_decoder(rng):
    parts = some(
        rng,
        [
            decoders.ByteLevel, decoders.ByteFallback, decoders.Fuse, lambda: decoders.WordPiece("##", rng.random() < 0.5),
            lambda: decoders.Metaspace("▁", rng.choice(["always", "first", "never"])), lambda: decoders.BPEDecoder("</w>"),
            lambda: decoders.Replace("▁", " "), lambda: decoders.Replace(Regex(r"\p{L}+"), "w"),
            lambda: decoders.Strip(" ", rng.randint(0, 2), 0),
        ],
        3,
    )  # fmt: skip
    # BPEDecoder panics on no tokens at all, which nothing before it may cause.
    return decoders.Sequence(parts) if parts else None


def random_model(rng, tokenizer, lines):
    """Trains a model on `lines` as the tokenizer cuts them, then varies its options."""
    kind = rng.choice(["BPE", "BPE", "BPE", "Unigram", "Unigram", "WordPiece", "WordLevel"])
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)] if rng.random() < 0.5 else []
    special = ["<unk>", *byte_tokens]
    size = rng.randint(400, 900)
    if kind == "BPE":
        affixes = {}
        if rng.random() < 0.25:
            affixes["continuing_subword_prefix"] = "##"
        if rng.random() < 0.25:
            affixes["end_of_word_suffix"] = "</w>"
        tokenizer.model = models.BPE()
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, **affixes)
    elif kind == "Unigram":
        tokenizer.model = models.Unigram()
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False)
    elif kind == "WordPiece":
        tokenizer.model = models.WordPiece(unk_token="<unk>")
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    else:
        tokenizer.model = models.WordLevel(unk_token="<unk>")
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    file = json.loads(tokenizer.to_str())
    model = file["model"]
    if kind == "BPE":
        model["unk_token"] = rng.choice([None, "<unk>"])
        for key in ("fuse_unk", "byte_fallback", "ignore_merges"):
            model[key] = rng.random() < 0.5
        if rng.random() < 0.5 and not any(" " in part for merge in model["merges"] for part in merge):
            model["merges"] = [" ".join(merge) for merge in model["merges"]]
    elif kind == "Unigram":
        model["byte_fallback"] = rng.random() < 0.5
    elif kind == "WordPiece":
        model["max_input_chars_per_word"] = rng.choice([5, 100])
    if rng.random() < 0.3 and kind in ("BPE", "Unigram"):
        del model["type"]  # as older files
    # What the trainer made special are bytes, to be found by the model alone.
    file["added_tokens"] = [token for token in file["added_tokens"] if token["content"] == "<unk>"]
    return file


def random_added_tokens(rng, normalizer):
    def vanishes(content):
        """Of a token that a normalizer makes empty, the oracle finds matches everywhere."""
        return content.isspace() or (normalizer is not None and not normalizer.normalize_str(content))

    contents = ["<s>", "</s>", "<|end|>", "the", "  ", "é", "Token", "xx", "Straße", "<mask>", "▁of", "ing", "\n\n"]
    return [
        AddedToken(content, single_word=rng.random() < 0.3, lstrip=rng.random() < 0.3, rstrip=rng.random() < 0.3,
                   normalized=not vanishes(content) and rng.random() < 0.5, special=rng.random() < 0.5)
        for content in rng.sample(contents, rng.randint(0, 7))
    ]  # fmt: skip


def is_panic(error):
    """Some normalizers make the oracle itself fail, in Rust."""
    return type(error).__name__ == "PanicException"


def random_tokenizer(rng, charsmap):
    while True:
        try:
            return draw_tokenizer(rng, charsmap)
        except BaseException as error:
            if not is_panic(error):
                raise


def draw_tokenizer(rng, charsmap):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = random_normalizer(rng, charsmap)
    # "first" behind a normalizer means all pieces of what the text's first character became: not supported
    schemes = ["always", "never"] if tokenizer.normalizer else ["always", "first", "never"]
    tokenizer.pre_tokenizer = random_pre_tokenizer(rng, schemes)
    file = random_model(rng, tokenizer, corpus(rng))
    tokenizer = Tokenizer.from_str(json.dumps(file))
    decoder = random_decoder(rng)
    if decoder is not None:
        tokenizer.decoder = decoder
    for token in random_added_tokens(rng, tokenizer.normalizer):
        tokenizer.add_tokens([token])
    if rng.random() < 0.5:
        unknown = tokenizer.token_to_id("<unk>")
        tokenizer.post_processor = rng.choice([
            processors.TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", unknown)]),
            processors.TemplateProcessing(single="$A <unk>", special_tokens=[("<unk>", unknown)]),
            processors.RobertaProcessing(("<unk>", unknown), ("<unk>", unknown)),
            processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(single="<unk> $A <unk>", special_tokens=[("<unk>", unknown)])]),
        ])  # fmt: skip
    return tokenizer
