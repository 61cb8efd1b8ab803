"""A gradient with an error bar: corrections, the bound from constants, measured curvature."""
