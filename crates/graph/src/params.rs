//! The store of trainable tensors: one place for names, shapes, values and what is frozen.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::error::{Error, ErrorKind};
use crate::real::Real;
use crate::setting::expect_setting;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A parameter of a model, as its layers hold it: the store, the place in it, the name and the shape. Cheap to clone.
///
/// Two are equal if they are the same parameter of the same store. Clones and casts of a store count as the same store;
/// one that was built anew is another, also if the names in it are the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Param(Arc<Spec>);

#[derive(PartialEq, Eq, Hash)]
struct Spec {
    store: StoreId,
    index: usize,
    name: String,
    shape: Shape,
    buffer: bool,
}

/// What tells a store and its clones from others: the address of an allocation that they and their handles share.
#[derive(Clone)]
struct StoreId(Arc<u8>);

impl StoreId {
    fn new() -> Self {
        // Not `()`: allocations without bytes may share an address.
        Self(Arc::new(0))
    }
}

impl PartialEq for StoreId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for StoreId {}

impl Hash for StoreId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Param {
    /// The place in the store, counted from 0 in the order of creation.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// The dotted name, such as `encoder.hidden.weight`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// Whether it is a buffer: part of the model's state, but not trained. See [`Params::add_buffer`].
    pub fn is_buffer(&self) -> bool {
        self.0.buffer
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.name, self.0.shape)
    }
}

#[derive(Clone, PartialEq)]
struct Entry<T> {
    param: Param,
    value: Tensor<T>,
    trainable: bool,
}

/// The store of a model's parameters: named, ordered, in one precision.
///
/// Layers add their parameters when they are made and keep only a [`Param`]; so the store is the state of the model:
/// it is what is saved, counted, frozen and updated. [`Params::scope`] prefixes names. [`Params::seed`] gives each new
/// parameter a seed of its own, so that a model is the same at each start.
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

/// A store within a scope; see [`Params::enter`].
struct Within<'a, T> {
    params: &'a mut Params<T>,
    /// The scope that is open again afterwards.
    before: String,
}

impl<T> Deref for Within<'_, T> {
    type Target = Params<T>;

    fn deref(&self) -> &Params<T> {
        self.params
    }
}

impl<T> DerefMut for Within<'_, T> {
    fn deref_mut(&mut self) -> &mut Params<T> {
        self.params
    }
}

impl<T> Drop for Within<'_, T> {
    fn drop(&mut self) {
        self.params.scope = std::mem::take(&mut self.before);
    }
}

impl<T: Real> Params<T> {
    /// The empty store; `seed` decides the initial values that layers draw.
    pub fn new(seed: u64) -> Self {
        Self { id: StoreId::new(), entries: Vec::new(), by_name: FxHashMap::default(), scope: String::new(), seed }
    }

    /// Adds a trainable parameter under the current scope.
    ///
    /// # Panics
    /// If the name is empty, holds a dot or is taken within the scope.
    #[track_caller]
    pub fn add(&mut self, name: &str, value: Tensor<T>) -> Param {
        self.insert(name, value, false)
    }

