"""Writes what scikit-learn computes for each case of `cargo test -p gradus-train --test metrics`.

    python3 crates/train/tests/metrics/cases.py

The numbers of a case are multiples of 1/64, which f32 holds too, unless it is marked "double". An expected value of
null is NaN.
"""

import json
import pathlib
import warnings

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn import metrics as sk

warnings.simplefilter("ignore")
draw = np.random.default_rng(20261126)
cases = []


def rounded(values, unit=64):
    return np.round(np.asarray(values) * unit) / unit


def tensor(values):
    values = np.asarray(values)
    kind = "index" if values.dtype.kind == "i" else "real"
    return {"kind": kind, "shape": list(values.shape), "data": values.ravel().tolist()}


def add(name, outputs, targets, values, double=False, probabilities=False):
    values = {key: None if np.isnan(value) else float(value) for key, value in values.items()}
    cases.append({"name": name, "double": double, "probabilities": probabilities, "outputs": tensor(outputs),
                  "targets": tensor(targets), "values": values})


def by_class(labels, predicted, classes):
    found = {"accuracy": sk.accuracy_score(labels, predicted)}
    for metric, score in [("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)]:
        for average in ["micro", "macro", "weighted"]:
            found[f"{metric} {average}"] = score(labels, predicted, average=average)
        each = score(labels, predicted, average=None, labels=list(range(classes)))
        found.update({f"{metric} {k}": value for k, value in enumerate(each)})
    return found


def multiclass(name, outputs, labels, probabilities=False, **how):
    classes = outputs.shape[1]
    p = outputs if probabilities else softmax(outputs, axis=1)
    every = list(range(classes))
    found = by_class(labels, outputs.argmax(axis=1), classes)
    for k in [1, 2, classes]:
        found[f"top {k}"] = sk.top_k_accuracy_score(labels, outputs, k=k, labels=every)
    # Probabilities below epsilon are made larger by scikit-learn; of logits they need not be.
    logs = np.log(np.maximum(p, 1e-300)) if probabilities else log_softmax(outputs, axis=1)
    exact = not probabilities and p.min() < 1e-15
    loss = -logs[np.arange(len(labels)), labels].mean() if exact else sk.log_loss(labels, p, labels=every)
    found.update({"log loss": loss, "perplexity": np.exp(loss)})
    if len(set(labels.tolist())) == classes:
        one_hot = np.eye(classes)[labels]
        area = lambda truth, score: sk.auc(*sk.precision_recall_curve(truth, score)[1::-1])
        each = {"roc": [], "pr": []}
        for k in every:
            each["roc"].append(sk.roc_auc_score(labels == k, logs[:, k]))
            each["pr"].append(area(labels == k, logs[:, k]))
            found[f"roc {k}"], found[f"pr {k}"] = each["roc"][k], each["pr"][k]
            found[f"ap {k}"] = sk.average_precision_score(labels == k, logs[:, k])
        for average in ["micro", "macro", "weighted"]:
            found[f"roc {average}"] = sk.roc_auc_score(one_hot, logs, average=average)
            found[f"ap {average}"] = sk.average_precision_score(one_hot, logs, average=average)
        # There is no such function of several classes: the means of those of one class.
        counts = np.bincount(labels, minlength=classes)
        found["pr macro"] = np.mean(each["pr"])
        found["pr weighted"] = np.average(each["pr"], weights=counts)
        found["pr micro"] = area(one_hot.ravel(), logs.ravel())
    add(name, outputs, labels, found, probabilities=probabilities, **how)


def binary(name, outputs, labels, probabilities=False, **how):
    """Scores of the positive, or columns of both."""
    columns = outputs.ndim == 2 and outputs.shape[1] == 2
    if columns:
        p = outputs[:, 1] if probabilities else softmax(outputs, axis=1)[:, 1]
        score = p if probabilities else outputs[:, 1] - outputs[:, 0]
        predicted = outputs.argmax(axis=1)
    else:
        score = outputs.ravel()
        p = score if probabilities else expit(score)
        predicted = (score > (0.5 if probabilities else 0)).astype(int)
    truth = labels.ravel().astype(int)
    found = by_class(truth, predicted, 2)
    loss = sk.log_loss(truth, p, labels=[0, 1])
    found.update({"log loss": loss, "perplexity": np.exp(loss)})
    found["roc macro"] = sk.roc_auc_score(truth, score)
    found["ap macro"] = sk.average_precision_score(truth, score)
    precision, recall, _ = sk.precision_recall_curve(truth, score)
    found["pr macro"] = sk.auc(recall, precision) if truth.any() else np.nan
    add(name, outputs, labels, found, probabilities=probabilities, **how)


def regression(name, outputs, targets, **how):
    a, b = (outputs, targets) if outputs.ndim > 1 else (outputs.reshape(-1, 1), targets.reshape(-1, 1))
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    found = {
        "mae": sk.mean_absolute_error(b, a),
        "mse": sk.mean_squared_error(b, a),
        "rmse": sk.root_mean_squared_error(b, a),
        "mape": sk.mean_absolute_percentage_error(b, a),
        "median": sk.median_absolute_error(b, a),
        "r2": sk.r2_score(b, a),
        "explained": sk.explained_variance_score(b, a),
    }
    add(name, outputs, targets, found, **how)


def labels_of(logits, sharpness=1.0):
    return (logits * sharpness + draw.gumbel(size=logits.shape)).argmax(axis=1)


logits = rounded(2 * draw.normal(size=(157, 5)))
multiclass("five classes", logits, labels_of(logits))
ties = draw.integers(0, 3, size=(90, 4)).astype(float)
multiclass("tied logits", ties, labels_of(ties))
logits = rounded(draw.normal(size=(120, 4)) + [3, 0, 0, -1])
multiclass("imbalanced", logits, np.concatenate([labels_of(logits, 0.5)[:-1], [3]]))
logits = rounded(draw.normal(size=(40, 6)) - [0, 0, 0, 0, 9, 9])
multiclass("classes that do not occur", logits, draw.integers(0, 3, size=40))
multiclass("one row", np.array([[0.5, 1.5, -2.0]]), np.array([1]))
multiclass("saturated logits", rounded(60 * draw.normal(size=(30, 3))), draw.integers(0, 3, size=30))
shares = draw.multinomial(64, [0.5, 0.3, 0.2], size=100) / 64
multiclass("probabilities", shares, labels_of(np.log(shares + 0.1)), probabilities=True)
zeros = np.array([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
multiclass("a label of probability 0", zeros, np.array([0, 2, 1]), probabilities=True, double=True)

scores = rounded(2 * draw.normal(size=131))
truth = (draw.random(131) < expit(scores)).astype(int)
binary("logits of two classes", scores, truth)
binary("a column of logits", scores.reshape(-1, 1), truth)
binary("real targets", scores.reshape(-1, 1), truth.reshape(-1, 1).astype(float))
binary("columns of both classes", np.stack([rounded(draw.normal(size=131)), scores], axis=1), truth)
few = draw.integers(-2, 3, size=80).astype(float)
binary("tied scores", few, (draw.random(80) < expit(few)).astype(int))
binary("equal scores", np.zeros(10), np.array([0, 1] * 5))
binary("all positive", rounded(draw.normal(size=12)), np.ones(12, dtype=int))
binary("all negative", rounded(draw.normal(size=12)), np.zeros(12, dtype=int))
binary("perfect order", np.array([-1.0, -0.5, 0.5, 2.0]), np.array([0, 0, 1, 1]))
binary("reversed order", np.array([2.0, 0.5, -0.5, -1.0]), np.array([0, 0, 1, 1]))
binary("rare positive", rounded(draw.normal(size=200)), (np.arange(200) % 67 == 3).astype(int))
unit = draw.integers(0, 65, size=90) / 64
binary("probability of the positive", unit, (draw.random(90) < unit).astype(int), probabilities=True, double=True)

targets = rounded(3 * draw.normal(size=101))
regression("one output", rounded(targets + draw.normal(size=101)), targets)
regression("an even number of rows", rounded(targets[:60] + draw.normal(size=60)), targets[:60])
targets = rounded(draw.normal(size=(77, 3)) * [1, 10, 0.2] + [0, 100, 1])
regression("three outputs", rounded(targets + 0.25 * draw.normal(size=(77, 3))), targets)
targets = rounded(draw.normal(size=(11, 5, 2)))
regression("outputs over time", rounded(targets + 0.25 * draw.normal(size=(11, 5, 2))), targets)
regression("perfect", targets, targets)
regression("biased", targets + 0.5, targets)
regression("constant targets", rounded(draw.normal(size=20)), np.full(20, 0.75))
regression("constant and right", np.full(20, 0.75), np.full(20, 0.75))
regression("constant targets that f64 cannot hold", rounded(draw.normal(size=9)), np.full(9, 0.1), double=True)
regression("one row", np.array([1.5]), np.array([1.0]))
regression("targets of 0", rounded(draw.normal(size=15)), np.zeros(15))
far = 1e6 + rounded(draw.normal(size=64))
regression("a far mean", far + rounded(0.1 * draw.normal(size=64)), far, double=True)

path = pathlib.Path(__file__).resolve().parent / "cases.json"
path.write_text("[\n" + ",\n".join(json.dumps(case, allow_nan=False) for case in cases) + "\n]\n")
print(f"{len(cases)} cases, {sum(len(case['values']) for case in cases)} values")
