//! What is said, where it stands and what happens: the rows and notices of the local API.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::rows::Standing;

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody came in: see `member`.
    Joined,
    /// Somebody left: see `member`.
    Left,
    /// Somebody was removed: see `member`.
    Removed,
    /// Somebody's device had lost the way, and was let in anew: see `member`.
    Back,
    /// Somebody may change the group from now on: see `member`.
    Appointed,
    /// Somebody may do so no longer: see `member`.
    Dismissed,
    /// Messages live another time from now on: see `retention_secs`.
    Retention,
    /// Something said: see `text`.
    Text,
}

/// A line of history.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name for ever.
    pub id: String,
    /// What it tells.
    pub kind: Kind,
    /// Who said or did it, by the name at that time.
    pub author: String,
    /// Who, by id.
    pub author_id: String,
    /// What was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When, on the author's clock.
    pub sent: Moment,
    /// When it will be gone; null for lines that stay with the group.
    pub expires: Option<Moment>,
    /// Where it stands.
    #[serde(flatten)]
    pub stand: Stand,
    /// Whether this device's person said or did it.
    pub own: bool,
    /// Whether it came after later lines had been shown.
    pub late: bool,
    /// In which group.
    pub group_id: String,
    /// The group's name.
    pub group: String,
    /// Who joined, left, was removed or changed roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// How long messages live from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_secs: Option<u64>,
}

/// Where a message stands; each is a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its deadline has passed before it left.
    Expired,
    /// At least one other person's device holds it.
    Held,
    /// On this device only, as far as known.
    Kept,
    /// Some of the people it was for have opened it: see `received_by`, `received_of`.
    Received,
    /// It waits for its author's word.
    Waiting,
}

/// A state with its numbers, which only `received` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The state.
    pub state: State,
    /// How many people have opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_by: Option<usize>,
    /// Of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_of: Option<usize>,
}

/// An own message that nobody else is known to hold.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Its name for ever.
    pub id: String,
    /// In which group.
    pub group_id: String,
    /// The group's name.
    pub group: String,
    /// What it says.
    pub text: String,
    /// Where it stands.
    #[serde(flatten)]
    pub stand: Stand,
    /// When it was said.
    pub sent: Moment,
    /// When it will be gone.
    pub expires: Moment,
}

/// Something that happened, as subscribers are told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// This device's clock and those of the others disagree, or agree again.
    ClockOff {
        /// Own clock less theirs; nothing, when they agree.
        ahead_secs: i64,
        /// Whether messages carry their time. Of two clocks alone, nobody knows which is right.
        corrected: bool,
    },
    /// Somebody came or went.
    Connected {
        /// Where.
        group_id: String,
        /// Who.
        member_id: String,
        /// By name.
        name: String,
        /// Now or no longer.
        connected: bool,
    },
    /// Lines reached their deadline.
    Gone {
        /// Where.
        group_id: String,
        /// Which.
        ids: Vec<String>,
    },
    /// This subscriber was too slow and missed some notices; `history` has the lines.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// A new line.
    Line(Row),
    /// The node was locked.
    Locked {},
    /// A group's lifecycle has moved on.
    Standing {
        /// Which.
        group_id: String,
        /// To what.
        standing: Standing,
    },
    /// An own message stands elsewhere now.
    State {
        /// Where.
        group_id: String,
        /// Which.
        id: String,
        /// Where it stands.
        #[serde(flatten)]
        stand: Stand,
    },
    /// The node was unlocked.
    Unlocked {},
}

impl Notice {
    /// The group that it is about, if it is about one.
    #[must_use]
    pub fn group_id(&self) -> Option<&str> {
        match self {
            Self::ClockOff { .. } | Self::Lagged { .. } | Self::Locked {} | Self::Unlocked {} => None,
            Self::Connected { group_id, .. }
            | Self::Gone { group_id, .. }
            | Self::Standing { group_id, .. }
            | Self::State { group_id, .. } => Some(group_id),
            Self::Line(row) => Some(&row.group_id),
        }
    }
}

/// A moment, to the millisecond, written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Timestamp);

impl Moment {
    /// Takes milliseconds since 1970; a moment past what a calendar can name becomes the last one it can.
    #[must_use]
    pub fn from_ms(ms: u64) -> Self {
        let timestamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self(timestamp.unwrap_or(Timestamp::MAX))
    }

    /// For a calendar.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

redacted!(Row, OutboxRow, Notice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rfc_3339_in_utc_and_reads_back() {
        let moment = Moment::from_ms(1_700_000_000_120);
        assert_eq!(serde_json::to_string(&moment).expect("JSON"), "\"2023-11-14T22:13:20.120Z\"");
        assert_eq!(serde_json::from_str::<Moment>("\"2023-11-14T22:13:20.120Z\"").expect("reads"), moment);
        assert_eq!(Moment::from_ms(u64::MAX).timestamp(), Timestamp::MAX);
    }

    #[test]
    fn a_line_notice_is_the_row_with_its_event() {
        let row = Row {
            id: "01".into(),
            kind: Kind::Text,
            author: "Ana".into(),
            author_id: "aa".into(),
            text: Some("hello".into()),
            sent: Moment::from_ms(0),
            expires: Some(Moment::from_ms(5_000)),
            stand: Stand { state: State::Received, received_by: Some(1), received_of: Some(2) },
            own: true,
            late: false,
            group_id: "bb".into(),
            group: "Circle".into(),
            member: None,
            retention_secs: None,
        };
        let notice = Notice::Line(row);
        let json = serde_json::to_value(&notice).expect("JSON");
        let expected = serde_json::json!({
            "event": "line", "id": "01", "kind": "text", "author": "Ana", "author_id": "aa", "text": "hello",
            "sent": "1970-01-01T00:00:00.000Z", "expires": "1970-01-01T00:00:05.000Z", "state": "received",
            "received_by": 1, "received_of": 2, "own": true, "late": false, "group_id": "bb", "group": "Circle"
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Notice>(json).expect("reads"), notice);
        assert_eq!(notice.group_id(), Some("bb"));
        assert!(!format!("{notice:?}").contains("hello"), "no content in a log");
    }
}
