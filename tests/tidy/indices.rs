//! The index of every folder lists the folder's files; that of a crate or of a collection holds nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::sources;

/// Folders of many things of one kind, whose indices hold documentation, `mod` and `use` lines alone, as the roots of all
/// crates do. The index of another folder may define what the folder is about.
const COLLECTIONS: &[&str] = &[
    "graph/src/kernel",
    "graph/src/kernel/convolution",
    "minimize/src/search",
    "nn/src/attention",
    "nn/src/conv",
    "nn/src/norm",
    "nn/src/pool",
    "nn/src/recurrent",
    "optim/src/transforms",
];

/// Every folder of the crates' sources with its index.
fn indices() -> Vec<(String, PathBuf, PathBuf)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut found = Vec::new();
    sources(&crates, &mut found);
    let folders: BTreeSet<PathBuf> = found.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
    let mut indices = Vec::new();
    for folder in folders {
        let name = folder.strip_prefix(&crates).expect("it is within").to_string_lossy().into_owned();
        // The files of a folder of tests are programs of their own.
        if !name.contains("/src") {
            continue;
        }
        let candidates = ["lib.rs", "main.rs", "mod.rs"].map(|index| folder.join(index));
        let index = candidates.into_iter().chain([folder.with_extension("rs")]).find(|index| index.exists());
        indices.push((name.clone(), folder, index.unwrap_or_else(|| panic!("crates/{name} has no index"))));
    }
    indices
}

/// The module that a line declares in a file of its own.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
    let line = line.strip_prefix("pub(super) ").unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(';')
}

/// Whether it is a Rust file, or a folder with one.
fn holds_code(path: &Path) -> bool {
    let mut found = Vec::new();
    if path.is_dir() {
        sources(path, &mut found);
    }
    !found.is_empty() || path.extension().is_some_and(|extension| extension == "rs")
}

#[test]
fn every_index_lists_the_files_of_its_folder() {
    let all = indices();
    assert!(all.len() > 20, "few folders are found: {}", all.len());
    for (name, folder, index) in all {
        let text = std::fs::read_to_string(&index).expect("an index is UTF-8");
        let mut listed: Vec<&str> = text.lines().filter_map(declared).collect();
        listed.sort_unstable();
        let entries = std::fs::read_dir(&folder).expect("the folder can be listed").map(|entry| entry.unwrap().path());
        let modules = entries.filter(|path| *path != index && holds_code(path));
        let files: BTreeSet<String> =
            modules.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
        assert!(listed.iter().eq(files.iter()), "crates/{name}: the index lists {listed:?}, the folder has {files:?}");
    }
}

/// The first line of an index that is neither documentation nor declares or exports something.
fn first_code(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        let rest = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
        let is_use = rest.starts_with("use ");
        if is_use && !line.ends_with(';') {
            lines.by_ref().find(|line| line.ends_with(';'));
        }
        let is_module = declared(line).is_some() || (rest.starts_with("mod ") && rest.ends_with('{')) || line == "}";
        if !(line.starts_with("//") || line.starts_with("#[") || line.starts_with("#![") || is_use || is_module) {
            return Some(line);
        }
    }
    None
}

#[test]
fn an_index_of_a_crate_or_of_a_collection_holds_nothing_else() {
    let all = indices();
    for name in COLLECTIONS {
        assert!(all.iter().any(|(folder, ..)| folder == name), "crates/{name} is not there");
    }
    let is_bare = |name: &str, index: &Path| index.ends_with("lib.rs") || COLLECTIONS.contains(&name);
    for (name, _, index) in all.iter().filter(|(name, _, index)| is_bare(name, index)) {
        let text = std::fs::read_to_string(index).expect("an index is UTF-8");
        if let Some(line) = first_code(&text) {
            panic!("the index of crates/{name} holds code: {line}");
        }
    }
}
