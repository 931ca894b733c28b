//! A whole run in a file: the parameters and the state of the optimizer and other parts, so that the resumed run continues
//! bit for bit.
//!
//! It should contain the optimizer; the [`Step`](crate::Step), whose state is its position in the random streams; and
//! every other [`Stateful`] of the loop. The order of the data follows from the epoch (`Batches::shuffled` of
//! `gradus-data`).
//!
//! The file is a safetensors file: parameters are under `parameters/`, the state of a part under the part's name and
//! `/tensors/`, `/counts/` or `/numbers/`.

use std::io::Error;
use std::path::Path;

use gradus_graph::{Params, Real};
use gradus_optim::{SavedState, Stateful};

use crate::archive::{Archive, wrong};
use crate::faults::{Faults, brief};
use crate::{model, weights};

/// The prefix of the names of the parameters.
pub(crate) const PARAMETERS: &str = "parameters/";
/// The format in the header.
pub(crate) const FORMAT: &str = "gradus checkpoint";

/// Writes the parameters and the state of the parts of the run, each under a name. The file is complete or
/// is not changed.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If a part's name is empty, is taken, is `parameters`, or has a slash.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adam, Stateful, Optimizer, ReduceOnPlateau};
/// use gradus_train::{Step, checkpoint};
/// let path = std::env::temp_dir().join(format!("gradus-checkpoint-{}.safetensors", std::process::id()));
/// let mut params: Params = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 2.0]));
/// let mut step = Step::new(|graph, []| (graph.param(&x) * graph.bernoulli(0.5, [2])).square().sum());
/// let (mut adam, mut plateau) = (Optimizer::new(Adam::new(0.1)), ReduceOnPlateau::new());
/// let gradients = step.run(&mut params, ())?;
/// adam.step(&mut params, &gradients)?;
/// adam.scale_rate(plateau.report(0.5));
/// checkpoint::save(&path, &params, &[("step", &step), ("optimizer", &adam), ("plateau", &plateau)])?;
///
/// let mut resumed = Params::new(0);
/// let same = resumed.add("x", Tensor::zeros([2]));
/// step.set_position(0);
/// let (mut optimizer, mut watch) = (Optimizer::new(Adam::new(0.1)), ReduceOnPlateau::new());
/// let parts: &mut [(&str, &mut dyn Stateful<f32>)] =
///     &mut [("step", &mut step), ("optimizer", &mut optimizer), ("plateau", &mut watch)];
/// checkpoint::load(&path, &mut resumed, parts)?;
/// assert_eq!(resumed.get(&same), params.get(&x));
/// assert_eq!((step.position(), optimizer.state()), (1, adam.state()));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn save<T: Real>(
    path: impl AsRef<Path>,
    params: &Params<T>,
    parts: &[(&str, &dyn Stateful<T>)],
) -> Result<(), Error> {
    expect_names(parts.iter().map(|(name, _)| *name));
    let mut archive = Archive::default();
    weights::put(&mut archive, PARAMETERS, params);
    for (part, stateful) in parts {
        let SavedState { tensors, counts, numbers } = stateful.state();
        for (name, tensor) in &tensors {
            archive.put_tensor(format!("{part}/tensors/{name}"), tensor);
        }
        for (name, count) in counts {
            archive.put_count(format!("{part}/counts/{name}"), count);
        }
        for (name, number) in numbers {
            archive.put_number(format!("{part}/numbers/{name}"), number);
        }
    }
    archive.write(path.as_ref(), FORMAT)
}

