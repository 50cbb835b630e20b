"""Which outlines are the same lesion: assignment between series, then tracks over all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from osteotrace.matching.cost import Link, MatchCriteria, link
from osteotrace.model.alignment import Alignment, Route, route
from osteotrace.model.lesion import Lesion
from osteotrace.space import FloatArray


def links_between(
    lesions: Sequence[Lesion], alignments: tuple[Alignment, ...], rules: MatchCriteria
) -> tuple[Link, ...]:
    """Best one-to-one assignment of outlines for every pair of series, with a null cost.

    Series whose frames no usable alignment connects give no links.
    """
    groups: dict[str, list[Lesion]] = defaultdict(list)
    for lesion in lesions:
        groups[lesion.series_id].append(lesion)
    found: list[Link] = []
    for one, other in combinations(sorted(groups), 2):
        way = _way(groups[one][0], groups[other][0], alignments)
        if way is not None:
            found.extend(assign(groups[one], groups[other], way, rules))
    return tuple(found)


def _way(first: Lesion, second: Lesion, alignments: tuple[Alignment, ...]) -> Route | None:
    start = first.mask.grid.frame_of_reference_uid
    return route(alignments, start, second.mask.grid.frame_of_reference_uid)


def assign(
    first: Sequence[Lesion], second: Sequence[Lesion], way: Route, rules: MatchCriteria
) -> tuple[Link, ...]:
    """One-to-one assignment of least total cost; leaving a pair apart costs ``rules.null_cost``."""
    carried = [way.at(lesion.centroid_mm) for lesion in first]
    table = [[link(a, b, at, rules) for b in second] for a, at in zip(first, carried, strict=True)]
    n, m = len(first), len(second)
    cost = np.full((n + m, n + m), rules.null_cost / 2)
    cost[:n, :m] = [[x.cost for x in row] for row in table]
    cost[n:, m:] = 0.0
    rows, columns = linear_sum_assignment(cost)
    pairs = [(i, j) for i, j in zip(rows, columns, strict=True) if i < n and j < m]
    return tuple(
        replace(table[i][j], confidence=_confidence(cost[:n, :m], i, j, rules.null_cost))
        for i, j in pairs
        if table[i][j].cost < rules.null_cost
    )


def _confidence(cost: FloatArray, i: int, j: int, null_cost: float) -> float:
    """How much likelier this pair is than its best rival (another partner, or none), 0 to 1."""
    rivals = np.concatenate([np.delete(cost[i], j), np.delete(cost[:, j], i), [null_cost]])
    return float(1.0 / (1.0 + np.exp(min(50.0, cost[i, j] - rivals.min()))))


def groups_of(
    lesions: Iterable[Lesion],
    links: Iterable[Link],
    same: Sequence[tuple[str, str]] = (),
    different: Sequence[tuple[str, str]] = (),
) -> tuple[tuple[str, ...], ...]:
    """Join linked outlines into lesions, cheapest links first; at most one outline a series.

    Parameters
    ----------
    same, different : sequence of (str, str)
        A person's decisions on pairs of outline ids; they come before any link.

    Returns
    -------
    tuple of tuple of str
        Outline ids of each lesion; every outline is in exactly one.
    """
    series = {lesion.id: lesion.series_id for lesion in lesions}
    group = {lesion_id: frozenset([lesion_id]) for lesion_id in series}
    apart = {frozenset(pair) for pair in different}
    for one, other in same:
        _join(group, one, other)
    for edge in sorted(links, key=lambda x: (x.cost, x.first, x.second)):
        a, b = group[edge.first], group[edge.second]
        if a is not b and not _clash(a, b, series, apart):
            _join(group, edge.first, edge.second)
    order = {lesion_id: n for n, lesion_id in enumerate(series)}
    return tuple(tuple(sorted(g, key=order.__getitem__)) for g in dict.fromkeys(group.values()))


def _join(group: dict[str, frozenset[str]], a: str, b: str) -> None:
    joined = group[a] | group[b]
    for lesion_id in joined:
        group[lesion_id] = joined


def _clash(
    a: frozenset[str], b: frozenset[str], series: Mapping[str, str], apart: set[frozenset[str]]
) -> bool:
    if {series[x] for x in a} & {series[x] for x in b}:
        return True
    return any(frozenset((x, y)) in apart for x in a for y in b)
