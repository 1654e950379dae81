//! The documentation: its links lead somewhere, and it names every flag and every key of an answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::fixture::{Bench, repository};

/// Flags of other programs that the documentation names: cargo's, and those of our scripts.
const FOREIGN: [&str; 13] = [
    "--bin",
    "--example",
    "--features",
    "--ignored",
    "--large",
    "--lib",
    "--locked",
    "--no-default-features",
    "--nocapture",
    "--open",
    "--release",
    "--stores",
    "--test",
];

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![repository().join("README.md"), repository().join("CONTRIBUTING.md")];
    let folder = fs::read_dir(repository().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(folder.filter(|path| path.extension().is_some_and(|end| end == "md")));
    pages
}

fn text(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()))
}

/// What a heading is called in a link: small letters, hyphens for spaces, nothing else.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = text(page);
    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    let found = Regex::new(pattern).unwrap();
    found.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    for page in pages() {
        let links = found(r"\]\(([^)\s]+)\)", &text(&page));
        for link in links.iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            assert!(heading.is_empty() || anchors(&target).contains(heading), "{}: {link}", page.display());
        }
    }
}

#[test]
fn the_readme_stays_short() {
    assert!(text(&repository().join("README.md")).lines().count() <= 200);
}

#[test]
fn every_flag_is_documented_and_no_other_one_is() {
    let bench = Bench::empty();
    let commands: [&[&str]; 12] = [
        &["index"],
        &["classify"],
        &["eval"],
        &["calibrate"],
        &["lint"],
        &["store", "info"],
        &["store", "export"],
        &["store", "copy"],
        &["store", "delete"],
        &["taxonomy", "check"],
        &["taxonomy", "rename"],
        &["taxonomy", "merge"],
    ];
    let help: String =
        commands.iter().map(|command| bench.run(&[*command, &["--help"]].concat()).ok().stdout).collect();
    let flag = r"(--[a-z][a-z0-9-]*[a-z0-9])";
    let known = found(flag, &help);
    let documented: BTreeSet<String> = pages().iter().flat_map(|page| found(flag, &text(page))).collect();
    let unsaid: Vec<&String> =
        known.difference(&documented).filter(|flag| !["--help", "--version"].contains(&flag.as_str())).collect();
    assert!(unsaid.is_empty(), "not in README or docs/: {unsaid:?}");
    let unknown: Vec<&String> =
        documented.difference(&known).filter(|flag| !FOREIGN.contains(&flag.as_str())).collect();
    assert!(unknown.is_empty(), "in README or docs/, but no flag: {unknown:?}");
}

#[test]
fn every_key_of_an_answer_is_documented() {
    let bench = Bench::with_small_store();
    let answer = bench.run(&["classify", "my parcel", "--labeler", "vote", "--json"]).ok().json();
    let said = text(&repository().join("docs/using.md"));
    let keys = answer.as_object().unwrap().keys();
    let unsaid: Vec<&String> = keys.filter(|key| !said.contains(&format!("`{key}`"))).collect();
    assert!(unsaid.is_empty(), "not in docs/using.md: {unsaid:?}");
}
