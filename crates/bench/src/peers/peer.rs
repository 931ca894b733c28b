//! Another library in a process of its own, which answers requests: one JSON object a line, as `peer.py` says.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The files of the other side, by their names.
const PROGRAM: [(&str, &str); 4] = [
    ("peer.py", include_str!("peer.py")),
    ("sample.py", include_str!("sample.py")),
    ("torch_peer.py", include_str!("torch_peer.py")),
    ("jax_peer.py", include_str!("jax_peer.py")),
];

/// Numbers of a result by their names.
pub(super) type Numbers = BTreeMap<String, Vec<f64>>;

/// Writes the program into a folder.
pub(super) fn unpack(folder: &Path) -> Result<(), Box<dyn Error>> {
    for (name, text) in PROGRAM {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// A library that answers.
pub(super) struct Peer {
    /// As tables call it.
    pub(super) title: &'static str,
    pub(super) version: String,
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a library on a number of threads, by a program that is given a script or is none; the reason instead if
    /// it is not installed.
    ///
    /// # Errors
    /// If the process cannot be started, or ends without an answer.
    pub(super) fn start(
        program: &str,
        script: Option<&Path>,
        (title, library): (&'static str, &str),
        threads: usize,
    ) -> Result<Result<Self, String>, String> {
        let mut command = Command::new(program);
        command.args(script).arg(library).arg(threads.to_string()).env("RAYON_NUM_THREADS", threads.to_string());
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|problem| format!("`{program}` could not be started: {problem}"))?;
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().ok_or("the process has no output")?);
        let mut peer = Self { title, version: String::new(), process, requests, answers };
        let first = peer.answer()?;
        if let Some(reason) = first["missing"].as_str() {
            return Ok(Err(reason.to_owned()));
        }
        let version = first["ready"].as_str().ok_or_else(|| peer.strange(&first))?;
        version.clone_into(&mut peer.version);
        Ok(Ok(peer))
    }

    /// The ways in which the library does a workload, none if it does not have it.
    pub(super) fn set_up(&mut self, workload: &str, file: &Path) -> Result<Vec<String>, String> {
        let answer = self.ask(&json!({ "do": "setup", "workload": workload, "file": file }))?;
        serde_json::from_value(answer["variants"].clone()).map_err(|_| self.strange(&answer))
    }

    /// What each way computes from the initial values.
    pub(super) fn check(&mut self) -> Result<BTreeMap<String, Numbers>, String> {
        let answer = self.ask(&json!({ "do": "check" }))?;
        serde_json::from_value(answer.clone()).map_err(|_| self.strange(&answer))
    }

    /// The seconds for one unit of work, of as many.
    pub(super) fn time(&mut self, variant: &str, repeat: usize) -> Result<f64, String> {
        let answer = self.ask(&json!({ "do": "time", "variant": variant, "repeat": repeat }))?;
        answer["seconds"].as_f64().ok_or_else(|| self.strange(&answer))
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let requests = self.requests.as_mut().ok_or("the process takes no more requests")?;
        let sent = writeln!(requests, "{request}").and_then(|()| requests.flush());
        sent.map_err(|problem| format!("{} takes no request: {problem}", self.title))?;
        let answer = self.answer()?;
        match answer["error"].as_str() {
            Some(trace) => Err(format!("{} fails:\n{}", self.title, trace.trim_end())),
            None => Ok(answer),
        }
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(format!("{} ended without an answer", self.title)),
            Ok(_) => serde_json::from_str(&line).map_err(|_| self.strange(&line.trim_end().into())),
            Err(problem) => Err(format!("the answer of {} cannot be read: {problem}", self.title)),
        }
    }

    fn strange(&self, answer: &Value) -> String {
        format!("{} gave an answer that is not understood: {answer}", self.title)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends when its input does; a process that has ended already is no fault.
        drop(self.requests.take());
        let _ = self.process.wait();
    }
}
