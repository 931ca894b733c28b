//! Regular files: what is read here may be read twice, and has an end.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{DataError, Problem};

/// The file, open for reading.
pub(crate) fn open(path: &Path) -> Result<File, DataError> {
    let open = || match path.metadata()? {
        metadata if metadata.is_file() => File::open(path),
        metadata if metadata.is_dir() => Err(io::Error::other("it is a folder, not a regular file")),
        _ => Err(io::Error::other("it is a device, a pipe or a socket, not a regular file")),
    };
    open().map_err(|error| DataError::new(path, Problem::Io(error)))
}

/// The bytes of the file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    open(path)?;
    std::fs::read(path).map_err(|error| DataError::new(path, Problem::Io(error)))
}
