//! The repository as a list of texts.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the repository.
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// Endings of files that people write and read here.
const TEXTS: [&str; 9] = ["css", "html", "js", "lock", "md", "rs", "sh", "toml", "trycmd"];

/// Folders that are built or grown, not written.
const GROWN: [&str; 5] = [".git", "corpus", "corpus.tmp", "found", "target"];

/// The folder of the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every text file of the repository, in the order of the paths.
pub(crate) fn texts() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 20, "the walk missed the repository");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every Rust file of the repository.
pub(crate) fn rust() -> Vec<Source> {
    texts().into_iter().filter(|source| is_rust(&source.path)).collect()
}

/// Whether a path is a Rust file's.
pub(crate) fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "rs")
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if GROWN.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, found);
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let in_ci = path.parent().is_some_and(|parent| parent.file_name().is_some_and(|name| name == ".ci"));
        if TEXTS.contains(&ending.as_str()) || in_ci {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}