    /// Adds a buffer under the current scope: a tensor that is saved and loaded with the parameters but that no
    /// optimizer moves, such as a running mean. A training run may leave a new value in it:
    /// [`Graph::update`](crate::Graph::update).
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
        let param = Param(Arc::new(Spec { store, index, name: name.clone(), shape, buffer }));
        self.by_name.insert(name, index);
        self.entries.push(Entry { param: param.clone(), value, trainable: !buffer });
        param
    }

    /// Runs `build` with `name.` before the names of the parameters that it adds.
    ///
    /// # Panics
    /// If the name is empty or holds a dot.
    #[track_caller]
    pub fn scope<R>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> R) -> R {
        build(&mut self.enter(name))
    }

    /// Opens the scope `name` until the guard, which is the store, is dropped. As [`Params::scope`], for constructors
    /// that pass on the line of their caller, which a closure loses.
    ///
    /// # Panics
    /// If the name is empty or holds a dot.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let weight = params.enter("hidden").add("weight", Tensor::zeros([3, 2]));
    /// assert_eq!(weight.name(), "hidden.weight");
    /// ```
    #[track_caller]
    pub fn enter(&mut self, name: &str) -> impl DerefMut<Target = Self> + use<'_, T> {
        expect_own_name("scope", name);
        let inner = self.full_name(name);
        self.within(inner)
    }

    /// The store in the scope of that full name until the guard is dropped, also by a panic.
    fn within(&mut self, scope: String) -> Within<'_, T> {
        let before = std::mem::replace(&mut self.scope, scope);
        Within { params: self, before }
    }

    /// Runs `build` in the scope that holds `param`, wherever the store is at present; it is given the parameter's own
    /// name.
    pub fn beside<R>(&mut self, param: &Param, build: impl FnOnce(&mut Self, &str) -> R) -> R {
        let (scope, own) = param.name().rsplit_once('.').unwrap_or(("", param.name()));
        build(&mut self.within(scope.to_owned()), own)
    }

    /// Gives a parameter another name, under the current scope; its place, value and all else stay. Handles with the
    /// old name belong to this store no longer.
    ///
    /// A layer's weight that is to be made from other parameters gives its value to one of them in this way: see
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
        let Spec { store, index, shape, buffer, .. } = &*param.0;
        let (store, shape) = (store.clone(), shape.clone());
        let renamed = Param(Arc::new(Spec { store, index: *index, name: name.clone(), shape, buffer: *buffer }));
        self.by_name.remove(param.name());
        self.by_name.insert(name, renamed.index());
        self.entries[renamed.index()].param = renamed.clone();
        renamed
    }

    fn full_name(&self, name: &str) -> String {
        if self.scope.is_empty() { name.to_owned() } else { format!("{}.{name}", self.scope) }
    }

    /// A seed for the initial value of the next parameter: a function of the store's seed and the parameter's full
    /// name, so that adding a layer does not change what the others draw.
    pub fn seed(&self, name: &str) -> u64 {
        // FNV-1a over the name, then the finaliser of SplitMix64, so that near seeds give unrelated streams.
        let hash = |start: u64, byte: u8| (start ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let name = self.full_name(name).bytes().fold(0xcbf2_9ce4_8422_2325, hash);
        let mut mixed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name;
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
        self.entries.iter().filter(|entry| !entry.param.is_buffer()).map(|entry| entry.value.len()).sum()
    }

    /// The parameters and buffers in order of creation.
    pub fn iter(&self) -> impl Iterator<Item = (&Param, &Tensor<T>)> {
        self.entries.iter().map(|entry| (&entry.param, &entry.value))
    }

    /// The parameters that training moves, in order of creation.
    pub fn trainable(&self) -> impl Iterator<Item = &Param> {
        self.entries.iter().filter(|entry| entry.trainable).map(|entry| &entry.param)
    }

    /// The parameter with the given dotted name.
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.by_name.get(name).map(|&index| &self.entries[index].param)
    }

    /// Whether training moves the parameter.
    ///
    /// # Panics
    /// If the parameter belongs to another store.
    #[track_caller]
    pub fn is_trainable(&self, param: &Param) -> bool {
        self.entry(param).trainable
    }

    /// Freezes (`false`) or frees (`true`) every parameter whose dotted name satisfies the predicate; gives their
    /// number. Buffers stay as they are.
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
        &self.entry(param).value
    }

    /// The value of a parameter, whose elements may be written to; its shape stays. [`Params::set`] takes a whole
    /// tensor.
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
    /// No other tensor can be put in its place:
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
        self.entries[param.index()].value = value;
    }

    /// Copies the values of the parameters and buffers of one scope to those of another, as a target network takes over
    /// the weights of the one that is trained. Scopes are named in full; what lies in scopes within them belongs to them.
    /// What is frozen stays so, and is written as well.
    ///
    /// # Errors
    /// If a scope is empty, a name of one is not in the other, or a shape differs; nothing is written then.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let online = params.scope("online", |params| params.add("weight", Tensor::from([1.0, 2.0])));
    /// let target = params.scope("target", |params| params.add("weight", Tensor::zeros([2])));
    /// params.copy_scope("online", "target")?;
    /// params.set(&online, Tensor::from([3.0, 4.0]));
    /// params.blend_scope("online", "target", 0.5)?;
    /// assert_eq!(params.get(&target).data(), [2.0, 3.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    pub fn copy_scope(&mut self, from: &str, to: &str) -> Result<(), Error> {
        for (from, to) in self.counterparts(from, to)? {
            let source = self.entries[from].value.clone();
            self.entries[to].value.data_mut().copy_from_slice(source.data());
        }
        Ok(())
    }

    /// Moves the values of one scope a share of the way to those of another: `to = (1 − share)·to + share·from`, as a
    /// target network or an average of weights follows the one that is trained. Buffers are moved as parameters are.
    ///
    /// # Errors
    /// As [`Params::copy_scope`].
    ///
    /// # Panics
    /// If the share is not within 0 and 1.
    #[track_caller]
    pub fn blend_scope(&mut self, from: &str, to: &str, share: f64) -> Result<(), Error> {
        expect_setting("`Params::blend_scope`: share", share, 0.0..=1.0);
        let (kept, share) = (T::of(1.0 - share), T::of(share));
        for (from, to) in self.counterparts(from, to)? {
            let source = self.entries[from].value.clone();
            let target = self.entries[to].value.data_mut();
            target.iter_mut().zip(source.data()).for_each(|(to, &from)| *to = kept * *to + share * from);
        }
        Ok(())
    }

    /// The places of the parameters of one scope, each with that of the one in the other scope.
    fn counterparts(&self, from: &str, to: &str) -> Result<Vec<(usize, usize)>, Error> {
        let fault = |problem: String| Error::new(ErrorKind::Params, problem);
        let inside = |scope: &str| -> Result<Vec<(usize, &str)>, Error> {
            let own = |entry: &'_ Entry<T>| entry.param.name().strip_prefix(scope)?.strip_prefix('.').map(str::len);
            let found = self.entries.iter().enumerate().filter_map(|(place, entry)| {
                let name = entry.param.name();
                own(entry).map(|len| (place, &name[name.len() - len..]))
            });
            let found: Vec<_> = found.collect();
            match found.is_empty() {
                true => Err(fault(format!("no parameter is in scope `{scope}`"))),
                false => Ok(found),
            }
        };
        let other = |scope: &str, name: &str, here: usize| {
            let place = self.by_name.get(&format!("{scope}.{name}")).copied();
            let here = self.entries[here].param.name();
            place.ok_or_else(|| fault(format!("`{here}` has no counterpart `{scope}.{name}`")))
        };
        for (place, name) in inside(to)? {
            other(from, name, place)?;
        }
        let pair = |(place, name): (usize, &str)| {
            let counterpart = other(to, name, place)?;
            let [a, b] = [place, counterpart].map(|place| &self.entries[place].param);
            if a.shape() != b.shape() {
                let problem = format!("`{}` has shape {}, `{}` {}", a.name(), a.shape(), b.name(), b.shape());
                return Err(fault(problem));
            }
            if a.is_buffer() != b.is_buffer() {
                return Err(fault(format!("one of `{}` and `{}` is a buffer, the other is not", a.name(), b.name())));
            }
            Ok((place, counterpart))
        };
        inside(from)?.into_iter().map(pair).collect()
    }

    /// The same parameters in another precision; the handles of the layers fit both stores.
    pub fn cast<U: Real>(&self) -> Params<U> {
        let entries = self.entries.iter().map(|entry| Entry {
            param: entry.param.clone(),
            value: entry.value.cast(),
            trainable: entry.trainable,
        });
        let (id, scope) = (self.id.clone(), self.scope.clone());
        Params { id, entries: entries.collect(), by_name: self.by_name.clone(), scope, seed: self.seed }
    }

    /// Whether the parameter is one of this store, or of a store that was cloned or cast from it or that it was cloned
    /// or cast from.
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

    /// The value of a parameter, or that it is not in this store.
    pub(crate) fn check(&self, param: &Param) -> Result<&Tensor<T>, String> {
        if self.contains(param) {
            return Ok(&self.entries[param.index()].value);
        }
        let other = match self.by_name.contains_key(param.name()) {
            true => ": the one of that name here is another, of a store that was built apart or of before a renaming",
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

/// Names are joined with dots, so one name alone has none.
#[track_caller]
fn expect_own_name(what: &str, name: &str) {
    assert!(!name.is_empty() && !name.contains('.'), "a {what}'s own name is not empty and has no dot: {name:?}");
}

/// The value of a parameter, to write to: a tensor whose elements may change and whose shape may not. See
/// [`Params::get_mut`].
pub struct ValueMut<'a, T>(&'a mut Tensor<T>);

impl<'a, T: Clone> ValueMut<'a, T> {
    /// The elements in row-major order; copied first if the tensor is shared.
    pub fn data_mut(self) -> &'a mut [T] {
        self.0.data_mut()
    }
}

