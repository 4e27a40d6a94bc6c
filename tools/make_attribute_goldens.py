#!/usr/bin/env python3
"""Writes tests/golden/attributes.json: what scikit-learn and SciPy say of small tables.

    python3 tools/make_attribute_goldens.py     (needs numpy, scipy, scikit-learn)
"""
import json
import pathlib

import numpy as np
import scipy
import sklearn
from scipy.stats import false_discovery_control, hypergeom, permutation_test
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

rng = np.random.default_rng(14)


def pair(n, rows, columns, dependence):
    """Two columns; the second is the first, wrapped, in a share of the places."""
    a = rng.integers(rows, size=n)
    b = np.where(rng.random(n) < dependence, a % columns, rng.integers(columns, size=n))
    return a, b


tables = []
for n, rows, columns, dependence in [
    (40, 2, 2, 0.0), (40, 3, 5, 0.5), (300, 8, 4, 0.2), (300, 16, 10, 0.9),
    (120, 30, 20, 0.0), (50, 50, 3, 1.0), (200, 4, 4, 1.0)]:
    a, b = pair(n, rows, columns, dependence)
    table = contingency_matrix(a, b, sparse=True)
    tables.append({
        "a": a.tolist(), "b": b.tolist(),
        "information": mutual_info_score(a, b),
        "chance": expected_mutual_information(table, n),
        "adjusted": adjusted_mutual_info_score(a, b)})

exact = []  # all orders of b
for n, rows, columns, dependence in [(8, 2, 2, 0.9), (8, 3, 2, 0.0), (8, 2, 4, 1.0)]:
    a, b = pair(n, rows, columns, dependence)
    # To twelve digits, so that equal tables are equal.
    test = permutation_test(
        (b,), lambda x: round(mutual_info_score(a, x), 12),
        permutation_type="pairings", n_resamples=np.inf, alternative="greater")
    exact.append({"a": a.tolist(), "b": b.tolist(), "p": test.pvalue})

tails = [
    {"hits": h, "draws": d, "marked": m, "total": t,
     "tail": float(hypergeom.sf(h - 1, t, m, d))}
    for h, d, m, t in [(0, 5, 3, 20), (3, 5, 3, 20), (342, 412, 480, 4000),
                       (60, 412, 480, 4000), (9, 10, 95, 100), (1, 1, 1, 1000)]]
p = np.round(rng.random(30) ** 3, 3)
p[5] = p[6]
golden = {
    "made": {"numpy": np.__version__, "scipy": scipy.__version__,
             "scikit-learn": sklearn.__version__},
    "tables": tables, "exact": exact, "tails": tails,
    "discoveries": {"p": p.tolist(), "q": false_discovery_control(p).tolist()}}
out = pathlib.Path(__file__).parents[1] / "tests/golden/attributes.json"
out.write_text(json.dumps(golden) + "\n")
print(f"{out}: {len(tables)} tables, {out.stat().st_size} bytes")
