"""Trainings of several parts in the threads of this process, without Dask."""

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ert.training.exchange import ALONE
from ert.training.plan import plan_fit
from ert.training.sharded.links import LinkLostError, Links
from ert.training.sharded.rank import Rank, ShardPlan

FURTHER = ("validation", "rolls", "sample_weight", "landmark_names", "notes")


def linked(n):
    """Return the exchanges of `n` parts, each connected to all others."""
    sockets = [[None] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            sockets[i][j], sockets[j][i] = socket.socketpair()
    return [Links(i, each) for i, each in enumerate(sockets)]


def in_step(links, function, *, fails=False):
    """Return what a function of rank and exchange returns for each, in threads, or raises if it `fails`.

    An error ends the connections of its part.
    """

    def call(rank):
        try:
            return function(rank, links[rank])
        except Exception as error:
            if isinstance(links[rank], Links):
                links[rank].close()
            return error

    with ThreadPoolExecutor(len(links)) as pool:
        results = list(pool.map(call, range(len(links))))
    errors = [result for result in results if isinstance(result, Exception)]
    if fails:
        assert len(errors) == len(results)
    elif errors:
        # What others noticed follows from it.
        raise min(errors, key=lambda error: isinstance(error, LinkLostError))
    return results


def train_in_parts(model, X, y, bounds, *, n_threads=1, exchange=None, known=(), **further):
    """Train the first member on objects of which each part has those between two bounds.

    Return the ranks, and of each the stages and errors.
    """
    plan = plan_fit(model.get_params(), X, y, **dict.fromkeys(FURTHER) | further)
    sizes = plan.crop_sizes()["train"]
    plan = replace(plan, parts={"train": replace(plan.objects, X=())})
    shard = ShardPlan(plan, sizes, tuple(bounds), b"")
    n = len(bounds) - 1
    links = linked(n) if n > 1 else [exchange or ALONE]
    ranks = []
    for number in range(n):
        ranks.append(Rank(number, shard, n_threads))
        ranks[-1].listener.close()

    def train(number, link):
        rank = ranks[number]
        rank.cut(bounds[number], X[slice(*bounds[number : number + 2])])
        rank.exchange = link
        rank.prepare()
        rank.start(plan.options.random_state)
        further_stages = [None] * (plan.params["n_stages"] - len(known))
        return [rank.next_stage(stage) for stage in (*known, *further_stages)]

    try:
        return ranks, in_step(links, train)
    finally:
        for rank in ranks:
            rank.close()
