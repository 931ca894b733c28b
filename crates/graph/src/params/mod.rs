//! The store of parameters and buffers: their names, shapes and values, and which are frozen.

mod param;
mod scopes;
mod value;

use std::fmt;
use std::ops::Deref;

use rustc_hash::FxHashMap;

use crate::real::Real;
use crate::tensor::Tensor;
pub use param::Param;
use param::{Spec, StoreId};
use scopes::expect_own_name;
use value::Value;

#[derive(Clone)]
struct Entry<T> {
    param: Param,
    value: Value<T>,
    trainable: bool,
}

/// The store of a model's parameters: named, ordered, in one precision.
///
/// Layers add their parameters when they are constructed and keep only a [`Param`]; so the store is the state of the
/// model, which is saved, counted, frozen and updated. [`Params::scope`] prefixes names. [`Params::seed`] derives a
/// seed for each parameter, so that initial values are reproducible.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// let mut params: Params = Params::new(7);
/// let weight = params.scope("hidden", |params| params.add("weight", Tensor::zeros([3, 2])));
/// assert_eq!(weight.name(), "hidden.weight");
/// assert_eq!(params.count(), 6);
/// let doubles: Params<f64> = params.cast();
/// assert_eq!(doubles.get(&weight).shape().sizes(), [3, 2]);
/// ```
#[derive(Clone)]
pub struct Params<T = f32> {
    id: StoreId,
    entries: Vec<Entry<T>>,
    by_name: FxHashMap<String, usize>,
    scope: String,
    seed: u64,
}

impl<T: Real> Params<T> {
    /// An empty store; the initial values that layers draw depend on `seed`.
    pub fn new(seed: u64) -> Self {
        Self { id: StoreId::new(), entries: Vec::new(), by_name: FxHashMap::default(), scope: String::new(), seed }
    }

    /// Adds a trainable parameter under the current scope.
    ///
    /// # Panics
    /// If the name is empty, contains a dot or exists in the scope.
    #[track_caller]
    pub fn add(&mut self, name: &str, value: Tensor<T>) -> Param {
        self.insert(name, value, false)
    }

    /// Adds a buffer under the current scope: a tensor that is saved and loaded with the parameters but not trained,
    /// such as a running mean. A training run may update it: [`Graph::update`](crate::Graph::update).
    ///
    /// # Panics
    /// As [`Params::add`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let mean = params.add_buffer("running_mean", Tensor::zeros([4]));
    /// params.set_trainable(true, |_| true);
    /// assert!(mean.is_buffer() && !params.is_trainable(&mean));
    /// assert_eq!((params.len(), params.count()), (1, 0));
    /// ```
    #[track_caller]
    pub fn add_buffer(&mut self, name: &str, value: Tensor<T>) -> Param {
        self.insert(name, value, true)
    }

    #[track_caller]
    fn insert(&mut self, name: &str, value: Tensor<T>, buffer: bool) -> Param {
        expect_own_name("parameter", name);
        let name = self.full_name(name);
        assert!(!self.by_name.contains_key(&name), "a parameter named `{name}` exists already; use another scope");
        let index = self.entries.len();
        let (store, shape) = (self.id.clone(), value.shape().clone());
        let param = Param::new(Spec { store, index, name: name.clone(), shape, buffer });
        self.by_name.insert(name, index);
        self.entries.push(Entry { param: param.clone(), value: Value::new(value), trainable: !buffer });
        param
    }

    /// Renames a parameter, under the current scope; its index and value are unchanged. Handles with the old name do
    /// not belong to this store any more.
    ///
    /// It is used where a weight is computed from other parameters, one of which has its initial value: see
    /// [`Graph::substitute`](crate::Graph::substitute).
    ///
    /// # Panics
    /// If the parameter belongs to another store, or the name is taken.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let weight = params.scope("hidden", |params| params.add("weight", Tensor::zeros([3, 2])));
    /// let renamed = params.beside(&weight, |params, own| params.rename(&weight, &format!("original.{own}")));
    /// assert_eq!(renamed.name(), "hidden.original.weight");
    /// assert_eq!((params.len(), renamed.index()), (1, weight.index()));
    /// ```
    #[track_caller]
    pub fn rename(&mut self, param: &Param, name: &str) -> Param {
        if let Err(message) = self.check(param) {
            panic!("{message}");
        }
        let name = self.full_name(name);
        assert!(!self.by_name.contains_key(&name), "a parameter named `{name}` exists already; use another scope");
        let Spec { store, index, shape, buffer, .. } = param.spec();
        let (store, shape) = (store.clone(), shape.clone());
        let renamed = Param::new(Spec { store, index: *index, name: name.clone(), shape, buffer: *buffer });
        self.by_name.remove(param.name());
        self.by_name.insert(name, renamed.index());
        self.entries[renamed.index()].param = renamed.clone();
        renamed
    }

