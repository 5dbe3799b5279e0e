//! Gossip goes to admitted peers, and on to others as the core judges.

use super::*;

pub(super) async fn subscribe(node: &Node) {
    node.order(NetCommand::Topics(vec![TOPIC])).await;
}

pub(super) async fn admit_both(a: &Node, at_a: LinkId, b: &Node, at_b: LinkId) {
    subscribe(a).await;
    subscribe(b).await;
    a.order(NetCommand::Admit { link: at_a }).await;
    b.order(NetCommand::Admit { link: at_b }).await;
}

/// Publishes until something arrives: what is said before the other end's subscription is known is lost, and may be.
pub(super) async fn flows(from: &Node, to: &mut Node) {
    let came = timeout(LONG, async {
        for n in 0_u64.. {
            from.publish(&[b"try".as_slice(), &n.to_be_bytes(), &from.port.to_be_bytes()].concat()).await;
            if let Ok((_, ticket)) = timeout(TRY, to.gossip()).await {
                to.judge(ticket, Verdict::Accept).await;
                return;
            }
        }
    });
    came.await.expect("gossip never came");
    // Others of the tries may be on their way still.
    to.gossip_so_far();
}

/// The next gossip that is not a try.
async fn said(node: &mut Node) -> (Vec<u8>, GossipTicket) {
    loop {
        let (bytes, ticket) = node.gossip().await;
        if !bytes.starts_with(b"try") {
            return (bytes, ticket);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_flows_when_both_have_admitted_and_stops_when_one_withholds() {
    let (mut a, mut b) = (Node::new().await, Node::new().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    subscribe(&a).await;
    subscribe(&b).await;
    a.publish(b"before").await;
    round_trip(&mut a, at_a, &mut b, at_b).await;
    a.order(NetCommand::Admit { link: at_a }).await;
    a.publish(b"one side").await;
    b.publish(b"other side").await;
    round_trip(&mut a, at_a, &mut b, at_b).await;
    assert!(a.gossip_so_far().is_empty() && b.gossip_so_far().is_empty());

    b.order(NetCommand::Admit { link: at_b }).await;
    flows(&a, &mut b).await;
    flows(&b, &mut a).await;

    a.order(NetCommand::Withhold { link: at_a }).await;
    round_trip(&mut a, at_a, &mut b, at_b).await;
    a.gossip_so_far();
    b.gossip_so_far();
    a.publish(b"withheld").await;
    b.publish(b"not heard").await;
    round_trip(&mut a, at_a, &mut b, at_b).await;
    assert!(a.gossip_so_far().is_empty() && b.gossip_so_far().is_empty());

    // Admitting again begins anew.
    a.order(NetCommand::Admit { link: at_a }).await;
    a.disconnected(at_a).await;
    b.disconnected(at_b).await;
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    admit_both(&a, at_a, &b, at_b).await;
    flows(&a, &mut b).await;
    flows(&b, &mut a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_core_accepts_goes_on() {
    let (mut a, mut b, mut c) = (Node::new().await, Node::new().await, Node::new().await);
    let (ab, ba) = connect(&mut a, &mut b).await;
    let (bc, cb) = connect(&mut b, &mut c).await;
    admit_both(&a, ab, &b, ba).await;
    admit_both(&b, bc, &c, cb).await;
    flows(&a, &mut b).await;
    flows(&b, &mut c).await;
    for (said_by_a, verdict) in
        [(b"ignored".as_slice(), Verdict::Ignore), (b"rejected", Verdict::Reject), (b"accepted", Verdict::Accept)]
    {
        a.publish(said_by_a).await;
        let (bytes, ticket) = said(&mut b).await;
        assert_eq!(bytes, said_by_a);
        b.judge(ticket, verdict).await;
    }
    assert_eq!(said(&mut c).await.0, b"accepted");
    // What is judged only later goes on then.
    a.publish(b"later").await;
    let (bytes, _unjudged) = said(&mut b).await;
    assert_eq!(bytes, b"later");
    timeout(TRY, said(&mut c)).await.expect_err("nobody passed it on");
    let id = EnvelopeId::from_bytes(*blake3::hash(b"later").as_bytes());
    b.order(NetCommand::PassOn { id }).await;
    assert_eq!(said(&mut c).await.0, b"later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topics_are_those_named_last() {
    let (mut a, mut b) = (Node::new().await, Node::new().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    admit_both(&a, at_a, &b, at_b).await;
    flows(&a, &mut b).await;
    let other = Topic::from_bytes([8; 16]);
    b.order(NetCommand::Topics(vec![other])).await;
    a.order(NetCommand::Topics(vec![other])).await;
    round_trip(&mut a, at_a, &mut b, at_b).await;
    b.gossip_so_far();
    let came = timeout(LONG, async {
        for n in 0_u64.. {
            a.publish(&[b"old".as_slice(), &n.to_be_bytes()].concat()).await;
            let bytes = [b"new".as_slice(), &n.to_be_bytes()].concat();
            a.order(NetCommand::Publish { topic: other, bytes }).await;
            if let Ok((bytes, _)) = timeout(TRY, b.gossip()).await {
                return bytes;
            }
        }
        unreachable!("the loop has no end")
    });
    assert!(came.await.unwrap().starts_with(b"new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_that_is_slow_gets_no_more_gossip_than_its_bound_and_talks_on() {
    let (mut a, mut b) = (Node::new().await, Node::with(None, 1, Patience::default()).await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    admit_both(&a, at_a, &b, at_b).await;
    flows(&a, &mut b).await;
    for n in 0..500_u64 {
        a.publish(&[b"flood".as_slice(), &n.to_be_bytes()].concat()).await;
    }
    a.frame(at_a, b"after the flood".to_vec()).await;
    b.frame(at_b, b"out".to_vec()).await;
    assert_eq!(a.received(at_a).await, b"out");
    assert_eq!(b.received(at_b).await, b"after the flood");
    b.gossip_so_far();
    flows(&a, &mut b).await;
}
