//! Where the demo takes place: a folder of its own, and the processes in it. However the demo ends, both go.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io, thread};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::check::{self, Checked, Failure};
use crate::error::{Error, Exit, Local};

/// The longest that all of it may take: whatever waits then is ended.
const ALL_MAX: Duration = Duration::from_secs(120);

/// The folder and the processes. Dropping it ends the processes and removes the folder.
#[derive(Debug)]
pub(crate) struct House {
    folder: Option<TempDir>,
    processes: Processes,
}

impl House {
    /// A new folder for this account alone, without processes, that ends on signals and after a time.
    pub(crate) fn open() -> Checked<Self> {
        let private = fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("kinfold-demo-").permissions(private).tempdir();
        let folder = folder.map_err(|_| broken("there is no room for a folder in the temporary directory"))?;
        let processes = Processes::default();
        end_when_asked(processes.clone()).map_err(|_| Local::NoRuntime)?;
        Ok(Self { folder: Some(folder), processes })
    }

    /// A place in the folder.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.as_ref().map_or_else(PathBuf::new, |folder| folder.path().join(name))
    }

    pub(crate) fn processes(&self) -> Processes {
        self.processes.clone()
    }

    /// Why it was ended before its time, if it was.
    pub(crate) fn ended(&self) -> Option<Error> {
        let ended = self.processes.lock().ended?;
        Some(Error { exit: Exit::Refused, code: "demo_ended".to_owned(), message: ended.to_owned(), hint: None })
    }

    /// Ends what runs and removes the folder; gives its path.
    pub(crate) fn close(&mut self) -> Checked<PathBuf> {
        self.processes.end(None);
        let Some(folder) = self.folder.take() else { return Ok(PathBuf::new()) };
        let path = folder.path().to_owned();
        folder.close().map_err(|_| broken("the demo's folder could not be removed"))?;
        Ok(path)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Before the folder goes: nobody may still write into it.
        self.processes.end(None);
    }
}

/// Something of the system that did not work.
pub(crate) fn broken(message: &str) -> Error {
    Error { exit: Exit::Storage, code: "demo_failed".to_owned(), message: message.to_owned(), hint: None }
}

/// The processes of the demo, by name.
#[derive(Clone, Default)]
pub(crate) struct Processes(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    running: BTreeMap<&'static str, Child>,
    ended: Option<&'static str>,
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().running.keys()).finish()
    }
}

impl Processes {
    /// Starts one, under a name that is free.
    pub(crate) fn start(&self, name: &'static str, command: &mut Command) -> Checked<Option<ChildStdout>> {
        let mut registry = self.lock();
        if registry.ended.is_some() {
            return Err(broken("the demo was ended").into());
        }
        let mut child = command.spawn().map_err(|_| broken("another Kinfold could not be started"))?;
        let output = child.stdout.take();
        registry.running.insert(name, child);
        Ok(output)
    }

    /// The number under which the system knows one that runs.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        let mut registry = self.lock();
        let child = registry.running.get_mut(name)?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    /// Asks one to stop, as the system does when it shuts down.
    pub(crate) fn terminate(&self, name: &str) -> Checked {
        let pid = self.number(name).and_then(|number| i32::try_from(number).ok()).and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        check::holds(asked, &format!("{name}'s Kinfold runs"), "it does not")
    }

    /// Waits until one has ended by itself, well.
    pub(crate) fn ended_well(&self, name: &'static str) -> Checked {
        let status = check::until(|| {
            let status = self.exit_status(name)?;
            status.ok_or_else(|| Failure::Differs {
                expected: format!("{name}'s process ends"),
                seen: "it still runs".to_owned(),
            })
        })?;
        check::holds(status.success(), &format!("{name}'s process ends well"), format!("it ended with {status}"))
    }

