//! The study in its quick form, and the page that its full form wrote.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::report::{Block, DEFINITIONS, Finding, INTRODUCTION, Report, TITLE};
use crate::study::Study;
use crate::{DOCS, Options, parts, report_of};

/// The quick form, run once for all tests.
fn quick() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| report_of(&Study::new(true, false), |_| true).expect("every part runs"))
}

fn finding(claim: &str) -> &'static Finding {
    let findings = quick().parts.iter().flat_map(|(_, part)| &part.findings);
    findings.into_iter().find(|finding| finding.claim == claim).unwrap_or_else(|| panic!("no part tests that {claim}"))
}

#[test]
fn every_part_is_whole() {
    assert_eq!(parts::ALL.len(), 13);
    for (number, part) in &quick().parts {
        let title = part.title;
        for (name, text) in [("setup", part.setup.as_str()), ("expectation", part.expected), ("explanation", part.why)]
        {
            assert!(text.ends_with(['.', ';']) && text.len() > 60, "part {number}, {title}: the {name} is {text:?}");
        }
        let tables = part.blocks.iter().filter(|block| matches!(block, Block::Table { .. })).count();
        let pictures = part.blocks.len() - tables;
        assert!(tables > 0 && pictures > 0, "part {number}, {title}: {tables} tables, {pictures} pictures");
        assert!(part.findings.len() >= 3, "part {number}, {title}: {} findings", part.findings.len());
        for Finding { claim, measured, .. } in &part.findings {
            let figures = measured.chars().any(|character| character.is_ascii_digit());
            assert!(figures && measured.ends_with('.'), "part {number}, {title}: {measured:?} has no figure");
            assert!(!claim.ends_with('.'), "part {number}, {title}: {claim:?} ends with a full stop");
        }
    }
    let text = quick().to_markdown();
    for wrong in ["NaN", "inf "] {
        let line = text.lines().find(|line| line.contains(wrong));
        assert!(line.is_none(), "{wrong:?} in: {}", line.unwrap_or_default());
    }
}

/// The shape of the results that no number of seeds or steps changes.
#[test]
fn what_must_hold_holds() {
    for claim in MUST_HOLD {
        let Finding { holds, measured, .. } = finding(claim);
        assert!(holds, "{claim}: {measured}");
    }
    for claim in MUST_NOT_HOLD {
        let Finding { holds, measured, .. } = finding(claim);
        assert!(!holds, "{claim}: {measured}");
    }
}

const MUST_HOLD: &[&str] = &[
    "momentum needs fewer steps than plain gradient descent, each at its best rate",
    "the best learning rates of the rules differ by more than a factor of ten",
    "a rate of 0.001 or less does not arrive in this time",
    "a large rate oscillates: the loss rises more often at 3 than at 0.1",
    "the gradient says what changing one weight will do",
    "the start matters less in a wider network",
];

const MUST_NOT_HOLD: &[&str] =
    &["one pass over the data is enough", "every step moves every weight", "weights are updated in the forward pass"];

/// The same bytes on one thread and on three, which no second run could tell from luck.
#[test]
fn two_runs_write_the_same_page() {
    let page = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        let study = Study::new(true, false);
        pool.install(|| report_of(&study, |number| [5, 8].contains(&number))).expect("the parts run").to_html()
    };
    assert!(page(1) == page(3), "the number of threads changes the page");
}

/// The text with `#` for every number or list of numbers, since the quick form has others.
fn without_numbers(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for character in text.chars() {
        let is_digit = character.is_ascii_digit();
        // What a number or a list of numbers goes on with.
        let continues = is_digit || ".,".contains(character);
        match masked.ends_with('#') {
            true if continues => {}
            false if is_digit && masked.ends_with("# ") => _ = masked.pop(),
            false if is_digit => masked.push('#'),
            _ => masked.push(character),
        }
    }
    masked
}

