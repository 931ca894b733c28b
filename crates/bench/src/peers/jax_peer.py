"""The workloads in JAX, compiled by `jit`, with donated state."""

import math

import jax
import jax.numpy as jnp
import numpy
from jax import lax
from peer import Variant
from sample import STEPS, sample


def start(_threads):
    # The process is bound to as many processors as it may have threads, which JAX takes for all there are.
    jax.config.update("jax_platforms", "cpu")
    return jax.__version__


def read(file):
    arrays = dict(numpy.load(file))
    jax.config.update("jax_enable_x64", any(array.dtype == numpy.float64 for array in arrays.values()))
    return {name: jnp.asarray(narrowed(array)) for name, array in arrays.items()}


def narrowed(array):
    return array.astype(numpy.int32) if array.dtype == numpy.int64 else array


def named(arrays, prefix):
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def copied(tree):
    return jax.tree.map(jnp.copy, tree)


def training(loss, optimizer, loop=None):
    """`loss(params, **inputs)`; with `loop` as many steps in one call."""

    def build(arrays):
        params, frozen, inputs = (named(arrays, prefix) for prefix in ("param.", "frozen.", "in."))
        begin, update = optimizer

        def value(params, frozen, inputs):
            return loss(params | frozen, **inputs)

        def step(state, frozen, inputs):
            found, gradients = jax.value_and_grad(value)(state[0], frozen, inputs)
            return update(state, gradients), found

        def steps(state, frozen, inputs):
            def body(_, carried):
                return step(carried[0], frozen, inputs)

            return lax.fori_loop(0, loop, body, (state, jnp.zeros(())))

        one = jax.jit(step, donate_argnums=0)
        advance = jax.jit(steps, donate_argnums=0) if loop else one

        def check():
            gradients = jax.jit(jax.grad(value))(params, frozen, inputs)
            state, losses = begin(copied(params)), []
            for _ in range(STEPS):
                state, found = one(state, frozen, inputs)
                losses.append(float(found))
            running.append(state)
            return {"loss": losses} | {f"grad.{name}": sample(array) for name, array in gradients.items()}

        def run(calls):
            state = running.pop()
            for _ in range(calls):
                state, _ = advance(state, frozen, inputs)
            running.append(jax.block_until_ready(state))

        running = []
        return {"loop" if loop else "jit": Variant(check, run, loop or 1)}

    return build


def function(outputs):
    """`outputs(params, **inputs)`, a tuple."""

    def build(arrays):
        params, inputs = named(arrays, "param."), named(arrays, "in.")
        call = jax.jit(outputs)

        def check():
            return {f"out.{number}": sample(output) for number, output in enumerate(call(params, **inputs))}

        def run(calls):
            for _ in range(calls):
                found = call(params, **inputs)
            jax.block_until_ready(found)

        return {"jit": Variant(check, run)}

    return build


def gradient(value):
    """`value(wrt, **inputs)` and its gradient with respect to the parameters, or to the input `x` if there are none."""

    def build(arrays):
        params, inputs = named(arrays, "param."), named(arrays, "in.")
        wrt = params or {"x": inputs.pop("x")}
        call = jax.jit(jax.value_and_grad(value))

        def check():
            loss, gradients = call(wrt, **inputs)
            return {"loss": [float(loss)]} | {f"grad.{name}": sample(array) for name, array in gradients.items()}

        def run(calls):
            for _ in range(calls):
                found = call(wrt, **inputs)
            jax.block_until_ready(found)

        return {"jit": Variant(check, run)}

    return build


def adam(rate=1e-3, decay=0.0):
    def begin(params):
        return params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32)

    def update(state, gradients):
        params, means, squares, count = state
        count = count + 1
        time = count.astype(jnp.float32)
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        scale, root = rate / (1 - 0.9**time), jnp.sqrt(1 - 0.999**time)

        def moved(p, m, v):
            return p * (1 - rate * decay) - scale * m / (jnp.sqrt(v) / root + 1e-8)

        return jax.tree.map(moved, params, means, squares), means, squares, count

    return begin, update


