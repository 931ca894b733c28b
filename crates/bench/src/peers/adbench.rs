//! The objectives of ADBench (Šrajer, Kukelová, Fitzgibbon, 2018) in `f64`, W16, on numbers that look random: a mixture
//! of Gaussians and a recurrent network with their gradients, bundle adjustment and the pose of a hand with their
//! Jacobians. Formulas: github.com/microsoft/ADBench, `src/python/modules`.

use gradus_graph::{Graph, Params, Tensor, Var};

use super::work::{Work, Workload, function, gradients};

pub(super) const MIXTURES: [Workload; 5] = [
    row("W16-d2", "GMM f64, 1,000 points, 10 parts, d 2", mixture::<1_000, 2>),
    row("W16-d10", "GMM f64, 1,000 points, 10 parts, d 10", mixture::<1_000, 10>),
    row("W16-d20", "GMM f64, 1,000 points, 10 parts, d 20", mixture::<1_000, 20>),
    row("W16-d64", "GMM f64, 1,000 points, 10 parts, d 64", mixture::<1_000, 64>),
    row("W16-10k", "GMM f64, 10,000 points, 10 parts, d 2", mixture::<10_000, 2>),
];
pub(super) const BUNDLE: Workload = row("W16-ba", "BA f64, 49 cameras, 31,843 observations, Jacobian", bundle);
pub(super) const HAND: Workload = row("W16-hand", "HAND f64, 26 parameters, 544 points, Jacobian", hand);
pub(super) const LSTM: Workload = row("W16-lstm", "LSTM f64, 2 layers, 1,024 characters of 14, gradient", lstm);

const fn row(name: &'static str, title: &'static str, build: fn() -> Work) -> Workload {
    Workload { tolerance: 1e-9, ..Workload::new(name, title, None, build) }
}

/// Numbers that look random, below `scale` in size.
fn doubles<const N: usize>(shape: [usize; N], scale: f64) -> Tensor<f64> {
    let numbers = crate::conv::numbers(shape.iter().product());
    Tensor::new(shape, numbers.into_iter().map(|number| scale * f64::from(number)).collect::<Vec<f64>>())
}

/// The negative logarithm of the density of a mixture of Gaussians with a Wishart prior, up to a constant, and its
/// gradient. The inverse of each covariance has a factor whose diagonal is given by
/// its logarithm.
fn mixture<const COUNT: usize, const SIZE: usize>() -> Work {
    const PARTS: usize = 10;
    let below = SIZE * (SIZE - 1) / 2;
    let mut params: Params<f64> = Params::new(0);
    let weights = params.add("weights", doubles([PARTS], 1.0));
    let means = params.add("means", doubles([PARTS, SIZE], 0.5));
    let factors = params.add("factors", doubles([PARTS, SIZE + below], 0.3));
    // Where a matrix takes each element from: a column of zeros comes first.
    let places = Tensor::from_fn([SIZE * SIZE], |k| match (k / SIZE, k % SIZE) {
        (row, column) if column < row => (1 + row * (row - 1) / 2 + column) as i64,
        _ => 0,
    });
    let x = doubles([COUNT, SIZE], 1.0);
    gradients(params, [("x", x.into())], &[], move |graph, [x]| {
        let [weights, means, factors] = [&weights, &means, &factors].map(|param| graph.param(param));
        let logs = factors.slice(1, 0, SIZE as isize);
        let below = factors.slice(1, SIZE as isize, None);
        let lower = below.pad(1, 1, 0).index_select(1, graph.index_constant(&places)).reshape([PARTS, SIZE, SIZE]);
        let centred = x - means.unsqueeze(1);
        let scaled = logs.exp().unsqueeze(1) * centred + centred.matmul(lower.t());
        let terms = (weights + logs.sum_axes(1)).unsqueeze(1) - scaled.square().sum_axes(2) * 0.5;
        let fit = terms.logsumexp_axes(0).sum() - weights.logsumexp() * COUNT as f64;
        ((logs * 2.0).exp().sum() + below.square().sum()) * 0.5 - fit
    })
}

