//! Spans of time as people write and read them: `5s`, `30m`, `12h`, `7d`, `1h30m`.

use std::time::Duration;

/// The units, largest first, with their seconds and names.
const UNITS: [(char, u64, &str); 5] =
    [('w', 604_800, "week"), ('d', 86_400, "day"), ('h', 3_600, "hour"), ('m', 60, "minute"), ('s', 1, "second")];

/// Reads a span. The error says how to write one.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    read(text).ok_or_else(|| "write a span as 5s, 30m, 12h or 7d".to_owned())
}

fn read(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for letter in text.trim().chars() {
        if let Some(digit) = letter.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
        } else {
            let (_, seconds, _) = UNITS.iter().find(|(unit, ..)| *unit == letter.to_ascii_lowercase())?;
            total = total.checked_add(number.take()?.checked_mul(*seconds)?)?;
        }
    }
    // A number without a unit is not guessed at: a week and a second are too far apart.
    (number.is_none() && total > 0).then(|| Duration::from_secs(total))
}

/// A span in the largest two units that are not zero: "7 days", "1 hour 30 minutes".
pub(crate) fn in_words(seconds: u64) -> String {
    let mut rest = seconds;
    let mut parts = Vec::new();
    // Weeks are left out: "7 days" is what everybody says.
    for (_, size, name) in UNITS.iter().skip(1) {
        let count = rest / size;
        rest %= size;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "no time".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, seconds) in
            [("5s", 5), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), (" 1H30m ", 5_400)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_span_is_refused_with_an_example() {
        for text in ["", "5", "s", "5x", "-5s", "0s", "5s3", "1.5h", "99999999999999999999s", "999999999999999999w"] {
            assert_eq!(parse(text), Err("write a span as 5s, 30m, 12h or 7d".to_owned()), "{text}");
        }
    }

    #[test]
    fn spans_are_told_in_two_units_at_most() {
        assert_eq!(in_words(604_800), "7 days");
        assert_eq!(in_words(5_400), "1 hour 30 minutes");
        assert_eq!(in_words(90_061), "1 day 1 hour");
        assert_eq!(in_words(5), "5 seconds");
        assert_eq!(in_words(0), "no time");
    }
}
