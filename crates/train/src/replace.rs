//! Writing a file so that it is complete or is not changed.

use std::fs::{File, create_dir_all, remove_file, rename};
use std::io::{Error, Write};
use std::path::Path;

/// Puts the bytes into a file beside the path, makes sure that they are on the disk, and renames it to the path; makes
/// the folder if it is not there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let said = |problem: Error| Error::new(problem.kind(), format!("{}: {problem}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir_all(folder).map_err(said)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let mut file = File::create(&temporary).map_err(said)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.and_then(|()| rename(&temporary, path)).map_err(|problem| {
        // Nothing more can be done about a temporary file that cannot be removed.
        let _ = remove_file(&temporary);
        said(problem)
    })
}
