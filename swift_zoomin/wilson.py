"""The interval of a share, as all figures of this package have it."""


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95% interval of a share of independent images (Wilson 1927), 0..1."""
    from scipy.stats import binomtest  # takes a second

    low, high = binomtest(hits, of).proportion_ci(0.95, "wilson")
    return float(low), float(high)