/// Reads a run into parameters and parts that were constructed as those of the run that was saved.
///
/// # Errors
/// If the file cannot be read, is malformed or no checkpoint, was saved in another precision, or if anything is missing,
/// unexpected or of another shape: the error lists what is wrong, the first twenty of a kind by name, and neither
/// parameters nor parts were changed.
///
/// # Panics
/// As [`save`].
#[track_caller]
pub fn load<T: Real>(
    path: impl AsRef<Path>,
    params: &mut Params<T>,
    parts: &mut [(&str, &mut dyn Stateful<T>)],
) -> Result<(), Error> {
    expect_names(parts.iter().map(|(name, _)| *name));
    let path = path.as_ref();
    let archive = Archive::read(path)?;
    let refuse = |problem: String| wrong(path, &problem);
    if archive.format() == Some(model::FORMAT) {
        return Err(refuse("this is no checkpoint but a model: `Model::load` reads it".to_owned()));
    }
    if archive.format() != Some(FORMAT) && archive.names(PARAMETERS).next().is_none() {
        let problem = "this is no checkpoint but a file of arrays alone, such as weights: `weights::load` reads it";
        return Err(refuse(problem.to_owned()));
    }
    let mut faults = Faults::default();
    let known = |name: &&str| {
        let folder = name.split('/').next();
        folder == Some("parameters") || parts.iter().any(|(part, _)| folder == Some(part))
    };
    for name in archive.names("").filter(|name| !known(name)) {
        faults.add(|| format!("`{name}` belongs to no part of this run"));
    }
    for name in archive.names(PARAMETERS).filter(|name| !archive.is::<T>(&format!("{PARAMETERS}{name}"))) {
        faults.add(|| format!("parameter `{name}` was not saved in {}", T::NAME));
    }
    faults.or(()).map_err(refuse)?;
    let loaded = weights::take(&archive, PARAMETERS, params).map_err(refuse)?;
    let states: Vec<SavedState<T>> =
        parts.iter().map(|(part, _)| state(&archive, part)).collect::<Result<_, _>>().map_err(|p| refuse(brief(p)))?;
    let before: Vec<SavedState<T>> = parts.iter().map(|(_, stateful)| stateful.state()).collect();
    for number in 0..parts.len() {
        let (part, stateful) = &mut parts[number];
        if let Err(problem) = stateful.restore(&loaded, &states[number]) {
            let message = format!("{part}: {problem}");
            for ((_, stateful), before) in parts[..number].iter_mut().zip(&before) {
                stateful.restore(params, before).expect("a part accepts its own state");
            }
            return Err(refuse(message));
        }
    }
    *params = loaded;
    Ok(())
}

/// The state of a part in the archive.
fn state<T: Real>(archive: &Archive, part: &str) -> Result<SavedState<T>, String> {
    let mut state = SavedState::default();
    for name in archive.names(&format!("{part}/tensors/")) {
        let full = format!("{part}/tensors/{name}");
        if !archive.is::<T>(&full) {
            return Err(format!("`{full}` was not saved in {}", T::NAME));
        }
        state.tensors.insert(name.to_owned(), archive.tensor(&full)?);
    }
    for name in archive.names(&format!("{part}/counts/")) {
        state.counts.insert(name.to_owned(), archive.count(&format!("{part}/counts/{name}"))?);
    }
    for name in archive.names(&format!("{part}/numbers/")) {
        state.numbers.insert(name.to_owned(), archive.number(&format!("{part}/numbers/{name}"))?);
    }
    let held = state.tensors.len() + state.counts.len() + state.numbers.len();
    match archive.names(&format!("{part}/")).count() {
        0 => Err(format!("the file holds no part named `{part}`")),
        count if count > held => Err(format!("the part `{part}` holds something besides tensors, counts and numbers")),
        _ => Ok(state),
    }
}

/// Panics if the names of the parts do not distinguish them in a file.
#[track_caller]
fn expect_names<'a>(names: impl Iterator<Item = &'a str> + Clone) {
    for (number, name) in names.clone().enumerate() {
        let fits = !name.is_empty() && name != "parameters" && !name.contains('/');
        assert!(fits, "a part of a checkpoint has a name without a slash, and not `parameters`: {name:?}");
        assert!(!names.clone().take(number).any(|other| other == name), "two parts of a checkpoint are named `{name}`");
    }
}
