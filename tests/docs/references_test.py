"""What README.md and docs/ name exists, and what exists is in docs/: keys, options, metrics, links, anchors, files."""

import json
import re
import shlex

import pytest
import yaml

from markdown import ROOT, all_pages, read_page, user_pages
from programs import FLAG, SCRIPTS, flags_of, flags_of_script, job_keys, subcommands

PROGRAMS = {"lockstep": ["", *subcommands("lockstep")], "lockstep-prep": ["", *subcommands("lockstep-prep")]}
# Options of programs that are not the project's.
FOREIGN_FLAGS = set("""
    --account --array --bind-to --build --build-options --container-image --container-mounts --container-workdir
    --cpus-per-task --gpus-per-node --gpus-per-task --help --hostfile --install --map-by --me --mem --mpi --nodes
    --ntasks-per-node --output --partition --prefix --preset --requeue --signal --test-dir --time --version --nv --bind
    --allow-run-as-root --oversubscribe
""".split())
# `name: value` and `name=value` in the text that are not keys of a job.
OTHER_SETTINGS = {"key", "prepend_scheme", "container", "container_options", "srun", "sbatch"}
KEY_VALUE = re.compile(r"([a-z][a-z0-9_]*)(?:=|: )\S")


def join(problems):
    return "\n".join(problems)


def table_rows(page, header):
    """(line, cells) of the rows of all tables with this header."""
    found = None
    for number, line in page.prose:
        if not line.startswith("|"):
            found = None
            continue
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if found is None:
            found = cells
        elif found == header and not line.startswith("|-"):
            yield number, cells


def commands_of(block):
    """The simple commands of a block of bash, as words."""
    text = re.sub(r"<<'(\w+)'\n.*?\n\1\n", "\n", block.text, flags=re.S).replace("\\\n", " ")
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        command = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|"):
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def is_mistake(block):
    return block.directive is not None and block.directive[0] == "fails"


def all_commands():
    for page in user_pages():
        for block in page.blocks:
            if block.language == "bash":
                for command in commands_of(block):
                    yield block, command


def program_of(command):
    """(index, name) of the word that names a program of the project, the last one: mpirun, srun and sbatch start others."""
    found = None
    for i, word in enumerate(command):
        name = word.rsplit("/", 1)[-1]
        if name in PROGRAMS and (i == 0 or "/" in word or command[0] in ("mpirun", "srun")):
            found = (i, name)
        elif "/" in word and any(str(script).endswith("/" + word.removeprefix("./").removeprefix("lockstep/")) for script in SCRIPTS):
            if found is None or found[1] == "mpirun.sh":
                found = (i, name)
    return found


def known_flags():
    flags = set(FOREIGN_FLAGS)
    for program, commands in PROGRAMS.items():
        for command in commands:
            flags |= flags_of(program, command)
    for script in [*SCRIPTS, *(ROOT / "bench").glob("*.py")]:
        flags |= flags_of_script(script)
    return flags


def test_job_file_page_has_every_key_with_its_default():
    page = read_page(ROOT / "docs" / "job-file.md")
    documented = {}
    for number, (name, default, _) in table_rows(page, ["key", "default", "meaning"]):
        name = name.strip("`")
        assert name not in documented, f"docs/job-file.md:{number}: {name} has two rows"
        documented[name] = default.strip("`")
    keys = job_keys()
    assert sorted(documented) == sorted(keys)
    required = {"pretrained_model_name", "has_encoder"}
    assert {key: documented[key] for key in required} == dict.fromkeys(required, "required")
    differing = [f"{key}: default {keys[key]} is documented as {documented[key]}"
                 for key in keys if key not in required and documented[key] != keys[key]]
    assert not differing, join(differing)


def test_settings_in_the_text_are_keys_of_a_job():
    keys, unknown = job_keys(), []
    for page in user_pages():
        for place, code in page.inline_code():
            match = KEY_VALUE.match(code)
            if match and match[1] not in keys and match[1] not in OTHER_SETTINGS:
                unknown.append(f"{place}: {code}")
    assert not unknown, join(unknown)


