"""How good a bundle is: metrics with intervals, calibration, operating points."""
