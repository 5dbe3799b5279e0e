//! A group whose founder, at least, sees everything; and what was said in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kinfold_tests::death::{LEFT, WRONG};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::judge::Judge;
use crate::ledger::{Death, Share};
use crate::node::{Api, Node, PASSPHRASE, text};
use crate::wait::until;

pub(crate) const GROUP: &str = "Circle";
/// Deaths in one room: opening a store costs more the more is in it.
pub(crate) const ROOM_DEATHS: usize = 15;
/// Connections that talk to one node at a time, so that a round has more than one input.
const MOUTHS: usize = 4;

/// Where to die while the vault is opened.
const UNLOCKS: [&str; 4] = ["during_unlock:1", "during_unlock:2", "inside_keyring:2", "after_keyring:1"];

/// What was said, by how `send` ended.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// It answered that the text is kept.
    kept: BTreeSet<String>,
    /// It never answered: whoever asked must look.
    open: BTreeSet<String>,
    last: usize,
}

/// Things to say, over some connections.
pub(crate) struct Talk(Vec<(Api, Vec<String>)>);

/// Things that are being said, each with its answer in the end, if there is one.
pub(crate) struct Talking(Vec<JoinHandle<Answered>>);

/// Each thing, and the answer to it.
type Answered = Vec<(String, Option<Value>)>;

/// A folder with devices, a judge, and what was said.
pub(crate) struct Room {
    pub(crate) place: TempDir,
    pub(crate) judge: Judge,
    pub(crate) said: Said,
}

/// What a device told of while it ran, as it was told.
pub(crate) struct Feed(Receiver<(String, String)>);

impl Room {
    pub(crate) fn new() -> Self {
        Self { place: TempDir::new().expect("a folder"), judge: Judge::default(), said: Said::default() }
    }

    /// A device that runs.
    pub(crate) fn node(&self, name: &str) -> Node {
        Node::started(self.place.path(), name)
    }

    /// A founder with its group, and others who came in at leisure.
    pub(crate) fn group<const N: usize>(&self, founder: &str, others: [&str; N]) -> (Node, [Node; N]) {
        let founder = self.node(founder);
        founder.call("group.create", &json!({ "name": GROUP, "display_name": founder.name }));
        let others = others.map(|name| {
            let node = self.node(name);
            node.call("join", &json!({ "invite": founder.invite(GROUP), "name": name }));
            node
        });
        let all = u64::try_from(N).expect("a number");
        founder.until_linked(GROUP, all);
        others.iter().for_each(|other| other.until_linked(GROUP, all));
        (founder, others)
    }

    /// Looks at a device that has just died.
    pub(crate) fn look(&mut self, share: &Share<'_>, dead: &Node) {
        share.opened(dead, self.judge.look(dead));
    }

    /// Ends a room: `all` were in from the first message to the last, and one of them told everything.
    pub(crate) fn end(mut self, share: &Share<'_>, all: Vec<Node>, feed: Option<Feed>) {
        // Whoever only listened would show nothing of whether its ear is open.
        all.iter().for_each(|node| self.said.say(node, 1));
        let shown = self.said.shown_by(&all);
        if let Some(feed) = feed {
            feed.told_once(&shown);
        }
        for mut node in all {
            node.kill();
            assert!(!node.notes(LEFT).is_empty(), "the ear of {} is deaf", node.name);
            no_wrong(&node);
            self.look(share, &node);
        }
        let found = self.judge.sentence();
        assert!(found.places >= shown.len(), "only {} of {} texts were judged", found.places, shown.len());
        share.tell("texts shown", shown.len());
        share.tell("messages judged", found.places);
        share.tell("messages after burnt keys", found.after_burns);
    }
}

/// Lets a device die while it starts, and while its person unlocks it; it has just said something each time.
pub(crate) fn die_unlocking(share: &Share<'_>) {
    let mut room = Room::new();
    let (ana, [mut ben]) = room.group("Ana", ["Ben"]);
    for chain in UNLOCKS {
        let death = Death::At(chain.parse().expect("a chain"));
        room.said.say(&ben, 1);
        ben.kill();
        ben.up_to(share, &death);
        room.look(share, &ben);
        ben.up();
        room.said.say(&ben, 1);
        ben.call("lock", &json!({}));
        let mut api = ben.api();
        let died = ben.dies(share, &death, Duration::ZERO, || {
            api.ask("unlock", &json!({ "passphrase": PASSPHRASE }));
        });
        assert!(died, "{} lives on after {death:?}", ben.name);
        room.look(share, &ben);
        ben.up();
    }
    room.end(share, vec![ana, ben], None);
}

/// Gives the author's word to what waits for it: somebody came in before it could leave.
fn release(author: &Node) {
    let outbox = author.call("outbox", &json!({}));
    for row in outbox["messages"].as_array().expect("rows").iter().filter(|row| row["state"] == "waiting") {
        author.call("outbox.send", &json!({ "id": row["id"] }));
    }
}

/// Nothing that must not happen was noted: no error, no warning, no key that was used before.
pub(crate) fn no_wrong(node: &Node) {
    assert_eq!(node.notes(WRONG), Vec::<String>::new(), "at {}", node.name);
}

