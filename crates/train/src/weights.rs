//! The parameters of a model in a safetensors file, under their own names: what PyTorch and others call a state dict.

use std::io::Error;
use std::path::Path;

use gradus_graph::{Params, Real};

use crate::archive::{Archive, wrong};

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
/// If the file cannot be read or is malformed, or if a parameter is missing, unexpected, of another shape or of a larger
/// type: the error lists all of it, and no parameter was changed.
pub fn load<T: Real>(path: impl AsRef<Path>, params: &mut Params<T>) -> Result<(), Error> {
    let archive = Archive::read(path.as_ref())?;
    *params = take(&archive, "", params).map_err(|problem| wrong(path.as_ref(), &problem))?;
    Ok(())
}

/// Puts the parameters into an archive, with a prefix before their names.
pub(crate) fn put<T: Real>(archive: &mut Archive, prefix: &str, params: &Params<T>) {
    for (param, value) in params.iter() {
        archive.put_tensor(format!("{prefix}{}", param.name()), value);
    }
}

/// The store with the values that the archive has under that prefix.
pub(crate) fn take<T: Real>(archive: &Archive, prefix: &str, params: &Params<T>) -> Result<Params<T>, String> {
    let mut loaded = params.clone();
    let mut problems = Vec::new();
    for param in params.iter().map(|(param, _)| param) {
        match archive.tensor(&format!("{prefix}{}", param.name())) {
            Err(problem) => problems.push(problem),
            Ok(value) if value.shape() != param.shape() => {
                problems.push(format!("`{}` has shape {} for {}", param.name(), value.shape(), param.shape()));
            }
            Ok(value) => loaded.set(param, value),
        }
    }
    let unexpected = archive.names(prefix).filter(|name| params.find(name).is_none());
    problems.extend(unexpected.map(|name| format!("`{prefix}{name}` is no parameter of the store")));
    if problems.is_empty() { Ok(loaded) } else { Err(problems.join("; ")) }
}
