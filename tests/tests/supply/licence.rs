//! Licence expressions (SPDX, with the older `/`): whether accepted licences satisfy one.

/// Whether the expression can be satisfied with accepted licences only. What cannot be read is not accepted.
pub(crate) fn satisfied(expression: &str, accepted: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, accepted };
    let value = reader.any();
    value == Some(true) && reader.words.is_empty()
}

struct Reader<'a> {
    words: &'a [&'a str],
    accepted: &'a dyn Fn(&str) -> bool,
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> Option<bool> {
        let mut value = self.all()?;
        while self.take("OR") {
            value |= self.all()?;
        }
        Some(value)
    }

    fn all(&mut self) -> Option<bool> {
        let mut value = self.one()?;
        while self.take("AND") {
            value &= self.one()?;
        }
        Some(value)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let value = self.any()?;
            return self.take(")").then_some(value);
        }
        let name = self.next()?;
        if self.take("WITH") {
            let exception = self.next()?;
            return Some((self.accepted)(&format!("{name} WITH {exception}")));
        }
        Some((self.accepted)(name))
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.words.first() == Some(&word);
        if here {
            self.words = &self.words[1..];
        }
        here
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }
}

#[test]
fn an_expression_holds_when_accepted_licences_satisfy_it() {
    let accepted = |name: &str| ["ISC", "MIT", "X WITH Y"].contains(&name);
    for right in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC", "X WITH Y"] {
        assert!(satisfied(right, &accepted), "{right}");
    }
    for wrong in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "X",
        "X WITH Z",
        "(MIT",
        "MIT MIT",
        "MIT OR GPL-3.0 AND",
        "(MIT OR ISC) AND X",
    ] {
        assert!(!satisfied(wrong, &accepted), "{wrong}");
    }
}
