//! Our layers and losses against PyTorch: outputs, all gradients and the buffers that training leaves, in double
//! precision.
//!
//! PyTorch's results are in `cases/`, one file a family, so that these tests need no Python; `cases.py` writes the files.
//! `cargo test --test pytorch -- --ignored` computes the cases anew, from another seed, with `python3` or the interpreter
//! that `GRADUS_PYTHON` names.

mod attention;
mod case;
mod convolution;
mod ctc;
mod loss;
mod norm;
mod other;
mod recurrent;
mod state;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use case::{Case, compare};

/// What may lie between PyTorch's numbers and ours, beside `1 + |theirs|`.
const BOUND: f64 = 1e-10;

type Family = (&'static str, fn() -> Vec<Case>);

const FAMILIES: [Family; 7] = [
    ("attention", attention::cases),
    ("convolution", convolution::cases),
    ("ctc", ctc::cases),
    ("loss", loss::cases),
    ("norm", norm::cases),
    ("other", other::cases),
    ("recurrent", recurrent::cases),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch")
}

/// Says it on the terminal also where the test passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Compares every family with the files of a folder.
fn compare_all(files: &Path, with: &str) {
    let (mut cases, mut largest) = (0, (0.0, String::new()));
    for (family, own) in FAMILIES {
        let found = compare(&files.join(format!("{family}.safetensors")), &own(), BOUND);
        say(&format!(
            "{family}: {} cases, largest difference {:.1e} ({})",
            found.cases, found.largest.0, found.largest.1
        ));
        cases += found.cases;
        if found.largest.0 >= largest.0 {
            largest = found.largest;
        }
    }
    say(&format!("{with}: {cases} cases, largest difference {:.1e} ({})", largest.0, largest.1));
}

#[test]
fn recorded_cases() {
    compare_all(&folder().join("cases"), "PyTorch, recorded");
}

#[test]
#[ignore = "needs Python with torch"]
fn fresh_cases() {
    let python = std::env::var("GRADUS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let version = Command::new(&python).args(["-c", "import torch; print(torch.__version__)"]).output();
    let version = version.ok().filter(|output| output.status.success());
    let version =
        version.unwrap_or_else(|| panic!("`{python}` has no torch; `GRADUS_PYTHON` names another interpreter"));
    let files = std::env::temp_dir().join(format!("gradus-pytorch-{}", std::process::id()));
    let script = Command::new(&python)
        .arg(folder().join("cases.py"))
        .args(["--seed", "1", "--out"])
        .arg(&files)
        .output()
        .expect("the interpreter ran before");
    assert!(script.status.success(), "cases.py failed: {}", String::from_utf8_lossy(&script.stderr));
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    compare_all(&files, &format!("PyTorch {version}, fresh"));
    let tensors = state::exchange(&python, &folder().join("state.py"), &files);
    say(&format!("{tensors} tensors of ten layers went to PyTorch's state dicts and back"));
    std::fs::remove_dir_all(&files).expect("the folder can be removed");
}
