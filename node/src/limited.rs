//! What a person gave that is outside a limit: which one, in words that say how to mend it. The protocol refuses the
//! same things; it does not say which limit it was.

use std::time::Duration;

use kinfold_protocol::limits::NAME_BYTES_MAX;

use crate::control::{ApiError, ErrorKind, names};

/// A message's text.
pub(crate) fn text(text: &str, bytes_max: usize) -> Result<(), ApiError> {
    let error = |message: &str, hint: &str| {
        Err(ApiError::new(ErrorKind::BadText).with_words(message.to_owned(), hint.to_owned()))
    };
    if text.trim().is_empty() {
        error("the message is empty; it was not sent", "write something, then send it")
    } else if text.len() > bytes_max {
        let hint = "a message can have about 2,500 words; a longer one can go in parts";
        error("the message is too long; it was not sent", hint)
    } else {
        Ok(())
    }
}

/// A name that somebody chose: `whose` is the subject of the sentence.
pub(crate) fn name(whose: &str, name: &str) -> Result<(), ApiError> {
    let (what, hint) = if name.trim().is_empty() {
        ("is empty", "choose a plain name, such as Tuesday circle or Ana")
    } else if name.len() > NAME_BYTES_MAX {
        ("is too long", "choose a name of up to 64 letters, fewer with accents")
    } else if name.trim() != name {
        ("begins or ends with a space", "leave the space out")
    } else if !names::is_plain(name) {
        ("has characters in it that cannot be seen", "type it by hand instead of pasting it")
    } else {
        return Ok(());
    };
    Err(ApiError::new(ErrorKind::BadName).with_words(format!("{whose} {what}; nothing was changed"), hint.to_owned()))
}

/// The name that somebody goes by in a group.
pub(crate) fn own_name(chosen: &str) -> Result<(), ApiError> {
    name("your name", chosen)?;
    if !names::is_reserved(chosen) {
        return Ok(());
    }
    let message = "your name would be read as a word of Kinfold itself, such as You; nothing was changed";
    let hint = "choose a name that can only be you, such as Ana";
    Err(ApiError::new(ErrorKind::BadName).with_words(message.to_owned(), hint.to_owned()))
}

/// A span of time: `what` can take between the two.
pub(crate) fn span(what: &str, span: Duration, least: Duration, most: Duration) -> Result<(), ApiError> {
    let hint = format!("{what} from {} to {}", in_words(least), in_words(most));
    let message = if span < least {
        "that span is too short; nothing was changed"
    } else if span > most {
        "that span is too long; nothing was changed"
    } else {
        return Ok(());
    };
    Err(ApiError::new(ErrorKind::BadLifetime).with_words(message.to_owned(), hint))
}

/// The largest unit that leaves nothing over.
fn in_words(span: Duration) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let fits = units.into_iter().find(|(size, _)| span.as_secs().is_multiple_of(*size));
    let (size, unit) = fits.unwrap_or((1, "second"));
    let count = span.as_secs() / size;
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(result: Result<(), ApiError>) -> (String, String) {
        let error = result.expect_err("refused");
        (error.message, error.hint.expect("what to do"))
    }

    #[test]
    fn an_empty_message_is_not_called_too_long() {
        assert_eq!(words(text(" \n", 9)).0, "the message is empty; it was not sent");
        assert_eq!(words(text("ten letters", 9)).0, "the message is too long; it was not sent");
        assert!(text("nine letr", 9).is_ok());
    }

    #[test]
    fn a_name_is_refused_for_what_is_the_matter_with_it_and_it_says_whose() {
        assert_eq!(words(name("your name", "")).0, "your name is empty; nothing was changed");
        assert_eq!(words(name("your name", " Ana")).0, "your name begins or ends with a space; nothing was changed");
        let long = words(name("the group's name", &"x".repeat(65)));
        assert_eq!(long.0, "the group's name is too long; nothing was changed");
        let hidden = words(name("your name", "A\u{202e}na")).0;
        assert_eq!(hidden, "your name has characters in it that cannot be seen; nothing was changed");
        assert!(name("your name", "Zo\u{eb}").is_ok());
        for reserved in ["You", "y\u{43e}u", "System"] {
            let refused = words(own_name(reserved)).0;
            assert!(refused.starts_with("your name would be read as a word of Kinfold itself"), "{refused}");
        }
        assert!(own_name("Ana").is_ok() && name("the group's name", "You").is_ok());
    }

    #[test]
    fn a_span_is_refused_with_the_one_limit_that_applies() {
        let (week, hour) = (Duration::from_secs(604_800), Duration::from_secs(3_600));
        let short = words(span("a message of this group can live", Duration::from_secs(1), hour, week));
        let hint = "a message of this group can live from 1 hour to 7 days";
        assert_eq!(short, ("that span is too short; nothing was changed".to_owned(), hint.to_owned()));
        assert_eq!(words(span("x", week * 2, hour, week)).0, "that span is too long; nothing was changed");
        assert!(span("x", week, hour, week).is_ok());
        assert_eq!(in_words(Duration::from_secs(90)), "90 seconds");
    }
}
