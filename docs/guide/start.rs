// What the blocks of docs/guide.md are given when they run as tests: the crate of the guide, a folder with the table in
// it, and the comparison of their pictures with those beside the page.

use std::path::PathBuf;

pub mod penguins {
    include!("lib.rs");
}

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide");

/// The folder in which a block runs. It is removed at the end.
pub struct Folder(PathBuf);

pub fn start() -> Folder {
    let folder = std::env::temp_dir().join(format!("gradus-guide-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    std::fs::copy(format!("{GUIDE}/penguins.csv"), folder.join("penguins.csv")).expect("the table can be copied");
    std::env::set_current_dir(&folder).expect("the folder is there");
    Folder(folder)
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::env::set_current_dir(std::env::temp_dir());
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compares a picture that the block has made with the one beside the page.
pub fn compare(picture: &str) {
    let (path, found) = (format!("{GUIDE}/{picture}"), std::fs::read_to_string(picture).expect("there is a picture"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, found).expect("the picture can be written");
        return;
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let command = "UPDATE=1 cargo test -p gradus --doc tutorial";
    assert!(alike(&kept, &found), "docs/guide/{picture} is not current; `{command}` rewrites it");
}

/// Whether two pictures differ in their numbers alone, by a pixel or 2 % at most: products round as the processor has
/// it, and training goes on from there.
fn alike(a: &str, b: &str) -> bool {
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let words = |text: &str| text.replace(number, "");
    let numbers =
        |text: &str| -> Vec<f64> { text.split(|c| !number(c)).filter_map(|part| part.parse().ok()).collect() };
    let (first, second) = (numbers(a), numbers(b));
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1.0_f64.max(0.02 * a.abs().max(b.abs()));
    words(a) == words(b) && first.len() == second.len() && first.iter().zip(&second).all(near)
}
