"""Ids and decoded texts against tokenizers and transformers: random tokenizers, hostile texts, every code point."""

import json
import random

import pytest
from tokenizer_workplace import BEHAVIORS, FIXTURES, compare, hostile_texts, is_panic, probe, random_tokenizer
from tokenizers import Tokenizer


@pytest.fixture(scope="session")
def charsmap():
    """T5's, as SentencePiece's model file has it."""
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()
    proto.ParseFromString((FIXTURES / "tokenizers" / "t5" / "spiece.model").read_bytes())
    return proto.normalizer_spec.precompiled_charsmap


def test_random_tokenizers(tmp_path, seed, charsmap):
    for case in range(20):
        rng = random.Random(f"{seed} {case}")
        tokenizer = random_tokenizer(rng, charsmap)
        folder = tmp_path / str(case)
        folder.mkdir()
        tokenizer.save(str(folder / "tokenizer.json"))
        try:
            compare(folder, tokenizer, hostile_texts(rng, 60, tokenizer))
        except (AssertionError, RuntimeError) as error:
            file = json.loads((folder / "tokenizer.json").read_text())
            file["model"] = {k: v for k, v in file["model"].items() if k not in ("vocab", "merges")}
            for normalizer in (file["normalizer"] or {}).get("normalizers", []):
                normalizer.pop("precompiled_charsmap", None)
            raise AssertionError(f"seed {seed} case {case}: {json.dumps(file)}\n{error}") from None
        except BaseException as error:
            if not is_panic(error):
                raise


def test_matches_of_nothing(tmp_path, seed):
    """What a pattern puts before the first character stems from none of the text's: whatever rewrites it after that,
    the tokenizers library panics or leaves a part as it was. So nothing does here."""
    from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
    from tokenizer_workplace import corpus

    rng = random.Random(seed)
    for number, content in enumerate(["▁", "", "q"]):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.normalizer = normalizers.Replace(Regex("x*"), content)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(rng.choice(["e", "▁"]), rng.choice(BEHAVIORS))
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
        tokenizer.train_from_iterator(corpus(rng), trainer)
        folder = tmp_path / str(number)
        folder.mkdir()
        tokenizer.save(str(folder / "tokenizer.json"))
        compare(folder, tokenizer, hostile_texts(rng, 60, tokenizer) + ["x", "axxb", "xx ax"])


@pytest.mark.parametrize("before", ["prefixed bytes", "bytes", "metaspace"])
def test_the_first_piece_behind_other_rewriters(tmp_path, seed, before):
    """Metaspace's "first" means all pieces that stem from the text's first character: its bytes, and what was put before."""
    from tokenizers import models, trainers
    from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, Digits, Metaspace, Sequence, Whitespace
    from tokenizer_workplace import corpus

    rng = random.Random(seed)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = Sequence({
        "prefixed bytes": [ByteLevel(add_prefix_space=True), Digits(individual_digits=True)],
        "bytes": [ByteLevel(add_prefix_space=False, use_regex=False), BertPreTokenizer()],
        "metaspace": [Metaspace(prepend_scheme="always"), Whitespace()],
    }[before] + [Metaspace(prepend_scheme="first", split=False)])  # fmt: skip
    tokenizer.train_from_iterator(corpus(rng), trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    compare(tmp_path, tokenizer, hostile_texts(rng, 200, tokenizer) + ["1", "é1", "中1 a", "(a", "▁a"])


def save_class(folder, rng, name, model_type=None, **config):
    """A small byte-level or SentencePiece-like BPE as a folder of the tokenizer class `name`."""
    from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from tokenizer_workplace import corpus

    folder.mkdir()
    byte_level = name not in ("LlamaTokenizer", "GemmaTokenizer")
    tokenizer = Tokenizer(models.BPE(byte_fallback=not byte_level, fuse_unk=not byte_level, unk_token=None if byte_level else "<unk>"))
    special = ["<unk>", "<s>", "</s>", "<pad>", "<bos>", "<eos>", "<|endoftext|>", "<|padding|>"]
    if byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        special += [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(corpus(rng), trainer)
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [token for token in file["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.add_tokens([AddedToken("<|end|>", rstrip=True), AddedToken("Token", normalized=True)])
    if rng.random() < 0.5:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config | ({"tokenizer_class": name} if name else {})))
    if model_type:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))


