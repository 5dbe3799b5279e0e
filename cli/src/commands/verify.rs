//! `verify`: compares safety codes with somebody.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Verification;

use super::Context;
use crate::args::VerifyArgs;
use crate::error::Result;
use crate::{plain, render};

pub(super) fn run(context: &Context, args: VerifyArgs) -> Result<()> {
    let VerifyArgs { group, member, confirm, undo, no_qr: _ } = args;
    let code: Verification = context.remote()?.call(&Request::Verify { group, member, confirm, undo })?;
    context.out.answer(&code, || plain::name(&code.safety_code))?;
    context.out.talk(&render::safety_code_use(&code, undo))
}
