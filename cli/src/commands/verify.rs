//! `verify`: compares safety codes with somebody.

use kinfold_node::control::Request;
use kinfold_node::control::rows::Verification;

use super::Context;
use crate::args::VerifyArgs;
use crate::error::Result;
use crate::{plain, qr, render};

pub(super) fn run(context: &Context, args: VerifyArgs) -> Result<()> {
    let VerifyArgs { group, member, confirm, no_qr } = args;
    let code: Verification = context.remote()?.call(&Request::Verify { group, member, confirm })?;
    let out = context.out;
    out.answer(&code, || plain::name(&code.safety_code))?;
    if !confirm
        && !no_qr
        && !out.json
        && let Some(drawn) = qr::draw(&code.qr, qr::columns())
    {
        out.talk(&format!("\n{drawn}"))?;
    }
    out.talk(&render::safety_code_use(&code))
}
