//! The layers of `crates/graph`: none uses what is defined in one above it, neither by path nor by method.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sources;

/// The files and folders of `crates/graph/src`, each group before those that may use it; `docs/architecture.md` has the
/// same order.
const LAYERS: &[&[&str]] = &[
    &["error", "setting", "xml"],
    &["shape"],
    &["real", "kernel"],
    &["tensor"],
    &["params", "random"],
    &["tape", "axes"],
    &["ops"],
    &["diff"],
    &["plan"],
    &["check", "picture", "portable", "saved_op", "eager", "grad", "closure"],
];

/// Upward uses that are meant: the file, the method or the layer that it names, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("tape/op/pointwise.rs", "cotangent_times", "the vjp of an elementwise function is written once, in graph ops"),
    ("tape/leaves.rs", "broadcast_to", "a tensor of one number is recorded as a scalar that is repeated"),
    ("tape/operand.rs", "broadcast_with", "operators of variables are recorded as ops"),
    ("tape/operand.rs", "pow_var", "operators of variables are recorded as ops"),
    ("tensor/any.rs", "tape", "kind and shape of a value are defined beside the ops that state them"),
];

/// Methods of std with the name of a method of ours, as far as lower layers call them.
const STD: &[&str] = &[
    "chunks",
    "clamp",
    "extend",
    "filter",
    "find",
    "from_fn",
    "from_slice",
    "get_mut",
    "iter_mut",
    "iter",
    "parse",
    "powi",
    "take",
    "windows",
];

/// The text without comments, and without what is compiled for tests alone.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        if bare.starts_with("//") {
            continue;
        }
        if !(bare.starts_with("#[cfg(") && bare.contains("test")) {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        // The item that follows ends with a semicolon in its first line, or with the brace that closes it.
        let indent = &line[..line.len() - bare.len()];
        let mut first = true;
        for line in lines.by_ref() {
            let inner = line.strip_prefix(indent).unwrap_or(line);
            if inner.starts_with("#[") || inner.starts_with("//") {
                continue;
            }
            let at_once = first && (inner.ends_with(';') || (inner.ends_with('}') && inner.contains('{')));
            if at_once || inner.starts_with('}') {
                break;
            }
            first = false;
        }
    }
    code
}

/// Whether the index beside a file declares it for tests alone.
fn is_test_only(path: &Path) -> bool {
    let (folder, stem) = (path.parent().expect("a file is in a folder"), path.file_stem().expect("a file has a name"));
    let indices = ["mod.rs", "lib.rs"].map(|index| folder.join(index)).into_iter().chain([folder.with_extension("rs")]);
    indices.filter_map(|index| std::fs::read_to_string(index).ok()).any(|index| {
        let declared = format!("mod {};", stem.to_string_lossy());
        let lines: Vec<&str> = index.lines().collect();
        lines.windows(2).any(|pair| pair[0].starts_with("#[cfg(") && pair[0].contains("test") && pair[1] == declared)
    })
}

/// A file of the crate: its path within `src`, the rank of its layer and its code.
struct Source {
    path: String,
    rank: usize,
    code: String,
}

fn rank_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|group| group.contains(&name))
}

fn crate_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/graph/src");
    let mut found: Vec<PathBuf> = Vec::new();
    sources(&root, &mut found);
    let mut read = Vec::new();
    for file in found.into_iter().filter(|file| !is_test_only(file)) {
        let path = file.strip_prefix(&root).expect("it is within").to_string_lossy().into_owned();
        let layer = path.split('/').next().expect("a path has a first part").trim_end_matches(".rs").to_owned();
        if layer == "lib" {
            continue;
        }
        let rank = rank_of(&layer).unwrap_or_else(|| panic!("`{layer}` of crates/graph/src has no place in `LAYERS`"));
        let text = std::fs::read_to_string(&file).expect("a source file is UTF-8");
        read.push(Source { path, rank, code: code_of(&text) });
    }
    read
}

/// The identifier that the text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    &text[..end]
}

/// The names of the functions that a text defines.
fn defined(code: &str) -> impl Iterator<Item = &str> {
    code.split("fn ").skip(1).map(word).filter(|name| !name.is_empty())
}