impl Said {
    /// Says so many things at one device, over more than one connection at a time.
    pub(crate) fn say(&mut self, node: &Node, count: usize) {
        let talk = self.talk(node, count).begin();
        self.hear(talk);
    }

    /// So many things to say at one device, which is connected to and waits.
    pub(crate) fn talk(&mut self, node: &Node, count: usize) -> Talk {
        let texts: Vec<String> = (1..=count).map(|number| format!("{}-{:05}", node.name, self.last + number)).collect();
        self.last += count;
        Talk(texts.chunks(count.div_ceil(MOUTHS).max(1)).map(|texts| (node.api(), texts.to_vec())).collect())
    }

    /// Takes note of how each thing that was said has ended.
    pub(crate) fn hear(&mut self, talk: Talking) {
        for (text, answer) in talk.0.into_iter().flat_map(|talk| talk.join().expect("nobody panics")) {
            match answer {
                Some(answer) => {
                    assert!(answer["result"]["id"].is_string(), "{text}: {answer}");
                    self.kept.insert(text);
                }
                None => {
                    self.open.insert(text);
                }
            }
        }
    }

    /// The last thing that somebody was told is kept.
    pub(crate) fn last_of(&self, name: &str) -> String {
        let of = |text: &&String| text.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        self.kept.iter().rfind(of).expect("something was said").clone()
    }

    /// Waits until all devices show the same texts in the same order; these are what was said, each once. Their ids.
    pub(crate) fn shown_by(&self, all: &[Node]) -> BTreeMap<String, String> {
        let mut found = Vec::new();
        let all_shown = |texts: &[(String, String)]| {
            let shown: BTreeSet<&String> = texts.iter().map(|(_, text)| text).collect();
            self.kept.iter().all(|kept| shown.contains(kept))
        };
        until_or("the same texts everywhere", || {
            all.iter().for_each(release);
            found = all.iter().map(|node| (node.name.clone(), node.texts(GROUP))).collect();
            let same = found.windows(2).all(|pair| pair[0].1 == pair[1].1);
            if same && all_shown(&found[0].1) { Ok(()) } else { Err(self.differences(&found)) }
        });
        let texts = found.swap_remove(0).1;
        let (ids, words): (BTreeMap<_, _>, BTreeSet<_>) =
            (texts.iter().cloned().collect(), texts.iter().map(|(_, text)| text).collect());
        assert_eq!((ids.len(), words.len()), (texts.len(), texts.len()), "something is shown twice");
        let strange: Vec<_> =
            words.iter().filter(|text| !self.kept.contains(**text) && !self.open.contains(**text)).collect();
        assert!(strange.is_empty(), "{strange:?} was never said");
        ids
    }

    fn differences(&self, found: &[(String, Vec<(String, String)>)]) -> String {
        let of = |(name, texts): &(String, Vec<(String, String)>)| {
            let shown: BTreeSet<&String> = texts.iter().map(|(_, text)| text).collect();
            let missing: Vec<_> = self.kept.iter().filter(|kept| !shown.contains(kept)).collect();
            format!("{name} shows {} and misses {missing:?}", texts.len())
        };
        found.iter().map(of).collect::<Vec<_>>().join("; ")
    }
}

impl Talk {
    /// Says it, one thing after the other on each connection.
    pub(crate) fn begin(self) -> Talking {
        let say = |(mut api, texts): (Api, Vec<String>)| {
            std::thread::spawn(move || {
                let said = texts.into_iter().map(|text| {
                    let answer = api.try_call("send", &json!({ "group": GROUP, "text": text }));
                    (text, answer)
                });
                said.collect()
            })
        };
        Talking(self.0.into_iter().map(say).collect())
    }
}

impl Feed {
    /// Hears what a device tells from now on.
    pub(crate) fn of(node: &Node) -> Self {
        let (tell, told) = mpsc::sync_channel(100_000);
        let mut api = node.api();
        let answer = api.try_call("subscribe", &json!({})).expect("an answer");
        assert!(answer["error"].is_null(), "{answer}");
        std::thread::spawn(move || {
            for event in api.events() {
                let event = &event["params"];
                assert_ne!(event["event"], "lagged", "the test is too slow");
                if event["event"] == "line" && event["kind"] == "text" && tell.send(line(event)).is_err() {
                    break;
                }
            }
        });
        Self(told)
    }

    /// Whether just these texts were told, each once.
    fn told_once(&self, shown: &BTreeMap<String, String>) {
        let mut told = Vec::new();
        until("everything that is told", || {
            told.extend(self.0.try_iter());
            (told.len() >= shown.len()).then_some(())
        });
        let once: BTreeMap<_, _> = told.iter().cloned().collect();
        assert_eq!((told.len(), &once), (shown.len(), shown), "each text is told once");
    }
}

fn line(event: &Value) -> (String, String) {
    (text(&event["id"]), text(&event["text"]))
}

/// Looks until all is well; what was wrong at last, if that never comes.
fn until_or(what: &str, mut look: impl FnMut() -> Result<(), String>) {
    let mut wrong = String::new();
    let seen = crate::wait::seen_within(crate::wait::PATIENCE, || look().map_err(|why| wrong = why).ok());
    assert!(seen.is_some(), "never came: {what}: {wrong}");
}

/// How long something takes.
pub(crate) fn timed(run: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
}
