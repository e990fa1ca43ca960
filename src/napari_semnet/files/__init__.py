"""Files in and out: vendor TIFFs, calibrated and traceable results, atomic writing."""
