//! What is written to a file is read from it bit for bit, whatever the names, the shapes and the numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gradus_graph::{Params, Real, Shape, Tensor};
use gradus_optim::{RestoreError, SavedState, Stateful};
use gradus_train::{checkpoint, weights};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A file that is removed in the end.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("gradus-laws-{name}-{}.safetensors", std::process::id())))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A folder of temporary files is cleared in the end whatever becomes of this.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A precision whose numbers are drawn by their bits, so that all NaNs, infinities and denormals are among them.
trait Bits: Real {
    fn from_random(bits: u64) -> Self;
    fn bits(self) -> u64;
}

impl Bits for f32 {
    fn from_random(bits: u64) -> Self {
        Self::from_bits((bits >> 32) as u32)
    }

    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Bits for f64 {
    fn from_random(bits: u64) -> Self {
        Self::from_bits(bits)
    }

    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// Bits of any number; those of the largest exponent, which are NaN or infinite, more often than their share.
fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![4 => any::<u64>(), 1 => any::<u64>().prop_map(|bits| bits | 0x7ff0_0000_0000_0000)]
}

fn tensor<T: Bits>() -> impl Strategy<Value = Tensor<T>> {
    vec(prop_oneof![6 => 1..4_usize, 1 => Just(0)], 0..5).prop_flat_map(|sizes| {
        let shape = Shape::from(sizes);
        vec(bits(), shape.len())
            .prop_map(move |bits| Tensor::new(&shape, bits.into_iter().map(T::from_random).collect()))
    })
}

/// A name without a dot: letters, signs that mean something in JSON or in a path, and others.
fn name() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        1 => proptest::sample::select(vec!['"', '\\', '/', '{', '}', ':', ',', ' ', '\n', '\0', '_', 'é', '\u{1f600}']),
        1 => any::<char>(),
    ];
    vec(character.prop_filter("a dot separates scopes", |&letter| letter != '.'), 1..8)
        .prop_map(|letters| letters.into_iter().collect())
}

/// Tensors by scope and name; a scope without a name is the top.
type Drawn<T> = BTreeMap<(Option<String>, String), (Tensor<T>, bool)>;

fn drawn<T: Bits>() -> impl Strategy<Value = Drawn<T>> {
    btree_map((proptest::option::of(name()), name()), (tensor(), any::<bool>()), 0..8)
}

/// The store of the tensors, and one of the same names and shapes with other numbers.
fn stores<T: Bits>(drawn: &Drawn<T>) -> [Params<T>; 2] {
    [false, true].map(|blank| {
        let mut params = Params::new(0);
        for ((scope, name), (tensor, buffer)) in drawn {
            let tensor = if blank { Tensor::full(tensor.shape(), T::of(0.5)) } else { tensor.clone() };
            let add = |params: &mut Params<T>| match buffer {
                true => params.add_buffer(name, tensor),
                false => params.add(name, tensor),
            };
            match scope {
                Some(scope) => params.scope(scope, add),
                None => add(&mut params),
            };
        }
        params
    })
}

/// Names, shapes and bits of all tensors.
fn content<'a, T: Bits>(tensors: impl Iterator<Item = (&'a str, &'a Tensor<T>)>) -> Vec<(String, Shape, Vec<u64>)> {
    let bits = |tensor: &Tensor<T>| tensor.data().iter().map(|value| value.bits()).collect();
    tensors.map(|(name, tensor)| (name.to_owned(), tensor.shape().clone(), bits(tensor))).collect()
}

fn of_store<T: Bits>(params: &Params<T>) -> Vec<(String, Shape, Vec<u64>)> {
    content(params.iter().map(|(param, value)| (param.name(), value)))
}

/// A part of a run that holds any state.
struct Part<T: Real>(SavedState<T>);

impl<T: Real> Stateful<T> for Part<T> {
    fn state(&self) -> SavedState<T> {
        self.0.clone()
    }

    fn restore(&mut self, _params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        self.0 = state.clone();
        Ok(())
    }
}

/// A state, which holds something: a part without state is not in a file.
fn state<T: Bits>() -> impl Strategy<Value = SavedState<T>> {
    (btree_map(name(), tensor(), 0..4), btree_map(name(), any::<u64>(), 1..4), btree_map(name(), bits(), 0..4))
        .prop_map(|(tensors, counts, numbers)| {
            let numbers = numbers.into_iter().map(|(name, bits)| (name, f64::from_bits(bits))).collect();
            SavedState { tensors, counts, numbers }
        })
}

/// Weights and a checkpoint of the parameters and the state, written and read.
fn there_and_back<T: Bits>(drawn: &Drawn<T>, state: SavedState<T>) -> Result<(), TestCaseError> {
    let [saved, mut loaded] = stores(drawn);
    let file = File::new(T::NAME);
    weights::save(&file.0, &saved).unwrap();
    weights::load(&file.0, &mut loaded).unwrap();
    prop_assert_eq!(of_store(&loaded), of_store(&saved));

    let (part, mut resumed) = (Part(state), Part(SavedState::default()));
    let [_, mut loaded] = stores(drawn);
    checkpoint::save(&file.0, &saved, &[("part", &part)]).unwrap();
    checkpoint::load(&file.0, &mut loaded, &mut [("part", &mut resumed)]).unwrap();
    prop_assert_eq!(of_store(&loaded), of_store(&saved));
    let tensors = |state: &SavedState<T>| content(state.tensors.iter().map(|(name, value)| (name.as_str(), value)));
    let numbers = |state: &SavedState<T>| {
        state.numbers.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect::<Vec<_>>()
    };
    prop_assert_eq!(tensors(&resumed.0), tensors(&part.0));
    prop_assert_eq!(numbers(&resumed.0), numbers(&part.0));
    prop_assert_eq!(resumed.0.counts, part.0.counts);
    Ok(())
}

proptest! {
    // Each case waits for the disk eight times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(single in drawn::<f32>(), double in drawn::<f64>(), small in state(), large in state()) {
        there_and_back::<f32>(&single, small)?;
        there_and_back::<f64>(&double, large)?;
    }
}

/// The header of the format has notes under this name, so no array can have it.
#[test]
fn the_one_name_that_the_format_keeps_for_itself_is_refused() {
    let file = File::new("reserved");
    let mut params: Params = Params::new(0);
    params.add("__metadata__", Tensor::from([1.0]));
    let error = weights::save(&file.0, &params).expect_err("no array can be named so");
    let message = "the format keeps the name `__metadata__` for its own notes";
    assert_eq!(error.to_string(), format!("{}: {message}", file.0.display()));
    assert!(!file.0.exists());
    // Within a scope it is a name as any other, and a checkpoint has a prefix before it.
    checkpoint::save(&file.0, &params, &[]).expect("the name has a prefix");
    let mut params: Params = Params::new(0);
    params.scope("a", |params| params.add("__metadata__", Tensor::from([1.0])));
    weights::save(&file.0, &params).expect("the name has a scope");
    weights::load(&file.0, &mut params).expect("so it is read");
}
