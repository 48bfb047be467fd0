"""gpu_check_test.py LAUNCH: launch/gpu_check.sh without a GPU, and what launch/gpu_report.py makes of metrics."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

LAUNCH = Path(sys.argv[1])
GPT2 = {"n_layer": 2, "n_embd": 10, "vocab_size": 100}


def write_run(folder, losses):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(GPT2))
    lines = [{"event": "step", "step": i + 1, "loss": loss, "tokens": 3000, "seconds": 0.5 if i >= 5 else 9} for i, loss in enumerate(losses)]
    lines.append({"event": "evaluation", "eval_loss": 1})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def report(*arguments):
    return subprocess.run([sys.executable, LAUNCH / "gpu_report.py", *map(str, arguments)], capture_output=True, text=True)


def main():
    alone = subprocess.run([LAUNCH / "gpu_check.sh"], capture_output=True, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    assert alone.returncode == 1 and "expected an NVIDIA GPU, found none" in alone.stderr, alone

    with tempfile.TemporaryDirectory() as scratch:
        a, b, short = (Path(scratch, name) for name in ("a", "b", "short"))
        write_run(a, [4.0] * 8)
        write_run(b, [4.0] * 7 + [4.002])
        write_run(short, [4.0] * 3)
        same = report("same-losses", a, b, "--relative", "1e-3")
        assert same.returncode == 0 and "differ by 5.0e-04" in same.stdout, same
        assert report("same-losses", a, b, "--relative", "1e-4").returncode == 1
        assert "expected the same steps" in report("same-losses", a, short, "--relative", "1").stderr
        # 6000 tokens/s, 6 x (12 x 2 x 100 + 100 x 10) + 12 x 2 x 10 x 1024 = 266160 operations a token.
        known = report("throughput", a, "--gpus", 2, "--name", "NVIDIA A100-SXM4-80GB")
        assert known.stdout == "6000 tokens/s on 2 x NVIDIA A100-SXM4-80GB, 0.0 TFLOP/s, MFU 0.0 % of 19.5 TFLOP/s in fp32\n", known
        assert "MFU unknown" in report("throughput", a, "--gpus", 1, "--name", "another").stdout
        assert "more than 5 steps" in report("throughput", short, "--gpus", 1, "--name", "NVIDIA A100").stderr

    sys.dont_write_bytecode = True
    sys.path.insert(0, str(LAUNCH))
    import gpu_report
    assert gpu_report.flops_per_token(GPT2, 1024) == 266160
    assert [gpu_report.peak_tflops(name) for name in ("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA A10", "x")] == [67, 51, 31.2, None]


main()