/// Title, setup, expectation, explanation, captions, heads of tables and claims on the page in `docs` are those of the
/// program. Its figures are of the full form, whose digits depend on the processor.
#[test]
fn the_page_in_docs_is_current() {
    let page = fs::read_to_string(Path::new(DOCS).join("weight-updates.md")).expect("the page is there");
    let masked = without_numbers(&page);
    let has = |text: &str| {
        let command = "cargo run --release --example weight_updates -- --docs";
        assert!(masked.contains(&without_numbers(text)), "docs/weight-updates.md is old, run `{command}`: {text}");
    };
    has(&format!("# {TITLE}\n\n{INTRODUCTION}\n"));
    DEFINITIONS.iter().for_each(|(word, meaning)| has(&format!("- **{word}**: {meaning}.\n")));
    let mut pictures = Vec::new();
    for (number, part) in &quick().parts {
        has(&format!("\n## {number}. {}\n\n{}\n\n**Expected.** {}\n", part.title, part.setup, part.expected));
        has(&format!("\n**Why.** {}\n", part.why));
        for block in &part.blocks {
            match block {
                Block::Table { caption, table } => has(&format!("\n{caption}\n\n| {} |\n", table.head.join(" | "))),
                Block::Picture { name, caption, .. } => {
                    pictures.push(format!("{name}.svg"));
                    has(&format!("![{caption}](weight-updates/{name}.svg)\n"));
                }
            }
        }
        part.findings.iter().for_each(|finding| has(&format!("*: {}. ", finding.claim)));
    }
    assert_eq!(page.matches("\n## ").count(), parts::ALL.len());
    let folder = fs::read_dir(Path::new(DOCS).join("weight-updates")).expect("the pictures are there");
    let mut found: Vec<String> =
        folder.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    pictures.sort();
    assert_eq!(found, pictures);
}

#[test]
fn the_options_are_understood_or_refused() {
    let of = |words: &str| Options::of(words.split_whitespace().map(str::to_owned));
    let options = of("--quick --only 3,8 --without-times").expect("they are options");
    assert!(options.quick && !options.times && !options.docs);
    assert_eq!(options.only, Some(vec![3, 8]));
    for (words, problem) in [
        ("--fast", "`--fast` is no option: --quick, --only, --without-times, --docs are"),
        ("--only 14", "--only takes numbers from 1 to 13, as 3,8; not `14`"),
        ("--only", "--only takes numbers from 1 to 13, as 3,8; not ``"),
        ("--docs --quick", "--docs writes the whole study: leave out --quick and --only"),
    ] {
        assert_eq!(of(words).err().as_deref(), Some(problem));
    }
}

/// What the browser says of the page at a width of its window, after the script has run.
fn title_in_browser(page: &str, width: usize) -> String {
    // Windows of a browser without a screen are no narrower than 500 pixels; the page is.
    let script = format!(
        "<script>document.documentElement.style.width = '{width}px';\
         const beyond = [...document.querySelectorAll('main *:not(.wide *)')]\
         .filter(e => e.getBoundingClientRect().right > {width} + 1).length;\
         document.title = `${{beyond}} beyond, ${{document.querySelectorAll('section').length}} parts, ` +\
         `${{document.querySelectorAll('section svg').length}} pictures`;</script>"
    );
    let folder = std::env::temp_dir().join(format!("gradus-browser-{width}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let path = folder.join("page.html");
    fs::write(&path, page.replace("</body>", &format!("{script}</body>"))).expect("it can be written");
    let output = Command::new("chromium")
        .args("--headless --no-sandbox --disable-gpu --no-first-run --disable-sync --enable-logging=stderr".split(' '))
        .args(["--disable-background-networking", "--disable-component-update", "--disable-quic", "--dump-dom"])
        .arg(format!("--window-size={width},1000"))
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(&path)
        .output()
        .expect("chromium starts");
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let said: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(said.is_empty(), "the console says: {said:?}");
    fs::remove_dir_all(&folder).expect("the folder can be removed");
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    title.expect("the page has a title").to_owned()
}

#[test]
#[ignore = "needs Debian's chromium"]
fn a_browser_shows_the_page() {
    let page = quick().to_html();
    assert!(!page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org").count());
    let pictures = page.matches("<svg ").count();
    for width in [360, 1280] {
        let title = title_in_browser(&page, width);
        assert_eq!(title, format!("0 beyond, 13 parts, {pictures} pictures"));
    }
}
