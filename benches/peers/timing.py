"""Times work as our own benches do (benches/timing): warmed up, the median of rounds, each ended by a wait."""

import statistics
import time

import torch


def wait(on_gpu):
    if on_gpu:
        torch.cuda.synchronize()


def median(work, on_gpu, patience=0.7, least=5):
    """Seconds of one round of `work`: of `least` rounds or more, as many as `patience` seconds hold."""
    work()
    wait(on_gpu)
    took, started = [], time.perf_counter()
    while len(took) < least or time.perf_counter() - started < patience:
        before = time.perf_counter()
        work()
        wait(on_gpu)
        took.append(time.perf_counter() - before)
    return statistics.median(took)


def captured(work, repeats=1):
    """`work`, `repeats` times, as one CUDA graph to be replayed."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # what is made or chosen at first use must be there before the capture
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            work()
    return graph.replay


def back_to_back(work, on_gpu, launches=20):
    """Seconds of one `work` among `launches`; on a GPU these are one graph, so that Python is not timed."""
    if not on_gpu:
        return median(work, on_gpu, patience=0.05)
    return median(captured(work, launches), on_gpu, patience=0.05) / launches


def line(what, how, ms, rate, more=""):
    """Two spaces at least between columns, so that they can be told apart again."""
    ms = f"{1e3 * ms:.4f}" if isinstance(ms, float) else ms
    print(f"{what:<58}  {how:<34}  {ms:>9}  {rate:>14}  {more:>8}".rstrip(), flush=True)
