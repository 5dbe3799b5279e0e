//! Rules over the code of one Rust file. Each takes the path and the text and returns what is wrong.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tokens::{self, Kind, Token};

/// Lines of a Rust file at most.
pub(crate) const FILE_LINES_MAX: usize = 600;
/// Lines of a function's body at most.
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
/// The only file that may hold unsafe code: locked memory has no safe interface.
const UNSAFE_FILE: &str = "node/src/vault/locked.rs";
/// A family of crates and the folder that alone names it.
const HOMES: [(&str, &str); 3] =
    [("libp2p", "node/src/net"), ("openmls", "protocol/src/mls"), ("sled", "node/src/store")];
/// Benchmarks compare with, and tests of interop and of strangers speak, the bare libraries.
const BARE: [&str; 3] = ["cli/tests/strangers/", "tests/benches/", "tests/tests/interop"];
/// What waits for a time and not for a state.
const SLEEPING: [&str; 4] = ["park_timeout", "sleep", "sleep_ms", "sleep_until"];
/// Lines of an example at most: it is read at one sitting.
pub(crate) const EXAMPLE_LINES_MAX: usize = 119;
/// The macros that log.
const LOGGING: [&str; 5] = ["debug", "error", "info", "trace", "warn"];

/// A library is named only in the folder that wraps it.
pub(crate) fn library_outside_its_home(path: &str, text: &str) -> Vec<String> {
    let bare = BARE.iter().any(|prefix| path.starts_with(prefix));
    idents(path, text, |name| {
        !bare && HOMES.iter().any(|(family, home)| is_of_family(name, family) && !is_in(path, home))
    })
}

/// No runtime under protocol.
pub(crate) fn runtime_in_protocol(path: &str, text: &str) -> Vec<String> {
    idents(path, text, |name| path.starts_with("protocol/") && is_of_family(name, "tokio"))
}

/// No unsafe code but in the one file.
pub(crate) fn unsafe_code(path: &str, text: &str) -> Vec<String> {
    idents(path, text, |name| path != UNSAFE_FILE && name == "unsafe")
}

/// No queue without a bound.
pub(crate) fn queue_without_a_bound(path: &str, text: &str) -> Vec<String> {
    idents(path, text, |name| name.to_ascii_lowercase().contains("unbounded"))
}

/// Nothing left unfinished in code.
pub(crate) fn unfinished_code(path: &str, text: &str) -> Vec<String> {
    over_tokens(path, text, |tokens| {
        let macros = tokens.windows(2).filter(|pair| {
            pair[0].kind == Kind::Ident
                && ["todo", "unimplemented"].contains(&pair[0].text.as_str())
                && pair[1].text == "!"
        });
        let ignored = tokens::attributes(tokens).into_iter().filter_map(|attribute| {
            tokens[attribute].iter().find(|token| token.kind == Kind::Ident && token.text == "ignore")
        });
        macros.map(|pair| said(&pair[0])).chain(ignored.map(said)).collect()
    })
}

/// No test waits by sleeping: it waits for a state. A benchmark keeps a pace.
pub(crate) fn sleeping_test(path: &str, text: &str) -> Vec<String> {
    over_tokens(path, text, |tokens| {
        let everywhere = is_test(path) && !path.starts_with("tests/benches/");
        let ranges = if everywhere { std::iter::once(0..tokens.len()).collect() } else { tokens::test_modules(tokens) };
        let inside = ranges.into_iter().flat_map(|range| &tokens[range]);
        inside.filter(|token| token.kind == Kind::Ident && SLEEPING.contains(&token.text.as_str())).map(said).collect()
    })
}

/// A lint is set aside only with a reason.
pub(crate) fn lint_without_reason(path: &str, text: &str) -> Vec<String> {
    over_tokens(path, text, |tokens| {
        let mut found = Vec::new();
        for attribute in tokens::attributes(tokens) {
            for at in attribute {
                let set_aside = ["allow", "expect"].contains(&tokens[at].text.as_str());
                if set_aside && tokens.get(at + 1).is_some_and(|next| next.text == "(") {
                    let inside = &tokens[tokens::inside(tokens, at + 1)];
                    if !inside.iter().any(|token| token.text == "reason") {
                        found.push(said(&tokens[at]));
                    }
                }
            }
        }
        found
    })
}

