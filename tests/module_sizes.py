"""Fail when a module of ours grows past 400 lines, or the median past 120."""

import statistics
import sys
from pathlib import Path

LIMIT, MEDIAN = 400, 120
ROOT = Path(__file__).parent.parent


def main() -> int:
    """Print the sizes that are too large; 1 if there are any."""
    sizes = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for top in ("src", "plans", "profiles", "benchmarks", "tests")
        for path in (ROOT / top).rglob("*.py")
        if "_pb2" not in path.name  # generated
    }
    source = [n for path, n in sizes.items() if path.parts[0] == "src"]
    median = statistics.median(source)
    long = {path: n for path, n in sizes.items() if n > LIMIT}
    for path, n in long.items():
        sys.stderr.write(f"{path}: {n} lines, {LIMIT} allowed: split it by idea\n")
    tests = sum(n for path, n in sizes.items() if path.parts[0] == "tests")
    sys.stdout.write(f"modules: {len(source)} in src, median {median:.0f} lines (≤ {MEDIAN}), largest {max(source)}; ")
    sys.stdout.write(f"tests {tests / sum(source):.2f} × src\n")
    return int(bool(long) or median > MEDIAN)


if __name__ == "__main__":
    sys.exit(main())