def compare_with_transformers(folder, rng, count=150):
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(folder)
    tokenizer = reference.backend_tokenizer
    properties = compare(folder, tokenizer, hostile_texts(rng, count, tokenizer))
    framed, plain = (reference("a", add_special_tokens=framed)["input_ids"] for framed in (True, False))
    assert framed == properties["before"] + plain + properties["after"]
    if reference.eos_token_id is not None:
        assert properties["eos"] == reference.eos_token_id
    if reference.pad_token_id is not None:
        assert properties["pad"] == reference.pad_token_id
    if reference.bos_token_id is not None and not properties["before"]:
        assert properties["bos"] == reference.bos_token_id
    return reference


@pytest.mark.parametrize("name", ["LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer", "GPT2Tokenizer", "GPTNeoXTokenizer",
                                  "Qwen2TokenizerFast", "PreTrainedTokenizerFast", "NotKnownTokenizer"])  # fmt: skip
@pytest.mark.parametrize("settings", [{}, {"add_prefix_space": True, "legacy": True}, {"add_prefix_space": False},
                                      {"legacy": False, "add_bos_token": True, "add_eos_token": True}])  # fmt: skip
def test_tokenizer_classes(tmp_path, seed, name, settings):
    rng = random.Random(f"{seed} {name} {settings}")
    save_class(tmp_path / "model", rng, name, **settings)
    compare_with_transformers(tmp_path / "model", rng)


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neox", "qwen2", "phi3", "mistral"])
def test_model_types(tmp_path, seed, model_type):
    rng = random.Random(f"{seed} {model_type}")
    save_class(tmp_path / "model", rng, rng.choice(["GPT2Tokenizer", "Qwen2Tokenizer"]), model_type)
    compare_with_transformers(tmp_path / "model", rng)


@pytest.fixture(scope="session")
def sentencepiece_model(tmp_path_factory):
    """Trains a model of random options: (path, whether Unigram)."""
    import sentencepiece
    from tokenizer_workplace import corpus

    def train(rng, kind):
        prefix = tmp_path_factory.mktemp("spm") / "m"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus(rng)), model_prefix=str(prefix), vocab_size=620, model_type=kind,
            byte_fallback=rng.random() < 0.5, character_coverage=0.995, hard_vocab_limit=False, minloglevel=2,
            normalization_rule_name=rng.choice(["nmt_nfkc", "identity", "nfkc_cf"]),
            user_defined_symbols=rng.choice([[], ["<sep>", "of"]]), pad_id=3,
            remove_extra_whitespaces=rng.random() < 0.5, add_dummy_prefix=rng.random() < 0.8)  # fmt: skip
        return prefix.with_suffix(".model")

    return train


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("name", ["LlamaTokenizer", "PreTrainedTokenizerFast", "GemmaTokenizer"])
def test_sentencepiece_models(tmp_path, seed, sentencepiece_model, name, kind):
    if kind == "unigram" and name != "PreTrainedTokenizerFast":
        pytest.skip("not a pair that exists")
    rng = random.Random(f"{seed} {name} {kind}")
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model(rng, kind).read_bytes())
    config = {"tokenizer_class": name, "legacy": rng.choice([True, False]), "add_bos_token": rng.choice([True, False])}
    if name == "GemmaTokenizer":
        config |= {"bos_token": "<s>", "eos_token": "</s>", "mask_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    compare_with_transformers(tmp_path, rng, 300)


def compare_with_sentencepiece(folder, rng, count):
    """T5's own file gives the ids of its own library, also where transformers reads it otherwise (combining marks)."""
    import sentencepiece
    from hostile_text import hostile_text

    (folder / "config.json").write_text('{"model_type": "t5"}')
    reference = sentencepiece.SentencePieceProcessor(str(folder / "spiece.model"))
    pieces = range(reference.get_piece_size())
    special = [reference.id_to_piece(i) for i in pieces if reference.is_control(i) or reference.is_unknown(i)] + ["<extra_id_"]
    symbols = [reference.id_to_piece(i) for i in pieces if reference.get_score(i) == 0 and not reference.is_control(i)]
    texts = ["", " ", "a", "a\x85b", "Z\u0351\u036b\u0343 e\u0301 a\u0308\u0323 \u1e9b\u0323", "<0x41>", "  a  b  ", "中文\u0378"]
    texts += [text for text in (hostile_text(rng, symbols[:20]) for _ in range(count)) if not any(one in text for one in special)]
    _, results = probe(folder, texts)
    for text, result in zip(texts, results):
        assert result["ids"] == reference.encode(text), ascii(text)
        if reference.unk_id() not in result["ids"] and "▁" not in text:
            assert result["text"].replace(" ", "") == reference.decode(result["ids"]).replace(" ", ""), ascii(text)


def test_t5_model_alone(tmp_path, seed):
    (tmp_path / "spiece.model").write_bytes((FIXTURES / "tokenizers" / "t5" / "spiece.model").read_bytes())
    compare_with_sentencepiece(tmp_path, random.Random(seed), 1000)


def train_t5_model(folder, rng, **options):
    import sentencepiece
    from tokenizer_workplace import corpus

    options = {"model_type": "unigram", "vocab_size": 620, "character_coverage": 0.995, "pad_id": 0, "eos_id": 1, "unk_id": 2,
               "bos_id": -1, "normalization_rule_name": rng.choice(["nmt_nfkc", "identity", "nfkc_cf"])} | options  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus(rng)), model_prefix=str(folder / "spiece"), hard_vocab_limit=False, minloglevel=2,
        **options)  # fmt: skip
    (folder / "config.json").write_text('{"model_type": "t5"}')


