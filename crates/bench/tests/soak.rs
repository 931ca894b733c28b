//! The parts of `gradus-bench soak`, in short.

use std::process::Command;

/// Runs a part; nothing may be wrong.
#[track_caller]
fn soak(options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gradus-bench")).arg("soak").args(options).output();
    let output = output.expect("the program can be started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[test]
fn damaged_files() {
    let table = soak(&["--files", "700"]);
    for reader in ["IDX ", "IDX, then gzip", "gzip of IDX", "folder of MNIST", "weights", "some weights", "checkpoint"]
    {
        assert!(table.lines().any(|line| line.starts_with(reader)), "{reader} is not in\n{table}");
    }
}

#[test]
fn damaged_models() {
    soak(&["--models", "600"]);
}

#[test]
fn killed_runs() {
    soak(&["--kills", "2"]);
}

#[test]
fn savers_beside_readers() {
    soak(&["--saves", "12"]);
}

#[test]
fn ever_other_lengths() {
    let table = soak(&["--steps", "100"]);
    assert!(table.contains("all traces kept: 4 traces"), "{table}");
}

#[test]
fn wrong_options() {
    for options in [&["--files"][..], &["--files", "x"], &["--steps", "1", "--else", "2"], &["--json"]] {
        let status = Command::new(env!("CARGO_BIN_EXE_gradus-bench")).arg("soak").args(options).output();
        assert_eq!(status.expect("the program can be started").status.code(), Some(2), "{options:?}");
    }
}
