//! House rules that a machine can check.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["crates", "examples", "tests"] {
        sources(&root.join(folder), &mut found);
    }
    found
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    for path in all_sources() {
        let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
        let headed = text.starts_with("//!") || text.starts_with("#![doc = include_str!");
        assert!(headed, "{} has no header", path.display());
    }
}

#[test]
fn no_file_is_a_drawer() {
    for path in all_sources() {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        assert!(!["utils", "util", "common", "base", "helpers", "misc"].contains(&name.as_str()), "{}", path.display());
    }
}
