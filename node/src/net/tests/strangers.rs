//! Peers that are not Kinfold's, or do not do as they should.

use futures::AsyncWriteExt;
use kinfold_protocol::limits::{FRAME_BYTES_MAX, PUSH_BYTES_MAX};
use libp2p::gossipsub::Event;
use libp2p::swarm::StreamProtocol;
use libp2p_stream::OpenStreamError;

use super::raw::{Raw, Seen, read_frame, write_frame};
use super::*;
use crate::net::stream::PROTOCOL;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_sees_no_gossip_protocol_and_learns_no_topic() {
    let mut node = Node::new().await;
    gossip::subscribe(&node).await;
    let mut stranger = Raw::new(&TOPIC.to_hex());
    let peer = stranger.dial(&node.addresses[0]).await;
    let mut stream = stranger.link(peer).await;
    let (link, ..) = node.connected().await;
    node.publish(b"secret").await;

    // Its own gossipsub says that there is none; and nothing came before that, or comes while both talk.
    let refused = |seen| match seen {
        Seen::Gossip(Event::GossipsubNotSupported { .. }) => Some(()),
        Seen::Gossip(other) => panic!("the stranger heard {other:?}"),
        _ => None,
    };
    stranger.wait(refused).await;
    for path in ["/meshsub/1.0.0", "/meshsub/1.1.0", "/meshsub/1.2.0", "/meshsub/1.3.0", "/floodsub/1.0.0"] {
        let opened = stranger.control.open_stream(peer, StreamProtocol::new(path)).await;
        assert!(matches!(opened, Err(OpenStreamError::UnsupportedProtocol(_))), "{path}");
    }
    write_frame(&mut stream, b"hello").await;
    assert_eq!(node.received(link).await, b"hello");
    node.frame(link, b"no".to_vec()).await;
    assert_eq!(read_frame(&mut stream).await, b"no");
    while let Ok(seen) = stranger.seen.try_recv() {
        assert!(!matches!(seen, Seen::Gossip(_)), "the stranger heard {seen:?}");
    }
    assert!(node.gossip_so_far().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_beyond_any_frame_ends_the_link() {
    let mut node = Node::new().await;
    let mut stranger = Raw::new("any");
    let peer = stranger.dial(&node.addresses[0]).await;
    let mut stream = stranger.link(peer).await;
    let (link, ..) = node.connected().await;
    let length = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
    stream.write_all(&length.to_be_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    node.disconnected(link).await;
    stranger.closed().await;
    assert!(node.pending.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_frame_is_not_a_frame() {
    let mut node = Node::new().await;
    let mut stranger = Raw::new("any");
    let peer = stranger.dial(&node.addresses[0]).await;
    let mut stream = stranger.link(peer).await;
    let (link, ..) = node.connected().await;
    stream.write_all(&[0, 0, 0, 9, 1, 2, 3]).await.unwrap();
    stream.close().await.unwrap();
    node.disconnected(link).await;
    stranger.closed().await;
    assert!(node.pending.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_stream_ends_the_link() {
    let mut node = Node::new().await;
    loop {
        let mut stranger = Raw::new("any");
        let peer = stranger.dial(&node.addresses[0]).await;
        let _stream = stranger.link(peer).await;
        let (link, ..) = node.connected().await;
        let second = stranger.control.open_stream(peer, PROTOCOL).await;
        if stranger.opens(peer) {
            node.disconnected(link).await;
            stranger.closed().await;
            return;
        }
        // The end that is to accept is offered nothing. Try with another identity.
        assert!(matches!(second, Err(OpenStreamError::UnsupportedProtocol(_))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_makes_no_link_is_a_failed_dial() {
    let short = Patience { stream: Duration::from_millis(300), ..Patience::default() };
    let mut node = Node::with(None, 256, short).await;
    // One identity is to open and does not, another is to accept and drops: both orders come up.
    for _ in 0..8 {
        let mut stranger = Raw::new("any");
        let address = stranger.address().await;
        node.dial(&address).await;
        let peer = stranger.wait(|seen| if let Seen::Connected(peer) = seen { Some(peer) } else { None }).await;
        if stranger.opens(peer) {
            assert_eq!(node.dial_failed().await, address);
        } else {
            drop(stranger.link(peer).await);
            let (link, ..) = node.connected().await;
            node.disconnected(link).await;
        }
        stranger.closed().await;
    }
    assert!(node.pending.is_empty());
}

/// A node with a link to a peer that reads nothing, and one to a peer that does.
async fn with_a_slow_reader(patience: Patience) -> (Node, LinkId, Raw, libp2p::Stream, Node, LinkId, LinkId) {
    let mut node = Node::with(None, 256, patience).await;
    let mut slow = Raw::new("any");
    let peer = slow.dial(&node.addresses[0]).await;
    let stream = slow.link(peer).await;
    let (slow_link, ..) = node.connected().await;
    let mut good = Node::new().await;
    let (good_link, at_good) = connect(&mut node, &mut good).await;
    (node, slow_link, slow, stream, good, good_link, at_good)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_lets_more_queue_than_there_is_room_for_is_disconnected() {
    let (mut node, slow_link, mut slow, _stream, mut good, good_link, at_good) =
        with_a_slow_reader(Patience::default()).await;
    for byte in 0..100 {
        node.frame(slow_link, vec![byte; PUSH_BYTES_MAX]).await;
        node.frame(good_link, vec![byte; 64]).await;
        assert_eq!(good.received(at_good).await, vec![byte; 64]);
    }
    node.disconnected(slow_link).await;
    slow.closed().await;
    round_trip(&mut node, good_link, &mut good, at_good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_nothing_for_too_long_is_disconnected() {
    let short = Patience { stall: Duration::from_millis(500), ..Patience::default() };
    let (mut node, slow_link, mut slow, _stream, mut good, good_link, at_good) = with_a_slow_reader(short).await;
    // More than the transport takes, less than the queue.
    for byte in 0..24 {
        node.frame(slow_link, vec![byte; PUSH_BYTES_MAX]).await;
    }
    node.disconnected(slow_link).await;
    slow.closed().await;
    round_trip(&mut node, good_link, &mut good, at_good).await;
}
