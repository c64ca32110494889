"""Splits of corpora that have none of their own."""

import collections
import hashlib
from collections.abc import Mapping, Sequence

HASH_SHARES = {"validation": 0.05, "test": 0.05}


def by_hash(names: Sequence[str], min_validation: int = 1) -> dict[str, list[str]]:
    """Splits by a hash of each name, so that adding recordings moves none of the others.

    `HASH_SHARES` to validation and to test, the rest to train. Where chance leaves train empty, or
    fewer than `min_validation` to validation, the recordings nearest to the border move there.

    Args:
      names: Of two or more recordings, or groups of recordings that stay together.
      min_validation: Fewer than there are names.

    Returns:
      Non-empty splits, each in the given order; train and validation are always among them.
    """
    place = {name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 for name in names}
    border = HASH_SHARES["validation"]
    validation = {name for name in names if place[name] < border}
    test = {name for name in names if border <= place[name] < border + HASH_SHARES["test"]}
    validation |= set(sorted(names, key=place.__getitem__)[:min_validation])
    test -= validation
    if len(validation | test) == len(names):
        farthest = max(names, key=place.__getitem__)
        validation, test = validation - {farthest}, test - {farthest}
    splits: dict[str, list[str]] = collections.defaultdict(list)
    for name in names:
        splits["validation" if name in validation else "test" if name in test else "train"].append(
            name
        )
    return {split: splits[split] for split in ("train", "validation", "test") if splits[split]}


def in_order(names: Sequence[str], shares: Mapping[str, float]) -> dict[str, list[str]]:
    """Splits of consecutive names: the first `shares[split]` of the names, the next, and so on.

    The last split takes the rest; the ends of the others are rounded down.
    """
    splits: dict[str, list[str]] = {}
    total, begin = 0.0, 0
    for split, share in shares.items():
        total += share
        is_last = len(splits) == len(shares) - 1
        end = len(names) if is_last else int(total * len(names) + 1e-9)
        splits[split] = list(names[begin:end])
        begin = end
    return splits
