//! `einsum` beside its definition: the sum, over all values of all indices, of the products of the operands' elements.
//!
//! Specs are drawn: letters that an operand has twice, letters that only one operand has, letters that the output does
//! not name, ellipses whose axes broadcast, outputs that are named and those that follow from the operands. Elements are
//! small integers, so that sums in any order are exact and values and derivatives must be equal.

use std::collections::BTreeMap;

use gradus_graph::{Feed, Graph, Params, Plan, Shape, Tensor, Var};
use proptest::collection::vec;
use proptest::prelude::*;

/// The index of an axis: a letter, or an axis of the ellipsis counted from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    Letter(char),
    Hidden(usize),
}

/// A spec, with the indices that it stands for and the shapes of the operands.
#[derive(Clone, Debug)]
struct Case {
    text: String,
    operands: Vec<(Vec<Index>, Shape)>,
    output: Vec<Index>,
}

/// An operand as it is drawn: letters, where among them the ellipsis stands if there is one, and which axes under it are
/// there and repeat.
type Drawn = (Vec<char>, Option<(usize, usize, [bool; 2])>);

fn operand() -> impl Strategy<Value = Drawn> {
    let letters = vec(proptest::sample::select(vec!['a', 'b', 'c', 'D']), 0..4);
    (letters, proptest::option::weighted(0.3, (0..4_usize, 0..3_usize, any::<[bool; 2]>())))
}

/// What is written for letters with an ellipsis before number `place`, and the indices of all axes.
fn written(letters: &[char], ellipsis: Option<(usize, usize)>) -> (String, Vec<Index>) {
    let (mut text, mut indices) = (String::new(), Vec::new());
    let place = ellipsis.map(|(place, _)| place.min(letters.len()));
    for at in 0..=letters.len() {
        if let Some((_, hidden)) = ellipsis.filter(|_| place == Some(at)) {
            text.push_str("...");
            indices.extend((0..hidden).rev().map(Index::Hidden));
        }
        if let Some(&letter) = letters.get(at) {
            text.push(letter);
            indices.push(Index::Letter(letter));
        }
    }
    (text, indices)
}

fn case() -> impl Strategy<Value = Case> {
    let size = || prop_oneof![8 => 1..4_usize, 1 => Just(0)];
    let letters_of_output = Just(vec!['a', 'b', 'c', 'D']).prop_shuffle();
    let output = proptest::option::weighted(0.8, (letters_of_output, 0..5_usize, 0..4_usize));
    (vec(operand(), 1..4), [size(), size(), size(), size()], [1..4_usize, 1..4], output).prop_map(
        |(drawn, sizes, hidden_sizes, output)| {
            let size = |letter| sizes["abcD".find(letter).unwrap()];
            let (mut texts, mut operands) = (Vec::new(), Vec::new());
            for (letters, ellipsis) in &drawn {
                let (text, indices) = written(letters, ellipsis.map(|(place, hidden, _)| (place, hidden)));
                let axis = |&index: &Index| match index {
                    Index::Letter(letter) => size(letter),
                    Index::Hidden(axis) if ellipsis.is_some_and(|(.., repeats)| repeats[axis]) => 1,
                    Index::Hidden(axis) => hidden_sizes[axis],
                };
                let shape: Shape = indices.iter().map(axis).collect();
                texts.push(text);
                operands.push((indices, shape));
            }
            let mut text = texts.join(",");
            let all: Vec<Index> = operands.iter().flat_map(|(indices, _)| indices.iter().copied()).collect();
            let hidden = all.iter().map(|&index| if let Index::Hidden(axis) = index { axis + 1 } else { 0 }).max();
            let hidden = hidden.unwrap_or(0);
            let output = match output {
                Some((order, count, place)) => {
                    let used = order.into_iter().filter(|&letter| all.contains(&Index::Letter(letter)));
                    let letters: Vec<char> = used.take(count).collect();
                    let (output, indices) = written(&letters, (hidden > 0).then_some((place, hidden)));
                    text = format!("{text} -> {output}");
                    indices
                }
                None => {
                    let mut once: Vec<Index> = all.clone();
                    once.retain(|index| {
                        matches!(index, Index::Letter(_)) && all.iter().filter(|&other| other == index).count() == 1
                    });
                    once.sort();
                    (0..hidden).rev().map(Index::Hidden).chain(once).collect()
                }
            };
            Case { text, operands, output }
        },
    )
}

