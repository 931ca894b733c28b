//! House rules that a machine can check.

use std::path::{Path, PathBuf};

#[path = "tidy/indices.rs"]
mod indices;
#[path = "tidy/layers.rs"]
mod layers;

/// Adds the Rust files of a folder and of those within it.
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

/// The core asks ops for their form of work; it knows none by name.
#[test]
fn the_core_imports_no_op() {
    for stage in ["tape", "diff", "check", "plan", "kernel"] {
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/graph/src").join(stage), &mut found);
        for path in found {
            let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
            assert!(!text.contains("crate::ops"), "{} imports from the ops", path.display());
        }
    }
}

/// The options of rules, transforms, schedules and minimisers are builders whose result must be used.
#[test]
fn every_builder_must_be_used() {
    for crate_ in ["optim", "minimize"] {
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates").join(crate_).join("src"), &mut found);
        for path in found {
            let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for (i, line) in lines.iter().enumerate() {
                let builds = line.starts_with("pub fn ") && line.ends_with("-> Self {");
                if builds && (line.contains("(self") || line.contains("(mut self")) {
                    let attributes = lines[..i].iter().rev().take_while(|line| line.starts_with("#["));
                    assert!(attributes.clone().any(|line| *line == "#[must_use]"), "{}: {line}", path.display());
                }
            }
        }
    }
}

/// The crates, each before those that may depend on it.
const CRATES: [&str; 9] = ["graph", "linalg", "data", "nn", "optim", "minimize", "train", "gradus", "bench"];

#[test]
fn the_crates_depend_downward() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let count = std::fs::read_dir(&folder).expect("the crates are there").count();
    assert_eq!(count, CRATES.len(), "a crate has no rank in `CRATES`");
    for (rank, name) in CRATES.iter().enumerate() {
        let manifest = folder.join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).expect("a crate has a manifest");
        let dependencies = text.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
        for line in dependencies.unwrap_or_default().lines() {
            let Some(on) = line.split([' ', '.']).next().and_then(|on| on.strip_prefix("gradus-")) else { continue };
            assert!(CRATES[..rank].contains(&on), "crates/{name} depends on crates/{on}, which stands above it");
        }
    }
}

/// The names of an index's `pub use` lines, as far as they are types or traits.
fn public_types(index: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(index).expect("the index is there");
    let uses = text.split("\npub use ").skip(1).filter_map(|line| line.split(';').next());
    let names =
        uses.flat_map(|list| list.split(['{', '}', ',', ' ', '\n']).filter_map(|path| path.rsplit("::").next()));
    names.filter(|name| name.starts_with(char::is_uppercase)).map(str::to_owned).collect()
}

/// A type has one name, and a name one type, in all crates together.
#[test]
fn no_type_is_public_under_a_name_twice() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut seen = std::collections::BTreeMap::new();
    for name in CRATES.iter().filter(|name| !["gradus", "bench"].contains(name)) {
        let mut found = Vec::new();
        sources(&root.join(name).join("src"), &mut found);
        let is_index = |path: &PathBuf| path.ends_with("src/lib.rs") || path.ends_with("mod.rs");
        let text = std::fs::read_to_string(root.join(name).join("src/lib.rs")).expect("a crate has a root");
        for index in found.iter().filter(|path| is_index(path)) {
            let folder = index.parent().and_then(|folder| folder.file_name()).expect("a file is in a folder");
            let folder = folder.to_string_lossy().into_owned();
            let public =
                text.contains(&format!("pub mod {folder};")) || text.contains(&format!("pub use {folder}::*;"));
            if folder == "src" || public {
                for name in public_types(index) {
                    let before = seen.insert(name.clone(), index.clone());
                    assert!(
                        before.is_none(),
                        "`{name}` is public in {} and {}",
                        index.display(),
                        before.unwrap().display()
                    );
                }
            }
        }
    }
    assert!(seen.len() > 200, "few types are found: {}", seen.len());
}

/// `gradus` has few names at its root; the others are in its modules.
#[test]
fn the_root_of_the_facade_has_at_most_twenty_names() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/gradus/src/lib.rs");
    let text = std::fs::read_to_string(path).expect("the facade is there");
    let list = text.split("pub use gradus_graph::{").nth(1).and_then(|rest| rest.split('}').next()).expect("a list");
    let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    assert!((10..=20).contains(&names.len()), "{names:?}");
}

/// An op outside of the ops' folder is checked by a line in its own file, or in one beside it.
#[test]
fn every_op_of_another_crate_is_checked_in_its_file() {
    for path in all_sources() {
        let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
        let own = text.split("#[cfg(test)]").next().expect("a split has a first part");
        let name = path.display().to_string();
        if name.contains("crates/graph") || name.contains("/tests/") || name.contains("/examples/") {
            continue;
        }
        for line in own.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let Some((_, op)) = line.split_once("Pointwise for ").or_else(|| line.split_once("Op for ")) else {
                continue;
            };
            let op = op.trim_end_matches([' ', '{']);
            let checked = ["assert_op(", "assert_op_at(", "assert_samples(", "assert_entry("];
            let folder = path.parent().expect("a file is in a folder");
            let mut beside = Vec::new();
            sources(folder, &mut beside);
            let texts = beside.iter().map(|path| std::fs::read_to_string(path).expect("a source file is UTF-8"));
            let text: String = if folder.ends_with("src") { text.clone() } else { texts.collect() };
            let is_checked =
                text.lines().any(|line| checked.iter().any(|check| line.contains(check)) && line.contains(op));
            assert!(
                is_checked,
                "op {op} in {name} has no check: add `check::assert_op({op})` to the tests of its file"
            );
        }
    }
}

/// What the architecture page names is there.
#[test]
fn the_architecture_page_names_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).expect("the page is there");
    let named: Vec<&str> = page.split('`').filter(|word| word.starts_with("crates/")).collect();
    assert!(named.len() > 10, "the page names few paths: {named:?}");
    for path in named {
        assert!(root.join(path).exists(), "docs/architecture.md names {path}, which is not there");
    }
}

/// The names that an index exports, but for options and the terms of losses.
fn exported(index: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/nn/src").join(index);
    let text = std::fs::read_to_string(path).expect("the index is there");
    let lists = text.split("\npub use ").skip(1).filter_map(|use_| use_.split(';').next()?.split_once("::"));
    let names = lists.flat_map(|(_, list)| list.split(['{', '}', ',']).map(|name| name.trim().to_owned()));
    names
        .filter(|name| !name.is_empty() && name != "*" && !name.ends_with("Options") && !name.ends_with("_terms"))
        .collect()
}

/// Every layer and loss stands on its page, and no other does.
#[test]
fn the_page_of_layers_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/layers.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let names: Vec<String> = ["lib.rs", "loss/mod.rs", "pool/mod.rs"].into_iter().flat_map(exported).collect();
    for name in &names {
        assert!(page.contains(&format!("`{name}`")), "docs/layers.md has no `{name}`");
    }
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.split('|').nth(1).expect("a row has cells");
        for name in cell.split('`').skip(1).step_by(2) {
            assert!(names.iter().any(|known| known == name), "docs/layers.md has `{name}`, which is not exported");
        }
    }
}