/// The reprojection errors of the points that cameras see and the errors of their weights, with the derivatives of
/// each with respect to its camera (rotation vector, centre, focal length, principal point, two of radial distortion),
/// its point, and its weight.
fn bundle() -> Work {
    const CAMERAS: usize = 49;
    const POINTS: usize = 7_776;
    const SEEN: usize = 31_843;
    // Cameras stand before the points and look at them.
    let cameras = doubles([CAMERAS, 11], 1.0);
    let sizes = [0.3, 0.3, 0.3, 0.5, 0.5, 0.5, 50.0, 5.0, 5.0, 0.01, 0.01];
    let places = [0.1, 0.1, 0.1, 0.0, 0.0, -5.0, 500.0, 0.0, 0.0, 0.0, 0.0];
    let cameras = Tensor::from_fn([CAMERAS, 11], |k| places[k % 11] + sizes[k % 11] * cameras.data()[k]);
    let weights = doubles([SEEN, 1], 0.5);
    let inputs = [
        ("cameras", cameras.into()),
        ("points", doubles([POINTS, 3], 1.0).into()),
        ("weights", weights.into()),
        ("seen", doubles([SEEN, 2], 100.0).into()),
        ("camera", Tensor::from_fn([SEEN], |k| (k % CAMERAS) as i64).into()),
        ("point", Tensor::from_fn([SEEN], |k| (k % POINTS) as i64).into()),
    ];
    function(Params::new(0), inputs, |graph, [cameras, points, weights, seen, camera, point]| {
        let (cameras, points) = (cameras.index_select(0, camera), points.index_select(0, point));
        let errors = (projected(graph, cameras, points) - seen) * weights;
        let rows = |k: usize| {
            let one = graph.constant(&Tensor::from_fn([SEEN, 2], |at| if at % 2 == k { 1.0 } else { 0.0 }));
            let parts = graph.vjp(&[errors], &[one], &[cameras, points, weights]).expect("errors depend on all");
            graph.concat(&parts, 1)
        };
        [errors, graph.stack(&[rows(0), rows(1)], 1), -weights.square() + 1.0, weights * -2.0]
    })
}

/// Where cameras see points.
fn projected<'g>(graph: &'g Graph, cameras: Var<'g>, points: Var<'g>) -> Var<'g> {
    let parts = cameras.split(&[3, 3, 1, 2, 2], 1);
    let [rotation, centre, focal, middle, radial] = parts[..] else { unreachable!("a camera has five parts") };
    let cross = |a: Var<'g>, b: Var<'g>| {
        let ([x, y, z], [u, v, w]) = (columns(a), columns(b));
        graph.concat(&[y * w - z * v, z * u - x * w, x * v - y * u], 1)
    };
    let (x, angle) = (points - centre, rotation.square().sum_axes(1).sqrt().unsqueeze(1));
    let axis = rotation / angle;
    let along = (axis * x).sum_axes(1).unsqueeze(1) * (-angle.cos() + 1.0);
    let turned = x * angle.cos() + cross(axis, x) * angle.sin() + axis * along;
    let parts = turned.split(&[2, 1], 1);
    let flat = parts[0] / parts[1];
    let square = flat.square().sum_axes(1).unsqueeze(1);
    let [first, second] = columns(radial);
    let bent = first * square + second * square.square() + 1.0;
    flat * bent * focal + middle
}

/// The columns of a matrix.
fn columns<const N: usize>(x: Var<'_>) -> [Var<'_>; N] {
    let columns = x.chunks(N, 1);
    std::array::from_fn(|k| columns[k])
}

/// The distances of the vertices of a hand of 22 bones from points, with their derivatives with respect to its pose:
/// global rotation and place, and four angles for each of five fingers.
fn hand() -> Work {
    const BONES: usize = 22;
    const VERTICES: usize = 544;
    const POSE: usize = 26;
    // A wrist and a palm, and five fingers of four bones, whose last has no angle.
    let parent = |bone: usize| match bone {
        0 => None,
        _ if bone < 2 || bone % 4 == 2 => Some(bone.min(2) - 1),
        _ => Some(bone - 1),
    };
    // The angle of a bone that each number of the pose is, of 3 a bone; what no number is stays zero.
    let mut angles = vec![POSE as i64; 3 * BONES];
    let mut number = 6;
    for finger in 0..5 {
        for joint in 0..3 {
            for axis in 0..if joint == 0 { 2 } else { 1 } {
                angles[3 * (2 + 4 * finger + joint) + axis] = number;
                number += 1;
            }
        }
    }
    let angles = Tensor::new([3 * BONES], angles);
    // Affine maps: the last row is that of the unit matrix.
    let maps = || {
        let numbers = doubles([BONES, 4, 4], 0.3);
        Tensor::from_fn([BONES, 4, 4], |k| match (k / 4 % 4, k % 4) {
            (3, column) => f64::from(column == 3),
            (row, column) => numbers.data()[k] + f64::from(row == column),
        })
    };
    let shares = doubles([VERTICES, BONES], 0.5);
    let shares = Tensor::from_fn([VERTICES, BONES], |k| (shares.data()[k] + 0.5) / BONES as f64);
    let inputs = [
        ("pose", doubles([POSE], 0.5).into()),
        ("relative", maps().into()),
        ("inverse", maps().into()),
        ("vertices", doubles([VERTICES, 3], 1.0).into()),
        ("shares", shares.into()),
        ("points", doubles([VERTICES, 3], 1.0).into()),
    ];
    function(Params::new(0), inputs, move |graph, [pose, relative, inverse, vertices, shares, points]| {
        let turns = pose.pad(0, 0, 1).index_select(0, graph.index_constant(&angles)).reshape([BONES, 3]);
        let own = relative.matmul(turns_of(graph, turns));
        let own = own.chunks(BONES, 0);
        let mut whole: Vec<Var<'_>> = Vec::new();
        for bone in 0..BONES {
            whole.push(parent(bone).map_or(own[bone], |parent| whole[parent].matmul(own[bone])));
        }
        let maps = graph.concat(&whole, 0).matmul(inverse).reshape([BONES, 16]);
        let each = shares.matmul(maps).reshape([VERTICES, 4, 4]).slice(1, 0, 3);
        let placed = (each.slice(2, 0, 3) * vertices.unsqueeze(1)).sum_axes(2) + each.slice(2, 3, 4).squeeze(2);
        let turned = placed.matmul(rotation(graph, pose.slice(0, 0, 3)).t()) + pose.slice(0, 3, 6);
        let errors = points - turned;
        [errors, graph.jacobian(errors, pose).expect("the errors depend on the pose")]
    })
}

