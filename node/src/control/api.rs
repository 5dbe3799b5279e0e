//! What can be asked over the local API: one table, versioned. What is answered stands in [`super::rows`].
//!
//! GROUP and MEMBER are a name or the beginning of an id, and are resolved by the core with [`super::resolve`].
//! Spans are whole seconds.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::errors::ApiError;

/// The version of everything here. It rises when something is taken away or changes its meaning, not when
/// something is added.
pub const API_VERSION: u32 = 1;

/// Every method, in alphabetical order.
pub const METHODS: &[&str] = &[
    "connect",
    "down",
    "facilitator.add",
    "facilitator.remove",
    "group.create",
    "group.doctor",
    "group.leave",
    "group.list",
    "group.show",
    "history",
    "invite.create",
    "invite.list",
    "invite.revoke",
    "join",
    "join.cancel",
    "join.check",
    "lock",
    "members",
    "outbox",
    "outbox.drop",
    "outbox.send",
    "read",
    "remove",
    "retention",
    "send",
    "status",
    "subscribe",
    "unlock",
    "verify",
    "version",
];

/// A request of a face. Parameters that are not in the table are refused: a mistyped `expires_secs` must not
/// quietly make a message live for a week.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", deny_unknown_fields)]
pub enum Request {
    /// Tries an address typed by hand. Answer: [`super::rows::Done`].
    #[serde(rename = "connect")]
    Connect {
        /// For which group.
        group: String,
        /// A multiaddr.
        address: String,
    },
    /// Stops the node. Answer: [`super::rows::Done`], then the connection closes.
    #[serde(rename = "down")]
    Down {},
    /// Lets a member change the group. Answer: [`super::rows::Changed`].
    #[serde(rename = "facilitator.add")]
    FacilitatorAdd {
        /// Of which group.
        group: String,
        /// Whom.
        member: String,
    },
    /// Lets a facilitator change the group no longer. Answer: [`super::rows::Changed`].
    #[serde(rename = "facilitator.remove")]
    FacilitatorRemove {
        /// Of which group.
        group: String,
        /// Whom.
        member: String,
    },
    /// Makes a group. Answer: [`super::rows::GroupMade`].
    #[serde(rename = "group.create")]
    GroupCreate {
        /// The group's name.
        name: String,
        /// This person's name in it.
        display_name: String,
    },
    /// Looks into a group. Answer: [`super::inside::Inside`].
    #[serde(rename = "group.doctor")]
    GroupDoctor {
        /// Which.
        group: String,
    },
    /// Leaves a group. Answer: [`super::rows::Left`].
    #[serde(rename = "group.leave")]
    GroupLeave {
        /// Which.
        group: String,
    },
    /// Lists the groups. Answer: [`super::rows::Groups`].
    #[serde(rename = "group.list")]
    GroupList {},
    /// Shows one group. Answer: [`super::rows::GroupDetail`].
    #[serde(rename = "group.show")]
    GroupShow {
        /// Which.
        group: String,
    },
    /// Reads the lines of a group, oldest first. Answer: [`super::rows::History`].
    #[serde(rename = "history")]
    History {
        /// Of which group.
        group: String,
        /// Only so many, the newest; 0 reads none. All without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
        /// At least all that is unread, even if that is more than `last`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all_unread: bool,
        /// Whether everything up to now counts as shown to the person, before anybody was shown it; see `read` for
        /// after. With lines that leave out something unread nothing is marked; with `last` 0 the person has seen all
        /// elsewhere.
        #[serde(default)]
        mark_read: bool,
    },
    /// Makes an invite for one person; waits a little until others can reach this device. Answer:
    /// [`super::rows::InviteMade`].
    #[serde(rename = "invite.create")]
    InviteCreate {
        /// Into which group.
        group: String,
        /// How long it is good for, if not the usual day.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid_secs: Option<u64>,
    },
    /// Lists the invites made on this device. Answer: [`super::rows::Invites`].
    #[serde(rename = "invite.list")]
    InviteList {
        /// Of which group.
        group: String,
    },
    /// Takes an invite back. Answer: [`super::rows::Revoked`].
    #[serde(rename = "invite.revoke")]
    InviteRevoke {
        /// Of which group.
        group: String,
        /// The beginning of its id.
        invite_id: String,
    },
    /// Joins a group; answers when it can talk, or with the refusal. The join goes on when the answer is only that
    /// nobody could be reached yet. Answer: [`super::rows::GroupMade`].
    #[serde(rename = "join")]
    Join {
        /// The invite's string.
        invite: Secret,
        /// This person's name in the group.
        name: String,
    },
    /// Gives up joins that have not ended. Answer: [`super::rows::JoinsCancelled`].
    #[serde(rename = "join.cancel")]
    JoinCancel {
        /// The one that this invite began; all without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invite: Option<Secret>,
    },
    /// Tells whether an invite is whole and its time not over; changes nothing. Answer: [`super::rows::Done`].
    #[serde(rename = "join.check")]
    JoinCheck {
        /// The invite's string.
        invite: Secret,
    },
    /// Destroys the keys in memory and goes offline. Answer: [`super::rows::Done`].
    #[serde(rename = "lock")]
    Lock {},
    /// Lists the people of a group. Answer: [`super::rows::Members`].
    #[serde(rename = "members")]
    Members {
        /// Which.
        group: String,
    },
    /// Lists what is not yet known to be held by others. Answer: [`super::rows::Outbox`].
    #[serde(rename = "outbox")]
    Outbox {
        /// Of one group only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Drops a message that waits. Answer: [`super::rows::Done`].
    #[serde(rename = "outbox.drop")]
    OutboxDrop {
        /// The beginning of its id.
        id: String,
    },
    /// Sends a message that waits for its author's word. Answer: [`super::rows::Done`].
    #[serde(rename = "outbox.send")]
    OutboxSend {
        /// The beginning of its id.
        id: String,
    },
    /// Counts lines as shown to the person, once they were. Answer: [`super::rows::Done`].
    #[serde(rename = "read")]
    Read {
        /// Of which group.
        group: String,
        /// The `read_mark` of the history that was shown: what has come since stays unread.
        mark: u64,
    },
    /// Takes a member out of a group. Answer: [`super::rows::Changed`].
    #[serde(rename = "remove")]
    Remove {
        /// Of which group.
        group: String,
        /// Whom.
        member: String,
    },
    /// Sets or tells how long messages of a group live. Answer: [`super::rows::Retention`].
    #[serde(rename = "retention")]
    Retention {
        /// Of which group.
        group: String,
        /// How long from now on; only tells without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secs: Option<u64>,
    },
    /// Says something; answers after the durable write. Answer: [`super::rows::Sent`].
    #[serde(rename = "send")]
    Send {
        /// To which group.
        group: String,
        /// What.
        text: Secret,
        /// A shorter life than the group's rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_secs: Option<u64>,
    },
    /// Tells how things stand, also while locked. Answer: [`super::rows::Status`].
    #[serde(rename = "status")]
    Status {},
    /// Asks to be told of what happens, on this connection. Answer: [`super::rows::Subscribed`].
    #[serde(rename = "subscribe")]
    Subscribe {
        /// In one group only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Opens a locked node. Answer: [`super::rows::Done`].
    #[serde(rename = "unlock")]
    Unlock {
        /// What opens it.
        passphrase: Secret,
    },
    /// Shows the safety code shared with a member. Answer: [`super::rows::Verification`].
    #[serde(rename = "verify")]
    Verify {
        /// In which group.
        group: String,
        /// With whom.
        member: String,
        /// Whether the person says that both codes are the same.
        #[serde(default)]
        confirm: bool,
        /// Whether the person takes that back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undo: bool,
    },
    /// Tells which versions run. Answer: [`super::rows::Version`].
    #[serde(rename = "version")]
    Version {},
}

impl Request {
    /// The method's name, one of [`METHODS`].
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Down {} => "down",
            Self::FacilitatorAdd { .. } => "facilitator.add",
            Self::FacilitatorRemove { .. } => "facilitator.remove",
            Self::GroupCreate { .. } => "group.create",
            Self::GroupDoctor { .. } => "group.doctor",
            Self::GroupLeave { .. } => "group.leave",
            Self::GroupList {} => "group.list",
            Self::GroupShow { .. } => "group.show",
            Self::History { .. } => "history",
            Self::InviteCreate { .. } => "invite.create",
            Self::InviteList { .. } => "invite.list",
            Self::InviteRevoke { .. } => "invite.revoke",
            Self::Join { .. } => "join",
            Self::JoinCancel { .. } => "join.cancel",
            Self::JoinCheck { .. } => "join.check",
            Self::Lock {} => "lock",
            Self::Members { .. } => "members",
            Self::Outbox { .. } => "outbox",
            Self::OutboxDrop { .. } => "outbox.drop",
            Self::OutboxSend { .. } => "outbox.send",
            Self::Read { .. } => "read",
            Self::Remove { .. } => "remove",
            Self::Retention { .. } => "retention",
            Self::Send { .. } => "send",
            Self::Status {} => "status",
            Self::Subscribe { .. } => "subscribe",
            Self::Unlock { .. } => "unlock",
            Self::Verify { .. } => "verify",
            Self::Version {} => "version",
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({})", self.method())
    }
}

/// A text that is wiped from memory when dropped and never shows itself in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Hands the text on, still to be wiped.
    #[must_use]
    pub fn into_inner(self) -> Zeroizing<String> {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A request on its way to the core, with the way back.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes: an object made from one of [`super::rows`], or why not.
    pub reply: oneshot::Sender<Result<serde_json::Value, ApiError>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_of_the_table_has_its_request() {
        let full = serde_json::json!({
            "group": "g", "name": "n", "display_name": "d", "invite_id": "i", "invite": "v", "member": "m",
            "id": "x", "text": "t", "passphrase": "p", "address": "a", "confirm": true, "undo": false,
            "mark": 1
        });
        for method in METHODS {
            // Each method takes the parameters it knows; the message of a refusal names one it does not.
            let mut params = full.clone();
            let request = loop {
                match serde_json::from_value::<Request>(serde_json::json!({"method": method, "params": params})) {
                    Ok(request) => break request,
                    Err(why) => {
                        let why = why.to_string();
                        let name = why.split('`').nth(1).expect("an unknown field is named").to_owned();
                        assert!(why.starts_with("unknown field"), "{method}: {why}");
                        params.as_object_mut().expect("an object").remove(&name);
                    }
                }
            };
            assert_eq!(request.method(), *method);
            let back = serde_json::to_value(&request).expect("a request is JSON");
            assert_eq!(back["method"], *method);
        }
        assert!(METHODS.is_sorted());
    }

    #[test]
    fn a_mistyped_parameter_is_refused() {
        let call = serde_json::json!({"method": "send", "params": {"group": "g", "text": "t", "expire_secs": 5}});
        assert!(serde_json::from_value::<Request>(call).is_err());
    }

    #[test]
    fn a_debugged_request_shows_no_content() {
        let secret = Secret::new(Zeroizing::new("correct horse".into()));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", Request::Unlock { passphrase: secret }), "Request(unlock)");
    }
}
