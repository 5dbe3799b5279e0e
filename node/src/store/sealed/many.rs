//! Opening many rows: on two threads, and with what neighbours share of the way to their keys.

use std::thread;

use crate::vault::row::Trails;

/// Rows that are opened before any of them is looked at: enough to keep two threads busy, little memory.
pub(super) const MANY: usize = 512;

/// Does the same with all items, in their order: a phone has more than one core too, and starting is waited for.
pub(super) fn on_two_threads<T: Sync, R: Send>(
    items: &[T],
    trails: &mut [Trails; 2],
    one: impl Fn(&T, &mut Trails) -> R + Sync,
) -> Vec<R> {
    let (here, there) = items.split_at(items.len() / 2);
    let [ours, theirs] = trails;
    let all = |items: &[T], trails: &mut Trails| items.iter().map(|item| one(item, trails)).collect::<Vec<R>>();
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || all(there, theirs));
        let mut done = all(here, ours);
        done.extend(match other {
            Ok(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // Without a thread to spare it takes longer.
            Err(_) => all(there, ours),
        });
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_in_order() {
        for len in [0, 1, 2, 3, 511, 512] {
            let items: Vec<usize> = (0..len).collect();
            assert_eq!(on_two_threads(&items, &mut Default::default(), |item, _| *item), items);
        }
    }
}
