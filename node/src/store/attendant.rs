//! Somebody who looks after calls that may never come back by themselves.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A thread that does something now and then beside a call that takes long. One at a time is made.
pub(super) struct Attendant {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Desk {
    watch: Mutex<Watch>,
    rung: Condvar,
}

#[derive(Default)]
struct Watch {
    /// Since when a call is under way, or was last attended.
    since: Option<Instant>,
    /// The thread sleeps until somebody rings. Once awake it looks up by itself, and not at each of many short calls:
    /// to wake it costs more than they do.
    asleep: bool,
    over: bool,
}

impl Attendant {
    /// Starts the thread; `attend` is what it does.
    ///
    /// # Errors
    /// When the system has no thread to spare.
    pub(super) fn start(attend: impl Fn() + Send + 'static) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let theirs = Arc::clone(&desk);
        let thread = thread::Builder::new().name("attendant".into()).spawn(move || theirs.stay(attend))?;
        Ok(Self { desk, thread: Some(thread) })
    }

    /// Makes a call.
    pub(super) fn beside<T>(&self, call: impl FnOnce() -> T) -> T {
        let mut watch = self.desk.watch();
        watch.since = Some(Instant::now());
        if std::mem::take(&mut watch.asleep) {
            self.desk.rung.notify_one();
        }
        drop(watch);
        let made = call();
        self.desk.watch().since = None;
        made
    }
}

impl Drop for Attendant {
    /// Waits for the thread, which holds what it attends with.
    fn drop(&mut self) {
        self.desk.watch().over = true;
        self.desk.rung.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::debug!(code = "attendant_panicked");
        }
    }
}

impl Desk {
    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stay(&self, attend: impl Fn()) {
        let mut watch = self.watch();
        while !watch.over {
            let Some(since) = watch.since else {
                watch.asleep = true;
                let asleep = |watch: &mut Watch| watch.asleep && !watch.over;
                watch = self.rung.wait_while(watch, asleep).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = ATTEND_EVERY.saturating_sub(since.elapsed());
            if !left.is_zero() {
                watch = self.rung.wait_timeout(watch, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(watch);
            attend();
            watch = self.watch();
            // If this is another call by now, it only waits a little longer.
            watch.since = watch.since.map(|_| Instant::now());
        }
    }
}

/// Longer than a disk that works takes, and short for somebody who waits for an answer.
const ATTEND_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, sync_channel};

    use super::*;

    /// One that says each time that it attended.
    fn counted() -> (Attendant, Receiver<()>) {
        let (attended, come) = sync_channel(100);
        (Attendant::start(move || attended.send(()).expect("somebody counts")).expect("a thread"), come)
    }

    #[test]
    fn a_call_that_takes_long_is_attended_until_it_comes_back() {
        let (attendant, come) = counted();
        // The second finds it asleep, or awake: either way it is attended.
        for _ in 0..2 {
            let (first, second) = attendant.beside(|| (come.recv(), come.recv()));
            assert_eq!((first, second), (Ok(()), Ok(())));
        }
        // It may have been on its way once more when the call came back.
        let late = come.recv_timeout(2 * ATTEND_EVERY);
        let later = come.recv_timeout(3 * ATTEND_EVERY);
        assert_eq!(later, Err(RecvTimeoutError::Timeout), "{late:?}");
        drop(attendant);
        assert_eq!(come.recv(), Err(RecvError), "the thread is over");
    }

    #[test]
    fn short_calls_are_left_alone_however_many() {
        let (attendant, come) = counted();
        let begin = Instant::now();
        while begin.elapsed() < 4 * ATTEND_EVERY {
            attendant.beside(thread::yield_now);
        }
        drop(attendant);
        assert!(come.try_recv().is_err());
    }
}