def test_settings_in_commands_and_job_files_are_keys_of_a_job():
    keys, unknown = job_keys(), []
    for block, command in all_commands():
        for word in command:
            match = re.match(r"([a-z][a-z0-9_]*)=", word)
            if match and match[1] not in keys and not is_mistake(block):
                unknown.append(f"{block.place}: {word}")
    for page in user_pages():
        for block in page.blocks:
            texts = re.findall(r"<<'JOB'\n(.*?)\nJOB\n", block.text, re.S) if block.language == "bash" else []
            for text in texts + ([block.text] if block.language == "yaml" else []):
                unknown += [f"{block.place}: {key}" for key in yaml.safe_load(text) if key not in keys]
    assert not unknown, join(unknown)


def test_options_in_commands_are_those_of_their_program():
    unknown = []
    for block, command in all_commands():
        if (found := program_of(command)) is None:
            continue
        index, name = found
        words = command[index + 1:]
        if name in PROGRAMS:
            subcommand = words[0] if words and words[0] in PROGRAMS[name] else ""
            flags = flags_of(name, subcommand) | {"--help", "--version"}
            if name == "lockstep" and not subcommand:
                unknown += [f"{block.place}: lockstep {word}" for word in words[:1] if not word.startswith("-")]
        elif name == "generate.sbatch":
            flags = flags_of("lockstep", "generate")
        elif name == "test.sh":
            continue  # ctest's options, too
        else:
            flags = flags_of_script(next(script for script in SCRIPTS if script.name == name)) | {"--help"}
        for word in words:
            if (match := FLAG.match(word)) and match[0] not in flags:
                unknown.append(f"{block.place}: {name} {word}")
    assert not unknown, join(unknown)


def test_options_in_the_text_exist():
    flags, unknown = known_flags(), []
    for page in user_pages():
        for place, code in page.inline_code():
            unknown += [f"{place}: {flag}" for flag in FLAG.findall(code) if flag not in flags]
    assert not unknown, join(unknown)


def test_commands_page_has_every_subcommand_and_option():
    page = read_page(ROOT / "docs" / "commands.md")
    sections, title = {}, ""
    for _, line in page.prose:
        if match := re.match(r"#{2,3} (.*)", line):
            title = match[1]
        sections[title] = sections.get(title, "") + line + "\n"
    missing = []
    for program, commands in PROGRAMS.items():
        for command in commands[1:]:
            if not re.search(rf"`{program} {command}\b", sections[program]):
                missing.append(f"{program} {command}")
            titles = [title for title in sections if program == "lockstep" and command in title.split()]
            text = "".join(sections[title] for title in titles or [program])
            documented = set(FLAG.findall(text))
            missing += [f"{program} {command} {flag}" for flag in flags_of(program, command) if flag not in documented]
    for script in SCRIPTS:
        name = str(script.relative_to(ROOT))
        if f"`{name}`" not in sections["Scripts"]:
            missing.append(name)
        own = flags_of_script(script) - FOREIGN_FLAGS
        missing += [f"{name} {flag}" for flag in own if flag not in sections["Scripts"] and flag not in flags_of("lockstep", "generate")]
    assert not missing, join(missing)


def test_variables_of_scripts_are_on_the_commands_page():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    pattern = re.compile(r"LOCKSTEP_(?:BIN|MPI|MAX_REQUEUES|RANK_LOGS|VENV)\b")
    named = {name for script in SCRIPTS for name in pattern.findall(script.read_text(encoding="utf-8"))}
    assert named and all(f"`{name}`" in text for name in named)


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_links_and_anchors_resolve(page):
    broken = []
    for place, target in page.links():
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page.name).parent / path if path else ROOT / page.name
        if not file.exists():
            broken.append(f"{place}: {target}")
        elif anchor and file.suffix == ".md" and anchor not in read_page(file.resolve()).anchors():
            broken.append(f"{place}: {target}: no such heading")
    assert not broken, join(broken)


FOLDERS = "src|include|tests|docs|bench|launch|slurm|cmake|examples|data_prep"
IN_FULL = rf"(?:{FOLDERS})/[\w./*-]+"
SHORT = r"[a-z_0-9]+(?:/[a-z_0-9]+)+\.(?:cpp|h|py|inc|sh|sbatch)"  # below src/, include/lockstep/ or tests/
ROOTS = [ROOT, ROOT / "src", ROOT / "include" / "lockstep", ROOT / "tests"]
MADE_OR_FOREIGN = ("build/", "lockstep/", "torch/")