def momentum(rate=1e-2, factor=0.9):
    def begin(params):
        return params, jax.tree.map(jnp.zeros_like, params)

    def update(state, gradients):
        speeds = jax.tree.map(lambda s, g: factor * s + g, state[1], gradients)
        return jax.tree.map(lambda p, s: p - rate * s, state[0], speeds), speeds

    return begin, update


def sgd(rate):
    def update(state, gradients):
        return (jax.tree.map(lambda p, g: p - rate * g, state[0], gradients),)

    return lambda params: (params,), update


def cross_entropy(logits, labels):
    logs = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(logs, labels[..., None], -1))


# Networks of dense layers.


def dense(params, name, x):
    return x @ params[f"{name}.weight"].T + params[f"{name}.bias"]


def mlp(params, x, activation, prefix="layer", count=3):
    for k in range(count - 1):
        x = activation(dense(params, f"{prefix}{k}", x))
    return dense(params, f"{prefix}{count - 1}", x)


def wide(params, x, labels):
    return cross_entropy(mlp(params, x, jax.nn.relu), labels)


def small(params, x, y):
    return jnp.mean((mlp(params, x, jnp.tanh) - y) ** 2)


def hessian_vector_product(arrays):
    params, inputs, direction = (named(arrays, prefix) for prefix in ("param.", "in.", "direction."))

    def products(params, direction, inputs):
        def value(params):
            return cross_entropy(mlp(params, inputs["x"], jnp.tanh), inputs["labels"])

        (loss, _), (_, found) = jax.jvp(jax.value_and_grad(value), (params,), (direction,))
        return loss, found

    call = jax.jit(products)

    def check():
        loss, found = call(params, direction, inputs)
        return {"loss": [float(loss)]} | {f"grad.{name}": sample(array) for name, array in found.items()}

    def run(calls):
        for _ in range(calls):
            found = call(params, direction, inputs)
        jax.block_until_ready(found)

    return {"jit": Variant(check, run)}


def policy(params, x):
    return (jax.nn.softmax(mlp(params, x, jnp.tanh)),)


def huber(x):
    size = jnp.abs(x)
    return jnp.mean(jnp.where(size < 1, 0.5 * x * x, size - 0.5))


def chosen(rows, actions):
    return jnp.take_along_axis(rows, actions[:, None], 1)[:, 0]


def dqn(params, x, actions, rewards, done, following):
    best = mlp(params, following, jax.nn.relu, "target").max(1)
    target = rewards + 0.99 * (1 - done) * best
    return huber(chosen(mlp(params, x, jax.nn.relu, "online"), actions) - target)


def ppo(params, x, actions, old, advantages, returns):
    logs = jax.nn.log_softmax(mlp(params, x, jnp.tanh, "actor"))
    ratio = jnp.exp(chosen(logs, actions) - old)
    gain = jnp.minimum(ratio * advantages, jnp.clip(ratio, 0.8, 1.2) * advantages).mean()
    entropy = -(jnp.exp(logs) * logs).sum(1).mean()
    values = mlp(params, x, jnp.tanh, "critic")[:, 0]
    return 0.5 * jnp.mean((values - returns) ** 2) - gain - 0.01 * entropy


def twin(params, x, rewards, done, following):
    least = jnp.minimum(*(mlp(params, following, jax.nn.relu, f"target{k}_")[:, 0] for k in (1, 2)))
    target = rewards + 0.99 * (1 - done) * least
    values = (mlp(params, x, jax.nn.relu, f"critic{k}_")[:, 0] for k in (1, 2))
    return sum(jnp.mean((value - target) ** 2) for value in values)


# Recurrent layers.


