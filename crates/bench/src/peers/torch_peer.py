"""The workloads in PyTorch: as eager code, training with the fused optimizer, and compiled where that may be faster.

Training has no way with the default optimizer, which takes longer than the fused one and differs in nothing else."""

import numpy
import torch
import torch.nn.functional as F
from peer import Variant
from sample import STEPS, sample
from torch import nn


def start(threads):
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return torch.__version__


def read(file):
    # All workloads share `Model.forward`, of which only a few compiled forms are kept: the rest would run uncompiled.
    torch.compiler.reset()
    return {name: torch.from_numpy(array) for name, array in numpy.load(file).items()}


def named(arrays, prefix):
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def inputs_of(arrays):
    return named(arrays, "in.")


class Model(nn.Module):
    """Layers under the names that their parameters have in the file, and a loss of the inputs."""

    def __init__(self, loss, **layers):
        super().__init__()
        self.loss = loss
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, **inputs):
        return self.loss(self, **inputs)


def loaded(model, arrays):
    state = named(arrays, "param.") | named(arrays, "frozen.")
    model.load_state_dict(state)
    for name, param in model.named_parameters():
        param.requires_grad_(f"param.{name}" in arrays)
    return model


def training(model, optimizer, compiled=False, sparse=False):
    """`optimizer(params, **options)` makes the optimizer; one of sparse gradients has no fused form."""

    def build(arrays):
        inputs = inputs_of(arrays)

        def variant(is_compiled, **options):
            def begin():
                own = loaded(model(), arrays)
                loss = torch.compile(own) if is_compiled else own
                params = [param for param in own.parameters() if param.requires_grad]
                return own, loss, optimizer(params, **options)

            def step(loss, update):
                update.zero_grad()
                value = loss(**inputs)
                value.backward()
                update.step()
                return value

            def check():
                own, *state = begin()
                losses, numbers = [], {}
                for number in range(STEPS):
                    losses.append(float(step(*state).detach()))
                    if number == 0:
                        for name, param in own.named_parameters():
                            if param.requires_grad:
                                numbers[f"grad.{name}"] = sample(param.grad.to_dense())
                # The same model goes on, for it may have been compiled.
                running.extend(state)
                return {"loss": losses, **numbers}

            def run(calls):
                for _ in range(calls):
                    step(*running)

            running = []
            return Variant(check, run)

        variants = {"eager": variant(False)} if sparse else {"fused": variant(False, fused=True)}
        if compiled:
            variants["compiled"] = variant(True, fused=True)
        return variants

    return build


def function(model, compiled=False):
    """The outputs of a model without gradients."""

    def build(arrays):
        inputs = inputs_of(arrays)
        own = loaded(model(), arrays)

        def variant(call):
            def evaluate(calls):
                with torch.inference_mode():
                    for _ in range(calls):
                        outputs = call(**inputs)
                return outputs if isinstance(outputs, tuple) else (outputs,)

            def check():
                return {f"out.{number}": sample(output) for number, output in enumerate(evaluate(1))}

            return Variant(check, evaluate)

        variants = {"eager": variant(own)}
        if compiled:
            variants["compiled"] = variant(torch.compile(own))
        return variants

    return build


def adam(params, **options):
    return torch.optim.Adam(params, lr=1e-3, **options)


def adamw(params, **options):
    return torch.optim.AdamW(params, lr=1e-3, weight_decay=1e-2, **options)


def momentum(params, **options):
    return torch.optim.SGD(params, lr=1e-2, momentum=0.9, **options)


# Networks of dense layers.


def dense(sizes, prefix="layer"):
    return {f"{prefix}{k}": nn.Linear(sizes[k], sizes[k + 1]) for k in range(len(sizes) - 1)}


def mlp(model, x, activation, prefix="layer", count=3):
    layers = [getattr(model, f"{prefix}{k}") for k in range(count)]
    for layer in layers[:-1]:
        x = activation(layer(x))
    return layers[-1](x)


WIDE = [784, 512, 512, 10]


def wide():
    return Model(lambda model, x, labels: F.cross_entropy(mlp(model, x, F.relu), labels), **dense(WIDE))


def wide_forward():
    return Model(lambda model, x: mlp(model, x, F.relu), **dense(WIDE))


def small():
    return Model(lambda model, x, y: F.mse_loss(mlp(model, x, torch.tanh), y), **dense([4, 32, 32, 1]))


