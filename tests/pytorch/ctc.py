"""Connectionist temporal classification, of logits: PyTorch's gradient is that of log_softmax's input only."""

import torch
from torch.nn.functional import ctc_loss


def cases(add):
    def case(name, time, classes, labels, label_lengths, input_lengths, **options):
        inputs = {
            "logits": torch.randn(time, len(labels), classes),
            "labels": torch.tensor(labels),
            "label_lengths": torch.tensor(label_lengths),
            "input_lengths": torch.tensor(input_lengths),
        }

        def call(_, logits, labels, label_lengths, input_lengths):
            return ctc_loss(logits.log_softmax(-1), labels, input_lengths, label_lengths, **options)

        add(name, None, inputs, call)

    labels = [[1, 2, 2], [3, 1, 0], [2, 0, 0], [0, 0, 0]]
    case("mean", 7, 4, labels, [3, 2, 1, 0], [7, 5, 3, 4])
    case("terms", 7, 4, labels, [3, 2, 1, 0], [7, 6, 1, 2], reduction="none")
    case("sum_with_another_blank", 6, 3, [[0, 1], [1, 1]], [2, 2], [6, 4], blank=2, reduction="sum")
    impossible = dict(zero_infinity=True, reduction="none")
    case("zero_infinity", 4, 4, labels[:3], [3, 2, 1], [3, 2, 4], **impossible)
    case("zero_infinity_mean", 4, 4, labels[:3], [3, 2, 1], [3, 2, 4], zero_infinity=True)
