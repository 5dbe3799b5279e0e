//! Rules over manifests and the tree of packages: who may depend on whom.

use toml::{Table, Value};

/// What protocol must never see: a runtime, a network, a store.
const NOT_IN_PROTOCOL: [&str; 3] = ["libp2p", "sled", "tokio"];
/// How the feature tree writes the features that are for tests only.
const FOR_TESTS: [&str; 2] = ["kinfold-protocol feature \"sim\"", "kinfold-node feature \"fuzz\""];

/// A package that depends on one from the wrong side of a wall.
pub(crate) fn wrong_direction(path: &str, text: &str) -> Vec<String> {
    let forbidden = |name: &str| match path {
        "cli/Cargo.toml" => name == "kinfold-protocol",
        "protocol/Cargo.toml" => {
            name.starts_with("kinfold-")
                || NOT_IN_PROTOCOL.iter().any(|wall| name == *wall || name.starts_with(&format!("{wall}-")))
        }
        "node/Cargo.toml" => name.starts_with("openmls") || ["kinfold-cli", "kinfold-tests"].contains(&name),
        _ => false,
    };
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let found = dependencies(&table).into_iter().filter(|name| forbidden(name));
    found.map(|name| format!("{path}: {name}")).collect()
}

/// A feature for tests in the tree of features of a shipped binary.
pub(crate) fn feature_for_tests(package: &str, features: &str) -> Vec<String> {
    let found = features.lines().filter(|line| FOR_TESTS.iter().any(|feature| line.contains(feature)));
    found.map(|line| format!("{package}: {}", line.trim())).collect()
}

/// The packages of all dependency tables, by their true names.
fn dependencies(manifest: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        if ["build-dependencies", "dependencies", "dev-dependencies"].contains(&name.as_str()) {
            for (alias, what) in table {
                let package = what.get("package").and_then(Value::as_str);
                found.push(package.unwrap_or(alias).to_owned());
            }
        } else if name == "target" {
            found.extend(table.values().filter_map(Value::as_table).flat_map(dependencies));
        }
    }
    found
}
