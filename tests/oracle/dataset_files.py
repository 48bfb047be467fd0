"""Dataset files and patterns are read as Python's csv and `datasets` read them: equal rows, or both refuse."""

import csv
import io
import json
import re
import subprocess
from fnmatch import fnmatchcase

import pytest
from datasets.data_files import resolve_pattern
from conftest import BIN, setting

# A case takes a millisecond. With --all, which sets LOCKSTEP_CASES to 20, 5,000 tables are read.
TABLES = 250 * setting("CASES", 2)


def probe(requests):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    result = subprocess.run([BIN / "dataset_probe"], input=lines, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def draw_cell(rng, delimiter, quote):
    text = "".join(rng.choices(["a", "b c", " ", delimiter, quote or '"', "\n", "\r\n", "\r", "é", "1.5", "'"], k=rng.randrange(1, 4)))
    if quote and rng.random() < 0.7:
        return quote + text.replace(quote, quote * 2) + quote
    return text if rng.random() < 0.05 else "".join(c for c in text if c not in delimiter + "\r\n") or "x"


def draw_table(rng, delimiter, quote):
    """A table that is mostly well formed, in which some characters may be added, removed or replaced."""
    end = rng.choice(["\n", "\r\n", "\r"])
    rows = [["in", "out", "more"]] + [[draw_cell(rng, delimiter, quote) for _ in range(3)] for _ in range(rng.randrange(1, 5))]
    text = end.join(delimiter.join(row) for row in rows) + rng.choice(["", end, end + end])
    header = text.index(end) + len(end)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        place = rng.randrange(header, len(text) + 1)
        text = text[:place] + rng.choice(["", "x", quote or '"', delimiter, "\n", " "]) + text[place + rng.randrange(2):]
    return text


def python_rows(text, delimiter, quote):
    """The cells of the columns in and out, and why Python's strict csv refuses the rows after them."""
    options = {"delimiter": delimiter, "strict": True}
    options |= {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), **options):
            if row and len(row) != 3:
                return rows, f"{len(row)} cells"
            if row:
                rows.append(row[:2])
    except csv.Error as error:
        return rows, str(error)
    return rows, None


def disagreement(text, delimiter, quote, answer):
    rows, problem = python_rows(text, delimiter, quote)
    error = answer.get("error")
    if error is None:
        return None if problem is None and answer["rows"] == rows[1:] else f"read {answer['rows']}, not {rows[1:]}, {problem}"
    missing = re.search(r"row (\d+) \(the header not counted\): .* found nothing", error)
    if missing:  # csv does not tell an empty cell from one that is missing
        number = int(missing[1])
        return None if "" in (rows[number] if number < len(rows) else [""]) else f"row {number} lacks nothing: {error}"
    return None if problem is not None else f"refused {rows[1:]}: {error}"


@pytest.mark.parametrize(("delimiter", "quote"), [(",", '"'), ("\t", '"'), (";", "'"), (",", None)], ids=["csv", "tsv", "own", "none"])
def test_random_tables_are_read_as_python_reads_them(tmp_path, rng, delimiter, quote):
    texts = [draw_table(rng, delimiter, quote) for _ in range(TABLES // 2 if delimiter in ",\t" and quote else TABLES // 10)]
    requests = []
    for i, text in enumerate(texts):
        path = tmp_path / f"{i}.{'tsv' if delimiter == chr(9) else 'csv'}"
        path.write_text(text, encoding="utf-8", newline="")
        request = {"location": str(path), "input_column": "in", "output_column": "out", "csv_quote": quote or "none"}
        requests.append(request | ({"csv_delimiter": delimiter} if delimiter == ";" else {}))
    answers = probe(requests)
    problems = [(text, found) for text, answer in zip(texts, answers, strict=True) if (found := disagreement(text, delimiter, quote, answer))]
    assert not problems, f"{len(problems)} of {len(texts)}, the shortest: {min(problems, key=lambda p: len(p[0]))}"
    read = sum("error" not in answer for answer in answers)
    assert 0.1 * len(texts) < read < 0.95 * len(texts)


NAMES = ["a.jsonl", "b.jsonl", "ab.jsonl", "é.jsonl", "-.jsonl", "].jsonl", "!.jsonl", ".hidden.jsonl", "__x.jsonl", "config.json",
         "README.md", "B.jsonl", "a1.jsonl"]  # fmt: skip
FOLDERS = ["", "sub", "sub/deep", "sub/deep/er", ".git", "sub/.cache", "__pycache__", "sub/__x", "x", "a", "b"]
PARTS = ["*", "?", "[ab]", "[!a]", "[a-c]", "[]]", "[!]]", "[a-]", "[", "a", "b", "é", "-", "", "x", "__x", ".hidden"]


def draw_pattern(rng):
    folders = rng.choices(["**", "*", "sub", "deep", ".git", "s*", "?", "[ab]", "__*", "**", ".*"], k=rng.randrange(0, 3))
    last = rng.choice(["*", "**", "*.jsonl", "?.jsonl", "".join(rng.choices(PARTS, k=rng.randrange(1, 4))) + ".jsonl", "*.json*"])
    return "/".join([*folders, last])


@pytest.fixture
def tree(tmp_path):
    row = json.dumps({"model_input": "a", "model_output": "b"}) + "\n"
    for i, folder in enumerate(FOLDERS):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in NAMES[i % 3 :: 2] + ["a.jsonl"]:
            (tmp_path / folder / name).write_text(row)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    return tmp_path


def datasets_files(pattern, base):
    """None for a pattern that is invalid there. A set like [!a] also matches a slash there, by mistake."""
    last = pattern.rpartition("/")[2]
    try:
        found = resolve_pattern(pattern, str(base))
        return sorted(path for path in found if last == "**" or fnmatchcase(path.rpartition("/")[2], last))
    except FileNotFoundError:
        return []
    except ValueError:
        return None


def test_random_patterns_match_what_they_match_in_datasets(tree, rng):
    patterns = list(dict.fromkeys(p for p in (draw_pattern(rng) for _ in range(2 * TABLES)) if set(p) & set("*?")))
    answers = probe([{"location": f"{tree}/{pattern}"} for pattern in patterns])
    matched = 0
    for pattern, answer in zip(patterns, answers, strict=True):
        wanted = datasets_files(pattern, tree)
        error = answer.get("error", "")
        if "expected a pattern of" in error:
            continue
        assert wanted is not None, (pattern, answer)
        found = [] if "expected a file that matches" in error else answer["files"]
        if "expected a dataset file" in error:  # a README.md or the like that the pattern spells out
            continue
        assert found == wanted, (pattern, error)
        matched += bool(found)
    assert matched > len(patterns) // 4


@pytest.mark.parametrize("pattern", ["{a,b}.jsonl", "*/{a,b}.jsonl", "[^a].jsonl", "[[:alpha:]].jsonl", r"\*.jsonl", "**.jsonl", "a**/*"])
def test_patterns_that_libraries_read_differently_are_refused(tree, pattern):
    (answer,) = probe([{"location": f"{tree}/{pattern}"}])
    assert "expected a pattern of *, ?, [...] and **, found" in answer["error"]
