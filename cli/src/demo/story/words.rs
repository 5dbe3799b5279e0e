//! What is said. Each text is said once, so that it can be looked for.

pub(super) const GROUP: &str = "Evening circle";

pub(super) const ANA_ASKS: &str = "How is everyone this evening?";
pub(super) const BEN_ANSWERS: &str = "Tired, but glad to be here.";
pub(super) const CHI_ANSWERS: &str = "I slept through the night, for the first time in weeks.";
pub(super) const ANA_BRIEFLY: &str = "My door code until tomorrow is 4711.";
pub(super) const BRIEFLY_SECS: u64 = 5;

pub(super) const BEN_MEANWHILE: &str = "I have the results on Thursday.";
pub(super) const ANA_MEANWHILE: &str = "I will think of you on Thursday.";

pub(super) const CHI_WITHOUT_BEN: &str = "It is quieter now.";
pub(super) const ANA_WITHOUT_BEN: &str = "I am still here.";

pub(super) const CHI_AGAIN: &str = "Good morning.";
pub(super) const ANA_AGAIN: &str = "Good morning, Chi.";
