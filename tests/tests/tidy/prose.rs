//! Rules over texts: length of documents, unfinished words, clauses with their tests, and nothing of a workplace.

use std::collections::BTreeSet;

use crate::tree::{self, Source};

/// Documents that must exist, and how long each may become, in lines.
pub(crate) const DOCUMENTS: [(&str, usize); 5] = [
    ("ARCHITECTURE.md", 150),
    ("README.md", 80),
    ("docs/convergence.md", usize::MAX),
    ("docs/threat-model.md", 100),
    ("docs/wire.md", usize::MAX),
];
/// Lines of a decision record at most.
const DECISION_LINES_MAX: usize = 30;
/// What the last words of a clause begin with.
const SHOWN_BY: &str = "shown by:";
/// Hosts that a text may name: the standards, the registry and code host everybody uses, this machine, and examples.
const HOSTS: [&str; 16] = [
    "127.0.0.1",
    "[::1]",
    "crates.io",
    "datatracker.ietf.org",
    "docs.rs",
    "doc.rust-lang.org",
    "example.com",
    "example.org",
    "github.com",
    "keepachangelog.com",
    "localhost",
    "rustsec.org",
    "semver.org",
    "www.apache.org",
    "www.rfc-editor.org",
    "www.w3.org",
];
/// The registry as every lock file in the world names it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A document longer than anybody reads.
pub(crate) fn long_document(path: &str, text: &str) -> Vec<String> {
    let named = DOCUMENTS.iter().find(|(name, _)| *name == path).map(|(_, most)| *most);
    let decision = path.starts_with("docs/decisions/").then_some(DECISION_LINES_MAX);
    let lines = text.lines().count();
    named
        .or(decision)
        .filter(|most| lines > *most)
        .map(|most| format!("{path}: {lines} lines of {most}"))
        .into_iter()
        .collect()
}

/// The documents that must exist and do not.
pub(crate) fn missing_documents(paths: &BTreeSet<&str>) -> Vec<String> {
    let missing = DOCUMENTS.iter().filter(|(name, _)| !paths.contains(name));
    missing.map(|(name, _)| format!("{name}: missing")).collect()
}

/// Words that mark a thing as not done, in code, comments and documents alike.
pub(crate) fn unfinished_words(path: &str, text: &str) -> Vec<String> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    over_lines(path, text, |line| {
        line.split(|letter: char| !letter.is_ascii_alphanumeric()).find(|word| words.contains(word)).map(str::to_owned)
    })
}

/// Traces of where and how the repository was written: they help no reader and date at once.
pub(crate) fn workplace(path: &str, text: &str) -> Vec<String> {
    let words = [concat!("/wo", "rk/"), concat!("sub", "agent")];
    let mut found = over_lines(path, text, |line| {
        let line = line.to_ascii_lowercase();
        words.iter().find(|word| line.contains(*word)).map(|word| (*word).to_owned())
    });
    found.extend(over_lines(path, text, |line| strange_host(path, line)));
    found.extend(strange_registry(path, text));
    found
}

/// A clause without a test that shows it, or with one that does not exist in `tests`.
pub(crate) fn clauses_without_tests(path: &str, text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let clauses = clauses(text);
    if clauses.is_empty() {
        found.push(format!("{path}: no clause"));
    }
    for (name, words) in clauses {
        let Some((_, shown)) = words.split_once(SHOWN_BY) else {
            found.push(format!("{path}: {name} is shown by nothing"));
            continue;
        };
        let names: Vec<&str> = shown.split([',', ' ']).map(trimmed).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            found.push(format!("{path}: {name} is shown by nothing"));
        }
        let unknown = names.iter().filter(|name| !tests.contains(name.rsplit("::").next().unwrap_or_default()));
        found.extend(unknown.map(|test| format!("{path}: {name} is shown by {test}, which does not exist")));
    }
    found
}

/// The names of all functions of the Rust files, also of those that a macro makes into tests.
pub(crate) fn function_names(sources: &[Source]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources.iter().filter(|source| tree::is_rust(&source.path)) {
        for after in source.text.split("fn ").skip(1) {
            let name: String =
                after.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
            if after[name.len()..].starts_with(['(', '<']) {
                names.insert(name);
            }
        }
    }
    names
}

/// Each clause with all its words: from `- **X1**` to the next item, heading or empty line.
fn clauses(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(name) = clause_name(line) {
            found.push((name, line.to_owned()));
            open = true;
        } else if line.trim().is_empty() || line.starts_with(['#', '-']) {
            open = false;
        } else if let Some((_, words)) = found.last_mut().filter(|_| open) {
            words.push(' ');
            words.push_str(line.trim());
        }
    }
    found
}

fn clause_name(line: &str) -> Option<String> {
    let word = line.strip_prefix("- **")?.split([' ', '*', '.']).next()?;
    let number = word.strip_prefix(|letter: char| letter.is_ascii_uppercase())?;
    (!number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())).then(|| word.to_owned())
}

fn trimmed(name: &str) -> &str {
    name.trim_matches(['`', '.', ';', ' '])
}

fn strange_host(path: &str, line: &str) -> Option<String> {
    // A lock file names no host but in its sources, and those are compared as a whole.
    if path.ends_with("Cargo.lock") {
        return None;
    }
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        let web = before.ends_with("http") || before.ends_with("https");
        let end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && !".-[]:".contains(letter));
        let authority = after.split_at(end.unwrap_or(after.len())).0;
        let host = if authority.starts_with('[') {
            authority.split_inclusive(']').next().unwrap_or_default()
        } else {
            authority.split(':').next().unwrap_or_default()
        };
        if web && !host.is_empty() && !HOSTS.contains(&host.trim_end_matches('.')) {
            return Some(host.to_owned());
        }
        rest = after;
    }
    None
}

fn strange_registry(path: &str, text: &str) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    over_lines(path, text, |line| {
        let strange = match name {
            "Cargo.lock" => line.strip_prefix("source = ").is_some_and(|source| source.trim_matches('"') != REGISTRY),
            "Cargo.toml" | "config.toml" => {
                ["replace-with", "registry =", "[source", "[registries"].iter().any(|key| line.contains(key))
            }
            _ => false,
        };
        strange.then(|| line.trim().to_owned())
    })
}

fn over_lines(path: &str, text: &str, wrong: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(at, line)| wrong(line).map(|what| format!("{path}:{}: {what}", at + 1))).collect()
}
