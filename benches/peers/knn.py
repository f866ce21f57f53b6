"""Weighted k-nearest neighbours on unit features: cosine, k 200, temperature 0.1."""

import torch
import torch.nn.functional as F


def knn(bank, bank_labels, queries, query_labels, classes, k=200, temperature=0.1):
    """Top-1 accuracy in percent; features are (n, d) and need not be normalised."""
    bank, queries = F.normalize(bank), F.normalize(queries)
    hits = 0
    for rows, labels in zip(queries.split(512), query_labels.split(512)):
        similarity, neighbours = (rows @ bank.T).topk(min(k, len(bank)))  # (n, k)
        votes = torch.zeros(len(rows), classes)
        votes.scatter_add_(1, bank_labels[neighbours], (similarity / temperature).exp())
        hits += (votes.argmax(dim=1) == labels).sum().item()
    return 100.0 * hits / len(queries)
