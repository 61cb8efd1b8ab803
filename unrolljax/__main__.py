"""`python -m unrolljax` is the command `unrolljax`."""

from unrolljax.lab.cli.command import main

raise SystemExit(main())
