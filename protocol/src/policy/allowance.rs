//! How much of something may come in a time: so much at once, and so much a second after that.

use crate::time::Time;

/// So much a second, and this much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What comes back in a second.
    pub per_second: u64,
    /// What may be used at once.
    pub burst: u64,
}

/// What has been used of an allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    thousandths: u64,
    at: Time,
}

impl Used {
    /// Uses so much more, unless that is more than there is. A clock that goes back gives nothing back meanwhile.
    pub fn take(&mut self, allowance: Allowance, amount: u64, now: Time) -> bool {
        let ms = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let still = self.thousandths.saturating_sub(ms.saturating_mul(allowance.per_second));
        let used = still.saturating_add(amount.saturating_mul(1_000));
        let fits = used <= allowance.burst.saturating_mul(1_000);
        *self = Self { thousandths: if fits { used } else { still }, at: now };
        fits
    }

    /// Whether so much more could be used.
    #[must_use]
    pub fn fits(mut self, allowance: Allowance, amount: u64, now: Time) -> bool {
        self.take(allowance, amount, now)
    }

    /// Gives back what was used and need not have been.
    pub const fn give_back(&mut self, amount: u64) {
        self.thousandths = self.thousandths.saturating_sub(amount.saturating_mul(1_000));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOME: Allowance = Allowance { per_second: 10, burst: 30 };

    fn taken(used: &mut Used, now: Time) -> usize {
        (0..1_000).take_while(|_| used.take(SOME, 1, now)).count()
    }

    #[test]
    fn so_much_may_come_at_once_and_so_much_a_second_after_that() {
        let (mut used, begin) = (Used::default(), Time::from_ms(1_790_000_000_000));
        assert_eq!(taken(&mut used, begin), 30);
        assert_eq!(taken(&mut used, begin + Duration::from_millis(99)), 0);
        assert_eq!(taken(&mut used, begin + Duration::from_millis(100)), 1);
        assert_eq!(taken(&mut used, begin + Duration::from_millis(1_600)), 15);
        assert_eq!(taken(&mut used, begin + Duration::from_secs(3_600)), 30, "no more than at the beginning");
    }

    #[test]
    fn a_clock_that_goes_back_neither_gives_nor_locks() {
        let (mut used, begin) = (Used::default(), Time::from_ms(1_790_000_000_000));
        assert_eq!(taken(&mut used, begin), 30);
        assert_eq!(taken(&mut used, begin - Duration::from_secs(86_400)), 0);
        assert_eq!(taken(&mut used, begin - Duration::from_secs(86_399)), 10);
    }
}