def hessian_vector_product(arrays):
    model = loaded(
        Model(lambda model, x, labels: F.cross_entropy(mlp(model, x, torch.tanh), labels), **dense(WIDE)), arrays
    )
    inputs, params = inputs_of(arrays), dict(model.named_parameters())
    direction = {name: arrays[f"direction.{name}"] for name in params}

    def double():
        loss = model(**inputs)
        gradients = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        products = torch.autograd.grad(gradients, list(params.values()), [direction[name] for name in params])
        return loss, dict(zip(params, products))

    def loss_of(values):
        return torch.func.functional_call(model, values, kwargs=inputs)

    def forward():
        values = {name: param.detach() for name, param in params.items()}
        gradient = torch.func.grad_and_value(loss_of)
        (_, loss), (products, _) = torch.func.jvp(gradient, (values,), (direction,))
        return loss, products

    def variant(call):
        def check():
            loss, products = call()
            return {"loss": [float(loss.detach())]} | {f"grad.{name}": sample(v) for name, v in products.items()}

        def run(calls):
            for _ in range(calls):
                call()

        return Variant(check, run)

    return {"eager": variant(double), "forward over reverse": variant(forward)}


def nets(sizes, *names):
    return {name: layer for prefix in names for name, layer in dense(sizes, prefix).items()}


def policy():
    return Model(lambda model, x: F.softmax(mlp(model, x, torch.tanh), -1), **dense([4, 64, 64, 2]))


def dqn():
    def loss(model, x, actions, rewards, done, following):
        with torch.no_grad():
            best = mlp(model, following, F.relu, "target").amax(1)
            target = rewards + 0.99 * (1 - done) * best
        chosen = mlp(model, x, F.relu, "online").gather(1, actions[:, None])[:, 0]
        return F.huber_loss(chosen, target)

    return Model(loss, **nets([4, 64, 64, 2], "online", "target"))


def ppo():
    def loss(model, x, actions, old, advantages, returns):
        logs = F.log_softmax(mlp(model, x, torch.tanh, "actor"), -1)
        ratio = (logs.gather(1, actions[:, None])[:, 0] - old).exp()
        gain = torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages).mean()
        entropy = -(logs.exp() * logs).sum(1).mean()
        values = mlp(model, x, torch.tanh, "critic")[:, 0]
        return 0.5 * F.mse_loss(values, returns) - gain - 0.01 * entropy

    return Model(loss, **dense([4, 64, 64, 2], "actor"), **dense([4, 64, 64, 1], "critic"))


def twin():
    def loss(model, x, rewards, done, following):
        with torch.no_grad():
            least = torch.minimum(*(mlp(model, following, F.relu, f"target{k}_")[:, 0] for k in (1, 2)))
            target = rewards + 0.99 * (1 - done) * least
        return sum(F.mse_loss(mlp(model, x, F.relu, f"critic{k}_")[:, 0], target) for k in (1, 2))

    return Model(loss, **nets([23, 256, 256, 1], "critic1_", "critic2_", "target1_", "target2_"))


# Recurrent layers.


def recurrent(kind):
    def loss(model, x):
        return model.layer(x)[0].square().mean()

    return lambda: Model(loss, layer=kind(128, 256))


def recurrent_forward(kind):
    return lambda: Model(lambda model, x: model.layer(x)[0], layer=kind(128, 256))


def lstm_step():
    return Model(lambda model, x, hidden, cell: model.cell(x, (hidden, cell)), cell=nn.LSTMCell(128, 256))


def packed():
    def loss(model, x, lengths):
        sequence = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return model.layer(sequence)[0].data.square().sum() * 1e-5

    return Model(loss, layer=nn.LSTM(64, 128))


# Images.


def cnn():
    def loss(model, x, labels):
        x = F.max_pool2d(F.relu(model.conv1(x)), 2)
        x = F.max_pool2d(F.relu(model.conv2(x)), 2)
        x = model.output(F.relu(model.hidden(x.flatten(1))))
        return F.cross_entropy(x, labels)

    layers = {"conv1": nn.Conv2d(1, 8, 5), "conv2": nn.Conv2d(8, 16, 5)}
    return Model(loss, **layers, hidden=nn.Linear(256, 128), output=nn.Linear(128, 10))


def u_net():
    def pair(model, name, x):
        return F.relu(getattr(model, f"{name}b")(F.relu(getattr(model, f"{name}a")(x))))

    def loss(model, x, y):
        fine = pair(model, "down1", x)
        middle = pair(model, "down2", F.max_pool2d(fine, 2))
        coarse = pair(model, "down3", F.max_pool2d(middle, 2))
        middle = pair(model, "up2", torch.cat([model.raise2(coarse), middle], 1))
        fine = pair(model, "up1", torch.cat([model.raise1(middle), fine], 1))
        return F.mse_loss(model.output(fine), y)

    def convs(name, channels, filters):
        return {
            f"{name}a": nn.Conv2d(channels, filters, 3, padding=1),
            f"{name}b": nn.Conv2d(filters, filters, 3, padding=1),
        }

    layers = convs("down1", 1, 16) | convs("down2", 16, 32) | convs("down3", 32, 64)
    layers |= {"raise2": nn.ConvTranspose2d(64, 32, 2, 2), "raise1": nn.ConvTranspose2d(32, 16, 2, 2)}
    layers |= convs("up2", 64, 32) | convs("up1", 32, 16)
    return Model(loss, **layers, output=nn.Conv2d(16, 1, 1))


