"""What the programs and scripts themselves say about their keys and options."""

import functools
import os
import pathlib
import re
import subprocess

from markdown import ROOT

BIN = pathlib.Path(os.environ.get("LOCKSTEP_BIN", ROOT / "build" / "bin")).resolve()
SCRIPTS = sorted([*(ROOT / "launch").glob("*.sh"), *(ROOT / "slurm").glob("*.s*")])
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


@functools.cache
def help_of(*command):
    return subprocess.run([*command, "--help"], check=True, capture_output=True, text=True).stdout


@functools.cache
def flags_of(program, command=""):
    """Options of a program, or of one of its subcommands, but for --help and --version."""
    words = [str(BIN / program)] + ([command] if command else [])
    options = re.split(r"\n\n(?=\S)", help_of(*words).split("\nOptions:\n", 1)[1])[0]
    flags = re.findall(r"^  (?:-\w,)?(--[a-z][a-z0-9-]*)", options, re.M)
    return set(flags) - {"--help", "--version"}


@functools.cache
def flags_of_script(path):
    """Options of a script: those in its help; of a program in bench/, those that it declares."""
    if path.suffix == ".py":
        source = path.read_text(encoding="utf-8")
        return set(re.findall(r'add_argument\("(--[a-z0-9-]+)"', source))
    return set(FLAG.findall(help_of(str(path))))


@functools.cache
def job_keys():
    """Every key of a job file with its default, as `lockstep train --help` prints them."""
    text = help_of(str(BIN / "lockstep"), "train").split("Keys of the job file", 1)[1].split("\n", 1)[1]
    entries = re.split(r"^  (?=[a-z][a-z0-9_]* )", text, flags=re.M)[1:]
    keys = {}
    for entry in entries:
        name = entry.split()[0]
        keys[name] = re.search(r"\[([^\[\]]*)\]\s*$", entry.split("\n\n")[0].rstrip())[1]
    assert len(keys) > 50, f"expected the keys of a job file in lockstep train --help, found {sorted(keys)}"
    return keys


@functools.cache
def subcommands(program):
    """The names of a program's subcommands."""
    text = help_of(str(BIN / program)).split("\nSubcommands:\n", 1)[1]
    names = []
    for line in text.splitlines():
        if match := re.match(r"  ([a-z]+)(\s|$)", line):
            names.append(match[1])
        elif not line.startswith(" "):
            break
    return names