def names_a_file(path):
    return not path.startswith(MADE_OR_FOREIGN) and not re.search(r"[A-Z]{3}", path.replace("README", ""))


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_named_files_exist(page):
    pattern = IN_FULL if page.name == "CONTRIBUTING.md" else f"{IN_FULL}|{SHORT}"
    named = list(page.inline_code())
    named += [(block.place, word) for block in page.blocks if block.language == "bash" for word in block.text.split()]
    missing = []
    for place, code in named:
        for path in re.findall(rf"(?<![\w/.-])(?:{pattern})", code):
            path = path.rstrip(".")
            if names_a_file(path) and not any(list(root.glob(path)) for root in ROOTS):
                missing.append(f"{place}: {path}")
    assert not missing, join(missing)


def keys_of_metrics():
    """The keys of metrics.jsonl, by the kind of line, except "event"."""
    step = (ROOT / "include" / "lockstep" / "train" / "step_metrics.h").read_text(encoding="utf-8")
    sink = (ROOT / "src" / "train" / "metric_sink.cpp").read_text(encoding="utf-8")
    evaluation = re.search(r"void JsonLinesSink::on_evaluation.*?\n}", sink, re.S)[0]
    metrics = (ROOT / "src" / "evaluation" / "metrics.cpp").read_text(encoding="utf-8")
    return {"step": set(re.findall(r'\{"([a-z_0-9]+)",', step) + re.findall(r'line\["([a-z_0-9]+)"\]', step)),
            "evaluation": (set(re.findall(r'\{"([a-z_0-9]+)",', evaluation)) - {"event"} |
                           {"eval_" + name for name in re.findall(r'Metric\{"([a-z_0-9]+)",', metrics)})}


def test_metrics_page_has_every_key_of_a_line():
    keys = keys_of_metrics()
    documented = {key for _, cells in table_rows(read_page(ROOT / "docs" / "metrics.md"), ["key", "meaning"])
                  for key in re.findall(r"`([a-z_0-9]+)`", cells[0])}
    assert "loss" in keys["step"] and "eval_loss" in keys["evaluation"]
    assert set().union(*keys.values()) == documented


def test_sample_lines_of_metrics_have_no_other_keys():
    """A sample need not show every key."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    samples = [json.loads(sample) for sample in re.findall(r'\{"event":.*?\}', text, re.S)]
    assert {sample["event"] for sample in samples} == {"step", "evaluation"}
    unknown = [f"{sample['event']}: {key}" for sample in samples for key in sample
               if key not in keys_of_metrics()[sample["event"]] | {"event"}]
    assert not unknown, join(unknown)


def test_messages_on_the_troubleshooting_page_are_those_of_the_sources():
    files = [file for folder in ["src", "data_prep", "slurm"] for file in (ROOT / folder).rglob("*") if file.is_file()]
    sources = re.sub(r'"\s*"', "", "\n".join(file.read_text(encoding="utf-8") for file in files))
    page = read_page(ROOT / "docs" / "troubleshooting.md")
    missing = []
    for number, cells in table_rows(page, ["symptom", "cause", "cure"]):
        for code in re.findall(r"`([^`]+)`", cells[0]):
            if "error:" in code or code in ("No space left on device", "CANCELLED"):
                continue  # Slurm's and the system's
            parts = re.split(r"\.\.\.|\b\d+\b|\bN\b|\bSIGKILL\b", code)
            missing += [f"{page.name}:{number}: {part.strip()}" for part in parts
                        if len(part.strip()) > 8 and part.strip() not in sources]
    assert not missing, join(missing)


def test_names_in_cpp_are_those_of_the_headers():
    """Their programs are built by tests/install; here, what they include and name exists."""
    headers = {str(file.relative_to(ROOT / "include")): file.read_text(encoding="utf-8") for file in (ROOT / "include").rglob("*.h")}
    unknown = []
    for page in user_pages():
        for block in page.blocks:
            if block.language == "cpp":
                unknown += [f"{block.place}: {name}" for name in re.findall(r"#include <(lockstep/[^>]+)>", block.text) if name not in headers]
                unknown += [f"{block.place}: lockstep::{name}" for name in re.findall(r"lockstep::(\w+)", block.text)
                            if not any(re.search(rf"\b{name}\b", text) for text in headers.values())]
    assert not unknown, join(unknown)
