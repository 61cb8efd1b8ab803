"""`python -m benchmarks.imaging [--quick] [--check] [--parts NAME,...] [--json FILE]`."""

import sys

import benchmarks.imaging
from benchmarks.parts import main

if __name__ == "__main__":
    sys.exit(main(benchmarks.imaging))
