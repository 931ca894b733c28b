//! Sums, means and what is made of them lose little, however many numbers they are of, over any axes; and the mean of
//! equal numbers is that number.

use gradus_graph::{Feed, Graph, Params, Plan, Tensor, Var};

/// The values of what is made of one `f32` tensor.
fn run(x: &Tensor<f32>, build: impl for<'g> Fn(Var<'g>) -> Vec<Var<'g>>) -> Vec<Tensor<f32>> {
    let graph = Graph::new();
    let outputs = build(graph.input("x", x.shape()));
    let mut session = Plan::new(&graph, &outputs).unwrap().session();
    let outputs = session.run(&Params::new(0), &Feed::new().with("x", x)).unwrap();
    outputs.all().iter().map(|output| output.real().clone()).collect()
}

#[test]
fn millions_of_ones() {
    const COUNT: usize = 20_971_520;
    let ones = Tensor::full([COUNT], 1.0_f32);
    let found = run(&ones, |x| {
        let column = x.reshape([COUNT, 1]);
        let apart = x.reshape([2, COUNT / 4, 2]);
        vec![
            x.mean(),
            column.mean_axes(0),
            column.sum_axes(0),
            x.sum(),
            apart.sum_axes([0, 1]),
            apart.mean_axes([0, 2]),
        ]
    });
    let count = COUNT as f32;
    assert_eq!(found[..4].iter().map(Tensor::item).collect::<Vec<_>>(), [1.0, 1.0, count, count]);
    assert_eq!(found[4].data(), [count / 2.0; 2]);
    assert!(found[5].data().iter().all(|&mean| mean == 1.0));
    let found =
        run(&ones, |x| vec![x.cumsum(0).slice(0, -1, None), x.reshape([COUNT, 1]).cumsum(0).slice(0, -1, None)]);
    assert_eq!([found[0].item(), found[1].item()], [count; 2]);
    // More ones than `f32` can count, at one place.
    let found = run(&ones, |x| {
        let graph = x.graph();
        let places = graph.index_constant(&Tensor::full([COUNT], 0));
        vec![graph.zeros([1]).index_add(0, places, x), graph.zeros([1]).scatter_add(0, places, x)]
    });
    assert_eq!([found[0].item(), found[1].item()], [count; 2]);
}

#[test]
fn the_mean_of_equal_numbers_is_that_number() {
    for value in [100.0_f32, 0.1, -33333.3, 1e-42, 3e38, f32::MIN_POSITIVE, -0.0] {
        for count in [3, 11, 1000, 4099, 1 << 20, (1 << 24) + 1] {
            let found = run(&Tensor::full([count], value), |x| {
                let column = x.reshape([count, 1]);
                vec![x.mean(), column.mean_axes(0).reshape([]), x.std(0), column.std_axes(0, 0).reshape([])]
            });
            let found: Vec<f32> = found.iter().map(Tensor::item).collect();
            assert_eq!(found, [value, value, 0.0, 0.0], "{count} times {value}");
        }
        let row = run(&Tensor::full([4, 1000], value), |x| {
            let graph = x.graph();
            let [over_rows, mean, variance] = x.normalize(1, 1e-5, graph.scalar(2.0), graph.scalar(0.7));
            let [over_columns, ..] = x.normalize(0, 1e-5, graph.scalar(2.0), graph.scalar(0.7));
            vec![over_rows, over_columns, mean, variance]
        });
        assert!(row[..2].iter().all(|y| y.data().iter().all(|&y| y == 0.7)), "{value}");
        assert!(row[2].data().iter().all(|&mean| mean == value) && row[3].data().iter().all(|&v| v == 0.0));
    }
}

