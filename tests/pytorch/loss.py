"""Losses with their options. Classes are our last axis and PyTorch's second: inputs are ours, and the calls move them."""

import torch
from torch.nn import functional as F


def signs(count):
    return torch.tensor([1.0, -1.0]).repeat(count)[:count]


def cases(add):
    def loss(name, inputs, call):
        add(name, None, inputs, lambda _, **inputs: call(*inputs.values()))

    logits, labels = torch.randn(5, 4), torch.tensor([2, -100, 0, 3, 1])
    all_count = torch.tensor([2, 1, 0, 3, 1])
    weight = torch.tensor([0.5, 2.0, 1.25, 0.75])
    for number in range(8):
        options = {}
        if number & 1:
            options["weight"] = weight
        if number & 2:
            options["ignore_index"] = -100
        if number & 4:
            options["label_smoothing"] = 0.1
        targets = labels if number & 2 else all_count

        def both(x, y, options=options):
            mean, terms = (F.cross_entropy(x, y, reduction=r, **options) for r in ("mean", "none"))
            return mean, terms

        loss(f"cross_entropy_{number}", {"x": logits, "y": targets}, both)
    # An ignored label that is a class.
    loss(
        "cross_entropy_ignored_class",
        {"x": logits, "y": all_count},
        lambda x, y: F.cross_entropy(x, y, weight=weight, ignore_index=1, label_smoothing=0.2),
    )
    loss(
        "cross_entropy_sequences",
        {"x": torch.randn(2, 3, 4), "y": torch.tensor([[0, 3, -100], [1, -100, 2]])},
        lambda x, y: F.cross_entropy(x.transpose(1, 2), y, weight=weight, label_smoothing=0.1),
    )
    chances = torch.randn(5, 4).softmax(-1)
    loss(
        "cross_entropy_with",
        {"x": logits, "p": chances},
        lambda x, p: (F.cross_entropy(x, p), F.cross_entropy(x, p, reduction="none")),
    )
    loss(
        "cross_entropy_with_options",
        {"x": logits, "p": chances},
        lambda x, p: tuple(
            F.cross_entropy(x, p, weight=weight, label_smoothing=0.1, reduction=r) for r in ("mean", "none", "sum")
        ),
    )
    logs = logits.log_softmax(-1)
    loss("nll", {"x": logs, "y": all_count}, lambda x, y: (F.nll_loss(x, y), F.nll_loss(x, y, reduction="none")))
    loss(
        "nll_weighted",
        {"x": logits, "y": labels},
        lambda x, y: F.nll_loss(x.log_softmax(-1), y, weight=weight, ignore_index=-100),
    )

    x, t, positive = torch.randn(3, 4), torch.rand(3, 4), torch.tensor([0.5, 3.0, 1.0, 2.0])
    bce = F.binary_cross_entropy_with_logits
    loss("binary", {"x": x, "t": t}, lambda x, t: (bce(x, t), bce(x, t, reduction="sum")))
    loss(
        "binary_weighted",
        {"x": x, "t": t},
        lambda x, t: (bce(x, t, pos_weight=positive), bce(x, t, pos_weight=positive, reduction="none")),
    )
    loss("binary_elements", {"x": x, "t": t}, lambda x, t: bce(x, t, weight=positive.expand(3, 4)))

    y = torch.randn(3, 4) * 2
    loss("mse", {"x": x, "y": y}, lambda x, y: tuple(F.mse_loss(x, y, reduction=r) for r in ("mean", "sum", "none")))
    loss("mae", {"x": x, "y": y}, lambda x, y: (F.l1_loss(x, y), F.l1_loss(x, y, reduction="none")))
    loss("huber", {"x": x, "y": y}, lambda x, y: (F.huber_loss(x, y, delta=0.75), F.huber_loss(x, y)))
    loss("smooth_l1", {"x": x, "y": y}, lambda x, y: F.smooth_l1_loss(x, y, beta=0.75))

    a, b = torch.randn(4, 3), torch.randn(4, 3)
    loss("soft_margin", {"s": torch.randn(6)}, lambda s: F.soft_margin_loss(s, signs(6)))
    loss(
        "margin_ranking",
        {"a": torch.randn(6), "b": torch.randn(6)},
        lambda a, b: (F.margin_ranking_loss(a, b, signs(6), margin=0.5), F.margin_ranking_loss(a, b, signs(6))),
    )
    loss(
        "multi_margin",
        {"x": logits, "y": all_count},
        lambda x, y: (F.multi_margin_loss(x, y), F.multi_margin_loss(x, y, margin=0.5, reduction="none")),
    )
    loss("cosine_similarity", {"a": a, "b": b}, F.cosine_similarity)
    loss(
        "cosine_embedding",
        {"a": a, "b": b},
        lambda a, b: (F.cosine_embedding_loss(a, b, signs(4)), F.cosine_embedding_loss(a, b, signs(4), margin=0.25)),
    )

    loss(
        "kl_divergence",
        {"x": logits, "p": chances},
        lambda x, p: (
            F.kl_div(x.log_softmax(-1), p, reduction="batchmean"),
            F.kl_div(x.log_softmax(-1), p, reduction="sum"),
            F.kl_div(x.log_softmax(-1), p, reduction="none").sum(-1),
        ),
    )
    loss(
        "kl_divergence_of_logs",
        {"x": logits, "p": torch.randn(5, 4)},
        lambda x, p: F.kl_div(x.log_softmax(-1), p.log_softmax(-1), reduction="batchmean", log_target=True),
    )

    for p in (1.0, 2.0, 3.0, float("inf")):
        loss(f"distance_{p}", {"a": a, "b": b}, lambda a, b, p=p: F.pairwise_distance(a, b, p=p))
    for name, options in {
        "triplet": {},
        "triplet_swap": {"swap": True, "margin": 2.0},
        "triplet_p": {"p": 3.0, "margin": 0.5},
    }.items():
        loss(
            name,
            {"a": a, "p": b, "n": torch.randn(4, 3)},
            lambda a, p, n, options=options: (
                F.triplet_margin_loss(a, p, n, **options),
                F.triplet_margin_loss(a, p, n, reduction="none", **options),
            ),
        )

    variances = torch.tensor([0.5, 2.0, 0.0, 1e-7, 1.0, 3.0])
    for full in (False, True):
        loss(
            f"gaussian_nll_{full}",
            {"m": torch.randn(6) * 1e-4, "v": variances, "t": torch.randn(6) * 1e-4},
            lambda m, v, t, full=full: F.gaussian_nll_loss(m, t, v, full=full, reduction="none"),
        )
        # With a count of 0 the derivative of PyTorch's with respect to it is NaN.
        counts = torch.tensor([0.25, 1.0, 2.0, 5.0, 1.5, 0.5])
        loss(
            f"poisson_nll_{full}",
            {"x": torch.randn(6).exp(), "t": counts},
            lambda x, t, full=full: F.poisson_nll_loss(x, t, log_input=False, full=full, reduction="none"),
        )
        loss(
            f"poisson_nll_of_logs_{full}",
            {"x": torch.randn(6), "t": counts},
            lambda x, t, full=full: (
                F.poisson_nll_loss(x, t, full=full),
                F.poisson_nll_loss(x, t, full=full, reduction="none"),
            ),
        )

    # Probabilities of 0 and 1 where PyTorch's derivative is the limit, and tiny ones.
    chances = torch.tensor([0.0, 1.0, 0.5, 0.25, 1e-9, 1 - 1e-9, 1e-60, 0.75])
    targets = torch.tensor([1.0, 0.0, 1.0, 0.3, 1.0, 0.4, 1.0, 0.0])
    loss(
        "binary_probabilities",
        {"p": chances},
        lambda p: tuple(F.binary_cross_entropy(p, targets, reduction=r) for r in ("mean", "sum", "none")),
    )
    loss(
        "cross_entropy_axis",
        {"x": torch.randn(2, 4, 4), "y": torch.tensor([[0, 3, 1, 1], [1, 2, 2, 0]])},
        lambda x, y: tuple(F.cross_entropy(x, y, weight=weight, reduction=r) for r in ("mean", "none")),
    )
    loss(
        "cross_entropy_with_axis",
        {"x": torch.randn(2, 4, 3), "p": torch.randn(2, 4, 3).softmax(1)},
        lambda x, p: F.cross_entropy(x, p, label_smoothing=0.1),
    )
    zeros = torch.tensor([0.0, 0.25, 0.75, 0.0]).expand(5, 4)
    loss(
        "kl_divergence_of_zero",
        {"x": torch.randn(5, 4)},
        lambda x: F.kl_div(x.log_softmax(-1), zeros, reduction="batchmean"),
    )