def lstm_gates(gates, cell):
    i, f, g, o = jnp.split(gates, 4, -1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell


def lstm(params, x, lengths=None):
    weight = params["layer.weight_hh_l0"].T
    taken = x @ params["layer.weight_ih_l0"].T + (params["layer.bias_ih_l0"] + params["layer.bias_hh_l0"])
    zeros = jnp.zeros((x.shape[1], weight.shape[0]), x.dtype)

    def step(state, taken):
        hidden, cell = lstm_gates(taken + state[0] @ weight, state[1])
        return (hidden, cell), hidden

    def masked(state, given):
        taken, time = given
        runs = (time < lengths)[:, None]
        hidden, cell = lstm_gates(taken + state[0] @ weight, state[1])
        state = jnp.where(runs, hidden, state[0]), jnp.where(runs, cell, state[1])
        return state, jnp.where(runs, hidden, 0)

    if lengths is None:
        return lax.scan(step, (zeros, zeros), taken)[1]
    return lax.scan(masked, (zeros, zeros), (taken, jnp.arange(x.shape[0])))[1]


def gru(params, x):
    weight, bias = params["layer.weight_hh_l0"].T, params["layer.bias_hh_l0"]
    taken = x @ params["layer.weight_ih_l0"].T + params["layer.bias_ih_l0"]

    def step(hidden, taken):
        (xr, xz, xn), (hr, hz, hn) = (jnp.split(part, 3, -1) for part in (taken, hidden @ weight + bias))
        z = jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
        hidden = n + z * (hidden - n)
        return hidden, hidden

    return lax.scan(step, jnp.zeros((x.shape[1], weight.shape[0]), x.dtype), taken)[1]


def lstm_step(params, x, hidden, cell):
    taken = x @ params["cell.weight_ih"].T + params["cell.bias_ih"]
    return lstm_gates(taken + hidden @ params["cell.weight_hh"].T + params["cell.bias_hh"], cell)


# Images, as XLA has them: channels last.


def conv(params, name, x, padding="VALID"):
    filters = params[f"{name}.weight"].transpose(2, 3, 1, 0)
    axes = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, filters, (1, 1), padding, dimension_numbers=axes) + params[f"{name}.bias"]


