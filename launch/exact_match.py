#!/usr/bin/env python3
"""Compares a file of `lockstep generate` with what was expected: exact_match.py PREDICTIONS.jsonl [--examples N]."""

import argparse
import json


def main():
    parser = argparse.ArgumentParser(description="Prints the exact match of answers of `lockstep generate`, and some rows.")
    parser.add_argument("predictions", help="one line per row: model_input, model_output, prediction")
    parser.add_argument("--examples", type=int, default=5, help="rows to show, spread over the file [5]")
    arguments = parser.parse_args()
    with open(arguments.predictions, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if not rows:
        parser.error(f"{arguments.predictions}: no rows")
    same = [row["prediction"].strip() == row["model_output"].strip() for row in rows]
    print(f"exact match: {100 * sum(same) / len(rows):.1f} % ({sum(same)} of {len(rows)} rows)")
    count = min(max(arguments.examples, 0), len(rows))
    for index in (len(rows) * i // count for i in range(count)):
        row = rows[index]
        print(f"\n  input     {row['model_input']}")
        print(f"  expected  {row['model_output']}")
        print(f"  answer    {row['prediction']}{'' if same[index] else '   <- differs'}")


if __name__ == "__main__":
    main()
