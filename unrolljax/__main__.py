"""`python -m unrolljax` is the command `unrolljax`."""

from unrolljax.lab.command import main

raise SystemExit(main())
