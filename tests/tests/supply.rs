//! What we build on, held to what is known of it: faults that are fixed, versions that are pinned, licences, and crates
//! that nobody maintains. Advisory databases are not asked: the machine that runs this may be offline, and the faults
//! that matter most here are in none of them.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "the helpers of a test fail it by panicking"
)]

#[path = "supply/licence.rs"]
mod licence;
#[path = "supply/tables.rs"]
mod tables;
#[path = "supply/version.rs"]
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use version::Version;

/// The platform that is looked at where it matters what is compiled.
const LINUX: &str = "x86_64-unknown-linux-gnu";

/// Names and all their versions.
type Versions = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_crate_is_older_than_the_fix_of_a_known_fault() {
    assert_eq!(older_than_fix(&versions([("yamux", "0.13.9"), ("yamux", "0.14.1")])).len(), 1);
    assert_eq!(older_than_fix(&versions([("libcrux-aesgcm", "9.9.9")])).len(), 1);
    assert!(older_than_fix(&versions([("yamux", "0.13.10")])).is_empty());
    nothing_in(older_than_fix(&lock("Cargo.lock")));
}

#[test]
fn what_is_security_relevant_is_pinned() {
    assert!(!not_pinned(&versions([("openmls", "0.9.3")])).is_empty());
    nothing_in(not_pinned(&lock("Cargo.lock")));
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    for (name, pinned, _) in tables::PINNED {
        let entry = &manifest["workspace"]["dependencies"][name];
        let asked = entry.as_str().or_else(|| entry.get("version").and_then(toml::Value::as_str));
        assert_eq!(asked, Some(format!("={pinned}").as_str()), "{name} is not pinned in the manifest");
    }
}

/// The fuzzers are a workspace of their own, and would fall behind unseen.
#[test]
fn what_is_fuzzed_is_what_is_built() {
    let built = versions([("sled", "0.34.7")]);
    let behind = versions([("sled", "0.34.6"), ("libfuzzer-sys", "0.4.13")]);
    assert_eq!(behind_of(&behind, &built, &["sled", "rustix"]), ["sled 0.34.6", "rustix"]);
    let mut asked = Vec::new();
    for package in ["node", "protocol", "tests"] {
        let manifest = std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        asked.extend(manifest["dependencies"].as_table().unwrap().keys().cloned());
    }
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    nothing_in(behind_of(&lock("fuzz/Cargo.lock"), &lock("Cargo.lock"), &asked));
}

#[test]
fn a_crate_that_guards_secrets_is_there_once_or_twice_for_a_reason() {
    let accepted: BTreeMap<&str, &[&str]> = tables::TWICE.iter().map(|(name, series, _)| (*name, *series)).collect();
    assert!(!wrong_copies(&versions([("zeroize", "1.8.0"), ("zeroize", "2.0.0")]), &BTreeMap::new()).is_empty());
    assert!(
        !wrong_copies(&versions([("sha2", "0.10.9")]), &BTreeMap::from([("sha2", &["0.10", "0.11"][..])])).is_empty()
    );
    nothing_in(wrong_copies(&compiled(), &accepted));
}

#[test]
fn every_licence_is_one_that_we_accept() {
    assert!(!licence::satisfied("AGPL-3.0", &accepted_licence));
    // Of what is compiled for Linux: the rest need not be on this machine.
    let arguments = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", LINUX];
    let metadata: serde_json::Value = serde_json::from_str(&cargo(&arguments)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "the list of packages is not whole");
    let mut wrong = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        if !licence::satisfied(licence, &accepted_licence) {
            wrong.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    nothing_in(wrong);
}

#[test]
fn every_unmaintained_crate_is_accepted_for_a_reason_and_still_there() {
    assert_eq!(unmaintained(&versions([("atty", "0.2.14")])).len(), 1 + tables::ACCEPTED.len());
    nothing_in(unmaintained(&compiled()));
}

fn older_than_fix(tree: &Versions) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, fixed, why) in tables::FIXED_IN {
        for version in tree.get(name).into_iter().flatten() {
            if Version::parse(version).is_none_or(|version| version < fixed) {
                wrong.push(format!("{name} {version} is older than {fixed}: {why}"));
            }
        }
    }
    wrong
}

