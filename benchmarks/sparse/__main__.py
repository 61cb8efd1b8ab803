"""`python -m benchmarks.sparse [--quick] [--check] [--parts NAME,...] [--json FILE]`."""

import sys

import benchmarks.sparse
from benchmarks.parts import main

if __name__ == "__main__":
    sys.exit(main(benchmarks.sparse))
