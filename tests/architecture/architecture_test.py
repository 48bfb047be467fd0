"""Runs the checks of source_tree.py on the sources, and on copies of them that are broken on purpose, where each check
must fail."""

import pathlib
import re
import shutil

import pytest

import source_tree

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("check", source_tree.CHECKS, ids=lambda check: check.__name__)
def test_the_tree_holds(check):
    assert check(ROOT) == []


def test_every_module_has_a_folder_and_a_floor():
    folders = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
    assert folders == set(source_tree.FLOOR_OF)


@pytest.fixture
def tree(tmp_path):
    for folder in ("include", "src", "data_prep", "examples", "tests/architecture"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "data"))
    # src/data and include/lockstep/data are modules, examples/data is not.
    for folder in ("src/data", "include/lockstep/data"):
        shutil.copytree(ROOT / folder, tmp_path / folder, dirs_exist_ok=True)
    return tmp_path


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def include_in(path, name):
    edit(path, "#include", f'#include "{name}"\n#include')


class TestBrokenOnPurpose:
    def test_an_include_that_points_up(self, tree):
        include_in(tree / "src/models/loss.cpp", "lockstep/train/training_loop.h")
        assert source_tree.upward_includes(tree) == [
            "src/models/loss.cpp: includes include/lockstep/train/training_loop.h, but models may not know train"]

    def test_an_include_of_a_neighbour(self, tree):
        include_in(tree / "src/comm/threads.cpp", "lockstep/batching/batch_plan.h")
        assert [problem for problem in source_tree.upward_includes(tree) if "may not know batching" in problem]

    def test_tensors_in_the_program_that_has_none(self, tree):
        include_in(tree / "data_prep/verify.cpp", "lockstep/models/model.h")
        assert [problem for problem in source_tree.upward_includes(tree) if "data_prep may not know models" in problem]

    def test_a_module_that_nobody_drew(self, tree):
        (tree / "src/utils").mkdir()
        (tree / "src/utils/strings.h").write_text("#pragma once\n")
        assert [problem for problem in source_tree.upward_includes(tree) if "'utils' is on no floor" in problem]

    def test_an_include_by_the_bare_name(self, tree):
        edit(tree / "src/models/layers/rope.cpp", '"models/layers/rope.h"', '"rope.h"')
        assert source_tree.include_style(tree) == [
            'src/models/layers/rope.cpp: #include "rope.h" is no path below include/, src/ or the root']

    def test_a_public_header_that_nobody_else_needs(self, tree):
        (tree / "include/lockstep/comm/lonely.h").write_text("#pragma once\n")
        assert source_tree.misplaced_headers(tree) == [
            "include/lockstep/comm/lonely.h: no other module and no program outside needs it; it belongs into src/"]
        assert len(source_tree.unlisted_headers(tree)) == 1

    def test_a_private_header_that_another_module_takes(self, tree):
        include_in(tree / "src/train/training_loop.cpp", "models/layers/rope.h")
        assert source_tree.misplaced_headers(tree) == [
            "src/models/layers/rope.h: another module or a public header includes it; it belongs into include/lockstep/"]

    def test_a_header_that_is_gone(self, tree):
        (tree / "include/lockstep/core/utf8.h").unlink()
        assert source_tree.unlisted_headers(tree) == [
            "tests/architecture/public_headers.txt: names lockstep/core/utf8.h, which include/ does not have"]

    def test_two_types_of_one_name(self, tree):
        edit(tree / "src/text/vocabulary.h", "class Vocabulary ", "class AddedTokens ")
        problems = source_tree.type_clashes(tree)
        assert len(problems) == 1 and problems[0].startswith("lockstep::text::AddedTokens: defined in ")

    def test_the_namespace_of_another_module(self, tree):
        file = tree / "src/text/vocabulary.cpp"
        file.write_text(re.sub("namespace lockstep::text", "namespace lockstep::models", file.read_text()))
        assert source_tree.misnamed_namespaces(tree) == [
            "src/text/vocabulary.cpp: opens lockstep::models; its module is lockstep::text"]

    def test_lockstep_itself(self, tree):
        file = tree / "src/text/vocabulary.cpp"
        file.write_text(re.sub("namespace lockstep::text", "namespace lockstep", file.read_text()))
        assert len(source_tree.misnamed_namespaces(tree)) == 1

    def test_a_thread_local_variable_in_models(self, tree):
        edit(tree / "src/models/loss.cpp", "namespace {", "namespace {\n\nthread_local int depth = 0;")
        assert [problem for problem in source_tree.hidden_ways_into_a_model(tree) if problem.startswith("src/models/loss.cpp")]
