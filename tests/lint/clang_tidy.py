#!/usr/bin/env python3
"""Runs clang-tidy over the C++ files that changed, newest first, until a limit of processor time.

Changed are the files that differ from the merge base with origin/main, uncommitted ones included. If there are none,
as in a fresh clone, those of the last commit count. Files that the limit leaves out are named.

Most of the time goes into the headers of the standard library and of torch. Files are therefore checked in groups, each
as one translation unit; a group whose files do not compile together is divided.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile

FOLDERS = ("include", "src", "data_prep", "tests", "examples")
GROUP = 12  # files
SKIPPED = 77  # the exit code
ENTRY_POINT = re.compile(r"^(?:int main|extern \"C\" int LLVMFuzzerTestOneInput)\(", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#include ["<]([^">]+)[">]', re.MULTILINE)
FINDING = re.compile(r"^(/\S+):\d+:\d+: (?:error|warning): ", re.MULTILINE)


def git(root, *arguments, check=True):
    """Returns git's output; if it fails, nothing, or with `check` ends the program."""
    result = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True)
    if result.returncode != 0 and check:
        print(f"clang-tidy: skipped, because git does not tell what changed: {result.stderr.strip()}")
        sys.exit(SKIPPED)
    return result.stdout if result.returncode == 0 else ""


def sources(root, names):
    """Returns the C++ files among `names`, one per line, each once."""
    files = [root / name for name in dict.fromkeys(names.splitlines())]
    return [file for file in files if file.suffix in (".cpp", ".h") and file.is_file()
            and file.relative_to(root).parts[0] in FOLDERS]


def changed_files(root):
    """Returns the sources that changed, newest first, and since when."""
    uncommitted = git(root, "diff", "--name-only", "HEAD") + git(root, "ls-files", "--others", "--exclude-standard")
    base = git(root, "merge-base", "HEAD", "origin/main", check=False).strip()
    differs = bool(sources(root, uncommitted)) or base not in ("", git(root, "rev-parse", "HEAD").strip())
    commits = f"{base}..HEAD" if base and differs else "-1"
    committed = git(root, "log", "--format=", "--name-only", commits)
    return sources(root, uncommitted + committed), "since origin/main" if base and differs else "in the last commit"


def compiler_flags(build):
    """Returns the include paths and definitions of all targets together, without GCC's precompiled header."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        arguments = iter(shlex.split(entry["command"]))
        for argument in arguments:
            if argument == "-isystem":
                flags[argument, next(arguments)] = None
            elif argument.startswith(("-I", "-D", "-std=")):
                flags[(argument,)] = None
    return [argument for flag in flags for argument in flag]


class IncludesOfTorch:
    """Tells which files include torch, directly or through headers of the project."""

    def __init__(self, root):
        self.root = root
        self.known = {}

    def __call__(self, file):
        if file not in self.known:
            self.known[file] = False  # for headers that include each other
            names = INCLUDE.findall(file.read_text(encoding="utf-8"))
            headers = [self.root / folder / name for name in names for folder in ("include", "src", "tests", "")]
            self.known[file] = any(name.startswith(("torch/", "ATen/", "c10/")) for name in names) or any(
                self(header) for header in headers if header.is_file())
        return self.known[file]


def groups_of(files, includes_torch):
    """Divides the files into groups that include torch and groups that do not, by the newest file of each. A group has
    one entry point at most."""
    groups = []
    for file in files:
        torch, starts = includes_torch(file), bool(ENTRY_POINT.search(file.read_text(encoding="utf-8")))
        for group in groups:
            if group["torch"] == torch and len(group["files"]) < GROUP and not (group["starts"] and starts):
                break
        else:
            group = {"torch": torch, "starts": False, "files": []}
            groups.append(group)
        group["starts"] |= starts
        group["files"].append(file)
    return [group["files"] for group in groups]


class ClangTidy:
    def __init__(self, program, root, flags, limit_s):
        self.root = root
        self.limit_s = limit_s
        self.command = [program, "--quiet", f"--config-file={root / '.clang-tidy'}",
                        f"--header-filter=^{re.escape(str(root))}/({'|'.join(FOLDERS)})/"]
        self.flags = [*flags, "-w"]
        self.findings = {}
        self.left_out = []

    def check(self, group):
        """Checks files as one translation unit, if there is processor time left."""
        left_s = self.limit_s - processor_time()
        if left_s < 1:
            self.left_out += group
            return
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder, "group.cpp")
            unit.write_text("".join(f'#include "{file}"\n' for file in group))
            result = subprocess.run(
                [*self.command, unit, "--", *self.flags], capture_output=True, text=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (int(left_s), int(left_s) + 1)))
        if result.returncode in (-signal.SIGXCPU, -signal.SIGKILL) and self.limit_s - processor_time() < 2:
            self.left_out += group
        elif "[clang-diagnostic-error]" in result.stdout and len(group) > 1:
            self.check(group[:len(group) // 2])
            self.check(group[len(group) // 2:])
        elif result.returncode != 0:
            self.take(result.stdout or result.stderr)

    def take(self, output):
        """Keeps each finding once: several groups may include the header that has it."""
        starts = [match.start() for match in FINDING.finditer(output)]
        if not starts:
            self.findings[output] = None
        for start, end in zip(starts, [*starts[1:], len(output)]):
            self.findings[output[start:end].rstrip()] = None


def processor_time():
    """Returns the seconds that all clang-tidy processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="check these instead of the changed files")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--build", type=pathlib.Path, help="folder of compile_commands.json [ROOT/build]")
    parser.add_argument("--clang-tidy", default="clang-tidy-14", help="the program [%(default)s]")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="processor time to use [no limit]")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    if arguments.files:
        files = [file.resolve() for file in arguments.files]
        print(f"clang-tidy: {len(files)} files")
    else:
        files, period = changed_files(root)
        print(f"clang-tidy: {len(files)} files changed {period}")
    limit_s = min(arguments.limit_s, 1e6)
    tidy = ClangTidy(arguments.clang_tidy, root, compiler_flags(arguments.build or root / "build"), limit_s)
    for group in groups_of(files, IncludesOfTorch(root)):
        tidy.check(group)
    for finding in tidy.findings:
        print(finding)
    print(f"clang-tidy: {len(tidy.findings)} findings, {processor_time():.0f} s of processor time")
    if tidy.left_out:
        print(f"clang-tidy: {len(tidy.left_out)} files were not checked within {limit_s:.0f} s:",
              *(os.path.relpath(file, root) for file in tidy.left_out), sep="\n  ")
    return 1 if tidy.findings else 0


if __name__ == "__main__":
    sys.exit(main())
