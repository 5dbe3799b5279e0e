//! A small helper in a group: it answers "ping" with "pong", and greets whoever joins.
//!
//! `bot DATA_DIR GROUP` talks to the node that runs in that data directory (`kinfold up`), as any script can: one JSON
//! object a line over the control socket, JSON-RPC 2.0. It ends when the node does.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Write, stdout};
use std::os::unix::net::UnixStream;
use std::path::Path;

use kinfold_node::control::socket;
use serde_json::{Value, json};

/// One connection; notices come on it between the answers.
struct Bot {
    reader: BufReader<UnixStream>,
    group: String,
}

impl Bot {
    fn ask(&mut self, method: &str, params: &Value) -> Result<(), Box<dyn Error>> {
        let request = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params });
        Ok(writeln!(self.reader.get_mut(), "{request}")?)
    }

    fn say(&mut self, text: &str) -> Result<(), Box<dyn Error>> {
        // Gone after an hour: nobody needs a helper's words for longer.
        self.ask("send", &json!({ "group": self.group, "text": text, "expires_secs": 3_600 }))
    }

    /// The next line of the node; `None` when it has stopped.
    fn hear(&mut self) -> Result<Option<Value>, Box<dyn Error>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let heard: Value = serde_json::from_str(&line)?;
        match heard.pointer("/error/message").and_then(Value::as_str) {
            Some(refusal) => Err(refusal.into()),
            None => Ok(Some(heard)),
        }
    }

    /// What the bot has to say to a line of the group, if anything. It never answers itself.
    fn answer(line: &Value) -> Option<String> {
        let field = |name: &str| line.get(name).and_then(Value::as_str);
        if field("event") != Some("line") || line.get("own") == Some(&Value::Bool(true)) {
            return None;
        }
        match (field("kind")?, field("text"), field("member")) {
            ("text", Some(text), _) => (text.trim() == "ping").then(|| "pong".to_owned()),
            ("joined", _, Some(name)) => Some(format!("Welcome, {name}.")),
            _ => None,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [data_dir, group] = arguments.as_slice() else { return Err("usage: bot DATA_DIR GROUP".into()) };
    let stream = socket::connect(Path::new(data_dir))?;
    let mut bot = Bot { reader: BufReader::new(stream), group: group.clone() };
    bot.ask("subscribe", &json!({ "group": group }))?;
    while let Some(heard) = bot.hear()? {
        if heard.get("id").and_then(Value::as_str) == Some("subscribe") {
            writeln!(stdout(), "The bot listens.")?;
        }
        if let Some(answer) = heard.get("params").and_then(Bot::answer) {
            bot.say(&answer)?;
        }
    }
    writeln!(stdout(), "Kinfold has stopped, and the bot with it.")?;
    Ok(())
}
