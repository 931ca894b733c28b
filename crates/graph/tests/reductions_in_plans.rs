//! Reductions, selections, joins and losses, with their gradients: compiled plans against plain evaluation, bit for
//! bit, in both precisions.

use gradus_graph::{Data, Feed, Graph, Params, Plan, Real, Tensor, Var};

/// Values made from a matrix of `[4, 6]` and four labels below 6.
fn values<'g>(x: Var<'g>, labels: Var<'g>) -> Vec<Var<'g>> {
    let graph = x.graph();
    let column = labels.unsqueeze(1);
    vec![
        x.mean_axes(0) * x.max_axes(0),
        x.t().min_keep(0) + x.t().prod_axes(1).mean(),
        x.var_axes(1, 1) * x.std_axes([-1], 0),
        x.norm_keep(0) * x.t().logsumexp_axes(0).unsqueeze(1),
        x.t().cumsum(1),
        x.softmax(0) * x.t().softmax(0).t(),
        x.log_softmax(-1).triu(1),
        x.cross_entropy(labels),
        x.t().t().cross_entropy_with(labels.one_hot(6)),
        x.index_select(1, labels).square(),
        x.index_add(1, labels, x.slice(1, 1, 5)),
        x.take_along(1, column) * x.take_along(1, x.argmax(1).unsqueeze(1)),
        x.tril(0).scatter_add(1, x.argmin(-1).unsqueeze(1), column.to_real()),
        graph.concat(&[x, x.square(), x.slice(1, 0, 2)], 1),
        graph.stack(&[x.flip(1), x], 0),
        x.tile([2, 1]).split(&[1, 7], 0)[1],
        x.mean_axes(0).outer(x.mean_axes(1)),
        graph.einsum("ij,kj,k->i", &[x, x, x.slice(1, 3, 4).squeeze(1)]),
        graph.einsum("ij,kl->jl", &[x, x]),
        graph.einsum("bi,bi->b", &[x, x]),
    ]
}

fn agrees<T: Real>() {
    let graph = Graph::new();
    let (x, labels) = (graph.input("x", [4, 6]), graph.index_input("labels", [4]));
    let values = values(x, labels);
    let x_at = Tensor::from_fn([4, 6], |k| T::of(((k * 37) % 23) as f64 / 8.0 - 1.25));
    let labels_at = Tensor::from([3, 0, 5, 3]);
    let feed = Feed::new().with("x", Data::Real(&x_at)).with("labels", Data::Index(&labels_at));
    let mut all = values.clone();
    for y in values {
        let first = graph.grad(y.square().sum(), &[x]).unwrap()[0];
        all.extend([first, graph.grad_or_zeros(first.square().sum(), &[x]).unwrap()[0]]);
    }
    all.extend([x.argmax(0), x.argmin(1)]);
    let plain = graph.eval_with(&all, &Params::new(0), &feed).unwrap();
    let mut session = Plan::new(&graph, &all).unwrap().session::<T>();
    for _ in 0..2 {
        let outputs = session.run(&Params::new(0), &feed).unwrap();
        for (number, (planned, plain)) in outputs.all().iter().zip(&plain).enumerate() {
            assert_eq!(planned, plain, "output {number}");
        }
    }
}

#[test]
fn plans_agree_with_plain_evaluation() {
    agrees::<f32>();
    agrees::<f64>();
}

#[test]
fn an_index_out_of_range_is_an_error_of_the_run() {
    let graph = Graph::new();
    let labels = graph.index_input("labels", [2]);
    let loss = graph.zeros([2, 10]).cross_entropy(labels);
    let mut session = Plan::new(&graph, &[loss]).unwrap().session::<f32>();
    let labels = Tensor::from([3, 12]);
    let error =
        session.run(&Params::new(0), &Feed::new().with("labels", Data::Index(&labels))).unwrap_err().to_string();
    assert!(error.contains("`cross_entropy`"), "{error}");
    assert!(error.ends_with("label 12 at position [1] is out of range for 10 classes"), "{error}");
}
