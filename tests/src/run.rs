//! One run of one seed.

use std::path::PathBuf;

use crate::dice::Dice;
use crate::levers::Levers;
use crate::script::Script;
use crate::trace::Trace;
use crate::watch::Watch;
use crate::world::World;

/// What became of a run.
#[derive(Debug)]
pub struct Run {
    /// Which.
    pub seed: u64,
    /// What happened how often.
    pub levers: Levers,
    /// What happened.
    pub trace: Trace,
    /// What was wrong, if anything was.
    pub violation: Option<String>,
}

/// Plays a seed.
#[must_use]
pub fn play(seed: u64) -> Run {
    let watch = Watch::default();
    let mut dice = Dice::new(seed, 0);
    let nodes = usize::try_from(dice.between(3, 8)).unwrap_or(3);
    let mut world = World::new(seed, nodes, watch.clone());
    let result = tracing::subscriber::with_default(watch, || Script::new(seed).play(&mut world));
    Run { seed, levers: world.levers, trace: world.trace, violation: result.err() }
}

impl Run {
    /// Writes the trace where a person can read it.
    ///
    /// # Errors
    /// When the folder for such files cannot be written.
    pub fn save(&self) -> std::io::Result<PathBuf> {
        let path = std::env::temp_dir().join(format!("kinfold-simulation-{}.trace", self.seed));
        let mut text = self.trace.text();
        text.push_str(self.violation.as_deref().unwrap_or("nothing was wrong"));
        text.push('\n');
        std::fs::write(&path, text)?;
        Ok(path)
    }
}