def test_t5_models_of_other_text(tmp_path, seed):
    rng = random.Random(seed)
    train_t5_model(tmp_path, rng)
    compare_with_sentencepiece(tmp_path, rng, 500)


def random_sentencepiece_options(rng):
    """Options that change ids, and ids of the special pieces in every order."""
    ids = rng.sample(range(4), 4)
    options = {"unk_id": ids[0], "eos_id": ids[1], "pad_id": ids[2], "bos_id": rng.choice([ids[3], -1])}
    for option in ("byte_fallback", "add_dummy_prefix", "remove_extra_whitespaces", "split_digits", "split_by_whitespace",
                   "allow_whitespace_only_pieces", "split_by_unicode_script"):  # fmt: skip
        options[option] = rng.random() < 0.5
    options["user_defined_symbols"] = rng.sample(["<sep>", "of", "▁the", "the way", "\t", "\n", "é", "ﬁ", "a b", " x", "①②"], rng.randint(0, 5))
    options["control_symbols"] = rng.choice([[], ["<ctrl>", "<lang>"]])
    if rng.random() < 0.3:
        options |= {"unk_piece": "<u>", "eos_piece": "<e>", "pad_piece": "<p>"}
    if options["bos_id"] == -1:  # the ids must have no gap
        order = sorted(["unk_id", "eos_id", "pad_id"], key=options.get)
        options |= {name: number for number, name in enumerate(order)}
    return options


def test_t5_models_of_any_options(tmp_path, seed):
    for case in range(6):
        rng = random.Random(f"{seed} {case}")
        folder = tmp_path / str(case)
        folder.mkdir()
        options = random_sentencepiece_options(rng)
        train_t5_model(folder, rng, **options)
        try:
            compare_with_sentencepiece(folder, rng, 150)
            properties, _ = probe(folder, [])
            assert (properties["eos"], properties["pad"]) == (options["eos_id"], options["pad_id"])
        except (AssertionError, RuntimeError) as error:
            raise AssertionError(f"seed {seed} case {case}: {options}\n{error}") from None


@pytest.mark.parametrize("option, value", [("model_type", "bpe"), ("model_type", "char"), ("model_type", "word"),
                                           ("treat_whitespace_as_suffix", True), ("escape_whitespaces", False)])  # fmt: skip
