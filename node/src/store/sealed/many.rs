//! Much of one kind, done on two threads: a phone has more than one core too, and starting is waited for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Rows in a part: enough that handing them over costs little; three parts at a time are in memory.
pub(super) const MANY: usize = 256;
/// Parts that are done and wait to be taken.
const AHEAD: usize = 1;

/// Does the same with all parts, in whatever order, each thread with what it keeps from one to the next; what comes of
/// them is taken on the calling thread.
pub(super) fn on_two_threads<T: Sync, K: Default, R: Send>(
    parts: &[T],
    one: impl Fn(&T, &mut K) -> R + Sync,
    mut take: impl FnMut(R),
) {
    let next = AtomicUsize::new(0);
    let part = || parts.get(next.fetch_add(1, Ordering::Relaxed));
    let (part, one) = (&part, &one);
    thread::scope(|scope| {
        let (tell, told) = sync_channel(AHEAD);
        let other = thread::Builder::new().spawn_scoped(scope, move || {
            let mut kept = K::default();
            while let Some(part) = part() {
                if tell.send(one(part, &mut kept)).is_err() {
                    return;
                }
            }
        });
        let mut kept = K::default();
        loop {
            if let Ok(done) = told.try_recv() {
                take(done);
            } else if let Some(part) = part() {
                take(one(part, &mut kept));
            } else {
                break;
            }
        }
        told.iter().for_each(take);
        // Without a thread to spare it took longer.
        if let Ok(Err(panic)) = other.map(thread::ScopedJoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everything_is_done_once_whoever_is_slow() {
        for (len, slow) in [(0, 0), (1, 0), (2, 1_000), (3, 1_000), (100, 100), (512, 0)] {
            let (parts, here) = ((0..len).collect::<Vec<u64>>(), thread::current().id());
            let one = |part: &u64, done: &mut usize| {
                *done += 1;
                if (thread::current().id() == here) == part.is_multiple_of(2) {
                    (0..slow).for_each(|_| thread::yield_now());
                }
                (*part, (thread::current().id() == here, *done))
            };
            let (mut taken, mut firsts) = (Vec::new(), BTreeSet::new());
            on_two_threads(&parts, one, |(part, how)| {
                taken.push(part);
                assert!(firsts.insert(how), "each thread keeps what it has from one to the next");
            });
            assert_eq!(taken.len(), parts.len());
            assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), parts.into_iter().collect());
        }
    }

    #[test]
    fn two_threads_work_at_a_time() {
        let both = std::sync::Barrier::new(2);
        let mut taken = 0;
        on_two_threads(&[(), ()], |(), (): &mut ()| both.wait().is_leader(), |_| taken += 1);
        assert_eq!(taken, 2);
    }
}
