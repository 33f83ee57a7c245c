"""Made-up studies with a known truth or a known refusal: styles of masks, geometries, encodings and containers."""
