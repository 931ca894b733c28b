//! The guide shows the programs that its tests run, and each of its pictures is there.

use std::path::Path;

/// A file of `docs`.
fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

/// The block that serves is compiled with the programs of `docs/guide`; the reader has those of the page.
#[test]
fn the_programs_of_the_guide_are_those_of_its_folder() {
    let shown: Vec<String> =
        read("guide.md").lines().filter(|line| !line.starts_with("# ")).map(str::to_owned).collect();
    let shown = shown.join("\n");
    for name in ["guide/lib.rs", "guide/train.rs"] {
        let block = format!("```rust\n{}```\n", read(name));
        assert!(shown.contains(&block), "docs/guide.md has no block that is docs/{name}");
    }
}

#[test]
fn the_pictures_of_the_guide_are_there() {
    let page = read("guide.md");
    let pictures: Vec<&str> = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let pictures: Vec<&str> = pictures.into_iter().filter(|target| target.ends_with(".svg")).collect();
    assert!(pictures.len() >= 3, "{pictures:?}");
    for picture in pictures {
        let name = picture.strip_prefix("guide/").expect("pictures are in docs/guide");
        assert!(read(picture).starts_with("<svg"), "docs/{picture}");
        assert!(page.contains(&format!("guide::compare(\"{name}\")")), "no block makes docs/{picture}");
    }
}
