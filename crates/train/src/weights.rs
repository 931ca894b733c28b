//! The parameters of a model in a safetensors file, under their own names: what PyTorch and others call a state dict.

use std::io::Error;
use std::path::Path;

use gradus_graph::{Params, Real};

use crate::archive::{Archive, wrong};
use crate::checkpoint::{self, PARAMETERS};
use crate::faults::Faults;
use crate::model;

/// Writes the parameters. The file is complete or is not changed.
///
/// # Errors
/// If the file cannot be written.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::weights;
/// let path = std::env::temp_dir().join(format!("gradus-weights-{}.safetensors", std::process::id()));
/// let mut params: Params = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 2.0]));
/// weights::save(&path, &params)?;
/// params.set(&x, Tensor::from([0.0, 0.0]));
/// weights::load(&path, &mut params)?;
/// assert_eq!(params.get(&x).data(), [1.0, 2.0]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn save<T: Real>(path: impl AsRef<Path>, params: &Params<T>) -> Result<(), Error> {
    let mut archive = Archive::default();
    put(&mut archive, "", params);
    archive.write(path.as_ref(), "pt")
}

/// Reads the parameters of a store from a file. Numbers of a smaller type than the store's are widened, which is exact.
///
/// # Errors
/// If the file cannot be read, is malformed or a checkpoint, or if a parameter is missing, unexpected, of another shape
/// or of a larger type: the error lists all of it, the first twenty by name, and no parameter was changed.
pub fn load<T: Real>(path: impl AsRef<Path>, params: &mut Params<T>) -> Result<(), Error> {
    let path = path.as_ref();
    let archive = Archive::read(path)?;
    if archive.format() == Some(checkpoint::FORMAT) {
        let problem = format!(
            "this is a checkpoint, the file of a whole run: `checkpoint::load` reads it, and `weights::load_from` its \
             parameters alone, whose names begin with `{PARAMETERS}` there"
        );
        return Err(wrong(path, &problem));
    }
    if archive.format() == Some(model::FORMAT) {
        let problem = format!(
            "this is a model: `Model::load` reads it, and `weights::load_from` its parameters alone, whose names begin \
             with `{PARAMETERS}` there"
        );
        return Err(wrong(path, &problem));
    }
    *params = take(&archive, "", params).map_err(|problem| wrong(path, &problem))?;
    Ok(())
}

/// Reads some of the parameters, from a file that another model wrote: `source` gives for the name of a parameter the
/// name of its array in the file, or `None` if the parameter is to stay as it is. Arrays that nothing asks for are left
/// alone. So a model with a new head takes the rest from the old one, and names of other programs are translated.
///
/// # Errors
/// If the file cannot be read or is malformed, or if an array that is asked for is missing, of another shape or of a
/// larger type: the error lists all of it, the first twenty by name, and no parameter was changed. Also if nothing at
/// all is asked for.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::weights;
/// let path = std::env::temp_dir().join(format!("gradus-fine-tune-{}.safetensors", std::process::id()));
/// let mut old: Params = Params::new(0);
/// old.scope("model", |model| model.scope("body", |params| params.add("weight", Tensor::from([1.0, 2.0]))));
/// old.scope("model", |model| model.scope("head", |params| params.add("weight", Tensor::from([3.0]))));
/// weights::save(&path, &old)?;
///
/// let mut new: Params = Params::new(0);
/// let body = new.scope("body", |params| params.add("weight", Tensor::zeros([2])));
/// let head = new.scope("head", |params| params.add("weight", Tensor::zeros([7])));
/// weights::load_from(&path, &mut new, |name| name.starts_with("body.").then(|| format!("model.{name}")))?;
/// assert_eq!(new.get(&body).data(), [1.0, 2.0]);
/// assert_eq!(new.get(&head).data(), [0.0; 7]);
/// new.set_trainable(false, |name| name.starts_with("body."));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn load_from<T: Real>(
    path: impl AsRef<Path>,
    params: &mut Params<T>,
    source: impl Fn(&str) -> Option<String>,
) -> Result<(), Error> {
    let archive = Archive::read(path.as_ref())?;
    let mut faults = Faults::default();
    let loaded = fill(&archive, params, source, &mut faults);
    let loaded = faults.or(loaded).map_err(|problem| wrong(path.as_ref(), &problem))?;
    *params = loaded.ok_or_else(|| wrong(path.as_ref(), "no parameter of the store is to be loaded"))?;
    Ok(())
}

/// Puts the parameters into an archive, with a prefix before their names.
pub(crate) fn put<T: Real>(archive: &mut Archive, prefix: &str, params: &Params<T>) {
    for (param, value) in params.iter() {
        archive.put_tensor(format!("{prefix}{}", param.name()), value);
    }
}

/// The store with the values that the archive has under that prefix, which must be all and no others.
pub(crate) fn take<T: Real>(archive: &Archive, prefix: &str, params: &Params<T>) -> Result<Params<T>, String> {
    let mut faults = Faults::default();
    let loaded = fill(archive, params, |name| Some(format!("{prefix}{name}")), &mut faults);
    for name in archive.names(prefix).filter(|name| params.find(name).is_none()) {
        faults.add(|| format!("`{prefix}{name}` is no parameter of the store"));
    }
    faults.or(loaded.unwrap_or_else(|| params.clone()))
}

/// The store with values from the archive for the parameters that have a source, if any has; what does not fit is added
/// to the faults.
fn fill<T: Real>(
    archive: &Archive,
    params: &Params<T>,
    source: impl Fn(&str) -> Option<String>,
    faults: &mut Faults,
) -> Option<Params<T>> {
    let mut loaded = None;
    for param in params.iter().map(|(param, _)| param) {
        let Some(name) = source(param.name()) else { continue };
        let loaded = loaded.get_or_insert_with(|| params.clone());
        let own = if name.ends_with(param.name()) { String::new() } else { format!(", for `{}`", param.name()) };
        match archive.tensor(&name) {
            Err(problem) => faults.add(|| format!("{problem}{own}")),
            Ok(value) if value.shape() != param.shape() => {
                faults.add(|| format!("`{name}` has shape {} for {}{own}", value.shape(), param.shape()));
            }
            Ok(value) => loaded.set(param, value),
        }
    }
    loaded
}
