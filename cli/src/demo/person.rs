//! One person of the demo: a process of this program with a data directory of its own, spoken to over its control
//! socket only.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::lines::Row;
use kinfold_node::control::rows::{Done, GroupRow, Groups, History, MemberRow, Members, Sent};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::check::{self, Checked, Failure, Said, Shown};
use super::house::{House, Processes, broken};
use crate::error::{Local, Result};
use crate::remote::Remote;

/// This computer only, a port that is free.
const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";

/// Ana, Ben or Chi.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    processes: Processes,
    data_dir: PathBuf,
    log: PathBuf,
    remote: Option<Remote>,
    /// What the process prints; kept open while it runs.
    output: Option<BufReader<ChildStdout>>,
}

impl Person {
    pub(crate) fn new(name: &'static str, house: &House) -> Self {
        let lower = name.to_lowercase();
        let (data_dir, log) = (house.place(&lower), house.place(&format!("{lower}.log")));
        Self { name, processes: house.processes(), data_dir, log, remote: None, output: None }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Each person has a passphrase of their own; it guards a folder that lives for a minute.
    pub(crate) fn passphrase(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("four unrelated words of {}", self.name))
    }

    /// Begins to set up the data directory.
    pub(crate) fn begin_set_up(&mut self) -> Checked {
        self.begin(&["init"])
    }

    /// Waits until that is done.
    pub(crate) fn set_up(&mut self) -> Checked {
        let told = self.told()?;
        let done = told.get("ok").and_then(serde_json::Value::as_bool) == Some(true);
        check::holds(done, &format!("{}'s Kinfold is set up", self.name), format!("it said: {told}"))?;
        self.output = None;
        self.processes.ended_well(self.name)
    }

    /// Begins to start Kinfold.
    pub(crate) fn begin_start(&mut self) -> Checked {
        self.begin(&["up", "--listen", LISTEN, "--no-lan"])
    }

    /// Waits until it says that it is ready.
    pub(crate) fn started(&mut self) -> Checked {
        let told = self.told()?;
        let ready = told.get("event").and_then(serde_json::Value::as_str) == Some("ready");
        check::holds(ready, &format!("{}'s Kinfold says that it is ready", self.name), format!("it said: {told}"))?;
        self.remote = Some(Remote::open(&self.data_dir)?);
        Ok(())
    }

    fn begin(&mut self, verb: &[&str]) -> Checked {
        self.output = Some(BufReader::new(self.process(verb)?));
        Ok(())
    }

    /// The first line that the process prints.
    fn told(&mut self) -> Checked<serde_json::Value> {
        let mut line = String::new();
        let output = self.output.as_mut().ok_or(Local::LostContact)?;
        output.read_line(&mut line).map_err(|_| Local::LostContact)?;
        Ok(serde_json::from_str(&line).map_err(|_| Local::BadAnswer)?)
    }

    pub(crate) fn start(&mut self) -> Checked {
        self.begin_start()?;
        self.started()
    }

    fn process(&self, verb: &[&str]) -> Checked<ChildStdout> {
        let program = std::env::current_exe().map_err(|_| broken("this program cannot find itself"))?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log: File = log.map_err(|_| broken("the demo's folder cannot be written to"))?;
        // The passphrase comes through a pipe: neither arguments nor environment ever hold it.
        let (reader, mut writer) = std::io::pipe().map_err(|_| broken("this system let Kinfold make no pipe"))?;
        writeln!(writer, "{}", &*self.passphrase()).map_err(|_| broken("the passphrase could not be handed over"))?;
        let mut command = Command::new(program);
        command.args(["--json", "--passphrase-fd", "0", "--data-dir"]).arg(&self.data_dir).args(verb);
        command.stdin(reader).stdout(Stdio::piped()).stderr(log);
        let output = self.processes.start(self.name, &mut command)?;
        Ok(output.ok_or_else(|| broken("a process has no output"))?)
    }

    /// Whether the process runs.
    pub(crate) fn number(&self) -> Option<u32> {
        self.processes.number(self.name)
    }

    /// Stops as when the system shuts down.
    pub(crate) fn switch_off(&mut self) -> Checked {
        self.processes.terminate(self.name)?;
        self.remote = None;
        self.processes.ended_well(self.name)
    }

    /// Stops as a person stops it.
    pub(crate) fn stop(&mut self) -> Checked {
        self.ask::<Done>(&Request::Down {})?;
        self.remote.take().ok_or(Local::LostContact)?.wait_for_end()?;
        self.processes.ended_well(self.name)
    }

    /// Asks the node.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        self.remote.as_mut().ok_or(Local::LostContact)?.call(request)
    }

    /// A second connection.
    pub(crate) fn connection(&self) -> Result<Remote> {
        Remote::open(&self.data_dir)
    }

    pub(crate) fn groups(&mut self) -> Result<Vec<GroupRow>> {
        Ok(self.ask::<Groups>(&Request::GroupList {})?.groups)
    }

    pub(crate) fn members(&mut self, group: &str) -> Result<Vec<MemberRow>> {
        Ok(self.ask::<Members>(&Request::Members { group: group.to_owned() })?.members)
    }

    /// All that this person is shown of a group.
    pub(crate) fn history(&mut self, group: &str) -> Result<Vec<Row>> {
        let request = Request::History { group: group.to_owned(), last: None, all_unread: false, mark_read: false };
        Ok(self.ask::<History>(&request)?.rows)
    }

    /// The messages of it.
    pub(crate) fn shown(&mut self, group: &str) -> Result<Shown> {
        let rows = self.history(group)?;
        Ok(Shown::new(self.name, &rows))
    }

    /// The line of one message.
    pub(crate) fn line(&mut self, group: &str, message: &Said) -> Checked<Row> {
        let found = self.history(group)?.into_iter().find(|row| row.id == message.id);
        found.ok_or_else(|| Failure::Differs {
            expected: format!("{} shows \"{}\"", self.name, message.text),
            seen: "it is not there".to_owned(),
        })
    }

    /// Says something; it is durable when this returns.
    pub(crate) fn say(&mut self, group: &str, text: &str, expires_secs: Option<u64>) -> Result<Said> {
        let secret = Secret::new(Zeroizing::new(text.to_owned()));
        let sent: Sent = self.ask(&Request::Send { group: group.to_owned(), text: secret, expires_secs })?;
        Ok(Said { id: sent.id, text: text.to_owned() })
    }
}
