"""Weight files against torch, safetensors and transformers: shards, pickles, dtypes, and files that must be refused."""

import collections
import io
import json
import os
import random
import shutil
import zipfile

import pytest
import torch
from conftest import BIN, ROOT, load_saved, random_model, run, setting
from models import open_model, random_case, reference_values
from safetensors import safe_open
from safetensors.torch import load_file, save_file

KINDS = ["t5-v1.0", "t5-v1.1", "llama"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def shards_of(state, count, rng):
    names = list(state)
    rng.shuffle(names)
    return [{name: state[name] for name in names[i::count]} for i in range(count)]


def write_shards(folder, shards, extension, save):
    stem = "model" if extension == "safetensors" else "pytorch_model"
    weight_map = {}
    for i, shard in enumerate(shards):
        name = f"{stem}-{i + 1:05d}-of-{len(shards):05d}.{extension}"
        save(shard, folder / name)
        weight_map.update(dict.fromkeys(shard, name))
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / f"{stem}.{extension}.index.json").write_text(json.dumps(index))


def contiguous(state):
    return {name: tensor.contiguous().clone() for name, tensor in state.items()}


def save_tensors(state, path):
    save_file(contiguous(state), path, metadata={"format": "pt"})


def with_attributes(state):
    """As nn.Module.state_dict() is: an OrderedDict with an attribute."""
    state = collections.OrderedDict(state)
    state._metadata = collections.OrderedDict({"": {"version": 1}, "layer": {"version": 1, "parts": ["a", "b", 1.5, 1 << 40]}})
    return state


def as_parameters(state):
    return {name: torch.nn.Parameter(tensor) for name, tensor in state.items()}


def parts_of_one_storage(state):
    """Tensors as views, some of them transposed, of one storage."""
    whole = torch.cat([torch.zeros(3)] + [tensor.t().flatten() if tensor.dim() == 2 else tensor.flatten() for tensor in state.values()])
    views, begin = {}, 3
    for name, tensor in state.items():
        part = whole[begin:begin + tensor.numel()]
        views[name] = part.view(tensor.shape[::-1]).t() if tensor.dim() == 2 else part.view(tensor.shape)
        begin += tensor.numel()
    return views


def tied_once(state):
    return {name: tensor for name, tensor in state.items() if name not in TIED}


