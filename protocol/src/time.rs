//! Moments and spans in milliseconds. There is no clock here: every moment is handed in.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use minicbor::{Decode, Encode};

/// A moment: milliseconds since 1970-01-01T00:00:00Z, UTC, without leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Time(#[n(0)] u64);

impl Time {
    /// The beginning of 1970.
    pub const ZERO: Self = Self(0);
    /// Later than every moment that occurs.
    pub const MAX: Self = Self(u64::MAX);

    /// Makes a moment from milliseconds since 1970.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole hours since 1970, rounded down; what an envelope's header carries (PROTOCOL M3).
    #[must_use]
    pub fn hour(self) -> u32 {
        u32::try_from(self.0 / 3_600_000).unwrap_or(u32::MAX)
    }

    /// Whole UTC days since 1970, rounded down; lanes and topics change with it (PROTOCOL M1).
    #[must_use]
    pub fn day(self) -> u32 {
        u32::try_from(self.0 / 86_400_000).unwrap_or(u32::MAX)
    }

    /// The span from `earlier` to here, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved by a signed number of milliseconds, held inside the range of `Time`.
    #[must_use]
    pub const fn shifted(self, ms: i64) -> Self {
        Self(self.0.saturating_add_signed(ms))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_inside_the_range() {
        assert_eq!(Time::MAX + Duration::from_secs(1), Time::MAX);
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::from_ms(5).shifted(-9), Time::ZERO);
        assert_eq!(Time::from_ms(5).since(Time::from_ms(9)), Duration::ZERO);
    }
}