def test_options_of_sentencepiece_that_are_refused(tmp_path, seed, option, value):
    rng = random.Random(seed)
    words = {"use_all_vocab": True} if value in ("char", "word") else {}
    train_t5_model(tmp_path, rng, **({option: value} if option != "escape_whitespaces" else {}), **words)
    if option == "escape_whitespaces":
        from transformers.convert_slow_tokenizer import import_protobuf

        proto = import_protobuf().ModelProto()
        proto.ParseFromString((tmp_path / "spiece.model").read_bytes())
        proto.normalizer_spec.escape_whitespaces = False
        (tmp_path / "spiece.model").write_bytes(proto.SerializeToString())
    with pytest.raises(RuntimeError, match=rf"spiece.model: .*{option}: expected .*, found .*save the tokenizer with transformers"):
        probe(tmp_path, [])


def test_added_tokens_next_to_a_sentencepiece_model(tmp_path, seed):
    """A token that is searched for in the normalized text is found at any place, and so is one that the rules rewrite."""
    from transformers import AutoTokenizer

    (tmp_path / "spiece.model").write_bytes((FIXTURES / "tokenizers" / "t5" / "spiece.model").read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    rng = random.Random(seed)
    for tokens in (["<sep>"], ["<sep>", "ﬁ x", "Token", "\n"]):
        (tmp_path / "added_tokens.json").write_text(json.dumps({token: 32100 + i for i, token in enumerate(tokens)}))
        reference = AutoTokenizer.from_pretrained(tmp_path)
        texts = ["a<sep>b", "<sep>", " <sep> <sep>a", "a\nb", "fi x fi", "Tokens of Token"]
        texts += ["".join(rng.choices(["the", "of", " ", "<sep>", "fi x", "\n", "Token", "a", "é"], k=9)) for _ in range(200)]
        _, results = probe(tmp_path, texts)
        for text, result in zip(texts, results):
            assert result["ids"] == reference(text, add_special_tokens=False)["input_ids"], ascii(text)


@pytest.mark.parametrize("settings", [{}, {"add_prefix_space": True}, {"add_bos_token": True}])
def test_gpt2_vocabulary_and_merges(tmp_path, seed, settings):
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_bytes((FIXTURES / "tokenizers" / "gpt2" / file).read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    compare_with_transformers(tmp_path, random.Random(seed), 300)


def test_byt5(tmp_path, seed):
    from hostile_text import hostile_text
    from transformers import AutoTokenizer

    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    reference = AutoTokenizer.from_pretrained(tmp_path)
    rng = random.Random(seed)
    texts = [hostile_text(rng, ["<extra_id_0>", "<extra_id_12>"]) for _ in range(500)]
    properties, results = probe(tmp_path, texts)
    assert (properties["eos"], properties["pad"], properties["after"]) == (1, 0, [1])
    for text, result in zip(texts, results):
        assert result["ids"] == reference(text, add_special_tokens=False)["input_ids"], ascii(text)
        assert result["text"] == reference.decode(result["ids"], skip_special_tokens=True), ascii(text)

def test_frames_of_several_tokens(tmp_path, seed):
    """The whole post-processor counts, whatever it adds; no token of it becomes an added token."""
    from tokenizers import processors

    rng = random.Random(seed)
    special = [("<s>", 1), ("<bos>", 4), ("</s>", 2), ("<|padding|>", 7)]
    frames = ["<s> <bos> $A", "<s> $A </s>", "$A <|padding|> </s>", "<bos> <s> $A </s> <|padding|>", "$A"]
    for number, frame in enumerate(frames):
        folder = tmp_path / str(number)
        save_class(folder, rng, "PreTrainedTokenizerFast", eos_token="</s>")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(), processors.TemplateProcessing(single=frame, special_tokens=special)])  # fmt: skip
        tokenizer.save(str(folder / "tokenizer.json"))
        compare_with_transformers(folder, rng, 20)


