//! Versions, as far as comparing them with a fixed release needs.

use std::fmt;

/// Major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u64, pub(crate) u64, pub(crate) u64);

impl Version {
    /// Reads `1.2.3`, also with a pre-release or build after it. A pre-release comes before its release, so it counts
    /// as the release before: a fix that is in `1.2.3` need not be in `1.2.3-rc.1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.split('+').next()?;
        let (numbers, pre_release) = text.split_once('-').map_or((text, false), |(numbers, _)| (numbers, true));
        let mut parts = numbers.split('.').map(str::parse);
        let mut part = || parts.next()?.ok();
        let (major, minor, patch) = (part()?, part()?, part()?);
        Some(match (pre_release, patch, minor, major) {
            (false, ..) => Self(major, minor, patch),
            (true, 1.., _, _) => Self(major, minor, patch - 1),
            (true, 0, 1.., _) => Self(major, minor - 1, u64::MAX),
            (true, 0, 0, _) => Self(major.saturating_sub(1), u64::MAX, u64::MAX),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[test]
fn versions_compare_by_number_and_pre_releases_come_first() {
    let parse = |text| Version::parse(text).unwrap();
    assert!(parse("0.9.5") < parse("0.10.0"));
    assert!(parse("0.7.5+spec-1.1.0") == Version(0, 7, 5));
    assert!(parse("0.13.10-rc.1") < parse("0.13.10"));
    assert!(parse("0.14.0-rc.1") < parse("0.14.0") && parse("0.14.0-rc.1") > parse("0.13.99"));
    assert!(parse("1.0.0-rc.1") < parse("1.0.0"));
    assert_eq!(Version::parse("1.2"), None);
}
