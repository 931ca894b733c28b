//! Scopes of a store: prefixes of names, and copies of one scope to another.

use std::ops::{Deref, DerefMut};

use super::{Entry, Param, Params};
use crate::error::{Error, ErrorKind};
use crate::real::Real;
use crate::setting::expect_setting;

/// A store within a scope; see [`Params::enter`].
struct Within<'a, T> {
    params: &'a mut Params<T>,
    /// The scope around it.
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
    /// Runs `build` with `name.` before the names of the parameters that it adds.
    ///
    /// # Panics
    /// If the name is empty or contains a dot.
    #[track_caller]
    pub fn scope<R>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> R) -> R {
        build(&mut self.enter(name))
    }

    /// Opens the scope `name` until the returned guard, which dereferences to the store, is dropped. For constructors
    /// with `#[track_caller]`, as the closure of [`Params::scope`] loses the line of the caller.
    ///
    /// # Panics
    /// If the name is empty or contains a dot.
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

    /// Opens a scope by its full name until the guard is dropped, also during a panic.
    fn within(&mut self, scope: String) -> Within<'_, T> {
        let before = std::mem::replace(&mut self.scope, scope);
        Within { params: self, before }
    }

    /// Runs `build` in the scope of `param`, with the name of the parameter within that scope.
    pub fn beside<R>(&mut self, param: &Param, build: impl FnOnce(&mut Self, &str) -> R) -> R {
        let (scope, own) = param.name().rsplit_once('.').unwrap_or(("", param.name()));
        build(&mut self.within(scope.to_owned()), own)
    }

    pub(super) fn full_name(&self, name: &str) -> String {
        if self.scope.is_empty() { name.to_owned() } else { format!("{}.{name}", self.scope) }
    }

    /// Copies the values of the parameters and buffers of one scope to those of another, such as a target network.
    /// Scopes are given by their full names, and include the scopes within them. Frozen parameters are copied as well.
    ///
    /// # Errors
    /// If a scope is empty, or names or shapes differ; then nothing is written.
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
            let source = self.entries[from].value.tensor().clone();
            self.entries[to].value.data_mut().copy_from_slice(source.data());
        }
        Ok(())
    }

    /// Interpolates the values of one scope towards those of another, `to = (1 − share)·to + share·from`, for a target
    /// network or an average of weights. Buffers are included.
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
            let source = self.entries[from].value.tensor().clone();
            let target = self.entries[to].value.data_mut();
            target.iter_mut().zip(source.data()).for_each(|(to, &from)| *to = kept * *to + share * from);
        }
        Ok(())
    }

    /// The indices of the parameters of one scope, each with that of its counterpart in the other scope.
    fn counterparts(&self, from: &str, to: &str) -> Result<Vec<(usize, usize)>, Error> {
        let fault = |problem: String| Error::new(ErrorKind::Params, problem);
        let inside = |scope: &str| -> Result<Vec<(usize, &str)>, Error> {
            let name_within =
                |entry: &'_ Entry<T>| entry.param.name().strip_prefix(scope)?.strip_prefix('.').map(str::len);
            let found = self.entries.iter().enumerate().filter_map(|(index, entry)| {
                let name = entry.param.name();
                name_within(entry).map(|len| (index, &name[name.len() - len..]))
            });
            let found: Vec<_> = found.collect();
            match found.is_empty() {
                true => Err(fault(format!("no parameter is in scope `{scope}`"))),
                false => Ok(found),
            }
        };
        let other = |scope: &str, name: &str, here: usize| {
            let index = self.by_name.get(&format!("{scope}.{name}")).copied();
            let here = self.entries[here].param.name();
            index.ok_or_else(|| fault(format!("`{here}` has no counterpart `{scope}.{name}`")))
        };
        for (index, name) in inside(to)? {
            other(from, name, index)?;
        }
        let pair = |(index, name): (usize, &str)| {
            let counterpart = other(to, name, index)?;
            let [a, b] = [index, counterpart].map(|index| &self.entries[index].param);
            if a.shape() != b.shape() {
                let problem = format!("`{}` has shape {}, `{}` {}", a.name(), a.shape(), b.name(), b.shape());
                return Err(fault(problem));
            }
            if a.is_buffer() != b.is_buffer() {
                return Err(fault(format!("one of `{}` and `{}` is a buffer, the other is not", a.name(), b.name())));
            }
            Ok((index, counterpart))
        };
        inside(from)?.into_iter().map(pair).collect()
    }
}

/// Checks a name within a scope; full names are joined with dots.
#[track_caller]
pub(super) fn expect_own_name(what: &str, name: &str) {
    assert!(!name.is_empty() && !name.contains('.'), "a {what}'s own name is not empty and has no dot: {name:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

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

    /// Name, size, and whether it is a buffer.
    type Made = (&'static str, usize, bool);

    /// A store with different values in two scopes within a scope.
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
}
