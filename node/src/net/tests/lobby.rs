//! Who has not said whose it is. A crowd at the door of a whole node is in `cli/tests/strangers`.

use kinfold_protocol::limits::FRAME_BYTES_MAX;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_may_say_little_and_a_known_peer_what_it_likes() {
    let mut node = Node::new().await;
    for known in [true, false] {
        let mut peer = Node::new().await;
        peer.dial(&node.addresses[0].clone()).await;
        let (at_peer, ..) = peer.connected().await;
        let (link, ..) = node.connected().await;
        if known {
            node.order(NetCommand::Known { link }).await;
            round_trip(&mut node, link, &mut peer, at_peer).await;
        }
        peer.frame(at_peer, vec![7; FRAME_BYTES_MAX]).await;
        if known {
            assert_eq!(node.received(link).await.len(), FRAME_BYTES_MAX);
        } else {
            node.disconnected(link).await;
            peer.disconnected(at_peer).await;
        }
    }
    let came = node.pending.iter().any(|message| matches!(message.input, Input::Frame { .. }));
    assert!(!came, "part of a frame came through");
}
