//! Links between two networks.

use kinfold_protocol::limits::{FRAME_BYTES_MAX, PUSH_BYTES_MAX};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_every_size_go_both_ways_in_order() {
    let (mut a, mut b) = (Node::new().await, Node::new().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    let sizes = [0, 1, FRAME_BYTES_MAX, 5, PUSH_BYTES_MAX, FRAME_BYTES_MAX, 0, 1_000];
    for (byte, size) in (0_u8..).zip(sizes) {
        a.frame(at_a, vec![byte; size]).await;
        b.frame(at_b, vec![0x80 | byte; size]).await;
    }
    for (byte, size) in (0_u8..).zip(sizes) {
        assert!(b.received(at_b).await == vec![byte; size]);
        assert!(a.received(at_a).await == vec![0x80 | byte; size]);
    }
    assert!(a.pending.is_empty() && b.pending.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_queued_arrives_before_a_disconnect() {
    let (mut a, mut b) = (Node::new().await, Node::new().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    for byte in 0..8 {
        a.frame(at_a, vec![byte; FRAME_BYTES_MAX]).await;
    }
    a.order(NetCommand::Disconnect { link: at_a }).await;
    a.frame(at_a, b"too late".to_vec()).await;
    for byte in 0..8 {
        assert!(b.received(at_b).await == vec![byte; FRAME_BYTES_MAX]);
    }
    a.disconnected(at_a).await;
    b.disconnected(at_b).await;
    assert!(a.pending.is_empty() && b.pending.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_every_link_once() {
    let (mut a, mut b) = (Node::new().await, Node::new().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    a.order(NetCommand::Stop).await;
    a.disconnected(at_a).await;
    assert!(timeout(LONG, a.inbox.recv()).await.unwrap().is_none());
    b.disconnected(at_b).await;
    assert!(b.pending.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialling_from_both_sides_at_once_ends_in_one_link() {
    for _ in 0..8 {
        let (mut a, mut b) = (Node::new().await, Node::new().await);
        let (to_b, to_a) = (b.addresses[0].clone(), a.addresses[0].clone());
        tokio::join!(a.dial(&to_b), b.dial(&to_a));
        let (at_a, _, dialled_a) = a.connected().await;
        let (at_b, _, dialled_b) = b.connected().await;
        // The dial that did not become the link is answered, too, when its connection is closed.
        if dialled_a.is_none() {
            assert_eq!(a.dial_failed().await, to_b);
        }
        if dialled_b.is_none() {
            assert_eq!(b.dial_failed().await, to_a);
        }
        round_trip(&mut a, at_a, &mut b, at_b).await;
        assert!(a.pending.is_empty() && b.pending.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dial_that_leads_nowhere_new_fails() {
    let (mut a, mut b) = (Node::new().await, Node::new().await);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut nowhere = vec![a.addresses[0].clone(), Address(format!("/ip4/127.0.0.1/tcp/{dead}"))];
    for text in ["", "nonsense", "/ip4/127.0.0.1/udp/1", "/dns4/localhost/tcp/1", "/ip4/127.0.0.1/tcp/0"] {
        nowhere.push(Address(text.to_owned()));
    }
    for address in nowhere {
        a.dial(&address).await;
        assert_eq!(a.dial_failed().await, address);
    }
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    let (to_b, to_a) = (b.addresses[0].clone(), a.addresses[0].clone());
    for (from, to) in [(&mut a, to_b), (&mut b, to_a)] {
        from.dial(&to).await;
        assert_eq!(from.dial_failed().await, to);
    }
    round_trip(&mut a, at_a, &mut b, at_b).await;
    assert!(a.pending.is_empty() && b.pending.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_that_is_slow_loses_no_frame_and_stops_nothing_else() {
    let (mut a, mut b) = (Node::new().await, Node::with(None, 1, Patience::default()).await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    for byte in 0..200 {
        a.frame(at_a, vec![byte; 16 * 1024]).await;
    }
    // Nobody takes what comes in at b, and yet b sends.
    b.frame(at_b, b"still here".to_vec()).await;
    assert_eq!(a.received(at_a).await, b"still here");
    for byte in 0..200 {
        assert!(b.received(at_b).await == vec![byte; 16 * 1024]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_never_admitted_loses_its_link_and_the_others_keep_theirs() {
    let short = Patience { stranger: Duration::from_millis(300), ..Patience::default() };
    let mut hub = Node::with(None, 256, short).await;
    let (mut member, mut stranger) = (Node::new().await, Node::new().await);
    let (member_link, at_member) = connect(&mut hub, &mut member).await;
    hub.order(NetCommand::Admit { link: member_link }).await;
    let (stranger_link, at_stranger) = connect(&mut hub, &mut stranger).await;
    hub.disconnected(stranger_link).await;
    stranger.disconnected(at_stranger).await;
    round_trip(&mut hub, member_link, &mut member, at_member).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_comes_back_on_the_same_address_with_a_new_identity_and_talks_at_once() {
    let (mut a, mut b) = (Node::new().await, Node::new().await);
    let address = b.addresses[0].clone();
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    gossip::admit_both(&a, at_a, &b, at_b).await;
    gossip::flows(&a, &mut b).await;
    let port = b.port;
    // As a crash would: not a word to anybody.
    b.handle.task.abort();
    assert!(timeout(LONG, b.handle.task).await.unwrap().is_err());
    a.disconnected(at_a).await;

    let mut again = Node::with(Some(port), 256, Patience::default()).await;
    assert_eq!(again.addresses, [address]);
    let (at_a, at_b) = connect(&mut a, &mut again).await;
    round_trip(&mut a, at_a, &mut again, at_b).await;
    gossip::admit_both(&a, at_a, &again, at_b).await;
    gossip::flows(&a, &mut again).await;
    gossip::flows(&again, &mut a).await;
}
