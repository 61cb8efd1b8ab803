"""What the outer loop costs on top of a jitted step."""