/// The names of the methods in the inherent impls of a file that other folders can call.
fn methods(code: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in code.lines() {
        match line {
            "}" => inside = false,
            line if line.starts_with("impl") => inside = !line.replace("for<", "").contains(" for "),
            line if inside => {
                let line = line.trim_start();
                let shared = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) "));
                names.extend(
                    shared
                        .filter(|line| !line.starts_with("const ") || line.contains(" fn "))
                        .and_then(|line| defined(line).next()),
                );
            }
            _ => {}
        }
    }
    names
}

/// The names of the methods and functions that a text calls with a dot or a path before them.
fn called(code: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(['.', ':']) {
        let name = word(&code[at + 1..]);
        let after = &code[at + 1 + name.len()..];
        if !name.is_empty() && (after.starts_with('(') || after.starts_with("::<")) {
            names.insert(name);
        }
    }
    names
}

/// The modules of the crate that a text names by path.
fn named(code: &str) -> impl Iterator<Item = &str> {
    code.split("crate::").skip(1).map(word)
}

fn is_allowed(path: &str, name: &str) -> bool {
    ALLOWED.iter().any(|(file, allowed, _)| *file == path && *allowed == name)
}

#[test]
fn no_layer_names_one_above_it() {
    let mut wrong = BTreeSet::new();
    for Source { path, rank, code } in crate_sources() {
        for module in named(&code) {
            // A name that the root re-exports could come from anywhere.
            if rank_of(module).unwrap_or(LAYERS.len() - 1) > rank && !is_allowed(&path, module) {
                wrong.insert(format!("{path} names `crate::{module}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "what stands above a layer, or is no layer, is named in crates/graph/src: {wrong:#?}");
}

#[test]
fn no_layer_calls_a_method_that_is_defined_above_it() {
    let all = crate_sources();
    // Of names that several layers define it cannot be said which one is called.
    let mut ranks: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for source in &all {
        for name in defined(&source.code) {
            ranks.entry(name).or_default().insert(source.rank);
        }
    }
    let mut home: BTreeMap<&str, &Source> = BTreeMap::new();
    for source in &all {
        home.extend(methods(&source.code).into_iter().filter(|name| ranks[name].len() == 1).map(|name| (name, source)));
    }
    assert!(home.len() > 100, "few methods are found: {}", home.len());
    let (mut used, mut wrong) = (BTreeSet::new(), BTreeSet::new());
    for Source { path, rank, code } in &all {
        for name in called(code) {
            let Some(upper) = home.get(name).filter(|upper| upper.rank > *rank && !STD.contains(&name)) else {
                continue;
            };
            used.insert((path.as_str(), name));
            if !is_allowed(path, name) {
                wrong.insert(format!("{path} calls `{name}` of {}", upper.path));
            }
        }
    }
    assert!(wrong.is_empty(), "methods that are defined above a layer are called in crates/graph/src: {wrong:#?}");
    for (path, name, _) in ALLOWED.iter().filter(|(_, name, _)| rank_of(name).is_none()) {
        assert!(used.contains(&(*path, *name)), "`ALLOWED` has {name} in {path}, which nothing needs");
    }
}

/// The page tells the same order as [`LAYERS`].
#[test]
fn the_architecture_page_has_the_order_of_the_layers() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let groups: Vec<String> = LAYERS
        .iter()
        .map(|group| group.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        .collect();
    let order = groups.join(" < ");
    assert!(page.contains(&order), "docs/architecture.md lacks the order of the layers: {order}");
}

#[test]
fn what_is_for_tests_alone_is_left_out() {
    let text = "use a;\n#[cfg(test)]\nuse b;\n    #[cfg(any(test, feature = \"proptest\"))]\n    impl C {\n        d;\n    }\n\
                // e\nf;\n#[cfg(test)]\nmod g {\n    h;\n}\ni;\n";
    assert_eq!(code_of(text), "use a;\nf;\ni;\n");
    assert_eq!(
        methods("impl<T> A<T> {\n    pub fn b(&self) {}\n    fn c() {}\n}\nimpl D for E {\n    pub fn f() {}\n}\n"),
        ["b"].into()
    );
    assert_eq!(called("x.a(1).b + C::d::<u8>() + e(2)"), ["a", "d"].into());
}