/// A log line is a constant sentence and named codes: nothing of a person's gets into it by a value's formatting.
pub(crate) fn log_that_formats(path: &str, text: &str) -> Vec<String> {
    over_tokens(path, text, |tokens| {
        let mut found = Vec::new();
        for at in 0..tokens.len().saturating_sub(2) {
            let logs = tokens[at].kind == Kind::Ident && LOGGING.contains(&tokens[at].text.as_str());
            if logs && tokens[at + 1].text == "!" && tokens[at + 2].kind == Kind::Open {
                found.extend(formatted(tokens, at + 2));
            }
        }
        for attribute in tokens::attributes(tokens) {
            let words = &tokens[attribute];
            let instrument = words.iter().find(|token| token.text == "instrument");
            found.extend(instrument.filter(|_| !words.iter().any(|token| token.text == "skip_all")).map(said));
        }
        found
    })
}

/// A file that one can hold in the head.
pub(crate) fn long_file(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX { vec![format!("{path}: {lines} lines")] } else { Vec::new() }
}

/// An example that is read at one sitting.
pub(crate) fn long_example(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let long = path.starts_with("examples/") && !is_test(path) && lines > EXAMPLE_LINES_MAX;
    if long { vec![format!("{path}: {lines} lines")] } else { Vec::new() }
}

/// A function that fits on a screen.
pub(crate) fn long_function(path: &str, text: &str) -> Vec<String> {
    struct Bodies(Vec<(String, usize, usize)>);
    impl Bodies {
        fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
            let lines = block.span().end().line - block.span().start().line;
            self.0.push((name.to_string(), name.span().start().line, lines.saturating_sub(1)));
        }
    }
    impl<'ast> Visit<'ast> for Bodies {
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            self.measure(&item.sig.ident, &item.block);
            visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
            self.measure(&item.sig.ident, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
        fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
            if let Some(block) = &item.default {
                self.measure(&item.sig.ident, block);
            }
            visit::visit_trait_item_fn(self, item);
        }
    }
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(error) => return vec![format!("{path}: not Rust: {error}")],
    };
    let mut bodies = Bodies(Vec::new());
    bodies.visit_file(&file);
    let long = bodies.0.into_iter().filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX);
    long.map(|(name, line, lines)| format!("{path}:{line}: {name} has {lines} lines")).collect()
}

fn formatted(tokens: &[Token], open: usize) -> Vec<String> {
    let range = tokens::inside(tokens, open);
    let mut found = Vec::new();
    for at in range {
        let token = &tokens[at];
        let begins = ["(", "{", "[", ",", "="].contains(&tokens[at - 1].text.as_str());
        let sigil = token.kind == Kind::Punct && ["%", "?"].contains(&token.text.as_str()) && begins;
        let format = token.kind == Kind::Literal && token.text.contains('"') && token.text.contains('{');
        if sigil || format {
            found.push(said(token));
        }
    }
    found
}

fn idents(path: &str, text: &str, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    over_tokens(path, text, |tokens| {
        tokens.iter().filter(|token| token.kind == Kind::Ident && wrong(&token.text)).map(said).collect()
    })
}

fn over_tokens(path: &str, text: &str, rule: impl Fn(&[Token]) -> Vec<String>) -> Vec<String> {
    let found = tokens::tokens(text).map_or_else(|error| vec![error], |tokens| rule(&tokens));
    found.into_iter().map(|what| format!("{path}:{what}")).collect()
}

fn said(token: &Token) -> String {
    format!("{}: {}", token.line, token.text)
}

/// Whether a file holds nothing but tests.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

fn is_of_family(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

fn is_in(path: &str, home: &str) -> bool {
    path.strip_prefix(home).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}
