//! The protocol, with peers that are scripts of the shell.

use std::os::unix::fs::PermissionsExt;

use super::*;

const WORKLOAD: Workload = Workload::new("W0", "a millisecond", Some([9.0, 9.0]), || Work {
    arrays: BTreeMap::new(),
    numbers: [("out.0".to_owned(), vec![1.0, -0.5])].into(),
    limit: Limit::None,
    run: Box::new(|| sleep(Duration::from_millis(1))),
});

fn programs(python: &str) -> Programs<'_> {
    Programs { python, candle: Some(python) }
}

/// The outcome of the workload beside peers that answer by the lines of a script.
fn raced(part: &str, script: &str) -> (String, bool) {
    let folder = Folder::new(part);
    let path = folder.join("python");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the script is written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("the script is a program");
    let mut race = Race::new(&folder).expect("there is a folder");
    let mut peers = race.start(programs(&path.to_string_lossy()), 1).expect("the peers start");
    race.row(&WORKLOAD, 1, &mut peers).expect("there is a row");
    drop(peers);
    let (table, is_right) = race.end();
    (table.to_string(), is_right)
}

/// A script that answers requests by these commands.
fn answering(check: &str, time: &str) -> String {
    format!(
        r#"echo '{{"ready":"1.0"}}'
        while read line; do case "$line" in
            *setup*) echo '{{"variants":["eager","fused"]}}';;
            *check*) {check};;
            *) {time};;
        esac; done"#
    )
}

const SAME: &str = r#"echo '{"eager":{"out.0":[1,-0.5]},"fused":{"out.0":[1.00005,-0.5]}}'"#;

#[test]
fn the_best_way_of_a_peer_counts() {
    let time = r#"case "$line" in *fused*) echo '{"seconds":0.5}';; *) echo '{"seconds":0.25}';; esac"#;
    let (table, is_right) = raced("peers-best", &answering(SAME, time));
    assert!(is_right && table.contains("250000"), "{table}");
    assert!(table.contains("PyTorch, eager: W0, 1t") && table.contains("JAX 1.0"), "{table}");
    assert!(table.contains("candle, eager: W0, 1t"), "{table}");
    assert!(table.contains("5.00000e-5") && !table.contains("fused"), "{table}");
}

#[test]
fn what_differs_is_not_timed() {
    let check = r#"echo '{"eager":{"out.0":[1,-0.5]},"fused":{"out.0":[1,-0.4]}}'"#;
    let (table, is_right) = raced("peers-differ", &answering(check, r#"echo '{"seconds":0.001}'"#));
    let fault = "W0, 1 thread: JAX (fused): `out.0` has -4e-1 where Gradus has -5e-1: 1.0e-1 of the largest number";
    assert!(!is_right && table.contains(fault) && table.contains("below the goal: W0"), "{table}");
    for numbers in ["", r#""out.0":[1]"#] {
        let check = format!(r#"echo '{{"eager":{{{numbers}}}}}'"#);
        let (table, is_right) = raced("peers-lack", &answering(&check, "exit"));
        assert!(!is_right && table.contains("`out.0` is missing, or has another number of numbers"), "{table}");
    }
}

#[test]
fn a_fault_of_a_peer_is_shown() {
    let cases = [
        (answering(r#"printf '%s\n' '{"error":"Traceback\nno memory"}'"#, ""), "PyTorch fails:\nTraceback\nno memory"),
        (answering("exit", ""), "W0, 1 thread: PyTorch ended without an answer"),
        (answering("echo hello", ""), "PyTorch gave an answer that is not understood: \"hello\""),
        (answering(SAME, "exit"), "W0, 1 thread: JAX ended without an answer"),
        (answering(SAME, "echo '{}'"), "JAX gave an answer that is not understood: {}"),
    ];
    for (script, fault) in cases {
        let (table, is_right) = raced("peers-fault", &script);
        assert!(!is_right && table.contains(fault), "{table}");
    }
}

#[test]
fn a_library_that_is_not_installed_is_left_out() {
    let (table, is_right) = raced("peers-missing", r#"echo '{"missing":"no module"}'"#);
    assert!(is_right && table.contains("PyTorch is left out: no module"), "{table}");
}

#[test]
fn what_does_not_start_is_an_error() {
    let problem = run(programs("no-such-python"), &["W5"]).err().expect("it is an error").to_string();
    assert!(problem.contains("`no-such-python` could not be started"), "{problem}");
    let problem = run(programs("python3"), &["W0"]).err().expect("it is an error").to_string();
    assert_eq!(problem, "there is no workload `W0`: they are W1 to W18");
}