# Text.


def transformer_block():
    options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    layer = nn.TransformerEncoderLayer(256, 4, 1024, activation="gelu", **options)
    return Model(lambda model, x: model.layer(x).square().mean(), layer=layer)


def gpt():
    def loss(model, text, following):
        x = model.symbols(text) + model.positions.weight
        x = model.encoder(x, mask=mask, is_causal=True)
        return F.cross_entropy(model.output(x).flatten(0, 1), following.flatten())

    mask = nn.Transformer.generate_square_subsequent_mask(128)
    options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    layer = nn.TransformerEncoderLayer(128, 4, 512, activation="gelu", **options)
    encoder = nn.TransformerEncoder(layer, 4, norm=nn.LayerNorm(128), enable_nested_tensor=False)
    layers = {"symbols": nn.Embedding(96, 128), "positions": nn.Embedding(128, 128)}
    return Model(loss, **layers, encoder=encoder, output=nn.Linear(128, 96))


def word_vectors():
    def loss(model, words, contexts, labels):
        scores = (model.contexts(contexts) @ model.words(words)[:, :, None])[:, :, 0]
        return F.binary_cross_entropy_with_logits(scores, labels)

    tables = {name: nn.Embedding(20_000, 100, sparse=True) for name in ("words", "contexts")}
    return Model(loss, **tables)


def sgd(params, **options):
    return torch.optim.SGD(params, lr=0.5, **options)


# Single functions.


def pointwise(arrays):
    x = arrays["in.x"].clone().requires_grad_()

    def value(x):
        return (x.sigmoid() * x.tanh() + (-x.square()).exp()).mean()

    def variant(call):
        def step():
            x.grad = None
            loss = call(x)
            loss.backward()
            return loss

        def check():
            return {"loss": [float(step().detach())], "grad.x": sample(x.grad)}

        def run(calls):
            for _ in range(calls):
                step()

        return Variant(check, run)

    return {"eager": variant(value), "compiled": variant(torch.compile(value))}


def chain(arrays):
    def step():
        x = arrays["in.x"].clone().requires_grad_()
        z = x
        for _ in range(33_333):
            z = z.sin() * 3e-5 + z
        z.backward()
        return z, x.grad

    def check():
        z, gradient = step()
        return {"loss": [float(z.detach())], "grad.x": sample(gradient)}

    def run(calls):
        for _ in range(calls):
            step()

    return {"eager": Variant(check, run)}


def updates(arrays):
    def variant(**options):
        def begin():
            params = [nn.Parameter(arrays["in.x"].clone()) for _ in range(10)]
            for param in params:
                param.grad = arrays["in.gradient"].clone()
            return params, adam(params, **options)

        def check():
            params, update = begin()
            for _ in range(STEPS):
                update.step()
            running.append(update)
            return {f"out.{number}": sample(param.detach()) for number, param in enumerate(params)}

        def run(calls):
            for _ in range(calls):
                running[0].step()

        running = []
        return Variant(check, run)

    return {"eager": variant(), "fused": variant(fused=True)}


def neural_ode():
    def loss(model, start, target):
        def field(y):
            return model.output(torch.tanh(model.hidden(y)))

        y, path, h = start, [], 0.02
        for _ in range(200):
            k1 = field(y)
            k2 = field(y + k1 * (h / 2))
            k3 = field(y + k2 * (h / 2))
            k4 = field(y + k3 * h)
            y = y + (k1 + 2 * k2 + 2 * k3 + k4) * (h / 6)
            path.append(y)
        return F.mse_loss(torch.stack(path), target)

    return Model(loss, hidden=nn.Linear(2, 50), output=nn.Linear(50, 2))


WORKLOADS = {
    "W1": training(wide, adam, compiled=True),
    "W2": training(recurrent(nn.LSTM), adam),
    "W2-forward": function(recurrent_forward(nn.LSTM)),
    "W3": training(recurrent(nn.GRU), adam),
    "W4": training(cnn, momentum, compiled=True),
    "W5": training(small, adam, compiled=True),
    "W6": pointwise,
    "W7-whole": chain,
    "W8": hessian_vector_product,
    "W9": updates,
    "W10": training(transformer_block, adam, compiled=True),
    "W11-mlp": function(wide_forward, compiled=True),
    "W11-lstm": function(lstm_step),
    "W12": training(gpt, adamw, compiled=True),
    "W13": training(neural_ode, adam),
    "W14-policy": function(policy, compiled=True),
    "W14-dqn": training(dqn, adam, compiled=True),
    "W14-ppo": training(ppo, adam, compiled=True),
    "W14-twin-q": training(twin, adam, compiled=True),
    "W15": training(packed, adam),
    "W17": training(word_vectors, sgd, sparse=True),
    "W18": training(u_net, adam, compiled=True),
}