    fn exit_status(&self, name: &'static str) -> Checked<Option<ExitStatus>> {
        let mut registry = self.lock();
        let Some(child) = registry.running.get_mut(name) else {
            return Err(broken("a process that was never started is waited for").into());
        };
        let status = child.try_wait().map_err(|_| broken("a process could not be looked at"))?;
        if status.is_some() {
            registry.running.remove(name);
        }
        Ok(status)
    }

    /// Ends all that run, at once; with a reason no other is started.
    fn end(&self, why: Option<&'static str>) {
        let mut registry = self.lock();
        registry.ended = registry.ended.or(why);
        for child in registry.running.values_mut() {
            // It may have ended by itself; then there is nothing to end and only to wait.
            child.kill().unwrap_or_default();
        }
        for (_, mut child) in std::mem::take(&mut registry.running) {
            if child.wait().is_err() {
                tracing::debug!(code = "demo_wait", "a process of the demo could not be waited for");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // After a panic the processes have to be ended all the more.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the processes on Ctrl-C and its like, and when all takes too long. Whoever waits for one of them then finds
/// out at once.
fn end_when_asked(processes: Processes) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    drop(inside);
    thread::Builder::new().name("demo-end".to_owned()).spawn(move || {
        let why = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => "the demo was interrupted; what it had started is stopped and removed",
                _ = terminate.recv() => "the demo was stopped; what it had started is stopped and removed",
                _ = hang_up.recv() => "the window was closed; what the demo had started is stopped and removed",
                () = tokio::time::sleep(ALL_MAX) => "the demo took longer than two minutes and was given up",
            }
        });
        processes.end(Some(why));
    })?;
    Ok(())
}

/// The end of what a process has said on stderr.
pub(crate) fn last_words(log: &Path) -> Option<String> {
    let said = fs::read_to_string(log).ok()?;
    let lines: Vec<&str> = said.lines().collect();
    let from = lines.len().saturating_sub(5);
    lines.get(from..).filter(|last| !last.is_empty()).map(|last| last.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn waiting() -> Command {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command
    }

    fn alive(number: u32) -> bool {
        let pid = Pid::from_raw(i32::try_from(number).expect("a small number")).expect("not zero");
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn processes_and_folder_go_with_the_house_also_when_somebody_panics() {
        let (number, place) = thread::spawn(|| {
            let house = House::open().expect("opens");
            house.processes().start("Ana", &mut waiting()).expect("starts");
            let number = house.processes().number("Ana").expect("runs");
            fs::create_dir(house.place("ana")).expect("a folder");
            let seen = (number, house.place("ana"));
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let _house = house;
                panic!("in the middle");
            }))
            .expect_err("panics");
            seen
        })
        .join()
        .expect("joins");
        assert!(!alive(number), "the process is left behind");
        assert!(!place.exists() && !place.parent().expect("a folder").exists(), "the folder is left behind");
    }

    #[test]
    fn a_house_that_was_ended_starts_nothing_more_and_says_why() {
        let house = House::open().expect("opens");
        house.processes().start("Ana", &mut waiting()).expect("starts");
        house.processes().end(Some("it was enough"));
        assert_eq!(house.processes().number("Ana"), None);
        assert!(house.processes().start("Ben", &mut waiting()).is_err());
        assert_eq!(house.ended().expect("a reason").message, "it was enough");
    }

    #[test]
    fn a_process_that_ends_badly_is_told_from_one_that_ends_well() {
        let house = House::open().expect("opens");
        let processes = house.processes();
        processes.start("Ana", Command::new("true").stdin(Stdio::null())).expect("starts");
        assert_eq!(processes.ended_well("Ana"), Ok(()));
        processes.start("Ben", Command::new("false").stdin(Stdio::null())).expect("starts");
        assert!(matches!(processes.ended_well("Ben"), Err(Failure::Differs { .. })));
        processes.start("Chi", &mut waiting()).expect("starts");
        processes.terminate("Chi").expect("is asked");
        assert!(matches!(processes.ended_well("Chi"), Err(Failure::Differs { .. })), "killed by the signal");
        assert!(processes.terminate("Chi").is_err(), "nobody is there to be asked");
    }
}