@pytest.mark.parametrize("name", ["RobertaTokenizer", "T5Tokenizer", "ByT5Tokenizer", "GPTNeoXTokenizer"])
def test_special_tokens_that_the_vocabulary_lacks(tmp_path, seed, name):
    """The frame of a class has the ids of its special tokens, also if the class itself adds them."""
    from transformers import AutoTokenizer

    tokens = {"eos_token": "<end>", "sep_token": "<end>", "cls_token": "<begin>", "pad_token": "<pad>"}
    rng = random.Random(seed)
    if name == "T5Tokenizer":
        (tmp_path / "config.json").write_text('{"model_type": "t5"}')
        (tmp_path / "spiece.model").write_bytes((FIXTURES / "tokenizers" / "t5" / "spiece.model").read_bytes())
        AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
        (tmp_path / "spiece.model").unlink()
    elif name != "ByT5Tokenizer":
        save_class(tmp_path / "model", rng, name)
        tmp_path = tmp_path / "model"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name} | tokens))
    reference = AutoTokenizer.from_pretrained(tmp_path)
    texts = ["a", "a <unk> b", "<end>", "<begin>x</s>"]
    properties, results = probe(tmp_path, texts)
    for text, result in zip(texts, results):
        assert result["ids"] == reference(text, add_special_tokens=False)["input_ids"], text
        if name != "ByT5Tokenizer" or result["ids"][-1] != properties["eos"]:  # that one repeats no EOS of the text
            assert properties["before"] + result["ids"] + properties["after"] == reference(text)["input_ids"], text


def test_a_byte_level_tokenizer_of_the_class_of_llama(tmp_path, seed):
    """DeepSeek's way: transformers uses tokenizer.json unchanged, so the class adds no special tokens either."""
    rng = random.Random(seed)
    save_class(tmp_path / "model", rng, "LlamaByteLevel")
    file = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    names = {"<unk>": "<|u|>", "<s>": "<|begin|>", "</s>": "<|done|>", "<pad>": "<|p|>"}
    file["added_tokens"] = [token | {"content": names.get(token["content"], token["content"])} for token in file["added_tokens"]]
    file["model"]["vocab"] = {names.get(token, token): number for token, number in file["model"]["vocab"].items()}
    file["post_processor"] = None
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(file))
    config = {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|done|>"}
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps(config))
    reference = compare_with_transformers(tmp_path / "model", rng)
    texts = ["a <unk> b", "<s>", "</s>x", "<pad>"]
    _, results = probe(tmp_path / "model", texts)
    for text, result in zip(texts, results):
        assert result["ids"] == reference(text, add_special_tokens=False)["input_ids"], text


NEW = ["<sep>", "<image>", "<|im_end|>", "<x>", "<é>", "qu"]  # no token of save_class() has these texts
KNOWN = ["</s>", "<s>", "<pad>", "<|end|>", "Token", "<|endoftext|>"]


def random_token(rng, as_object):
    """A special token of a settings file: a text, or an object with options."""
    content = rng.choice(NEW + KNOWN)
    if not as_object or rng.random() < 0.6:
        return content
    options = {key: rng.random() < 0.5 for key in rng.sample(["lstrip", "rstrip", "single_word", "normalized"], 2)}
    return {"content": content, "__type": "AddedToken"} | options


