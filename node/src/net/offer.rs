//! An inbound protocol that is offered or not, as the state of its handler wants.

use std::iter::Flatten;
use std::option;

use libp2p::core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p::swarm::Stream;
use libp2p::swarm::handler::{InboundUpgradeSend, UpgradeInfoSend};

/// `U`, or nothing at all: the peer then cannot tell this node from one that has never heard of the protocol.
pub(super) struct Offer<U>(pub(super) Option<U>);

impl<U: UpgradeInfoSend> UpgradeInfo for Offer<U> {
    type Info = U::Info;
    type InfoIter = Flatten<option::IntoIter<U::InfoIter>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.as_ref().map(UpgradeInfoSend::protocol_info).into_iter().flatten()
    }
}

impl<U: InboundUpgradeSend> InboundUpgrade<Stream> for Offer<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, stream: Stream, info: U::Info) -> Self::Future {
        let upgrade = self.0.expect("only a protocol that was named can be negotiated, and none is named without one");
        upgrade.upgrade_inbound(stream, info)
    }
}
