//! Ctrl-C ends a run after the batch in progress, with a checkpoint and a line that says how to resume.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gradus_graph::{Params, Tensor};
use gradus_optim::Sgd;
use gradus_train::{Checkpoints, Ending, Trainer};

const FOLDER: &str = "GRADUS_INTERRUPT_FOLDER";

/// Trains for long, in the process that the other test starts.
#[test]
#[ignore = "a part of `ctrl_c_saves_the_run`"]
fn trains_until_it_is_interrupted() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("the other test names a folder"));
    let mut params: Params = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let mut trainer = Trainer::new(Sgd::new(1e-3), |graph, [x]| (graph.param(&w) * x).square())
        .checkpoints(Checkpoints::new(&folder).every_steps(1_000_000))
        .stop_on_ctrl_c()
        .on_event(|_| {
            std::fs::write(folder.join("started"), "").expect("the folder is there");
            std::ops::ControlFlow::Continue(())
        });
    let history = trainer.fit(&mut params, |_| std::iter::repeat(Tensor::scalar(1.0))).expect("it trains");
    assert_eq!(history.ending(), Some(Ending::Interrupted));
    // No run is in progress, so that Ctrl-C ends the process.
    std::fs::write(folder.join("ended"), "").expect("the folder is there");
    std::thread::sleep(Duration::from_secs(60));
}

/// Waits for a file.
fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn interrupt(process: u32) {
    let sent = Command::new("kill").args(["-INT", &process.to_string()]).status().expect("there is `kill`");
    assert!(sent.success());
}

#[test]
fn ctrl_c_saves_the_run() {
    let folder = std::env::temp_dir().join(format!("gradus-interrupt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let child = Command::new(std::env::current_exe().expect("the test has a file"))
        .args(["--ignored", "--exact", "trains_until_it_is_interrupted", "--nocapture"])
        .env(FOLDER, &folder)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a process can be started");
    wait_for(&folder.join("started"));
    interrupt(child.id());
    wait_for(&folder.join("ended"));
    interrupt(child.id());
    let output = child.wait_with_output().expect("the process ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    let checkpoint =
        Checkpoints::new(&folder).latest().expect("the folder is there").expect("a checkpoint was written");
    let line = format!("the checkpoint is {}, from which `Trainer::resume` continues", checkpoint.display());
    assert!(said.contains(&line), "{said}");
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}