    /// The seed for the initial value of a parameter: a function of the store's seed and the parameter's full name, so
    /// that adding a layer does not change the initial values of others.
    pub fn seed(&self, name: &str) -> u64 {
        // Then the finaliser of SplitMix64, so that streams of similar seeds are independent.
        let mut mixed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash_of_name(&self.full_name(name));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The number of parameters and buffers (tensors).
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of scalars in all parameters, without the buffers.
    pub fn count(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.param.is_buffer()).map(|entry| entry.value.tensor().len()).sum()
    }

    /// The parameters and buffers in order of creation.
    pub fn iter(&self) -> impl Iterator<Item = (&Param, &Tensor<T>)> {
        self.entries.iter().map(|entry| (&entry.param, entry.value.tensor()))
    }

    /// The parameters and buffers in order of creation, with mutable elements.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let list = [params.add("x", Tensor::from([1.0])), params.add("y", Tensor::from([2.0, 3.0]))];
    /// for (_, value) in params.iter_mut() {
    ///     value.data_mut().fill(0.5);
    /// }
    /// assert_eq!(params.get(&list[1]).data(), [0.5, 0.5]);
    /// ```
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Param, ValueMut<'_, T>)> {
        self.entries.iter_mut().map(|entry| (&entry.param, ValueMut(&mut entry.value)))
    }

    /// The trainable parameters, in order of creation.
    pub fn trainable(&self) -> impl Iterator<Item = &Param> {
        self.entries.iter().filter(|entry| entry.trainable).map(|entry| &entry.param)
    }

    /// The parameter with the given dotted name.
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.by_name.get(name).map(|&index| &self.entries[index].param)
    }

    /// Whether the parameter is trainable.
    ///
    /// # Panics
    /// If the parameter belongs to another store.
    #[track_caller]
    pub fn is_trainable(&self, param: &Param) -> bool {
        self.entry(param).trainable
    }

    /// Freezes (`false`) or unfreezes (`true`) every parameter whose dotted name satisfies the predicate; returns their
    /// number. Buffers are unchanged.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// params.scope("encoder", |params| params.add("weight", Tensor::zeros([2])));
    /// params.scope("head", |params| params.add("weight", Tensor::zeros([2])));
    /// assert_eq!(params.set_trainable(false, |name| name.starts_with("encoder.")), 1);
    /// assert_eq!(params.trainable().count(), 1);
    /// ```
    pub fn set_trainable(&mut self, trainable: bool, matches: impl Fn(&str) -> bool) -> usize {
        let own = |entry: &&mut Entry<T>| !entry.param.is_buffer() && matches(entry.param.name());
        let chosen = self.entries.iter_mut().filter(own);
        chosen.map(|entry| entry.trainable = trainable).count()
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If the parameter belongs to another store.
    #[track_caller]
    pub fn get(&self, param: &Param) -> &Tensor<T> {
        self.entry(param).value.tensor()
    }

    /// The value of a parameter with mutable elements and a fixed shape. [`Params::set`] replaces the tensor.
    ///
    /// # Panics
    /// If the parameter belongs to another store.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let x = params.add("x", Tensor::from([1.0, 2.0]));
    /// params.get_mut(&x).data_mut()[0] = 3.0;
    /// assert_eq!(params.get(&x).data(), [3.0, 2.0]);
    /// ```
    ///
    /// It cannot be replaced by another tensor:
    /// ```compile_fail
    /// # use gradus_graph::{Params, Tensor};
    /// # let mut params: Params = Params::new(0);
    /// # let x = params.add("x", Tensor::from([1.0, 2.0]));
    /// *params.get_mut(&x) = Tensor::from([1.0]);
    /// ```
    #[track_caller]
    pub fn get_mut(&mut self, param: &Param) -> ValueMut<'_, T> {
        if let Err(message) = self.check(param) {
            panic!("{message}");
        }
        ValueMut(&mut self.entries[param.index()].value)
    }

    /// Replaces the value of a parameter.
    ///
    /// # Panics
    /// If the shape differs or the parameter belongs to another store.
    #[track_caller]
    pub fn set(&mut self, param: &Param, value: Tensor<T>) {
        if let Err(message) = self.check(param) {
            panic!("{message}");
        }
        assert!(
            value.shape() == param.shape(),
            "parameter `{}` has shape {}; the new value has {}",
            param.name(),
            param.shape(),
            value.shape()
        );
        self.entries[param.index()].value = Value::new(value);
    }

    /// The store in another precision; the handles of layers are valid for both.
    pub fn cast<U: Real>(&self) -> Params<U> {
        let entries = self.entries.iter().map(|entry| Entry {
            param: entry.param.clone(),
            value: Value::new(entry.value.tensor().cast()),
            trainable: entry.trainable,
        });
        let (id, scope) = (self.id.clone(), self.scope.clone());
        Params { id, entries: entries.collect(), by_name: self.by_name.clone(), scope, seed: self.seed }
    }

    /// Whether the parameter belongs to this store. Clones and casts of a store have the same parameters.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let [mut student, mut teacher]: [Params; 2] = [Params::new(0), Params::new(0)];
    /// let ours = student.add("weight", Tensor::zeros([2]));
    /// let theirs = teacher.add("weight", Tensor::zeros([2]));
    /// assert!(student.contains(&ours) && student.cast::<f64>().contains(&ours));
    /// assert!(!student.contains(&theirs));
    /// ```
    pub fn contains(&self, param: &Param) -> bool {
        self.entries.get(param.index()).is_some_and(|entry| entry.param == *param)
    }

    /// The stamp of the value of a parameter, which belongs to this store: it differs whenever the elements do.
    pub(crate) fn stamp(&self, param: &Param) -> u64 {
        self.entries[param.index()].value.stamp()
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// If it is not in this store.
    pub(crate) fn check(&self, param: &Param) -> Result<&Tensor<T>, String> {
        if self.contains(param) {
            return Ok(self.entries[param.index()].value.tensor());
        }
        let other = match self.by_name.contains_key(param.name()) {
            true => ": the parameter of that name here is a different one, of another store or from before a renaming",
            false => "",
        };
        Err(format!("parameter `{}` of shape {} is not in this store{other}", param.name(), param.shape()))
    }

    #[track_caller]
    fn entry(&self, param: &Param) -> &Entry<T> {
        match self.check(param) {
            Ok(_) => &self.entries[param.index()],
            Err(message) => panic!("{message}"),
        }
    }
}

