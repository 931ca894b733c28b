//! What is a record of a CSV file, and how long tables of many columns take.

#![cfg(feature = "csv")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use gradus_data::{Column, Csv, Table};
use gradus_graph::Tensor;

/// Ten rows of that many columns.
fn wide(columns: usize) -> (Vec<String>, Vec<u8>) {
    let names: Vec<String> = (0..columns).map(|k| format!("column {k}")).collect();
    let mut file = names.join(",") + "\n";
    for row in 0..10 {
        (0..columns).for_each(|k| write!(file, "{}{}.5", if k == 0 { "" } else { "," }, row + k).unwrap());
        file.push('\n');
    }
    (names, file.into_bytes())
}

/// The shortest of three runs.
fn shortest(run: impl Fn()) -> Duration {
    let time = || {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..3).map(|_| time()).min().expect("there are three")
}

/// What is done with twenty times the columns takes less than two hundred times as long; if it looked through all columns
/// for each, it would take more than three hundred times as long.
#[test]
fn the_time_grows_as_the_columns_do() {
    type Step = fn(&[&str], &[u8], &Table);
    let steps: [(&str, Step); 4] = [
        ("read declared columns", |names, file, _| {
            let csv = names.iter().fold(Csv::new(), |csv, name| csv.number(name));
            drop(csv.decode(file).unwrap());
        }),
        ("take numbers", |names, _, table| drop(table.numbers::<f32>(names).unwrap())),
        ("choose columns", |names, _, table| {
            let schema = table.schema();
            assert_eq!(schema.only(names).unwrap().columns().len(), names.len());
            assert_eq!(schema.without(names).unwrap().columns().len(), 0);
        }),
        ("make a table", |names, _, _| {
            let columns = names.iter().map(|&name| (name.to_owned(), Column::Number(Tensor::from([1.0]))));
            drop(Table::new(columns).unwrap());
        }),
    ];
    let times = |columns: usize| {
        let (names, file) = wide(columns);
        let names: Vec<&str> = names.iter().rev().map(String::as_str).collect();
        let table = Csv::new().decode(&file).unwrap();
        steps.map(|(_, step)| shortest(|| step(&names, &file, &table)))
    };
    let (few, many) = (times(1_000), times(20_000));
    for ((step, _), (few, many)) in steps.iter().zip(few.iter().zip(&many)) {
        println!("{step}: {few:?} for 1,000 columns, {many:?} for 20,000");
    }
    for ((step, _), (few, many)) in steps.iter().zip(few.iter().zip(&many)) {
        assert!(*many < 200 * *few, "{step}: {few:?} for 1,000 columns, {many:?} for 20,000");
    }
}

/// As pandas reads them, also in a file of one column, where an empty line could be an empty cell.
#[test]
fn an_empty_line_is_no_record() {
    let numbers = |file: &[u8]| {
        let table = Csv::new().decode(file).unwrap();
        let Column::Number(numbers) = table.column("x").unwrap() else { panic!("{table:?}") };
        numbers.data().iter().map(|number| (!number.is_nan()).then_some(*number)).collect::<Vec<_>>()
    };
    for file in ["x\n1.5\n\n2\n", "\n\nx\n1.5\n2\n\n\n", "x\r\n1.5\r\n\r\n2\r\n", "x\n1.5\n\n2"] {
        assert_eq!(numbers(file.as_bytes()), [Some(1.5), Some(2.0)], "{file:?}");
    }
    for missing in ["\"\"", "NA", " "] {
        let file = format!("x\n1.5\n{missing}\n\n2\n");
        assert_eq!(numbers(file.as_bytes()), [Some(1.5), None, Some(2.0)], "{file:?}");
    }
    let table = Csv::new().decode(b"x\n1.5\nNA\n").unwrap();
    assert_eq!(Csv::new().encode(&table), b"x\n1.5\n\"\"\n");
}