TIED = {"lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}
LAYOUTS = {
    "safetensors shards": lambda state, folder, rng: write_shards(folder, shards_of(state, 3, rng), "safetensors", save_tensors),
    "one bin": lambda state, folder, rng: torch.save(state, folder / "pytorch_model.bin"),
    "bin of a module": lambda state, folder, rng: torch.save(with_attributes(state), folder / "pytorch_model.bin"),
    "bin of parameters": lambda state, folder, rng: torch.save(as_parameters(state), folder / "pytorch_model.bin"),
    "bin of one storage": lambda state, folder, rng: torch.save(parts_of_one_storage(state), folder / "pytorch_model.bin"),
    "bin of protocol 4": lambda state, folder, rng: torch.save(with_attributes(state), folder / "pytorch_model.bin", pickle_protocol=4),
    "bin shards": lambda state, folder, rng: write_shards(folder, shards_of(state, 3, rng), "bin", torch.save),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    reference = random_model(request.param, folder / "model", 11)
    vocabulary = reference.config.vocab_size
    (folder / "case.json").write_text(json.dumps(random_case(random.Random(11), request.param, vocabulary)))
    return request.param, folder, reference


def bare_copy(folder, output):
    """The model folder without its weights."""
    shutil.copytree(folder, output, ignore=shutil.ignore_patterns("*.safetensors"))
    return output


def probe(folder, case, output):
    output.mkdir()
    run("model_probe", folder, case, output, OMP_NUM_THREADS="1")
    return load_file(output / "values.safetensors"), load_file(output / "saved" / "model.safetensors")


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_every_layout_loads_as_the_single_file(model, seed, tmp_path):
    kind, folder, reference = model
    dtype = DTYPES[(KINDS.index(kind) + seed) % 3]
    state = {name: tensor.to(dtype) for name, tensor in reference.state_dict().items()}
    single = bare_copy(folder / "model", tmp_path / "single")
    save_tensors(tied_once(state) if reference.config.tie_word_embeddings else state, single / "model.safetensors")
    expected = probe(single, folder / "case.json", tmp_path / "expected")
    for name, tensor in load_saved(kind, single)[0].named_parameters():
        assert torch.equal(expected[1][name], tensor.float()), name
    rng = random.Random(seed)
    for i, layout in enumerate(rng.sample(list(LAYOUTS), 4)):
        written = tied_once(state) if reference.config.tie_word_embeddings and rng.random() < 0.5 else state
        variant = bare_copy(folder / "model", tmp_path / f"variant{i}")
        LAYOUTS[layout](written, variant, rng)
        print(layout)
        for found, wanted in zip(probe(variant, folder / "case.json", tmp_path / f"found{i}"), expected):
            assert_same(found, wanted)


def test_safetensors_are_preferred(model, tmp_path):
    _, folder, _ = model
    expected = probe(folder / "model", folder / "case.json", tmp_path / "expected")
    both = bare_copy(folder / "model", tmp_path / "both")
    shutil.copy(folder / "model" / "model.safetensors", both)
    (both / "model.safetensors.index.json").write_text("{}")
    (both / "pytorch_model.bin").write_bytes(b"nothing")
    assert_same(probe(both, folder / "case.json", tmp_path / "found")[1], expected[1])


# The names of a model's one embedding: the parameter, its aliases, and the head that may share its weights.
EMBEDDINGS = {"t5": ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"],
              "gpt2": ["transformer.wte.weight", "lm_head.weight"], "llama": ["model.embed_tokens.weight", "lm_head.weight"]}


def random_layout(rng, kind, state):
    """Stores some of the embedding's names, some with other values, some in bf16, and perhaps all names as a base model has
    them. Returns the tensors, and whether they may be refused: an alias differs from the embedding."""
    names = EMBEDDINGS[kind.split("-")[0]]
    value = state[names[0]]
    values = [value, value, value, torch.randn_like(value) * value.std(), value.bfloat16()]
    state = {name: tensor for name, tensor in state.items() if name not in names}
    chosen = {name: rng.choice(values) for name in rng.sample(names, rng.randint(1, len(names)))}
    copies = [tensor.float() for name, tensor in chosen.items() if name != "lm_head.weight"]
    state.update(chosen)
    prefix = names[0].split(".")[0] + "."
    if not kind.startswith("t5") and rng.random() < 0.3:
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state, any(not torch.equal(copy, copies[0]) for copy in copies)


@pytest.mark.parametrize("kind", ["t5-v1.0", "t5-v1.1", "gpt2", "llama"])
def test_whichever_names_of_the_embedding_are_stored(kind, rng, tmp_path):
    reference = random_model(kind, tmp_path / "model", rng.randrange(1000))
    state = reference.state_dict()
    for i in range(setting("LAYOUTS", 6)):
        layout, may_refuse = random_layout(rng, kind, state)
        folder = bare_copy(tmp_path / "model", tmp_path / f"variant{i}")
        save_tensors(layout, folder / "model.safetensors")
        case = {**random_case(rng, kind, reference.config.vocab_size), "strategies": {}}
        (folder / "case.json").write_text(json.dumps(case))
        model, info = open_model(kind, folder)
        (tmp_path / f"found{i}").mkdir()
        finished = run("model_probe", folder, folder / "case.json", tmp_path / f"found{i}", check=False)
        described = {name: tensor.dtype for name, tensor in layout.items() if "emb" in name or "wte" in name or "head" in name}
        print(described, finished.stderr)
        if finished.returncode == 2 and (may_refuse or info["missing_keys"]):
            assert "differ, but encoder and decoder share" in finished.stderr or "is missing" in finished.stderr
            continue
        assert finished.returncode == 0 and not info["missing_keys"], finished.stderr
        losses = load_file(tmp_path / f"found{i}" / "values.safetensors")["row_loss_sums"]
        torch.testing.assert_close(losses, reference_values(model, kind, case["examples"])[1], rtol=1e-4, atol=1e-4)
        shutil.rmtree(folder)


def test_two_stored_names_of_one_weight_must_be_equal(tmp_path):
    """A file may hold a name with and without the prefix of the base model."""
    reference = random_model("gpt2", tmp_path / "model", 5)
    state = {name: tensor for name, tensor in reference.state_dict().items() if name != "lm_head.weight"}
    name = "transformer.ln_f.weight"
    folder = bare_copy(tmp_path / "model", tmp_path / "twice")
    case = {**random_case(random.Random(5), "gpt2", reference.config.vocab_size), "strategies": {}}
    (tmp_path / "no.json").write_text(json.dumps(case))
    save_tensors({**state, "ln_f.weight": state[name]}, folder / "model.safetensors")
    assert torch.equal(probe(folder, tmp_path / "no.json", tmp_path / "found")[1][name], state[name])
    save_tensors({**state, "ln_f.weight": state[name] + 1}, folder / "model.safetensors")
    message = refusal(folder, tmp_path)
    assert "'ln_f.weight'" in message and f"'{name}'" in message and "both are names of one weight" in message


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rank_holds_one_copy_of_a_model_that_it_loads(dtype, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    from load import TOKENIZER, Bench, make_model

    bench = Bench(tmp_path, 2, BIN / "lockstep")
    copy_bytes = make_model(tmp_path / "model", 3, dtype)
    base, peak = (bench.lockstep(model)[1] for model in [TOKENIZER, tmp_path / "model"])
    assert 0.9 * copy_bytes < peak - base < 1.2 * copy_bytes


def refusal(folder, tmp_path):
    finished = run("model_probe", folder, tmp_path / "no.json", tmp_path / "none", check=False)
    assert finished.returncode == 2, (finished.returncode, finished.stderr)
    return finished.stderr


@pytest.fixture
def small(tmp_path):
    """A model folder without weights, a probe case that is never reached, and the weights."""
    state = random_model("llama", tmp_path / "model", 5).state_dict()
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "no.json").write_text("{}")
    return tmp_path / "model", state


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["tensor", "nested", "attribute", "key", "whole"])
def test_a_pickle_that_calls_is_refused_by_name(small, place, tmp_path):
    folder, state = small
    calls = {"posix.system": Call(os.system, f"touch {tmp_path}/called"), "builtins.eval": Call(eval, "1"),
             "torch.serialization.load": Call(torch.load, "x"), "io.open": Call(io.open, f"{tmp_path}/called", "w"),
             "torch._utils._rebuild_device_tensor_from_numpy": Call(torch._utils._rebuild_device_tensor_from_numpy, 1)}
    for name, call in calls.items():
        bad = with_attributes(state)
        if place == "tensor":
            bad["x"] = call
        elif place == "nested":
            bad["x"] = {"y": [(1, call)]}
        elif place == "attribute":
            bad._metadata["x"] = call
        elif place == "key":
            bad[(call,)] = torch.zeros(1)
        else:
            bad = call
        for protocol in [2, 4] if place == "tensor" or name == "posix.system" else []:
            torch.save(bad, folder / "pytorch_model.bin", pickle_protocol=protocol)
            message = refusal(folder, tmp_path)
            stored = name if protocol > 2 else name.replace("builtins", "__builtin__")
            assert f"pytorch_model.bin: not a state dict of torch.save(): it names '{stored}'" in message
    assert not (tmp_path / "called").exists()


def rewrite_archive(path, change):
    """`change(name, bytes)` gives the record's new bytes, or None to leave it out."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            data = change(name, data)
            if data is not None:
                archive.writestr(name, data)


def only(end, new):
    return lambda name, data: (new(data) if callable(new) else new) if name.endswith(end) else data


def test_malformed_pickles_are_refused(small, tmp_path):
    folder, state = small
    path = folder / "pytorch_model.bin"
    name, tensor = "model.norm.weight", state["model.norm.weight"]
    numbers = tensor.numel()

    def check(expected):
        message = refusal(folder, tmp_path)
        assert "pytorch_model.bin" in message and expected in message, message

    def saved(change):
        torch.save({name: tensor}, path)
        rewrite_archive(path, change)

    torch.save(state, path, _use_new_zipfile_serialization=False)
    check("before torch 1.6")
    for bad, expected in [({"a": 1}, "'a' is not a tensor"), ([tensor], "a state dict belongs"), ({1: tensor}, "a tensor's name belongs"),
                          ({"model": {"a": tensor}}, "'model' is not a tensor"), (tensor, "a state dict belongs")]:
        torch.save(bad, path)
        check(expected)
    saved(only("data/0", None))
    check("data/0 is missing")
    saved(only("data.pkl", None))
    check("data.pkl is missing")
    saved(only("data/0", lambda data: data[:-1]))
    check(f"'{name}' lies in a storage of {numbers} numbers, its record holds {4 * numbers - 1} bytes")
    saved(only("byteorder", b"big"))
    check("big-endian")
    saved(only("data.pkl", lambda data: data[:-1]))
    check("ends too early")
    saved(only("data.pkl", b"\x80\x02."))
    check("pops more than it pushed")
    saved(only("data.pkl", b"\x80\x02h\x07."))
    check("recalls a value that it never stored")
    saved(only("data.pkl", b"\x80\x02I1\n."))
    check("the opcode 0x49 at byte 2")
    saved(only("data.pkl", b"\x80\x02" + b")" + b"\x85" * 3_000_000 + b"."))
    check("a state dict belongs")
    saved(only("data.pkl", b"\x80\x02]q\x00h\x00a."))
    check("a state dict belongs")
    for arguments in [(0, (numbers + 1,), (1,)), (1, (numbers,), (1,)), (0, (numbers,), (2,)), (-1, (1,), (1,)), (0, (2, 2**62, 4), (0, 0, 0)),
                      (0, (0, 2**62, 4), (0, 0, 0)), (2**62, (0,), (1,)), (0, (2,), (2**63 - 1,))]:
        torch.save({name: Call(torch._utils._rebuild_tensor_v2, StorageOf(tensor), *arguments, False, {})}, path)
        check("exceeds its storage")
    torch.save({name: Call(torch._utils._rebuild_tensor_v2, StorageOf(tensor), 0, (1, 1), (1,), False, {})}, path)
    check("different numbers of strides and sizes")
    torch.save({name: Call(torch._utils._rebuild_tensor_v2, StorageOf(tensor), 0, (-1,), (1,), False, {})}, path)
    check("the size -1")
    torch.save({name: Call(torch._utils._rebuild_tensor_v2, StorageOf(tensor), 0, (1,) * 65, (1,) * 65, False, {})}, path)
    check("a tensor has 65 sizes")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        buffer = io.BytesIO()
        torch.save({name: torch.zeros(numbers)}, buffer)
        with zipfile.ZipFile(buffer) as source:
            for record in source.namelist():
                archive.writestr(record, source.read(record))
    check("is compressed")


def StorageOf(tensor):
    return torch.storage.TypedStorage(wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True)


@pytest.mark.parametrize("extension", ["safetensors", "bin"])
def test_broken_shards_are_named(small, extension, tmp_path):
    folder, state = small
    save = save_tensors if extension == "safetensors" else torch.save
    stem = "model" if extension == "safetensors" else "pytorch_model"
    names = [f"{stem}-{i:05d}-of-00002.{extension}" for i in (1, 2)]
    index_path = folder / f"{stem}.{extension}.index.json"
    first, second = shards_of(state, 2, random.Random(1))

    def check(*expected):
        message = refusal(folder, tmp_path)
        for part in expected:
            assert part in message, message

    def changed(change):
        write_shards(folder, [first, second], extension, save)
        index = json.loads(index_path.read_text())
        change(index["weight_map"])
        index_path.write_text(json.dumps(index))

    name = next(iter(second))
    write_shards(folder, [first, second], extension, save)
    (folder / names[1]).unlink()
    check(f"{names[1]}: the shard is missing", index_path.name)
    changed(lambda weight_map: weight_map.update(invented=names[0]))
    check(f"{names[0]}: tensor 'invented' is missing", index_path.name)
    changed(lambda weight_map: weight_map.update({name: names[0]}))
    check(f"{names[0]}: tensor '{name}' is missing")
    write_shards(folder, [{**first, name: state[name]}, second], extension, save)
    check(f"{names[1]}: tensor '{name}' is also in {names[0]}")
    for place in ["../elsewhere.bin", "/etc/passwd", "..", "", "a/b.bin", 3, None]:
        changed(lambda weight_map: weight_map.update({name: place}))
        check(f"{index_path.name}: tensor '{name}': expected the name of a file in the same folder, found {json.dumps(place)}")
    for content in ["[]", "{}", '{"weight_map": []}', '{"weight_map": {}}']:
        index_path.write_text(content)
        check(f"{index_path.name}: expected an object 'weight_map'")
    write_shards(folder, [first, second], extension, save)
    content = (folder / names[0]).read_bytes()
    (folder / names[0]).write_bytes(content[:-7])
    check(names[0])
    write_shards(folder, [first, {key: value for key, value in second.items() if key != name}], extension, save)
    check(f"{index_path.name}: tensor '{name}' is missing, which config.json requires")
    write_shards(folder, [first, {**second, name: torch.zeros(3, 4)}], extension, save)
    check(f"{names[1]}: tensor '{name}': expected the shape")


def export(folder, output, *options, check=True):
    return run("lockstep", "export", "--model", folder, "--output", output, *options, check=check)


def logits_of(model, kind):
    ids = torch.arange(3, 40).view(1, -1)
    inputs = {"input_ids": ids, "decoder_input_ids": ids[:, :9]} if kind.startswith("t5") else {"input_ids": ids}
    with torch.no_grad():
        return model(**inputs).logits


def read_weights(folder):
    weights = {}
    for path in folder.glob("*.safetensors"):
        weights.update(load_file(path))
    return weights


def test_saved_shards_open_in_transformers(model, tmp_path):
    kind, folder, reference = model
    export(folder / "model", tmp_path / "saved", "--max-shard-size", "30KB")
    saved, _, info = load_saved(kind, tmp_path / "saved")
    assert not any(info[problem] for problem in ["missing_keys", "unexpected_keys", "mismatched_keys"]), info
    assert torch.equal(logits_of(saved, kind), logits_of(reference, kind))

    reference.save_pretrained(tmp_path / "expected", max_shard_size="30KB")
    index, expected = (json.loads((tmp_path / name / "model.safetensors.index.json").read_text()) for name in ["saved", "expected"])
    assert index["metadata"] == expected["metadata"]
    assert index["weight_map"].keys() == expected["weight_map"].keys()
    shards = sorted((tmp_path / "saved").glob("*.safetensors"))
    assert {path.name for path in shards} == set(index["weight_map"].values())
    assert [path.name for path in shards] == [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    assert len(shards) > 2
    for path in shards:
        tensors = load_file(path)
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors.values()) <= 30_000
        with safe_open(path, "pt") as file:
            assert file.metadata() == {"format": "pt"}
    assert_same(probe(tmp_path / "saved", folder / "case.json", tmp_path / "again")[1], read_weights(folder / "model"))


@pytest.mark.parametrize("name, dtype", [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)])
def test_export_casts_as_torch_does(model, name, dtype, tmp_path):
    kind, folder, _ = model
    export(folder / "model", tmp_path / "saved", "--dtype", name)
    weights = read_weights(folder / "model")
    assert_same(read_weights(tmp_path / "saved"), {key: tensor.to(dtype) for key, tensor in weights.items()})
    before, after = (json.loads((path / "config.json").read_text()) for path in [folder / "model", tmp_path / "saved"])
    assert after.pop("dtype") == str(dtype).removeprefix("torch.")
    before.pop("dtype", None)
    if before.get("pad_token_id") is None:  # the tokenizer's is entered
        before.pop("pad_token_id", None)
    assert {key: after.get(key) for key in before} == before
    assert load_saved(kind, tmp_path / "saved")[0].dtype == dtype
    export(tmp_path / "saved", tmp_path / "back")
    assert_same(read_weights(tmp_path / "back"), {key: tensor.to(dtype).float() for key, tensor in weights.items()})


def test_export_refuses(model, tmp_path):
    _, folder, _ = model
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    for options, expected in [(["--dtype", "int8"], "--dtype"), (["--max-shard-size", "5"], "e.g. 5GB, found '5'")]:
        finished = export(folder / "model", tmp_path / "new", *options, check=False)
        assert finished.returncode == 1 and expected in finished.stderr, finished.stderr
    finished = export(folder / "model", tmp_path / "full", check=False)
    assert finished.returncode == 1 and "expected an empty or new folder" in finished.stderr
