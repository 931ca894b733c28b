//! Gradients of tables of which a program reads few rows: they come as rows, and everything is as with all elements, to
//! the bit.

use gradus_graph::{Feed, Graph, Param, Params, Tensor, Var};
use gradus_nn::{Embedding, EmbeddingOptions, loss};
use gradus_optim::{Adam, Gradient, Optimizer, Part, Sgd};
use gradus_train::{Gradients, Step};

/// Two tables: of one, rows are read twice.
struct Model {
    words: Embedding,
    contexts: Embedding,
}

impl Model {
    fn new(params: &mut Params) -> Self {
        let words = Embedding::new(params, "words", 500, 20);
        let contexts = Embedding::with(params, "contexts", 900, 20, EmbeddingOptions::new().padding(0));
        Self { words, contexts }
    }

    fn loss<'g>(&self, [word, right, wrong]: [Var<'g>; 3]) -> Var<'g> {
        let word = self.words.forward(word);
        let score = |context: Var<'g>| (self.contexts.forward(context) * word).sum_axes(-1);
        let scores = word.graph().stack(&[score(right), score(wrong)], 0);
        let labels = word.graph().stack(&[score(right) * 0.0 + 1.0, score(wrong) * 0.0], 0);
        loss::binary_cross_entropy_with_logits(scores, labels.stop_gradient())
    }
}

fn batch(step: usize, count: usize) -> [Tensor<i64>; 3] {
    // Some indices occur often, so that their sums are compensated.
    [500, 900, 900]
        .map(|below| Tensor::from_fn([count], |k| if k % 2 == 0 { 5 } else { (k * k * 31 + step) as i64 % below }))
}

fn are_rows(gradients: &Gradients<'_, f32>) -> Vec<bool> {
    gradients.into_iter().map(|(_, gradient)| matches!(gradient, Gradient::Rows(_))).collect()
}

fn bits<'a>(values: impl Iterator<Item = (&'a Param, &'a Tensor<f32>)>) -> Vec<u32> {
    values.flat_map(|(_, value)| value.data().iter().map(|x| x.to_bits())).collect()
}

#[test]
fn they_are_the_gradients_of_the_graph() {
    let mut params = Params::new(1);
    let model = Model::new(&mut params);
    let mut step = Step::new(|_, inputs| model.loss(inputs));
    for (number, count) in [100, 7, 100, 225].into_iter().enumerate() {
        let inputs = batch(number, count);
        let gradients = step.run(&mut params, inputs.each_ref()).expect("it runs");
        // More than a quarter of the first table is read in the last batch; of the other twice as many rows.
        assert_eq!(are_rows(&gradients), [count <= 125, count <= 112], "{count}");
        let graph = Graph::new();
        let vars = ["word", "right", "wrong"].map(|name| graph.index_input(name, [count]));
        let tables = [model.words.weight(), model.contexts.weight()].map(|param| graph.param(param));
        let found = graph.grad(model.loss(vars), &tables).expect("there are gradients");
        let [word, right, wrong] = &inputs;
        let feed = Feed::new().with("word", word).with("right", right).with("wrong", wrong);
        let found = graph.eval_with::<f32>(&found, &params, &feed).expect("it runs");
        let found: Vec<u32> = found.iter().flat_map(|value| value.real().data().iter().map(|x| x.to_bits())).collect();
        assert!(bits(gradients.iter()) == found, "batch {number}");
    }
}

/// The parameters after some steps; with `dense`, of all elements of the gradients.
fn trained(rule: impl Part + Send, threads: usize, dense: bool) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    pool.install(|| {
        let mut params = Params::new(1);
        let model = Model::new(&mut params);
        let mut step = Step::new(|_, inputs| model.loss(inputs));
        let mut optimizer = Optimizer::new(rule);
        for number in 0..4 {
            let gradients = step.run(&mut params, batch(number, 90 + number).each_ref()).expect("it runs");
            assert_eq!(are_rows(&gradients), [true, true]);
            match dense {
                true => optimizer.step(&mut params, gradients.iter()).expect("the gradients are finite"),
                false => optimizer.step(&mut params, &gradients).expect("the gradients are finite"),
            }
        }
        bits(params.iter())
    })
}

#[test]
fn training_has_the_bits_of_all_elements() {
    let (sgd, adam) = (trained(Sgd::new(0.5), 1, true), trained(Adam::new(0.01), 1, true));
    for threads in [1, 2, 3, 8] {
        assert!(trained(Sgd::new(0.5), threads, false) == sgd, "SGD on {threads} threads");
        assert!(trained(Adam::new(0.01), threads, false) == adam, "Adam on {threads} threads");
    }
}

#[test]
fn a_table_that_is_read_in_another_way_has_all_elements() {
    let mut params = Params::new(1);
    let words = Embedding::new(&mut params, "words", 500, 20);
    let places = Tensor::from([3, 499, 3]);
    let mut tied = Step::new(|_, [places]| words.logits(words.forward(places)).square().mean());
    assert_eq!(are_rows(&tied.run(&mut params, &places).expect("it runs")), [false]);
    let mut decayed =
        Step::new(|graph, [places]| words.forward(places).sum() + graph.param(words.weight()).square().sum());
    assert_eq!(are_rows(&decayed.run(&mut params, &places).expect("it runs")), [false]);
    let mut read = Step::new(|_, [places]| words.forward(places).square().sum());
    let gradients = read.run(&mut params, &places).expect("it runs");
    assert_eq!(are_rows(&gradients), [true]);
    let direction = params.clone();
    let products = read.hvp(&params, &places, &direction).expect("it runs");
    assert_eq!(are_rows(&products), [false]);
    let wrong = Tensor::from([3, 500, 3]);
    let error = read.run(&mut params, &wrong).expect_err("there is no row 500").to_string();
    assert!(error.contains("index 500 at position [1] is out of range"), "{error}");
}
