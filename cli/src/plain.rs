//! Makes texts and names of others safe for a terminal and honest for a reader.
//!
//! A terminal obeys control characters: a message could clear the screen, retitle the window or overwrite a name.
//! Direction overrides show letters in another order than they are in. Neither ever reaches the terminal. JSON output
//! is not touched: it escapes what matters, and scripts want what was sent.

/// A text with its line breaks: control characters become their visible pictures, hidden ones are left out.
pub(crate) fn text(text: &str) -> String {
    let unified = text.replace("\r\n", "\n");
    unified.chars().filter_map(|letter| if letter == '\n' { Some(letter) } else { visible(letter) }).collect()
}

/// A name, or anything else that must stay on one line.
pub(crate) fn name(name: &str) -> String {
    let spaced = name.chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter });
    // Joiners make some scripts and pictures; in a name they could also make two that look the same.
    let shown: String =
        spaced.filter(|letter| !matches!(letter, '\u{200c}' | '\u{200d}')).filter_map(visible).collect();
    let shown = shown.trim();
    if shown.is_empty() { "(no name)".to_owned() } else { shown.to_owned() }
}

/// A name or id as it can be typed after a verb: quoted if a shell takes it as it is, otherwise the beginning of the id.
/// A name can hold what a shell obeys, and people paste.
pub(crate) fn quoted(name: &str, id: &str) -> String {
    let harmless = |letter: char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_' | '.' | ',' | '+' | ':');
    if !name.is_empty() && !name.starts_with('-') && name.trim() == name && name.chars().all(harmless) {
        format!("\"{name}\"")
    } else {
        crate::render::id(id).to_owned()
    }
}

fn visible(letter: char) -> Option<char> {
    match letter {
        '\t' => Some(' '),
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(letter)),
        '\x7f' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}' => Some('\u{fffd}'),
        // Overrides, embeddings and isolates of direction; plain marks stay, right-to-left writing needs them.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        // Line and paragraph separators would start a line that looks like ours.
        '\u{2028}' | '\u{2029}' => Some(' '),
        // No width, no meaning for a reader.
        '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}' => None,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => None,
        _ => Some(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_never_sees_a_control_character() {
        assert_eq!(text("\x1b[2Jgone\x07\x7f\u{9b}"), "␛[2Jgone␇␡\u{fffd}");
        assert_eq!(text("over\rwrite"), "over␍write");
        for code in (0..0x20).chain(0x7f..0xa0) {
            let letter = char::from_u32(code).expect("a character");
            let shown = text(&letter.to_string());
            assert!(shown.chars().all(|shown| shown == '\n' || !shown.is_control()), "{code:x}");
        }
    }

    #[test]
    fn line_breaks_of_a_text_stay_and_those_of_a_name_do_not() {
        assert_eq!(text("one\r\ntwo\nthree"), "one\ntwo\nthree");
        assert_eq!(name("Ana\n14:05  Ben: hello"), "Ana 14:05  Ben: hello");
        assert_eq!(text("a\u{2028}b"), "a b");
    }

    #[test]
    fn direction_cannot_be_turned_and_nothing_hides() {
        assert_eq!(text("abc\u{202e}fed\u{2066}x\u{2069}"), "abcfedx");
        assert_eq!(name("An\u{200b}a\u{feff}\u{200d}"), "Ana");
        assert_eq!(name(" \u{200b} "), "(no name)");
    }

    #[test]
    fn a_name_to_be_pasted_is_quoted_and_one_that_a_shell_would_obey_is_its_id() {
        assert_eq!(quoted("Tuesday circle", "0a0b0c0d0e0f"), "\"Tuesday circle\"");
        assert_eq!(quoted("Zoë", "0a0b0c0d0e0f"), "\"Zoë\"");
        for name in ["$(reboot)", "`x`", "a\"b", "a!b", "a\nb", "a\\", "-x", ""] {
            assert_eq!(quoted(name, "0a0b0c0d0e0f"), "0a0b0c0d", "{name:?}");
        }
    }

    #[test]
    fn writing_of_all_people_stays() {
        for same in ["שלום \u{200f}", "नमस्ते", "👩\u{200d}👧", "Zoë", "می\u{200c}خواهم"] {
            assert_eq!(text(same), same);
        }
    }
}