def pooled(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn(params, x, labels):
    x = pooled(jax.nn.relu(conv(params, "conv1", x.transpose(0, 2, 3, 1))))
    x = pooled(jax.nn.relu(conv(params, "conv2", x)))
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
    return cross_entropy(dense(params, "output", jax.nn.relu(dense(params, "hidden", x))), labels)


def u_net(params, x, y):
    def pair(name, x):
        for part in "ab":
            x = jax.nn.relu(conv(params, name + part, x, "SAME"))
        return x

    def doubled(name, x):
        n, h, w, _ = x.shape
        parts = jnp.einsum("nijc,coab->niajbo", x, params[f"{name}.weight"])
        return parts.reshape(n, 2 * h, 2 * w, -1) + params[f"{name}.bias"]

    fine = pair("down1", x.transpose(0, 2, 3, 1))
    middle = pair("down2", pooled(fine))
    coarse = pair("down3", pooled(middle))
    middle = pair("up2", jnp.concatenate([doubled("raise2", coarse), middle], -1))
    fine = pair("up1", jnp.concatenate([doubled("raise1", middle), fine], -1))
    return jnp.mean((conv(params, "output", fine) - y.transpose(0, 2, 3, 1)) ** 2)


# Text.


def layer_norm(params, name, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)
    return scaled * params[f"{name}.weight"] + params[f"{name}.bias"]


def block(params, name, x, heads, causal):
    batch, length, size = x.shape
    normed = layer_norm(params, f"{name}.norm1", x)
    joined = normed @ params[f"{name}.self_attn.in_proj_weight"].T + params[f"{name}.self_attn.in_proj_bias"]
    q, k, v = joined.reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(size // heads)
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    seen = (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
    x = x + dense(params, f"{name}.self_attn.out_proj", seen)
    hidden = jax.nn.gelu(dense(params, f"{name}.linear1", layer_norm(params, f"{name}.norm2", x)), approximate=False)
    return x + dense(params, f"{name}.linear2", hidden)


def transformer_block(params, x):
    return jnp.mean(block(params, "layer", x, 4, False) ** 2)


def gpt(params, text, following):
    x = params["symbols.weight"][text] + params["positions.weight"]
    for number in range(4):
        x = block(params, f"encoder.layers.{number}", x, 4, True)
    return cross_entropy(dense(params, "output", layer_norm(params, "encoder.norm", x)), following)


def word_vectors(params, words, contexts, labels):
    scores = jnp.einsum("bce,be->bc", params["contexts.weight"][contexts], params["words.weight"][words])
    return jnp.mean(jax.nn.softplus(scores) - labels * scores)


# Single functions.


def pointwise(wrt):
    x = wrt["x"]
    return jnp.mean(jax.nn.sigmoid(x) * jnp.tanh(x) + jnp.exp(-(x * x)))


def chain(wrt):
    return lax.scan(lambda z, _: (jnp.sin(z) * 3e-5 + z, None), wrt["x"], length=33_333)[0]


def updates(arrays):
    begin, update = adam()
    gradients = [jnp.copy(arrays["in.gradient"]) for _ in range(10)]
    step = jax.jit(update, donate_argnums=0)

    def check():
        state = begin([jnp.copy(arrays["in.x"]) for _ in range(10)])
        for _ in range(STEPS):
            state = step(state, gradients)
        running.append(state)
        return {f"out.{number}": sample(param) for number, param in enumerate(state[0])}

    def run(calls):
        state = running.pop()
        for _ in range(calls):
            state = step(state, gradients)
        running.append(jax.block_until_ready(state))

    running = []
    return {"jit": Variant(check, run)}


def neural_ode(params, start, target):
    h = 0.02

    def field(y):
        return dense(params, "output", jnp.tanh(dense(params, "hidden", y)))

    def step(y, _):
        k1 = field(y)
        k2 = field(y + k1 * (h / 2))
        k3 = field(y + k2 * (h / 2))
        k4 = field(y + k3 * h)
        y = y + (k1 + 2 * k2 + 2 * k3 + k4) * (h / 6)
        return y, y

    return jnp.mean((lax.scan(step, start, length=200)[1] - target) ** 2)


def mixture(params, x):
    """The negative logarithm of the density, up to a constant."""
    (count, size), logs = x.shape, params["factors"][:, : x.shape[1]]
    below = params["factors"][:, size:]
    rows, columns = numpy.tril_indices(size, -1)
    lower = jnp.zeros((logs.shape[0], size, size), x.dtype).at[:, rows, columns].set(below)
    centred = x - params["means"][:, None, :]
    scaled = jnp.exp(logs)[:, None, :] * centred + centred @ lower.swapaxes(1, 2)
    terms = (params["weights"] + logs.sum(1))[:, None] - 0.5 * (scaled * scaled).sum(2)
    fit = jax.nn.logsumexp(terms, 0).sum() - count * jax.nn.logsumexp(params["weights"])
    return 0.5 * (jnp.exp(2 * logs).sum() + (below * below).sum()) - fit


def rotated(rotation, x):
    angle = jnp.sqrt(jnp.sum(rotation * rotation))
    axis, c, s = rotation / angle, jnp.cos(angle), jnp.sin(angle)
    return x * c + jnp.cross(axis, x) * s + axis * (axis @ x) * (1 - c)


def reprojection(camera, point, weight, seen):
    turned = rotated(camera[:3], point - camera[3:6])
    flat = turned[:2] / turned[2]
    square = flat @ flat
    bent = 1 + camera[9] * square + camera[10] * square * square
    return weight * (flat * bent * camera[6] + camera[7:9] - seen)


def bundle(_params, cameras, points, weights, seen, camera, point):
    given = cameras[camera], points[point], weights, seen
    rows = jax.vmap(jax.jacrev(reprojection, argnums=(0, 1, 2)))(*given)
    return jax.vmap(reprojection)(*given), jnp.concatenate(rows, -1), 1 - weights * weights, -2 * weights


BONES = 22
PARENTS = [bone - 1 if bone < 2 or bone % 4 != 2 else 1 for bone in range(BONES)]
ANGLES = numpy.full((BONES, 3), 26)
ANGLES[[2 + 4 * finger + joint for finger in range(5) for joint in (0, 0, 1, 2)], [0, 1, 0, 0] * 5] = range(6, 26)


def turns(angles):
    (cx, cz, cy), (sx, sz, sy) = jnp.cos(angles).T, jnp.sin(angles).T
    none, one = jnp.zeros_like(cx), jnp.ones_like(cx)
    x = jnp.stack([one, none, none, none, cx, -sx, none, sx, cx], -1).reshape(-1, 3, 3)
    y = jnp.stack([cy, none, sy, none, one, none, -sy, none, cy], -1).reshape(-1, 3, 3)
    z = jnp.stack([cz, -sz, none, sz, cz, none, none, none, one], -1).reshape(-1, 3, 3)
    return jnp.zeros((BONES, 4, 4)).at[:, :3, :3].set(z @ y @ x).at[:, 3, 3].set(1)


def hand_errors(pose, relative, inverse, vertices, shares, points):
    own = relative @ turns(jnp.append(pose, 0)[ANGLES])
    whole = []
    for bone, parent in enumerate(PARENTS):
        whole.append(whole[parent] @ own[bone] if bone else own[bone])
    each = jnp.einsum("vb,bij->vij", shares, jnp.stack(whole) @ inverse)[:, :3]
    placed = jnp.einsum("vij,vj->vi", each[:, :, :3], vertices) + each[:, :, 3]
    turned = jax.vmap(rotated, (None, 0))(pose[:3], placed)
    return points - (turned + pose[3:6])


def hand(_params, pose, **model):
    return hand_errors(pose, **model), jax.jacfwd(hand_errors)(pose, **model)


def elementwise_lstm(params, state, sequence):
    main, extra = params["main"], params["extra"]

    def step(state, character):
        x, following = character * extra[0], []
        for layer in range(0, len(main), 2):
            hidden, cell = state[layer : layer + 2]
            f, i, o, g = jnp.split(jnp.concatenate([x, hidden, x, hidden]) * main[layer] + main[layer + 1], 4)
            cell = cell * jax.nn.sigmoid(f) + jax.nn.sigmoid(i) * jnp.tanh(g)
            x = jax.nn.sigmoid(o) * jnp.tanh(cell)
            following += [x, cell]
        return jnp.stack(following), x * extra[1] + extra[2]

    predicted = lax.scan(step, state, sequence[:-1])[1]
    logs = predicted - jnp.log(jnp.exp(predicted).sum(1) + 2)[:, None]
    return -jnp.mean(logs * sequence[1:])


def mean_square(values):
    return jnp.mean(values * values)


WORKLOADS = {
    "W1": training(wide, adam()),
    "W2": training(lambda params, x: mean_square(lstm(params, x)), adam()),
    "W2-forward": function(lambda params, x: (lstm(params, x),)),
    "W3": training(lambda params, x: mean_square(gru(params, x)), adam()),
    "W4": training(cnn, momentum()),
    "W5": training(small, adam()),
    "W5-loop": training(small, adam(), loop=1000),
    "W6": gradient(pointwise),
    "W7-run": gradient(chain),
    "W8": hessian_vector_product,
    "W9": updates,
    "W10": training(transformer_block, adam()),
    "W11-mlp": function(lambda params, x: (mlp(params, x, jax.nn.relu),)),
    "W11-lstm": function(lstm_step),
    "W12": training(gpt, adam(decay=1e-2)),
    "W13": training(neural_ode, adam()),
    "W14-policy": function(policy),
    "W14-dqn": training(dqn, adam()),
    "W14-ppo": training(ppo, adam()),
    "W14-twin-q": training(twin, adam()),
    "W15": training(lambda params, x, lengths: (lstm(params, x, lengths) ** 2).sum() * 1e-5, adam()),
    **{name: gradient(mixture) for name in ("W16-d2", "W16-d10", "W16-d20", "W16-d64", "W16-10k")},
    "W16-ba": function(bundle),
    "W16-hand": function(hand),
    "W16-lstm": gradient(elementwise_lstm),
    "W17": training(word_vectors, sgd(0.5)),
    "W18": training(u_net, adam()),
}