fn not_pinned(tree: &Versions) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, pinned, why) in tables::PINNED {
        let found = tree.get(name);
        if found != Some(&BTreeSet::from([pinned.to_owned()])) {
            wrong.push(format!("{name} is {found:?} and not {pinned}: {why}"));
        }
    }
    wrong
}

fn wrong_copies(tree: &Versions, accepted: &BTreeMap<&str, &[&str]>) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in tables::GUARDING {
        let Some(found) = tree.get(name) else { continue };
        let series: BTreeSet<&str> = found.iter().map(|version| series(version)).collect();
        let right = accepted.get(name).map_or(found.len() == 1, |right| series == right.iter().copied().collect());
        if !right {
            wrong.push(format!("{name}: {found:?}, accepted {:?}", accepted.get(name)));
        }
    }
    wrong
}

fn unmaintained(tree: &Versions) -> Vec<String> {
    let accepted: BTreeSet<&str> = tables::ACCEPTED.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = tables::UNMAINTAINED.into_iter().filter(|name| tree.contains_key(*name)).collect();
    let new = found.difference(&accepted).map(|name| format!("{name}: unmaintained, and no reason given to accept it"));
    let gone = accepted.difference(&found).map(|name| format!("{name}: accepted, but no longer compiled; strike it"));
    new.chain(gone).collect()
}

fn accepted_licence(name: &str) -> bool {
    tables::LICENCES.iter().any(|(accepted, _)| *accepted == name)
}

/// The first two numbers of a version: what may differ between copies of one crate.
fn series(version: &str) -> &str {
    let end = version.match_indices('.').nth(1).map_or(version.len(), |(at, _)| at);
    &version[..end]
}

/// What is locked in another version than where it is built, and what is asked for and not locked. What is not built at
/// all is the fuzzers' own.
fn behind_of(fuzzed: &Versions, built: &Versions, asked: &[&str]) -> Vec<String> {
    let known = fuzzed.iter().filter_map(|(name, versions)| Some((name, versions, built.get(name)?)));
    let other = known.flat_map(|(name, fuzzed, built)| fuzzed.difference(built).map(move |it| format!("{name} {it}")));
    let missing = asked.iter().filter(|name| !fuzzed.contains_key(**name)).map(|name| (*name).to_owned());
    other.chain(missing).collect()
}

/// Everything in a lock file, for any platform.
fn lock(path: &str) -> Versions {
    let lock: toml::Table = std::fs::read_to_string(root().join(path)).unwrap().parse().unwrap();
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    let packages = lock["package"].as_array().unwrap().iter();
    collect(packages.map(|package| (text(package, "name"), text(package, "version"))))
}

/// What is really compiled for Linux, tests and build scripts included; the lock file lists far more.
fn compiled() -> Versions {
    let tree = [
        "tree",
        "--workspace",
        "--offline",
        "--locked",
        "--target",
        LINUX,
        "-e",
        "normal,build,dev",
        "--prefix",
        "none",
    ];
    let text = cargo(&tree);
    let lines = text.lines().filter_map(|line| line.split_once(" v"));
    let found =
        collect(lines.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap_or_default().to_owned())));
    assert!(found.contains_key("libp2p") && found.contains_key("openmls"), "the tree is not whole");
    found
}

fn versions<const N: usize>(pairs: [(&str, &str); N]) -> Versions {
    collect(pairs.into_iter().map(|(name, version)| (name.to_owned(), version.to_owned())))
}

fn collect(pairs: impl Iterator<Item = (String, String)>) -> Versions {
    let mut all = Versions::new();
    for (name, version) in pairs {
        all.entry(name).or_default().insert(version);
    }
    all
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn nothing_in(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