impl<T> Deref for ValueMut<'_, T> {
    type Target = Tensor<T>;

    fn deref(&self) -> &Tensor<T> {
        self.0
    }
}

impl<T: Real> fmt::Debug for Params<T> {
    /// One line a parameter: name, shape, number of scalars, and whether it is frozen or a buffer. The total is that of
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
            writeln!(f, "{:width$}  {shape:14} {:>10}{frozen}", entry.param.name(), entry.value.len())?;
        }
        write!(f, "{:width$}  {:14} {:>10}", "total", "", self.count())
    }
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
    fn a_scope_is_closed_by_a_panic_as_well() {
        let mut params: Params = Params::new(0);
        let weight = params.scope("layer", |params| params.add("weight", Tensor::zeros([1])));
        let panics = |params: &mut Params, inside: &dyn Fn(&mut Params)| {
            let run = std::panic::AssertUnwindSafe(|| inside(params));
            assert!(std::panic::catch_unwind(run).is_err());
        };
        panics(&mut params, &|params| params.scope("outer", |params| params.scope("inner", |_| panic!("refused"))));
        panics(&mut params, &|params| params.beside(&weight, |_, _| panic!("refused")));
        assert_eq!(params.add("bias", Tensor::zeros([1])).name(), "bias");
    }

    #[test]
    fn names_of_scopes_are_single_names() {
        for name in ["", "a.b", "."] {
            let run = || Params::<f32>::new(0).scope(name, |_| ());
            let panic = std::panic::catch_unwind(run).expect_err("the name is refused");
            let expected = format!("a scope's own name is not empty and has no dot: {name:?}");
            assert_eq!(panic.downcast_ref::<String>(), Some(&expected));
        }
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

    /// Name, size, and whether it is a buffer.
    type Made = (&'static str, usize, bool);

    /// A store with values of its own in two scopes, one within the other's scope.
    fn two_scopes(in_target: &[Made]) -> Params<f64> {
        let mut params: Params<f64> = Params::new(0);
        let mut add = |scope: &str, list: &[Made]| {
            for &(name, size, buffer) in list {
                params.scope("agent", |params| {
                    params.scope(scope, |params| {
                        let value = Tensor::full([size], params.len() as f64 + 1.0);
                        if buffer { params.add_buffer(name, value) } else { params.add(name, value) }
                    })
                });
            }
        };
        add("online", &[("weight", 2, false), ("mean", 1, true)]);
        add("target", in_target);
        params
    }

    #[test]
    fn scopes_are_copied_and_blended_whatever_the_order_of_their_names() {
        let mut params = two_scopes(&[("mean", 1, true), ("weight", 2, false)]);
        params.set_trainable(false, |name| name.starts_with("agent.target."));
        let values = |params: &Params<f64>| params.iter().map(|(_, value)| value.data()[0]).collect::<Vec<_>>();
        assert_eq!(values(&params), [1.0, 2.0, 3.0, 4.0]);
        params.blend_scope("agent.online", "agent.target", 0.25).unwrap();
        assert_eq!(values(&params), [1.0, 2.0, 2.75, 3.25]);
        params.blend_scope("agent.online", "agent.target", 0.0).unwrap();
        assert_eq!(values(&params), [1.0, 2.0, 2.75, 3.25]);
        params.copy_scope("agent.online", "agent.target").unwrap();
        assert_eq!(values(&params), [1.0, 2.0, 2.0, 1.0]);
        assert_eq!(params.trainable().count(), 1);
        let weight = params.find("agent.online.weight").unwrap().clone();
        params.get_mut(&weight).data_mut()[0] = 9.0;
        assert_eq!(values(&params), [9.0, 2.0, 2.0, 1.0]);
    }

    #[test]
    fn scopes_that_do_not_fit_are_refused_and_stay() {
        let full = [("weight", 2, false), ("mean", 1, true)];
        let cases: [(&[Made], &str, &str); 6] = [
            (&full[..1], "agent.target", "`agent.online.mean` has no counterpart `agent.target.mean`"),
            (
                &[full[0], full[1], ("bias", 1, false)],
                "agent.target",
                "`agent.target.bias` has no counterpart `agent.online.bias`",
            ),
            (
                &[full[0], ("mean", 3, true)],
                "agent.target",
                "`agent.online.mean` has shape [1], `agent.target.mean` [3]",
            ),
            (
                &[full[0], ("mean", 1, false)],
                "agent.target",
                "one of `agent.online.mean` and `agent.target.mean` is a buffer",
            ),
            (&full, "agent.targe", "no parameter is in scope `agent.targe`"),
            (&full, "agent", "`agent.online.weight` has no counterpart `agent.online.online.weight`"),
        ];
        for (list, to, message) in cases {
            let mut params = two_scopes(list);
            let before: Vec<Tensor<f64>> = params.iter().map(|(_, value)| value.clone()).collect();
            for error in [params.copy_scope("agent.online", to), params.blend_scope("agent.online", to, 0.5)] {
                let error = error.expect_err("the scopes do not fit");
                assert_eq!(error.kind(), ErrorKind::Params);
                assert!(error.to_string().starts_with(message), "{error}");
            }
            assert!(params.iter().map(|(_, value)| value).eq(&before));
        }
    }

    #[test]
    #[should_panic(expected = "`Params::blend_scope`: share must be at least 0 and at most 1, not NaN")]
    fn a_share_is_within_0_and_1() {
        let _ = two_scopes(&[]).blend_scope("agent.online", "agent.online", f64::NAN);
    }

    #[test]
    #[should_panic(expected = "parameter `a` of shape [1] is not in this store")]
    fn a_strange_parameter_is_refused() {
        let mut params: Params = Params::new(0);
        let strange = params.add("a", Tensor::zeros([1]));
        let _ = Params::<f32>::new(0).get(&strange);
    }
}
