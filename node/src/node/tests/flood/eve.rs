//! The program of the one who floods.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinfold_protocol::id::{LinkId, Topic};
use kinfold_protocol::step::Transmit;
use tokio::time::{interval, timeout};

use super::super::*;
use super::device::{ByHand, Kept};
use super::{A_SECOND, LONG};
use crate::net::{NetCommand, NetHandle};

/// When Eve was let in to gossip on a link, and when that ended.
#[derive(Default)]
pub(super) struct Links {
    pub(super) up: BTreeSet<LinkId>,
    pub(super) ended: Vec<Instant>,
}

/// Eve's changed program: it greets as she would, and says nothing by itself.
pub(super) struct Eve {
    device: ByHand,
    inbox: mpsc::Receiver<FromNet>,
    pub(super) commands: mpsc::Sender<NetCommand>,
    pub(super) links: Arc<Mutex<Links>>,
    _net: NetHandle,
}

impl Eve {
    pub(super) fn start(rows: &Kept) -> Self {
        let (device, opened) = ByHand::open(rows.clone(), clock::wall());
        let net = opened.iter().find_map(|transmit| match transmit {
            Transmit::Open { net, .. } => Some(*net),
            _ => None,
        });
        let (listen, _) = net::interfaces(&["/ip4/127.0.0.1".to_owned()]).expect("loopback");
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let links = Arc::default();
        let config = net::NetConfig { net: net.expect("a network"), listen, port: None, links };
        let handle = net::start(config, sender).expect("it runs");
        let eve = Self { device, inbox, commands: handle.commands.clone(), links: Arc::default(), _net: handle };
        for transmit in opened {
            if let Transmit::Topics { topics, .. } = transmit {
                eve.commands.try_send(NetCommand::Topics(topics)).expect("room");
            }
        }
        eve
    }

    pub(super) async fn run(mut self) {
        loop {
            let wait = self.device.client.deadline().map_or(LONG, |due| due.since(clock::wall()));
            let input = match timeout(wait, self.inbox.recv()).await {
                Ok(Some(from)) => from.input,
                Ok(None) => return,
                Err(_) => Input::Deadline,
            };
            // She does not care what the others say.
            if matches!(input, Input::Gossip { .. }) {
                continue;
            }
            if let Input::Disconnected { link } = &input {
                let mut links = self.links.lock().unwrap();
                if links.up.remove(link) {
                    links.ended.push(Instant::now());
                }
            }
            for transmit in self.device.give(input, clock::wall()).1 {
                let command = match transmit {
                    Transmit::Admit { link } => {
                        self.links.lock().unwrap().up.insert(link);
                        NetCommand::Admit { link }
                    }
                    Transmit::Dial { address, .. } => NetCommand::Dial { address },
                    Transmit::Disconnect { link } => NetCommand::Disconnect { link },
                    Transmit::Frame { link, bytes } => NetCommand::Frame { link, bytes },
                    Transmit::Topics { topics, .. } => NetCommand::Topics(topics),
                    Transmit::Known { link } => NetCommand::Known { link },
                    Transmit::Withhold { link } => NetCommand::Withhold { link },
                    Transmit::Close { .. }
                    | Transmit::Open { .. }
                    | Transmit::PassOn { .. }
                    | Transmit::Publish { .. } => continue,
                };
                if self.commands.send(command).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Says all of it, 5,000 a second.
pub(super) async fn flood(commands: mpsc::Sender<NetCommand>, sealed: Vec<(Topic, Vec<u8>)>) -> Duration {
    let begin = Instant::now();
    let mut pace = interval(Duration::from_millis(1));
    for five in sealed.chunks(A_SECOND / 1_000) {
        pace.tick().await;
        for (topic, bytes) in five {
            let publish = NetCommand::Publish { topic: *topic, bytes: bytes.clone() };
            commands.send(publish).await.expect("her network runs");
        }
    }
    begin.elapsed()
}
