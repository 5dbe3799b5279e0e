//! When two names look the same, and which names would pass for words of the faces themselves. Pure.
//!
//! Names are chosen by other people. Whoever calls himself "You", or writes Ana with a Cyrillic letter, must not be taken
//! for somebody else: a face shows such a name with the beginning of the id.

use std::collections::BTreeSet;

use unicode_security::skeleton;

/// What faces say of themselves and of the person, in small letters.
const RESERVED: &[&str] = &[
    "you",
    "your",
    "yourself",
    "me",
    "system",
    "kinfold",
    "everybody",
    "nobody",
    "somebody",
    "no name",
    "error",
    "hint",
];

/// Characters of an id that tell two people apart.
const ID_SHOWN: usize = 8;

/// What a name looks like: two names of which one of these is the same look alike. There are two, because a capital I
/// looks like an l and its small letter does not.
#[must_use]
pub fn looks(name: &str) -> [String; 2] {
    let seen: String = name.chars().filter(|letter| !is_ignorable(*letter)).collect();
    // Some letters look like a space.
    let words = |skeleton: String| skeleton.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    [words(skeleton(&seen).collect()), words(skeleton(&seen.to_lowercase()).collect())]
}

/// Whether a name reads as a word that faces use for themselves or for the person, whatever marks stand around it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    if looks(name).iter().all(String::is_empty) {
        return true;
    }
    let letters: String = name.chars().filter(|letter| letter.is_alphanumeric() || letter.is_whitespace()).collect();
    let read = looks(&letters);
    RESERVED.iter().any(|word| looks(word).iter().any(|look| read.contains(look)))
}

/// Whether a name needs its id beside it among the names of others; `others` are all but its owner.
pub fn is_ambiguous<'a>(name: &str, others: impl IntoIterator<Item = &'a str>) -> bool {
    let own = BTreeSet::from(looks(name));
    // Brackets are where an id stands.
    let marked = own.iter().any(|look| look.contains(['[', ']']));
    marked || is_reserved(name) || others.into_iter().any(|other| looks(other).iter().any(|look| own.contains(look)))
}

/// A name with the beginning of its owner's id.
#[must_use]
pub fn with_id(name: &str, id: &str) -> String {
    format!("{name} [{}]", id.get(..ID_SHOWN).unwrap_or(id))
}

/// Whether a name of one's own has nothing in it that nobody sees, but what makes up pictures.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    letters.iter().enumerate().all(|(place, letter)| {
        let before = place.checked_sub(1).and_then(|place| letters.get(place)).copied();
        let after = letters.get(place.saturating_add(1)).copied();
        match letter {
            '\u{fe0f}' => before.is_some_and(is_picture),
            '\u{200d}' => before.is_some_and(is_picture_end) && after.is_some_and(is_picture),
            letter => !letter.is_control() && !is_ignorable(*letter),
        }
    })
}

/// Characters that may be left out where a text is shown: Unicode's Default_Ignorable_Code_Point, with the controls of
/// direction and what separates lines.
const fn is_ignorable(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Pictures, as far as they can be joined or be told to be shown in colour.
const fn is_picture(letter: char) -> bool {
    matches!(letter,
        '#' | '*' | '0'..='9' | '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{24c2}' | '\u{25a0}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

const fn is_picture_end(letter: char) -> bool {
    letter == '\u{fe0f}' || (is_picture(letter) && !letter.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_found() {
        for (one, other) in [
            ("Ana", "ana"),
            ("Ana", "\u{410}n\u{430}"),
            ("Ana", "A\u{fe01}na"),
            ("Ana", "An\u{e0100}a"),
            ("Ali", "A\u{406}i"),
            ("Ali", "AIi"),
            ("Zo\u{eb}", "Zoe\u{308}"),
            ("Tom Li", "Tom\u{a0}Li"),
            ("Ana", "Ana\u{2800}"),
            ("Ana", "\u{2800} Ana"),
        ] {
            assert!(is_ambiguous(one, [other]) && is_ambiguous(other, [one]), "{one} {other}");
        }
        for (one, other) in [("Ana", "Anna"), ("Ben", "Chi"), ("Zoe", "Zo\u{eb}"), ("\u{963f}\u{5a1c}", "Ana")] {
            assert!(!is_ambiguous(one, [other]), "{one} {other}");
        }
    }

    #[test]
    fn nobody_brings_an_id_along() {
        assert!(is_ambiguous("Ana [6f3a91c2]", ["Ana"]) && is_ambiguous("Ana [6f3a91c2]", []));
    }

    #[test]
    fn words_of_the_faces_are_nobodys_name() {
        for name in [
            "You",
            "you",
            "YOU",
            "Y\u{43e}u",
            "You:",
            "\u{201c}You\u{201d}",
            "System",
            "Kinfold",
            "Y\u{200b}ou",
            "(no name)",
            "\u{200b}",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [
            "Yousef",
            "Young",
            "\u{1f469}\u{200d}\u{1f467}",
            "Ana",
            "Mel",
            "\u{963f}\u{5a1c}",
            "\u{43c}\u{430}\u{448}\u{430}",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn pictures_keep_what_makes_them_up_and_nothing_else_hides() {
        for name in
            ["Zo\u{eb}", "Ana \u{2764}\u{fe0f}", "\u{1f469}\u{200d}\u{1f467}", "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}"]
        {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "A\u{fe0f}na",
            "A\u{200d}na",
            "Ana\u{200d}",
            "Ana\u{fe01}",
            "A\u{200b}na",
            "\u{1f469}\u{200d}a",
            "A\u{61c}",
        ] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
