//! Crowds at the door: connections that never say whose they are.

use std::net::{Ipv4Addr, SocketAddr};

use kinfold_protocol::limits::FRAME_BYTES_MAX;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use super::raw::Raw;
use super::*;
use crate::net::lobby::STRANGERS_MAX;

/// Other addresses of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Connections that say nothing.
async fn crowd(node: &Node, from: Ipv4Addr, count: usize) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        crowd.push(timeout(LONG, socket.connect(SocketAddr::from((HERE, node.port)))).await.unwrap().unwrap());
    }
    crowd
}

/// How many the node has not closed, when it has closed all but a lobby full.
async fn settle(crowd: &mut Vec<TcpStream>) -> usize {
    timeout(LONG, async {
        while crowd.len() > STRANGERS_MAX {
            let mut still = Vec::new();
            for mut stream in crowd.drain(..) {
                // What was not spoken to has nothing to say but that it is closed.
                if !matches!(timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await, Ok(Ok(0) | Err(_))) {
                    still.push(stream);
                }
            }
            *crowd = still;
        }
    })
    .await
    .expect("the crowd stays");
    crowd.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_takes_no_room_from_who_comes_from_elsewhere() {
    let mut node = Node::new().await;
    let mut silent = crowd(&node, ELSEWHERE, STRANGERS_MAX).await;
    // From here there is one, and whoever else comes from there goes in the place of one of theirs.
    let mut guest = Raw::new("any");
    let peer = guest.dial(&node.addresses[0]).await;
    let mut stream = guest.link(peer).await;
    let (link, ..) = node.connected().await;
    silent.extend(crowd(&node, ELSEWHERE, 3 * STRANGERS_MAX).await);
    assert!(settle(&mut silent).await < STRANGERS_MAX);
    raw::write_frame(&mut stream, b"still here").await;
    assert_eq!(node.received(link).await, b"still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_waited_longest_leaves_first_and_who_is_known_stays() {
    let (mut node, mut friend) = (Node::new().await, Node::new().await);
    friend.dial(&node.addresses[0].clone()).await;
    let (at_friend, ..) = friend.connected().await;
    let (known, ..) = node.connected().await;
    node.order(NetCommand::Known { link: known }).await;
    let mut stranger = Node::new().await;
    stranger.dial(&node.addresses[0].clone()).await;
    let (at_stranger, ..) = stranger.connected().await;
    let (unknown, ..) = node.connected().await;

    let mut silent = crowd(&node, HERE, 4 * STRANGERS_MAX).await;
    node.disconnected(unknown).await;
    stranger.disconnected(at_stranger).await;
    assert!(settle(&mut silent).await <= STRANGERS_MAX);
    // The newest comes in, however full it is.
    let mut late = Node::new().await;
    let (at_late, at_node) = connect(&mut late, &mut node).await;
    round_trip(&mut late, at_late, &mut node, at_node).await;
    round_trip(&mut node, known, &mut friend, at_friend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_may_say_little_and_a_known_peer_what_it_likes() {
    let short = Patience { stranger: Duration::from_secs(2), ..Patience::default() };
    let mut node = Node::with(None, 256, short).await;
    for known in [true, false] {
        let mut peer = Node::new().await;
        peer.dial(&node.addresses[0].clone()).await;
        let (at_peer, ..) = peer.connected().await;
        let (link, ..) = node.connected().await;
        // More than a stranger may say is under way before the word comes that it is none.
        peer.frame(at_peer, vec![7; FRAME_BYTES_MAX]).await;
        if known {
            node.order(NetCommand::Known { link }).await;
            assert_eq!(node.received(link).await.len(), FRAME_BYTES_MAX);
        } else {
            node.disconnected(link).await;
            peer.disconnected(at_peer).await;
        }
    }
    let came = node.pending.iter().any(|message| matches!(message.input, Input::Frame { .. }));
    assert!(!came, "part of a frame came through");
}