/// The 4×4 matrices of rotations by angles about x, z and y: `Rz·Ry·Rx`.
fn turns_of<'g>(graph: &'g Graph, angles: Var<'g>) -> Var<'g> {
    let [(cx, sx), (cz, sz), (cy, sy)] = columns(angles).map(|x| x.squeeze(1)).map(|x| (x.cos(), x.sin()));
    let none = cx * 0.0;
    let rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx, none],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx, none],
        [-sy, cy * sx, cy * cx, none],
        [none, none, none, none + 1.0],
    ];
    graph.stack(&rows.map(|row| graph.stack(&row, 1)), 1)
}

/// The matrix of a rotation by a vector, whose length is the angle.
fn rotation<'g>(graph: &'g Graph, vector: Var<'g>) -> Var<'g> {
    let angle = vector.square().sum().sqrt();
    let axis = vector / angle;
    let [x, y, z] = columns(axis.unsqueeze(0)).map(|x| x.squeeze([0, 1]));
    let (c, s) = (angle.cos(), angle.sin());
    let rest = -c + 1.0;
    let rows = [
        [x * x * rest + c, x * y * rest - z * s, x * z * rest + y * s],
        [x * y * rest + z * s, y * y * rest + c, y * z * rest - x * s],
        [x * z * rest - y * s, z * y * rest + x * s, z * z * rest + c],
    ];
    graph.stack(&rows.map(|row| graph.stack(&row, 0)), 0)
}

/// The loss of a network of LSTM cells, whose weights multiply element by element, on a sequence of characters.
fn lstm() -> Work {
    const LAYERS: usize = 2;
    const SIZE: usize = 14;
    const LENGTH: usize = 1_024;
    let mut params: Params<f64> = Params::new(0);
    let main = params.add("main", doubles([2 * LAYERS, 4 * SIZE], 1.0));
    let extra = params.add("extra", doubles([3, SIZE], 1.0));
    let state = doubles([2 * LAYERS, SIZE], 0.5);
    let sequence = Tensor::from_fn([LENGTH, SIZE], |k| f64::from(k % SIZE == k / SIZE * 5 % SIZE));
    let inputs = [("state", state.into()), ("sequence", sequence.into())];
    gradients(params, inputs, &[], move |graph, [state, sequence]| {
        let [main, extra] = [(&main, 2 * LAYERS), (&extra, 3)].map(|(param, count)| rows(graph.param(param), count));
        let (mut state, sequence) = (rows(state, 2 * LAYERS), rows(sequence, LENGTH));
        let mut predicted = Vec::with_capacity(LENGTH - 1);
        for &character in &sequence[..LENGTH - 1] {
            let mut x = character * extra[0];
            for layer in (0..2 * LAYERS).step_by(2) {
                let (hidden, cell) = (state[layer], state[layer + 1]);
                let gates = graph.concat(&[x, hidden, x, hidden], 0) * main[layer] + main[layer + 1];
                let gates = gates.chunks(4, 0);
                let cell = cell * gates[0].sigmoid() + gates[1].sigmoid() * gates[3].tanh();
                x = gates[2].sigmoid() * cell.tanh();
                (state[layer], state[layer + 1]) = (x, cell);
            }
            predicted.push(x * extra[1] + extra[2]);
        }
        let predicted = graph.stack(&predicted, 0);
        let logs = predicted - (predicted.exp().sum_axes(1) + 2.0).ln().unsqueeze(1);
        -(logs * graph.stack(&sequence[1..], 0)).sum() / ((LENGTH - 1) * SIZE) as f64
    })
}

fn rows(x: Var<'_>, count: usize) -> Vec<Var<'_>> {
    x.chunks(count, 0).into_iter().map(|row| row.squeeze(0)).collect()
}
