//! The link stream's end in a connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, SubstreamProtocol};
use tokio::time::{Sleep, sleep};

use super::PROTOCOL;
use crate::net::offer::Offer;

/// Opens one stream when asked, or accepts; says so when neither happened in time.
pub(in crate::net) struct Handler {
    /// Whether this end opens; then it offers nothing.
    opens: bool,
    patience: Duration,
    asked: bool,
    /// Ends with the first stream.
    late: Option<Pin<Box<Sleep>>>,
    /// At most one entry a negotiated stream, and those are bounded by the muxer.
    happened: VecDeque<Happened>,
}

/// The order to open the stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Open;

/// What a handler reports.
#[derive(Debug)]
pub(in crate::net) enum Happened {
    /// The stream did not open, or not in time.
    Late,
    /// A stream is open.
    Stream(Stream),
}

impl Handler {
    pub(super) fn new(opens: bool, patience: Duration) -> Self {
        Self { opens, patience, asked: false, late: Some(Box::pin(sleep(patience))), happened: VecDeque::new() }
    }

    fn on_stream(&mut self, stream: Stream) {
        self.late = None;
        self.happened.push_back(Happened::Stream(stream));
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Happened;
    type InboundProtocol = Offer<ReadyUpgrade<StreamProtocol>>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(Offer((!self.opens).then(|| ReadyUpgrade::new(PROTOCOL))), ())
    }

    fn on_behaviour_event(&mut self, Open: Open) {
        self.asked = true;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if std::mem::take(&mut self.asked) {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ()).with_timeout(self.patience);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if let Some(happened) = self.happened.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(happened));
        }
        if self.late.as_mut().is_some_and(|late| late.as_mut().poll(cx).is_ready()) {
            self.late = None;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Happened::Late));
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::DialUpgradeError(_) => {
                self.late = None;
                self.happened.push_back(Happened::Late);
            }
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
            | ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, .. }) => {
                self.on_stream(stream);
            }
            _ => {}
        }
    }
}
