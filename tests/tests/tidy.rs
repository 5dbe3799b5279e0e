//! House style as a test. Each rule is a pure function over a path and a text, and is shown examples on which it must
//! fail before it judges the repository.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "the helpers of a test fail it by panicking"
)]

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/packages.rs"]
mod packages;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/tokens.rs"]
mod tokens;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::process::Command;

use tree::Source;

type Example = (&'static str, &'static str);

/// Shows the rule that it can fail and that it can pass, then asks it about every source.
fn holds(rule: impl Fn(&str, &str) -> Vec<String>, sources: &[Source], wrong: &[Example], right: &[Example]) {
    for (path, text) in wrong {
        assert!(!rule(path, text).is_empty(), "the rule passes what it must not: {path}: {text}");
    }
    for (path, text) in right {
        assert_eq!(rule(path, text), Vec::<String>::new(), "the rule fails what it must not");
    }
    let found: Vec<String> = sources.iter().flat_map(|source| rule(&source.path, &source.text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_library_is_named_only_in_the_folder_that_wraps_it() {
    let wrong = [
        ("protocol/src/group/mod.rs", "use openmls::prelude::MlsGroup;"),
        ("node/src/net.rs/x.rs", "fn f() { libp2p_stream::Behaviour::new(); }"),
        ("tests/src/disk.rs", "fn f() { let db = sled::open(); }"),
    ];
    let right = [
        ("protocol/src/mls/group.rs", "use openmls_traits::storage::StorageProvider;"),
        ("node/src/net.rs", "use libp2p::Swarm;"),
        ("tests/benches/bare.rs", "use openmls::prelude::MlsGroup;"),
        ("protocol/src/lib.rs", "//! openmls is behind `mls`.\nfn f(x: &str) { f(\"sled\") }"),
    ];
    holds(code::library_outside_its_home, &tree::rust(), &wrong, &right);
}

#[test]
fn protocol_names_no_runtime() {
    let wrong = [("protocol/src/client.rs", "use tokio::sync::mpsc;")];
    let right = [("node/src/core.rs", "use tokio::sync::mpsc;")];
    holds(code::runtime_in_protocol, &tree::rust(), &wrong, &right);
}

#[test]
fn unsafe_code_is_in_one_file_only() {
    let wrong = [("node/src/vault/key.rs", "fn f() { unsafe { g() } }"), ("cli/src/main.rs", "unsafe fn f() {}")];
    let right =
        [("node/src/vault/locked.rs", "fn f() { unsafe { g() } }"), ("cli/src/main.rs", "// unsafe\nfn f() {}")];
    holds(code::unsafe_code, &tree::rust(), &wrong, &right);
}

#[test]
fn every_queue_has_a_bound() {
    let wrong = [("node/src/core.rs", "use tokio::sync::mpsc::{UnboundedSender, channel};")];
    let right = [("node/src/core.rs", "fn f() { let (tell, told) = mpsc::channel(64); }")];
    holds(code::queue_without_a_bound, &tree::rust(), &wrong, &right);
}

#[test]
fn nothing_is_left_unfinished_in_code() {
    let wrong = [
        ("a.rs", "fn f() { todo!() }"),
        ("a.rs", "fn f() { unimplemented!(\"x\") }"),
        ("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"),
    ];
    let right = [("a.rs", "fn f() { g(\"todo!\"); ignore() }")];
    holds(code::unfinished_code, &tree::rust(), &wrong, &right);
}

#[test]
fn nothing_is_marked_as_unfinished_in_words() {
    let wrong =
        [("a.rs", concat!("// TO", "DO: later")), ("a.md", concat!("(FIX", "ME)")), ("a.md", concat!("XX", "X"))];
    let right = [("a.md", "A todo list is a list."), ("a.rs", concat!("// XX", "XX-XX", "XX"))];
    holds(prose::unfinished_words, &tree::texts(), &wrong, &right);
}

#[test]
fn no_test_sleeps_to_wait_for_a_state() {
    let wrong = [
        ("tests/tests/node.rs", "async fn f() { tokio::time::sleep(x).await }"),
        ("node/src/core/tests.rs", "use std::thread::{self, sleep};"),
        ("node/src/core.rs", "#[cfg(test)]\nmod tests { fn f() { std::thread::sleep(x) } }"),
        ("cli/tests/processes/talk.rs", "fn f() { std::thread::sleep(x) }"),
        ("examples/tests/run.rs", "fn f() { std::thread::park_timeout(x) }"),
        ("node/src/net/tests/raw.rs", "async fn f() { tokio::time::sleep_until(x).await }"),
        ("node/src/core_tests.rs", "fn f() { std::thread::sleep(x) }"),
    ];
    let right =
        [("node/src/core.rs", "async fn f() { tokio::time::sleep(x).await }\n#[cfg(test)]\nmod tests { fn f() {} }")];
    holds(code::sleeping_test, &tree::rust(), &wrong, &right);
}

#[test]
fn a_lint_is_set_aside_only_with_a_reason() {
    let wrong = [
        ("a.rs", "#[allow(dead_code)]\nfn f() {}"),
        ("a.rs", "#![expect(missing_docs)]\n"),
        ("a.rs", "#[cfg_attr(test, allow(dead_code))]\nfn f() {}"),
    ];
    let right = [
        ("tests/benches/talk.rs", "fn pace() { std::thread::sleep(second) }"),
        ("a.rs", "#[allow(dead_code, reason = \"read by a macro\")]\nfn f() { x.expect(\"y\") }"),
    ];
    holds(code::lint_without_reason, &tree::rust(), &wrong, &right);
}

#[test]
fn a_log_line_formats_no_value() {
    let wrong = [
        ("a.rs", "fn f() { tracing::warn!(%peer, \"refused\") }"),
        ("a.rs", "fn f() { info!(code = ?error, \"refused\") }"),
        ("a.rs", "fn f() { error!(\"refused {peer}\") }"),
        ("a.rs", "fn f() { debug!(\"refused {}\", peer) }"),
        ("a.rs", "#[tracing::instrument]\nfn f(secret: u8) {}"),
    ];
    let right = [
        ("a.rs", "fn f() { warn!(code = refusal.code(), count = 3 % 2, \"refused\") }"),
        ("a.rs", "#[tracing::instrument(skip_all)]\nfn f(secret: u8) {}"),
    ];
    holds(code::log_that_formats, &tree::rust(), &wrong, &right);
}

#[test]
fn a_file_fits_in_the_head() {
    let long = "\n".repeat(code::FILE_LINES_MAX + 1);
    assert!(!code::long_file("a.rs", &long).is_empty());
    holds(code::long_file, &tree::rust(), &[], &[("a.rs", "fn f() {}")]);
}

#[test]
fn an_example_is_read_at_one_sitting() {
    let long = "\n".repeat(code::EXAMPLE_LINES_MAX + 1);
    assert!(!code::long_example("examples/bot.rs", &long).is_empty());
    for path in ["examples/tests/run.rs", "cli/src/main.rs"] {
        assert!(code::long_example(path, &long).is_empty());
    }
    holds(code::long_example, &tree::rust(), &[], &[("examples/bot.rs", "fn main() {}")]);
}

#[test]
fn a_function_fits_on_a_screen() {
    let body = "\n".repeat(code::FUNCTION_LINES_MAX + 2);
    for text in
        [format!("fn f() {{{body}}}"), format!("impl X {{ fn f() {{{body}}} }}"), format!("#[test]\nfn f() {{{body}}}")]
    {
        assert!(!code::long_function("a.rs", &text).is_empty());
    }
    let fits = format!("fn f() {{{}}}", "\n".repeat(code::FUNCTION_LINES_MAX));
    assert!(code::long_function("a.rs", &fits).is_empty());
    holds(code::long_function, &tree::rust(), &[], &[]);
}

#[test]
fn documents_exist_and_are_short() {
    let texts = tree::texts();
    assert!(!prose::long_document("README.md", &"\n".repeat(81)).is_empty());
    assert!(!prose::long_document("docs/decisions/0001-x.md", &"\n".repeat(31)).is_empty());
    holds(prose::long_document, &texts, &[], &[("docs/wire.md", "one line")]);
    assert!(!prose::missing_documents(&BTreeSet::from(["README.md"])).is_empty());
    let missing = prose::missing_documents(&texts.iter().map(|source| source.path.as_str()).collect());
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn every_clause_is_shown_by_a_test_that_exists() {
    let texts = tree::texts();
    let known = BTreeSet::from(["heads_agree".to_owned()]);
    let convergence = texts.iter().filter(|source| source.path == "docs/convergence.md");
    let convergence: Vec<Source> =
        convergence.map(|source| Source { path: source.path.clone(), text: source.text.clone() }).collect();
    let wrong = [
        ("c.md", ""),
        ("c.md", "- **H1** The head is best."),
        ("c.md", "- **H1** The head is best, shown by: `head::heads_differ`"),
        ("c.md", "- **H1** x\n  shown by: head::heads_agree, head::gone"),
    ];
    let right =
        [("c.md", "# H\n- **H1** The head\n  is best, shown by: `protocol::head::tests::heads_agree`.\n\nText.")];
    holds(|path, text| prose::clauses_without_tests(path, text, &known), &[], &wrong, &right);
    let tests = prose::function_names(&texts);
    assert!(tests.contains("every_clause_is_shown_by_a_test_that_exists"), "the search for tests finds none");
    holds(|path, text| prose::clauses_without_tests(path, text, &tests), &convergence, &[], &[]);
}

#[test]
fn nothing_tells_where_the_repository_was_written() {
    let wrong = [
        ("a.md", concat!("see /wo", "rk/notes")),
        ("a.rs", concat!("// a Sub", "agent's task")),
        ("a.rs", concat!("// https:", "//mirror.internal:8080/x")),
        ("Cargo.lock", "source = \"registry+sparse://mirror/\""),
        (".cargo/config.toml", "replace-with = \"mirror\""),
    ];
    let right = [
        ("a.md", "[RFC](https://www.rfc-editor.org/rfc/rfc9420), http://127.0.0.1:7717/, /network/x"),
        ("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\""),
    ];
    holds(prose::workplace, &tree::texts(), &wrong, &right);
}

#[test]
fn packages_depend_in_one_direction() {
    let wrong = [
        ("protocol/Cargo.toml", "[dependencies]\ntokio-util = \"1\""),
        ("protocol/Cargo.toml", "[target.'cfg(unix)'.dev-dependencies]\nx = { package = \"sled\", version = \"1\" }"),
        ("cli/Cargo.toml", "[dependencies]\nkinfold-protocol.workspace = true"),
        ("node/Cargo.toml", "[dependencies]\nopenmls.workspace = true"),
    ];
    let right = [("node/Cargo.toml", "[dependencies]\nkinfold-protocol.workspace = true")];
    let manifests: Vec<Source> =
        tree::texts().into_iter().filter(|source| source.path.ends_with("Cargo.toml")).collect();
    holds(packages::wrong_direction, &manifests, &wrong, &right);
}

#[test]
fn the_binary_has_nothing_in_it_that_is_for_tests() {
    for feature in ["kinfold-protocol feature \"sim\"", "kinfold-node feature \"fuzz\""] {
        let bad = format!("kinfold-cli v0.1.0\n├── {feature}\n");
        assert!(!packages::feature_for_tests("kinfold-cli", &bad).is_empty());
    }
    let arguments = ["tree", "-p", "kinfold-cli", "-e", "features,normal", "--offline", "--locked"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(tree::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let features = String::from_utf8_lossy(&output.stdout);
    assert!(features.contains("kinfold-protocol"), "the tree does not reach the protocol");
    assert_eq!(packages::feature_for_tests("kinfold-cli", &features), Vec::<String>::new());
}
