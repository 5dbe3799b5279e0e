use super::*;
use kinfold_protocol::step::{Outcome, Reply};

const NET: NetId = NetId(1);

fn connected() -> (Network, Vec<LinkId>, Levers) {
    let mut levers = Levers::default();
    let mut network = Network::new(7, 2);
    network.weather = Weather::FAIR;
    for node in 0..2 {
        network.power_on(node, 1);
        network.carry(node, Transmit::Open { net: NET, port: None }, 0, &mut levers);
    }
    network.carry(0, Transmit::Dial { net: NET, address: address(1, NET) }, 0, &mut levers);
    let found = network.arrivals(1_000, &mut levers);
    let links = found.iter().filter_map(|arrival| match &arrival.input {
        Input::Connected { link, .. } => Some((arrival.node, *link)),
        _ => None,
    });
    let links: BTreeMap<usize, LinkId> = links.collect();
    (network, links.into_values().collect(), levers)
}

#[test]
fn frames_keep_their_order_and_are_lost_only_with_their_link() {
    let (mut network, links, mut levers) = connected();
    for number in 0..50 {
        network.carry(0, Transmit::Frame { link: links[0], bytes: vec![number] }, 1_000, &mut levers);
    }
    let frames = |found: Vec<Arrival>| -> Vec<u8> {
        found
            .into_iter()
            .filter_map(|arrival| match arrival.input {
                Input::Frame { bytes, .. } => bytes.first().copied(),
                _ => None,
            })
            .collect()
    };
    assert_eq!(frames(network.arrivals(2_000, &mut levers)), (0..50).collect::<Vec<u8>>());
    network.carry(0, Transmit::Frame { link: links[0], bytes: vec![99] }, 2_000, &mut levers);
    network.partition(vec![0, 1], 2_000);
    let found = network.arrivals(60_000, &mut levers);
    let gone = found.iter().filter(|arrival| matches!(arrival.input, Input::Disconnected { .. })).count();
    assert_eq!((gone, frames(found)), (2, vec![]));
}

#[test]
fn gossip_flows_only_when_both_ends_admit_and_the_topics_match() {
    let (mut network, links, mut levers) = connected();
    let topic = Topic::from_bytes([1; 16]);
    let heard = |network: &mut Network, levers: &mut Levers, at: u64| {
        network.carry(0, Transmit::Publish { net: NET, topic, bytes: vec![1] }, at, levers);
        network.arrivals(at + 1_000, levers).len()
    };
    network.carry(1, Transmit::Topics { net: NET, topics: vec![topic] }, 1_000, &mut levers);
    network.carry(0, Transmit::Admit { link: links[0] }, 1_000, &mut levers);
    assert_eq!(heard(&mut network, &mut levers, 1_000), 0);
    network.carry(1, Transmit::Admit { link: links[1] }, 2_000, &mut levers);
    assert_eq!(heard(&mut network, &mut levers, 2_000), 1);
    network.carry(1, Transmit::Topics { net: NET, topics: vec![] }, 4_000, &mut levers);
    assert_eq!(heard(&mut network, &mut levers, 4_000), 0);
}

#[test]
fn gossip_never_goes_back_where_it_came_from() {
    let (mut network, links, mut levers) = connected();
    let topic = Topic::from_bytes([1; 16]);
    for (node, link) in links.into_iter().enumerate() {
        network.carry(node, Transmit::Topics { net: NET, topics: vec![topic] }, 1_000, &mut levers);
        network.carry(node, Transmit::Admit { link }, 1_000, &mut levers);
    }
    network.carry(0, Transmit::Publish { net: NET, topic, bytes: vec![1] }, 1_000, &mut levers);
    let found = network.arrivals(2_000, &mut levers);
    let route = found[0].route.unwrap();
    network.judged(1, &found[0].input, route, &Outcome::Applied(Reply::Done), 2_000, &mut levers);
    assert!(network.arrivals(3_000, &mut levers).is_empty());
}

#[test]
fn a_dial_to_nobody_fails_and_says_so() {
    let (mut network, _, mut levers) = connected();
    network.power_off(1, 1_000);
    network.arrivals(10_000, &mut levers);
    network.carry(0, Transmit::Dial { net: NET, address: address(1, NET) }, 10_000, &mut levers);
    let found = network.arrivals(11_000, &mut levers);
    assert!(matches!(found[0].input, Input::DialFailed { .. }));
}
