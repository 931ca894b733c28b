//! A file takes memory in proportion to its size, whatever its header promises.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufWriter, Write};

use gradus_graph::Params;
use gradus_train::weights;

/// The most MiB that this process has ever held.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("the system tells");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it tells the peak");
    peak.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of KiB") >> 10
}

#[test]
fn a_header_of_a_million_empty_arrays() {
    let path = std::env::temp_dir().join(format!("gradus-million-{}", std::process::id()));
    let array = |number: usize| {
        let comma = if number == 0 { "" } else { "," };
        format!(r#"{comma}"p{number:07}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)
    };
    let length = 2 + (0..1_000_000).map(|number| array(number).len()).sum::<usize>();
    let mut file = BufWriter::new(fs::File::create(&path).expect("the file can be made"));
    file.write_all(&(length as u64).to_le_bytes()).expect("it can be written");
    file.write_all(b"{").expect("it can be written");
    (0..1_000_000).for_each(|number| file.write_all(array(number).as_bytes()).expect("it can be written"));
    file.write_all(b"}").expect("it can be written");
    drop(file);
    let mut params: Params = Params::new(0);
    let error = weights::load(&path, &mut params).expect_err("there are no such parameters").to_string();
    assert!(error.ends_with("`p0000019` is no parameter of the store; … and 999980 more"), "{error}");
    fs::remove_file(&path).expect("the file can be removed");
    let (peak, size) = (peak(), length >> 20);
    assert!(peak < 6 * size, "{peak} MiB for a file of {size} MiB");
}