def random_settings(rng, purposes):
    """Keys that name special tokens, in the forms that transformers reads."""
    settings = {}
    for purpose in rng.sample(purposes, rng.randint(0, 4)):
        settings[purpose] = random_token(rng, True) if rng.random() < 0.85 else None
    if rng.random() < 0.3:
        settings["image_token"] = random_token(rng, True)
    if rng.random() < 0.3:
        settings["additional_special_tokens"] = [random_token(rng, False) for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.3:
        settings["extra_special_tokens"] = [random_token(rng, True) for _ in range(rng.randint(0, 3))]
    elif rng.random() < 0.2:
        settings["extra_special_tokens"] = {"video_token": random_token(rng, False), "audio_token": random_token(rng, False)}
    return settings


def random_folder(folder, rng):
    """A folder of tokenizer.json with settings around it; returns the texts of its tokens."""
    name = rng.choice(["PreTrainedTokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast", "GPT2Tokenizer", "GPTNeoXTokenizer",
                       "Qwen2Tokenizer", "RobertaTokenizer", "GemmaTokenizer", "NotKnownTokenizer"])  # fmt: skip
    save_class(folder, rng, name)
    purposes = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
    config = {"tokenizer_class": name} | random_settings(rng, purposes)
    unrelated = {"errors": "strict", "trim_offsets": False, "padding_side": "left", "truncation_side": "left", "max_len": 9,
                 "model_max_length": 9, "clean_up_tokenization_spaces": True, "model_input_names": ["input_ids"], "verbose": True,
                 "processor_class": "X", "name_or_path": "x", "use_default_system_prompt": True, "add_bos_token": True,
                 "add_eos_token": True, "chat_template": "{{ x }}", "backend": "tokenizers", "files_loaded": ["x"],
                 "do_lower_case": True, "response_template": "x", "chat_control_tokens": ["<sep>"], "init_inputs": [],
                 "is_local": True, "fix_mistral_regex": True, "special_tokens_map_file": "x"}  # fmt: skip
    config |= {key: unrelated[key] for key in rng.sample(sorted(unrelated), rng.randint(0, 6))}
    if rng.random() < 0.3:
        config["split_special_tokens"] = rng.random() < 0.7
    if rng.random() < 0.3:
        config["add_prefix_space"] = rng.random() < 0.5
    file = json.loads((folder / "tokenizer.json").read_text())
    size = len(file["model"]["vocab"])
    listed = {}
    for token in rng.sample(NEW, rng.randint(0, 3)):
        listed[token] = 2 + size + len(listed) if rng.random() < 0.9 else rng.randrange(2 * size)
    if rng.random() < 0.4:
        config["added_tokens_decoder"] = {
            str(number): {"content": token, "special": rng.random() < 0.5} | ({"lstrip": True} if rng.random() < 0.5 else {})
            for token, number in listed.items()}  # fmt: skip
    if rng.random() < 0.4:
        (folder / "added_tokens.json").write_text(json.dumps(listed))
    if rng.random() < 0.4:
        (folder / "special_tokens_map.json").write_text(json.dumps(random_settings(rng, purposes)))
    if rng.random() < 0.2:
        file["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    if rng.random() < 0.2:
        file["padding"] = {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 3, "pad_type_id": 0,
                           "pad_token": rng.choice(NEW + ["<pad>"])}  # fmt: skip
    if rng.random() < 0.2:
        for token in file["added_tokens"]:
            token |= {"special": rng.random() < 0.5, "lstrip": rng.random() < 0.3}
    (folder / "tokenizer.json").write_text(json.dumps(file))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def test_random_folders(tmp_path, seed):
    """Every key that transformers reads gives its ids, or is refused with the way out of it."""
    from transformers import AutoTokenizer

    refused = compared = 0
    for case in range(40):
        rng = random.Random(f"{seed} {case}")
        folder = tmp_path / str(case)
        random_folder(folder, rng)
        try:
            reference = AutoTokenizer.from_pretrained(folder)
        except Exception:  # what transformers does not read has no right ids
            continue
        tokens = NEW + KNOWN + [" ", "a", "Token of ", "x"]
        texts = NEW + KNOWN + ["".join(rng.choices(tokens, k=8)) for _ in range(60)]
        files = {file.name: json.loads(file.read_text()) for file in folder.iterdir() if file.name != "tokenizer.json"}
        try:
            properties, results = probe(folder, texts)
        except RuntimeError as error:
            assert "expected" in str(error) and "found" in str(error), f"seed {seed} case {case}: {error}"
            refused += 1
            continue
        compared += 1
        for text, result in zip(texts, results):
            plain = reference(text, add_special_tokens=False)["input_ids"]
            where = f"seed {seed} case {case}: {files}\n{ascii(text)}"
            assert result["ids"] == plain, where
            assert properties["before"] + result["ids"] + properties["after"] == reference(text)["input_ids"], where
    assert compared > refused
