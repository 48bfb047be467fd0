"""clang_tidy.py on a small repository: it finds what is wrong, only in files that changed, and keeps its limit."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import clang_tidy

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = "enum class Color { kRed };\nColor color() { return Color::kRed; }\n"
BAD = "enum class Shape { round };\nShape shape() { return Shape::round; }\n"
AUTHOR = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]


@pytest.fixture
def repository(tmp_path):
    shutil.copy(ROOT / ".clang-tidy", tmp_path)
    (tmp_path / "build").mkdir()
    command = {"file": "x.cpp", "directory": str(tmp_path), "command": f"c++ -I{tmp_path}/include -std=c++20 -c x.cpp"}
    (tmp_path / "build/compile_commands.json").write_text(json.dumps([command]))
    (tmp_path / ".gitignore").write_text("/build/\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "src/good.cpp", GOOD)
    return tmp_path


# A hook of git sets variables that would lead to the repository of the hook.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def git(repository, *arguments):
    subprocess.run(["git", "-C", repository, *AUTHOR, *arguments], check=True, capture_output=True, env=ENVIRONMENT)


def write(repository, name, text):
    file = repository / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def commit(repository, name, text):
    write(repository, name, text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--no-verify", "-m", name)


def check(repository, *arguments):
    return subprocess.run([sys.executable, ROOT / "tests/lint/clang_tidy.py", "--root", repository, *arguments],
                          capture_output=True, text=True, env=ENVIRONMENT)


def test_good_files_pass(repository):
    result = check(repository)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 files changed" in result.stdout and "0 findings" in result.stdout


@pytest.mark.parametrize("name", ["src/bad.cpp", "include/bad.h"])
def test_a_file_that_is_not_committed_is_checked(repository, name):
    write(repository, name, BAD)
    result = check(repository)
    assert result.returncode == 1
    assert f"{name}:1:20: error: invalid case style for enum constant 'round'" in result.stdout


def test_only_what_changed_since_origin_main_is_checked(repository):
    commit(repository, "src/bad.cpp", BAD)
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert check(repository).returncode == 1  # nothing differs: the last commit counts
    commit(repository, "src/good.cpp", GOOD + "\n")
    result = check(repository)
    assert result.returncode == 0
    assert "1 files changed since origin/main" in result.stdout


def test_files_that_clash_are_checked_one_by_one(repository):
    write(repository, "src/a.cpp", "namespace {\nint number() { return 1; }\n}\nint a() { return number(); }\n")
    write(repository, "src/b.cpp", "namespace {\nint number() { return 2; }\n}\nint B() { return number(); }\n")
    result = check(repository)
    assert "invalid case style for function 'B'" in result.stdout
    assert "1 findings" in result.stdout


def test_a_file_that_does_not_compile_fails(repository):
    write(repository, "src/broken.cpp", "int a(\n")
    assert check(repository).returncode == 1


def test_files_beyond_the_limit_are_named(repository):
    write(repository, "src/bad.cpp", BAD)
    result = check(repository, "--limit-s", "0")
    assert "2 files were not checked within 0 s:\n  src/bad.cpp\n  src/good.cpp" in result.stdout


def test_the_newest_files_come_first(repository):
    commit(repository, "src/newer.cpp", GOOD)
    write(repository, "src/newest.cpp", GOOD)
    files, _ = clang_tidy.changed_files(repository)
    assert [file.name for file in files] == ["newest.cpp", "newer.cpp"]  # good.cpp is of an earlier commit
