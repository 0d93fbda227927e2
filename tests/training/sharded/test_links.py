import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from parts import in_step, linked

from ert.training.exchange import Exchange
from ert.training.sharded import links as module
from ert.training.sharded.links import LinkLostError, connect, listen

NUMBERS = [1, 2, 3, 4, 5, 7, 8]


@pytest.fixture
def mesh():
    """A function that returns the exchanges of some parts."""
    made = []

    def make(n):
        made.extend(links := linked(n))
        return links

    yield make
    for link in made:
        link.close()


@pytest.mark.parametrize("n", NUMBERS)
def test_all_have_the_sum_and_the_largest(n, mesh):
    # More than both sides send before they receive, and more than the buffers of the system hold.
    arrays = np.random.default_rng(n).integers(-(2**40), 2**40, (n, 3, 50_001))
    for total, largest in in_step(mesh(n), lambda rank, link: (link.sum(arrays[rank]), link.max(arrays[rank]))):
        assert np.array_equal(total, arrays.sum(axis=0))
        assert np.array_equal(largest, arrays.max(axis=0))


@pytest.mark.parametrize("n", NUMBERS)
def test_all_have_what_the_first_has(n, mesh):
    def share(rank, link):
        return link.same((np.arange(3.0)[:, None] + rank, None, np.array([rank], np.uint16)))

    for floats, nothing, number in in_step(mesh(n), share):
        assert floats.tolist() == [[0.0], [1.0], [2.0]]
        assert nothing is None
        assert number.tolist() == [0]


@pytest.mark.parametrize("n", NUMBERS)
def test_rows_of_all_in_order(n, mesh):
    arrays = [np.full((rank % 3, 2), rank, np.float32) for rank in range(n)]
    found = in_step(mesh(n), lambda rank, link: (link.gather(arrays[rank]), link.join(arrays[rank])))
    for rank, (gathered, joined) in enumerate(found):
        assert np.array_equal(joined, np.concatenate(arrays))
        assert len(gathered) == (0 if rank else n)
    assert all(map(np.array_equal, found[0][0], arrays))


def test_an_array_goes_from_one_to_another(mesh):
    arrays = np.arange(6).reshape(3, 2)

    def copy(rank, link):
        return [link.copy(arrays[rank], *pair) for pair in ((2, 0), (0, 1), (1, 1))]

    first, second, third = in_step(mesh(3), copy)
    assert first[0].tolist() == [4, 5]
    assert second[1].tolist() == [0, 1]
    assert second[2].tolist() == [2, 3]
    assert [each.tolist() for each in third] == [[4, 5]] * 3


def test_messages_and_bytes_are_counted(mesh):
    links = mesh(4)
    in_step(links, lambda rank, link: link.sum(np.zeros(10, np.int64)))
    assert [(link.n_messages, link.n_bytes) for link in links] == [(2, 160)] * 4


def test_one_that_has_all_exchanges_nothing():
    alone, array = Exchange(), np.arange(3)
    for found in (alone.sum(array), alone.max(array), alone.join(array), alone.copy(array, 0, 0), *alone.gather(array)):
        assert found is array
    assert alone.same((array,)) == (array,)


def test_others_notice_one_that_is_gone(mesh):
    links = mesh(3)
    links[1].close()
    errors = in_step(links, lambda rank, link: link.sum(np.zeros(3)), fails=True)
    assert all(isinstance(error, LinkLostError) for error in errors)


def connected(keys, host="127.0.0.1"):
    """Return the addresses of as many workers as there are keys, and a function that connects them."""
    listeners = [listen(host) for _ in keys]
    addresses = [listener.getsockname()[:2] for listener in listeners]

    def join(rank, _):
        return connect(rank, listeners[rank], addresses, keys[rank])

    return addresses, lambda **options: in_step([None] * len(keys), join, **options)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_workers_connect_over_the_network(host):
    try:
        _, join = connected([b"key"] * 4, host)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    links = join()
    assert [found.tolist() for found in in_step(links, lambda rank, link: link.sum(np.array([rank])))] == [[6]] * 4
    sock = links[0]._socket(1)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    for link in links:
        link.close()


def test_one_without_the_key_is_turned_away(monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    _, join = connected([b"key", b"other"])
    errors = join(fails=True)
    assert all(isinstance(error, LinkLostError) for error in errors)
    assert "worker 0 is of another training" in str(errors[1])


def test_a_stranger_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 2.0)
    addresses, join = connected([b"key"] * 2)
    with ThreadPoolExecutor() as pool, socket.create_connection(addresses[0]) as silent:
        with socket.create_connection(addresses[0]) as loud:
            loud.sendall(bytes(99))
        links = pool.submit(join).result()
        silent.close()
    assert [each.tolist() for each in in_step(links, lambda rank, link: link.sum(np.array([1])))] == [[2], [2]]
    for link in links:
        link.close()


def test_a_worker_that_does_not_come(monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.1)
    listener = listen("127.0.0.1")
    with pytest.raises(LinkLostError, match="the workers cannot connect to each other: timed out"):
        connect(0, listener, [listener.getsockname()] * 2, b"key")