/// The value of a parameter with mutable elements and a fixed shape; see [`Params::get_mut`].
pub struct ValueMut<'a, T>(&'a mut Value<T>);

impl<'a, T: Clone> ValueMut<'a, T> {
    /// The elements in row-major order; copied first if another tensor shares them.
    pub fn data_mut(self) -> &'a mut [T] {
        self.0.data_mut()
    }
}

impl<T> Deref for ValueMut<'_, T> {
    type Target = Tensor<T>;

    fn deref(&self) -> &Tensor<T> {
        self.0.tensor()
    }
}

impl<T: Real> fmt::Debug for Params<T> {
    /// One line per parameter: name, shape, number of scalars, and whether it is frozen or a buffer. The total is
    /// [`Params::count`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.entries.iter().map(|entry| entry.param.name().len()).max().unwrap_or(0);
        for entry in &self.entries {
            let frozen = match entry.trainable {
                true => "",
                false if entry.param.is_buffer() => "  buffer",
                false => "  frozen",
            };
            let shape = entry.param.shape().to_string();
            writeln!(f, "{:width$}  {shape:14} {:>10}{frozen}", entry.param.name(), entry.value.tensor().len())?;
        }
        write!(f, "{:width$}  {:14} {:>10}", "total", "", self.count())
    }
}

/// The FNV-1a hash of a name, which is the same on all platforms and in all versions: for random streams that belong to a
/// name.
pub fn hash_of_name(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_depend_on_the_name_and_not_on_the_order() {
        let mut params: Params = Params::new(3);
        let before = params.seed("b");
        params.add("a", Tensor::zeros([1]));
        assert_eq!(params.seed("b"), before);
        assert_ne!(params.seed("a"), before);
        assert_ne!(Params::<f32>::new(4).seed("b"), before);
    }

    #[test]
    #[should_panic(expected = "a parameter named `weight` exists already")]
    fn a_name_is_taken_once() {
        let mut params: Params = Params::new(0);
        params.add("weight", Tensor::zeros([1]));
        params.add("weight", Tensor::zeros([1]));
    }

    #[test]
    #[should_panic(expected = "parameter `d.weight` of shape [2] is not in this store")]
    fn a_store_that_was_built_apart_is_another() {
        let mut stores: [Params; 2] = [Params::new(0), Params::new(0)];
        let handles =
            stores.each_mut().map(|store| store.scope("d", |params| params.add("weight", Tensor::from([1.0, 2.0]))));
        assert_ne!(handles[0], handles[1]);
        assert_eq!(stores[0].clone().cast::<f64>().get(&handles[0]).data(), [1.0, 2.0]);
        stores[0].set(&handles[1], Tensor::zeros([2]));
    }

    #[test]
    #[should_panic(expected = "parameter `a` of shape [1] is not in this store")]
    fn a_strange_parameter_is_refused() {
        let mut params: Params = Params::new(0);
        let strange = params.add("a", Tensor::zeros([1]));
        let _ = Params::<f32>::new(0).get(&strange);
    }
}
