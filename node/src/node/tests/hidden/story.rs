//! What people do: two are in two groups with each other, a third comes into one and is taken out of it.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::super::*;
use super::people::Person;
use super::traces::Canary;

const CIRCLE: usize = 0;
const BOOKS: usize = 1;
const DISAPPEARS_SECS: u64 = 5;

/// A story, told.
pub(super) struct Told {
    pub(super) people: Vec<Person>,
    /// The ids of the groups.
    pub(super) groups: Vec<[u8; 16]>,
    /// All words, names and addresses, and what the faces were shown of ids.
    pub(super) canaries: Vec<Canary>,
    pub(super) invites: Vec<String>,
    /// The ids of all who were ever there.
    pub(super) members: BTreeSet<[u8; 32]>,
}

/// A word that nobody else uses.
fn word(of: &str) -> String {
    blake3::hash(of.as_bytes()).as_bytes()[..28].iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

fn hex<const N: usize>(value: &Value) -> [u8; N] {
    let text = value.as_str().expect("an id");
    assert_eq!(text.len(), 2 * N);
    let digit = |at: usize| char::from(text.as_bytes()[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    std::array::from_fn(|at| {
        digit(2 * at).zip(digit(2 * at + 1)).map(|(high, low)| high << 4 | low).expect("hexadecimal")
    })
}

fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().expect("a list")
}

impl Told {
    fn new() -> Self {
        let people = ["Ana", "Ben", "Chi"].map(Person::new).into();
        let (canaries, invites, members) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { people, groups: Vec::new(), canaries, invites, members }
    }

    /// A word for something, not to be shown.
    fn coin(&mut self, what: &str) -> String {
        let word = word(what);
        self.canaries.push(Canary::new(what, word.clone()));
        word
    }

    fn name(&mut self, who: usize, group: usize) -> String {
        let what = format!("the name of {} in group {group}", self.people[who].name);
        self.coin(&what)
    }

    fn group(group: usize) -> String {
        word(&format!("the name of group {group}"))
    }

    fn found(&mut self, group: usize) {
        let name = self.coin(&format!("the name of group {group}"));
        let own = self.name(0, group);
        let made = self.people[0].ask("group.create", &json!({ "name": name, "display_name": own }));
        self.groups.push(hex(&made["group_id"]));
        self.canaries.push(Canary::new("the id of a group", hex::<16>(&made["group_id"])));
    }

    /// Comes in by an invite of the founder.
    fn join(&mut self, who: usize, group: usize) {
        let made = self.people[0].ask("invite.create", &json!({ "group": Self::group(group) }));
        let invite = made["invite"].as_str().expect("an invite").to_owned();
        let own = self.name(who, group);
        self.people[who].ask("join", &json!({ "invite": invite, "name": own }));
        for (what, bytes) in
            ["the seed of an invite", "an invite's hash of the group", "an invite's hash of who answers"]
                .into_iter()
                .zip(super::keys::invite_parts(&invite))
        {
            self.canaries.push(Canary::new(what, bytes));
        }
        self.invites.push(invite);
        let shown = json!({ "group": Self::group(group) });
        for row in list(&self.people[0].ask("members", &shown), "members") {
            self.members.insert(hex(&row["member_id"]));
            self.canaries.push(Canary::new("a member's id", hex::<32>(&row["member_id"])));
        }
        for member in [0, who] {
            for address in list(&self.people[member].ask("group.show", &shown), "addresses") {
                self.canaries.push(Canary::new("an address", address.as_str().expect("a text")));
            }
        }
        let other = word(&format!("the name of {} in group {group}", self.people[who].name));
        let code = self.people[0].ask("verify", &json!({ "group": Self::group(group), "member": other }));
        self.canaries.push(Canary::new("a safety code", code["safety_code"].as_str().expect("a text")));
    }

    /// Says something of so many bytes at least.
    fn say(&mut self, who: usize, group: usize, what: &str, bytes: usize) {
        self.say_for(who, group, what, bytes, None);
    }

    fn say_for(&mut self, who: usize, group: usize, what: &str, bytes: usize, secs: Option<u64>) {
        let word = self.coin(&format!("what {} said in group {group}: {what}", self.people[who].name));
        let text: String = word.chars().cycle().take(bytes.max(word.len())).collect();
        let sent = json!({ "group": Self::group(group), "text": text, "expires_secs": secs });
        let sent = self.people[who].ask("send", &sent);
        self.canaries.push(Canary::new("the id of a message", hex::<32>(&sent["id"])));
    }

    /// Waits until somebody has been told so many things in a group.
    fn heard(&self, who: usize, group: usize, count: usize) {
        let texts = |answer: &Value| list(answer, "rows").iter().filter(|row| row["kind"] == "text").count();
        let shown = json!({ "group": Self::group(group), "mark_read": true });
        self.people[who].until("words", "history", &shown, |answer| texts(answer) == count);
    }

    /// Waits until all that somebody said in a group was received by all others.
    fn received(&self, who: usize, group: usize) {
        let shown = json!({ "group": Self::group(group) });
        let told = |row: &Value| row["received_by"].is_u64() && row["received_by"] == row["received_of"];
        self.people[who].until("receipts", "history", &shown, |answer| {
            list(answer, "rows").iter().all(|row| row["kind"] != "text" || row["own"] != true || told(row))
        });
    }

    fn connected(&self, who: usize, group: usize, count: usize) {
        let shown = json!({ "group": Self::group(group) });
        self.people[who].until("links", "group.show", &shown, |answer| answer["connected"] == count);
    }
}

/// Two people found two groups and talk, in words of every size.
fn meet(told: &mut Told) {
    for group in [CIRCLE, BOOKS] {
        told.found(group);
        told.join(1, group);
    }
    for group in [CIRCLE, BOOKS] {
        told.connected(0, group, 1);
        told.connected(1, group, 1);
        for (what, bytes) in [
            ("a word", 0),
            ("a page", 1_024),
            ("a letter", 2_600),
            ("a chapter", 5_000),
            ("a long one", 12_000),
            ("all there is room for", 16_384),
        ] {
            told.say(0, group, what, bytes);
            told.say(1, group, what, bytes.saturating_sub(5));
        }
    }
}

/// The story.
pub(super) fn tell() -> Told {
    let mut told = Told::new();
    meet(&mut told);
    for (who, group) in [(0, CIRCLE), (1, CIRCLE), (0, BOOKS), (1, BOOKS)] {
        told.heard(who, group, 12);
        told.received(who, group);
    }
    // Ben is away; things are said, the rule changes, and Chi comes in.
    told.people[1].down();
    told.say(0, BOOKS, "while Ben is away", 3_000);
    told.people[0].ask("retention", &json!({ "group": Told::group(CIRCLE), "secs": 30 * 86_400 }));
    told.join(2, CIRCLE);
    told.connected(0, CIRCLE, 1);
    told.say(0, CIRCLE, "while Ben is away", 700);
    told.say(2, CIRCLE, "before Ben comes", 0);
    told.people[1].up();
    told.heard(1, CIRCLE, 14);
    told.heard(1, BOOKS, 13);
    told.say(1, CIRCLE, "back again", 5_000);
    told.heard(0, CIRCLE, 15);
    told.say_for(1, CIRCLE, "not for long", 0, Some(DISAPPEARS_SECS));
    // Ana goes offline without stopping, and comes back.
    told.people[0].ask("lock", &json!({}));
    told.say(1, BOOKS, "while Ana has locked", 9_000);
    told.people[0].ask("unlock", &json!({ "passphrase": super::people::PASSPHRASE }));
    told.heard(0, BOOKS, 14);
    // What disappears is gone, and Chi goes out.
    told.heard(1, CIRCLE, 15);
    let chi = word(&format!("the name of Chi in group {CIRCLE}"));
    told.people[0].ask("remove", &json!({ "group": Told::group(CIRCLE), "member": chi }));
    told.people[2]
        .until("the removal", "group.list", &json!({}), |answer| list(answer, "groups")[0]["standing"] == "removed");
    told.say(0, CIRCLE, "among two", 0);
    told.heard(1, CIRCLE, 16);
    told
}
