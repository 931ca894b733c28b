//! The report as one page of HTML that needs nothing else.

use super::{Block, DEFINITIONS, Finding, INTRODUCTION, Part, Report, TITLE, Table};

const STYLE: &str = include_str!("style.css");

impl Report {
    pub(crate) fn to_html(&self) -> String {
        let words: String = DEFINITIONS
            .iter()
            .map(|(word, meaning)| format!("<dt>{word}</dt><dd>{}</dd>\n", inline(meaning)))
            .collect();
        let contents: String = self.parts.iter().map(|(number, part)| entry(*number, part)).collect();
        let sections: String = self.parts.iter().map(|(number, part)| section(*number, part)).collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{TITLE}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <header><h1>{TITLE}</h1>\n<p class=\"lead\">{}</p>\n<p class=\"origin\">{}</p>\n<dl>\n{words}</dl>\n</header>\n\
             <nav aria-label=\"Parts\"><ol>\n{contents}</ol></nav>\n{sections}</main>\n</body>\n</html>\n",
            inline(INTRODUCTION),
            inline(self.origin()),
        )
    }
}

/// A line of the contents: the title, and how many beliefs held.
fn entry(number: usize, part: &Part) -> String {
    let held = part.findings.iter().filter(|finding| finding.holds).count();
    format!(
        "<li value=\"{number}\"><a href=\"#part-{number}\">{}</a> <span>{held} of {} beliefs held</span></li>\n",
        inline(part.title),
        part.findings.len()
    )
}

fn section(number: usize, part: &Part) -> String {
    let Part { title, setup, expected, blocks, findings, why } = part;
    let blocks: String = blocks.iter().map(block).collect();
    let findings: String = findings.iter().map(finding).collect();
    format!(
        "<section id=\"part-{number}\">\n<h2><span>{number}</span> {}</h2>\n<p class=\"setup\">{}</p>\n\
         <p><b>Expected.</b> {}</p>\n{blocks}<ul class=\"findings\">\n{findings}</ul>\n<p><b>Why.</b> {}</p>\n</section>\n",
        inline(title),
        inline(setup),
        inline(expected),
        inline(why)
    )
}

fn block(block: &Block) -> String {
    match block {
        Block::Table { caption, table } => {
            format!(
                "<figure>\n<figcaption>{}</figcaption>\n<div class=\"wide\">{}</div>\n</figure>\n",
                inline(caption),
                rows(table)
            )
        }
        Block::Picture { caption, svg, .. } => {
            format!(
                "<figure>\n<div class=\"wide\">{svg}</div>\n<figcaption>{}</figcaption>\n</figure>\n",
                inline(caption)
            )
        }
    }
}

fn rows(table: &Table) -> String {
    let line = |cells: &[String], tag: &str| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", inline(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body: String = table.rows.iter().map(|row| line(row, "td")).collect();
    format!("<table>\n<thead>{}</thead>\n<tbody>\n{body}</tbody>\n</table>", line(&table.head, "th"))
}

fn finding(finding: &Finding) -> String {
    let class = if finding.holds { "held" } else { "fell" };
    format!(
        "<li class=\"{class}\"><b>{}.</b> {}. <span>{}</span></li>\n",
        finding.verdict(),
        inline(finding.claim),
        inline(&finding.measured)
    )
}

/// A text with its code in backticks.
fn inline(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let pieces = escaped.split('`').enumerate();
    pieces
        .map(|(number, piece)| if number % 2 == 1 { format!("<code>{piece}</code>") } else { piece.to_owned() })
        .collect()
}
