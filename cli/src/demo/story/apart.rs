//! Devices that are away, and what they find when they are back.

use super::words::{ANA_MEANWHILE, BEN_MEANWHILE};
use super::{Stage, all_show, sees};
use crate::demo::check::{self, Checked};

const ALL: [&str; 3] = ["Ana", "Ben", "Chi"];

pub(super) fn chi_goes(stage: &mut Stage) -> Checked {
    stage.chi.switch_off()?;
    sees(&mut stage.ana, &stage.group, &ALL, &["Ben"])?;
    sees(&mut stage.ben, &stage.group, &ALL, &["Ana"])?;
    stage.seen("Chi's device is switched off. Ana and Ben see that Chi is not connected.")
}

pub(super) fn others_go_on(stage: &mut Stage) -> Checked {
    let ben = stage.ben.say(&stage.group, BEN_MEANWHILE, None)?;
    stage.said.push(ben);
    all_show(&mut [&mut stage.ana, &mut stage.ben], &stage.group, &stage.said)?;
    let ana = stage.ana.say(&stage.group, ANA_MEANWHILE, None)?;
    stage.said.push(ana);
    all_show(&mut [&mut stage.ana, &mut stage.ben], &stage.group, &stage.said)?;
    stage.seen("Ana and Ben went on; both show what the other said.")
}

pub(super) fn ana_goes(stage: &mut Stage) -> Checked {
    stage.ana.stop()?;
    check::holds(stage.ana.number().is_none(), "Ana's process has ended", "it runs")?;
    sees(&mut stage.ben, &stage.group, &ALL, &[])?;
    stage.seen("Ana's process has ended too. Ben is alone.")
}

pub(super) fn chi_returns(stage: &mut Stage) -> Checked {
    stage.chi.start()?;
    all_show(&mut [&mut stage.ben, &mut stage.chi], &stage.group, &stage.said)?;
    sees(&mut stage.chi, &stage.group, &ALL, &["Ben"])?;
    check::holds(stage.ana.number().is_none(), "Ana's process has not run meanwhile", "it runs")?;
    let refused = stage.ana.connection().map(|_| ());
    check::refused(refused, "not_running")?;
    let Some(briefly) = stage.gone.clone() else { return Ok(()) };
    check::not_shown(&stage.chi.shown(&stage.group)?, &briefly)?;
    stage.seen(
        "Chi is back and has everything that was said meanwhile, once and in order, also what Ana said: from Ben's \
         device alone. What had gone has not come back.",
    )
}

pub(super) fn ana_returns(stage: &mut Stage) -> Checked {
    stage.ana.start()?;
    let (group, said) = (stage.group.clone(), stage.said.clone());
    sees(&mut stage.ana, &group, &ALL, &["Ben", "Chi"])?;
    all_show(&mut stage.everybody(), &group, &said)?;
    stage.seen("Ana is back. All three show the same messages in the same order.")
}
