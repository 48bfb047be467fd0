"""exact_match_test.py EXACT_MATCH.PY: counts, examples and refusals of launch/exact_match.py."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def run(rows, *arguments):
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "predictions.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return subprocess.run([sys.executable, sys.argv[1], str(path), *arguments], capture_output=True, text=True)


def row(expected, prediction):
    return {"model_input": "question", "model_output": expected, "prediction": prediction}


def main():
    result = run([row("a b", "a b"), row("a b", " a b\n"), row("a b", "a  b"), row("a b", "")], "--examples", "3")
    assert result.returncode == 0, result.stderr
    assert "exact match: 50.0 % (2 of 4 rows)" in result.stdout, result.stdout
    assert result.stdout.count("expected") == 3, result.stdout
    assert result.stdout.count("<- differs") == 1, result.stdout
    assert run([row("a", "a")] * 2).stdout.count("expected") == 2
    empty = run([])
    assert empty.returncode != 0 and "no rows" in empty.stderr, empty.stderr


main()