/// The place in row-major order of the element at the values of the indices; an axis of size 1 repeats its element.
fn place(indices: &[Index], shape: &[usize], at: &BTreeMap<Index, usize>) -> usize {
    indices.iter().zip(shape).fold(0, |place, (index, &size)| place * size + if size == 1 { 0 } else { at[index] })
}

/// The value of the spec, and the gradients of its weighted sum with respect to the operands.
fn by_definition(case: &Case, operands: &[Tensor<f64>]) -> (Tensor<f64>, Vec<Tensor<f64>>) {
    let mut sizes: BTreeMap<Index, usize> = BTreeMap::new();
    for (indices, shape) in &case.operands {
        for (&index, &size) in indices.iter().zip(shape.iter()) {
            let known = sizes.entry(index).or_insert(size);
            *known = if *known == 1 { size } else { *known };
        }
    }
    let shape: Shape = case.output.iter().map(|index| sizes[index]).collect();
    let mut value = Tensor::zeros(&shape);
    let mut gradients: Vec<Tensor<f64>> = operands.iter().map(|operand| Tensor::zeros(operand.shape())).collect();
    let count: usize = sizes.values().product();
    for number in 0..count {
        let mut rest = number;
        let mut digit = |size: usize| (rest % size, rest /= size).0;
        let at: BTreeMap<Index, usize> = sizes.iter().map(|(&index, &size)| (index, digit(size))).collect();
        let places: Vec<usize> = case.operands.iter().map(|(indices, shape)| place(indices, shape, &at)).collect();
        let factors: Vec<f64> = operands.iter().zip(&places).map(|(operand, &place)| operand.data()[place]).collect();
        let to = place(&case.output, &shape, &at);
        value.data_mut()[to] += factors.iter().product::<f64>();
        for (own, (gradient, &place)) in gradients.iter_mut().zip(&places).enumerate() {
            let others = factors.iter().enumerate().filter(|&(other, _)| other != own).map(|(_, factor)| factor);
            gradient.data_mut()[place] += weight(to) * others.product::<f64>();
        }
    }
    (value, gradients)
}

/// The weight of an element of the output in the sum that is differentiated.
fn weight(place: usize) -> f64 {
    (place % 7) as f64 - 3.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn values_and_gradients_are_those_of_the_definition(case in case(), start in 0..11_usize) {
        let drawn: Vec<Tensor<f64>> = (case.operands.iter().zip(start..))
            .map(|((_, shape), start)| Tensor::from_fn(shape, |k| ((k * 5 + start * 3) % 11) as f64 - 5.0))
            .collect();
        let (value, gradients) = by_definition(&case, &drawn);
        let names = ["x", "y", "z"];
        let graph = Graph::new();
        let vars: Vec<Var<'_>> = drawn.iter().zip(names).map(|(x, name)| graph.input(name, x.shape())).collect();
        let y = graph.einsum(&case.text, &vars);
        prop_assert_eq!(y.shape(), value.shape().clone(), "{}", &case.text);
        let weights = graph.constant(&Tensor::from_fn(y.shape(), weight));
        let mut outputs = vec![y];
        outputs.extend(graph.grad_or_zeros((y * weights).sum(), &vars).unwrap());
        let feed = drawn.iter().zip(names).fold(Feed::new(), |feed, (x, name)| feed.with(name, x));
        let mut session = Plan::new(&graph, &outputs).unwrap().session::<f64>();
        let found = session.run(&Params::new(0), &feed).unwrap();
        prop_assert_eq!(found.real(0), &value, "{}", &case.text);
        for (number, gradient) in gradients.iter().enumerate() {
            prop_assert_eq!(found.real(number + 1), gradient, "operand {} of {}", number, &case.text);
        }
    }
}
