"""Whether `Auto` and `Truncated("auto")` keep their tolerance, and what that costs."""
