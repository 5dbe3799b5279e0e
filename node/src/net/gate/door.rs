//! The gate's end in a connection: nothing, until the gate hands it the inner behaviour's handler.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound, ListenUpgradeError,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol};
use tokio::time::{Sleep, sleep};

use crate::net::offer::Offer;

/// The first pause before a refused stream is asked for again: the two ends admit each other within a round trip.
const RETRY_MIN: Duration = Duration::from_millis(25);
/// The longest pause: a peer that withholds costs a refused stream in two seconds, and nothing more.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The handler of a [`super::Gate`].
///
/// The two ends of a connection never admit each other at the same moment. The one that comes first is refused, and a
/// refusal would make the inner handler give up for ever. So a refused stream is asked for again here, unknown to it.
pub(in crate::net) struct Door<H: ConnectionHandler> {
    inner: Option<Box<H>>,
    /// Streams that were refused; as many as the inner handler has asked for and waits for.
    refused: VecDeque<Asked<H>>,
    retry: Option<Pin<Box<Sleep>>>,
    pause: Duration,
}

/// An order from the gate.
pub(in crate::net) enum ToDoor<H: ConnectionHandler> {
    /// For the inner handler.
    Inner(H::FromBehaviour),
    /// From now on there is an inner handler.
    Open(Box<H>),
    /// From now on there is none.
    Shut,
}

impl<H: ConnectionHandler> fmt::Debug for ToDoor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner(_) => "Inner(..)",
            Self::Open(_) => "Open(..)",
            Self::Shut => "Shut",
        })
    }
}

/// What the inner handler asked for, to be able to ask again.
pub(in crate::net) struct Asked<H: ConnectionHandler> {
    upgrade: H::OutboundProtocol,
    info: H::OutboundOpenInfo,
    timeout: Duration,
}

impl<H: ConnectionHandler> Door<H> {
    pub(super) fn new() -> Self {
        Self { inner: None, refused: VecDeque::new(), retry: None, pause: RETRY_MIN }
    }
}

impl<H> Door<H>
where
    H: ConnectionHandler,
    H::OutboundProtocol: Clone,
    H::OutboundOpenInfo: Clone,
{
    fn request(asked: Asked<H>) -> SubstreamProtocol<H::OutboundProtocol, Asked<H>> {
        let timeout = asked.timeout;
        SubstreamProtocol::new(asked.upgrade.clone(), asked).with_timeout(timeout)
    }

    /// The next refused stream, when its pause is over.
    fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<Asked<H>> {
        if self.refused.is_empty() {
            return Poll::Pending;
        }
        let pause = self.pause;
        ready!(self.retry.get_or_insert_with(|| Box::pin(sleep(pause))).as_mut().poll(cx));
        self.retry = None;
        self.pause = pause.saturating_mul(2).min(RETRY_MAX);
        self.refused.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn on_dial_upgrade_error(&mut self, error: DialUpgradeError<Asked<H>, H::OutboundProtocol>) {
        let DialUpgradeError { info: asked, error } = error;
        let Some(inner) = &mut self.inner else { return };
        match error {
            StreamUpgradeError::NegotiationFailed => self.refused.push_back(asked),
            error @ (StreamUpgradeError::Apply(_) | StreamUpgradeError::Io(_) | StreamUpgradeError::Timeout) => inner
                .on_connection_event(ConnectionEvent::DialUpgradeError(DialUpgradeError { info: asked.info, error })),
        }
    }
}

impl<H> ConnectionHandler for Door<H>
where
    H: ConnectionHandler,
    H::OutboundProtocol: Clone,
    H::OutboundOpenInfo: Clone,
{
    type FromBehaviour = ToDoor<H>;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = Offer<H::InboundProtocol>;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = Option<H::InboundOpenInfo>;
    type OutboundOpenInfo = Asked<H>;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        match &self.inner {
            None => SubstreamProtocol::new(Offer(None), None),
            Some(inner) => inner.listen_protocol().map_upgrade(|upgrade| Offer(Some(upgrade))).map_info(Some),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.connection_keep_alive())
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {
            ToDoor::Inner(event) => {
                if let Some(inner) = &mut self.inner {
                    inner.on_behaviour_event(event);
                }
            }
            ToDoor::Open(handler) => self.inner = Some(handler),
            ToDoor::Shut => *self = Self::new(),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if let Poll::Ready(asked) = self.poll_refused(cx) {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol: Self::request(asked) });
        }
        let Some(inner) = &mut self.inner else { return Poll::Pending };
        Poll::Ready(match ready!(inner.poll(cx)) {
            ConnectionHandlerEvent::OutboundSubstreamRequest { protocol } => {
                let timeout = *protocol.timeout();
                let (upgrade, info) = protocol.into_upgrade();
                let protocol = Self::request(Asked { upgrade, info, timeout });
                ConnectionHandlerEvent::OutboundSubstreamRequest { protocol }
            }
            other => other.map_outbound_open_info(|_| unreachable!("only a request carries one")),
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.as_mut().map_or(Poll::Ready(None), |inner| inner.poll_close(cx))
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        if let ConnectionEvent::DialUpgradeError(error) = event {
            return self.on_dial_upgrade_error(error);
        }
        // A stream that was under way when the door was shut is dropped, and with it closed.
        let Some(inner) = &mut self.inner else { return };
        match event {
            ConnectionEvent::AddressChange(change) => {
                inner.on_connection_event(ConnectionEvent::AddressChange(change));
            }
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info: Some(info) }) => inner
                .on_connection_event(ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                    protocol,
                    info,
                })),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info: asked }) => {
                self.pause = RETRY_MIN;
                inner.on_connection_event(ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                    protocol,
                    info: asked.info,
                }));
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info: Some(info), error }) => {
                inner.on_connection_event(ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }));
            }
            ConnectionEvent::LocalProtocolsChange(change) => {
                inner.on_connection_event(ConnectionEvent::LocalProtocolsChange(change));
            }
            ConnectionEvent::RemoteProtocolsChange(change) => {
                inner.on_connection_event(ConnectionEvent::RemoteProtocolsChange(change));
            }
            // A stream that was offered before there was an inner handler; and kinds of a later libp2p.
            _ => {}
        }
    }
}
