"""The command `unrolljax`: runs compared and resumed, gradients and installations tested."""