#[test]
fn numbers_that_are_no_distance_apart_have_a_mean_as_well() {
    let mean = |values: &[f32]| run(&Tensor::from_slice(values), |x| vec![x.mean()])[0].item();
    assert_eq!(mean(&[f32::INFINITY, 1.0]), f32::INFINITY);
    assert_eq!(mean(&[f32::INFINITY, f32::INFINITY]), f32::INFINITY);
    assert!(mean(&[f32::INFINITY, f32::NEG_INFINITY]).is_nan());
    assert!(mean(&[1.0, f32::NAN]).is_nan());
    assert_eq!(mean(&[f32::MAX, -f32::MAX, f32::MAX, -f32::MAX]), 0.0);
    let sum = |values: &[f32]| run(&Tensor::from_slice(values), |x| vec![x.sum()])[0].item();
    assert_eq!(sum(&[f32::INFINITY, 1.0]), f32::INFINITY);
    assert_eq!(sum(&[f32::MAX, f32::MAX]), f32::INFINITY);
}

/// The error of sums of `count` numbers, in roundings of the sum of their absolute values, over each axis.
fn errors(count: usize) -> Vec<f64> {
    let x = Tensor::from_fn([count, 3], |k| ((k as f64 * 12.9898).sin() * 43_758.545_3).fract() as f32 + 0.3);
    let found = run(&x, |x| {
        let graph = x.graph();
        let places = graph.index_constant(&Tensor::from_fn([count], |k| (k % 2) as i64));
        let bias = graph.grad((graph.zeros([3]).broadcast_to([count, 3]) * 0.0 + x).square().sum(), &[x]).unwrap()[0];
        vec![
            x.sum_axes(0),
            x.t().sum_axes(1),
            x.cumsum(0).slice(0, -1, None).reshape([3]),
            graph.zeros([2, 3]).index_add(0, places, x).sum_axes(0),
            bias.sum_axes(0) * 0.5,
        ]
    });
    let column = |k: usize| x.data().iter().skip(k).step_by(3).map(|&x| f64::from(x));
    let error = |sums: &Tensor<f32>| {
        let of = |k: usize| {
            let (exact, size): (f64, f64) = (column(k).sum(), column(k).map(f64::abs).sum());
            (f64::from(sums.data()[k]) - exact).abs() / size / f64::from(f32::EPSILON / 2.0)
        };
        (0..3).map(of).fold(0.0, f64::max)
    };
    found.iter().map(error).collect()
}

#[test]
fn the_error_does_not_grow_with_the_number_of_terms() {
    for count in [1000, 30_000, 1_000_000] {
        let errors = errors(count);
        assert!(errors.iter().all(|&error| error < 8.0), "{count}: {errors:?}");
    }
}

/// Rows shorter and longer than registers, which are combined with rows before and after them.
#[test]
fn sums_of_integers_are_exact_whatever_the_shape() {
    for (outer, count, row) in (1..36).flat_map(|row| [(1, 31, row), (1, 32, row), (3, 35, row), (2, 1111, row)]) {
        let x = Tensor::from_fn([outer, count, row], |k| (k * 7 % 101) as f32 - 50.0);
        let squares = x.map(|x| x * x);
        let found = run(&x, |x| {
            vec![x.sum_axes(1), x.sum_axes([0, 1]), x.max_axes(1), x.square().sum_axes(1), x.norm_axes(1).square()]
        });
        let over = |x: &Tensor<f32>, first: usize, last: usize, column: usize| -> Vec<f32> {
            (first * count..last * count).map(|line| x.data()[line * row + column]).collect()
        };
        let sum = |terms: Vec<f32>| terms.iter().sum::<f32>();
        for column in 0..row {
            for k in 0..outer {
                let at = k * row + column;
                assert_eq!(found[0].data()[at], sum(over(&x, k, k + 1, column)), "{outer}×{count}×{row}");
                assert_eq!(found[2].data()[at], over(&x, k, k + 1, column).into_iter().fold(f32::MIN, f32::max));
                let wanted = sum(over(&squares, k, k + 1, column));
                assert_eq!(found[3].data()[at], wanted, "{outer}×{count}×{row}");
                assert!((found[4].data()[at] - wanted).abs() <= 1e-6 * wanted, "{outer}×{count}×{row}");
            }
            assert_eq!(found[1].data()[column], sum(over(&x, 0, outer, column)), "{outer}×{count}×{row}");
        }
    }
}
