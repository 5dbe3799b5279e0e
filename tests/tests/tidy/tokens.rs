//! Rust files as flat tokens, so that a rule speaks of code and never of a comment or a string that mentions it.

use std::ops::Range;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `}`, `)` or `]`.
    Close,
    /// A name or a keyword.
    Ident,
    /// A string, number or character.
    Literal,
    /// `{`, `(` or `[`.
    Open,
    /// Any other sign, one at a time.
    Punct,
}

/// One token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// As it is written.
    pub(crate) text: String,
    /// Where it begins, from 1.
    pub(crate) line: usize,
}

/// The tokens of a Rust file; a file that does not lex has none but the error.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let stream = TokenStream::from_str(text).map_err(|error| format!("not Rust: {error}"))?;
    let mut flat = Vec::new();
    flatten(stream, &mut flat);
    Ok(flat)
}

/// Where the attributes are: the tokens between `#[` or `#![` and `]`.
pub(crate) fn attributes(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let bang = tokens.get(at + 1).is_some_and(|next| next.text == "!");
        let open = if bang { at + 2 } else { at + 1 };
        if token.text == "#" && token.kind == Kind::Punct && tokens.get(open).is_some_and(|next| next.text == "[") {
            found.push(inside(tokens, open));
        }
    }
    found
}

/// Where the bodies of `#[cfg(test)] mod x { .. }` are.
pub(crate) fn test_modules(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for attribute in attributes(tokens) {
        let words: Vec<&str> = tokens[attribute.clone()].iter().map(|token| token.text.as_str()).collect();
        let after = attribute.end + 1;
        if words == ["cfg", "(", "test", ")"]
            && tokens.get(after).is_some_and(|token| token.text == "mod")
            && tokens.get(after + 2).is_some_and(|token| token.text == "{")
        {
            found.push(inside(tokens, after + 2));
        }
    }
    found
}

/// What stands between the bracket at `open` and the one that closes it.
pub(crate) fn inside(tokens: &[Token], open: usize) -> Range<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Ident | Kind::Literal | Kind::Punct => {}
        }
        if depth == 0 {
            return open + 1..at;
        }
    }
    open + 1..tokens.len()
}

fn flatten(stream: TokenStream, flat: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(ident) => flat.push(Token { kind: Kind::Ident, text: ident.to_string(), line }),
            TokenTree::Literal(literal) => flat.push(Token { kind: Kind::Literal, text: literal.to_string(), line }),
            TokenTree::Punct(punct) => flat.push(Token { kind: Kind::Punct, text: punct.to_string(), line }),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                    Delimiter::Parenthesis => ("(", ")"),
                };
                flat.push(Token { kind: Kind::Open, text: open.to_owned(), line });
                flatten(group.stream(), flat);
                let line = group.span_close().start().line;
                flat.push(Token { kind: Kind::Close, text: close.to_owned(), line });
            }
        }
    }
}
