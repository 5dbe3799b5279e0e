//! Ports and addresses.

use std::net::TcpListener;

use super::*;
use crate::net::{NetError, interfaces, start};

#[tokio::test]
async fn tells_the_port_and_dialable_addresses() {
    let node = Node::new().await;
    assert_ne!(node.port, 0);
    assert_eq!(node.addresses, [Address(format!("/ip4/127.0.0.1/tcp/{}", node.port))]);
}

#[tokio::test]
async fn one_port_on_all_interfaces_and_loopback_last() {
    let (sender, inbox) = mpsc::channel(8);
    let mut config = config("/ip4/127.0.0.1/tcp/0", None);
    config.listen.push("/ip4/127.0.0.2/tcp/0".parse().unwrap());
    let handle = start(config, sender).unwrap();
    let mut node = Node { handle, inbox, pending: VecDeque::new(), port: 0, addresses: Vec::new() };
    let (port, addresses) = node
        .wait(|input| match input {
            Input::Listening { port, addresses, .. } => Some((*port, addresses.clone())),
            _ => None,
        })
        .await;
    assert_eq!(addresses, [1, 2].map(|n| Address(format!("/ip4/127.0.0.{n}/tcp/{port}"))));
}

#[tokio::test]
async fn does_without_an_interface_that_is_not_there() {
    // An address for documentation, which no machine has.
    let missing = "/ip4/192.0.2.1/tcp/0";
    assert!(matches!(start(config(missing, None), mpsc::channel(8).0), Err(NetError::Listen(_))));
    let (sender, mut inbox) = mpsc::channel(8);
    let mut config = config(missing, None);
    config.listen.push(LOOPBACK.parse().unwrap());
    let _handle = start(config, sender).unwrap();
    let told = timeout(LONG, inbox.recv()).await.unwrap().unwrap().input;
    assert!(matches!(told, Input::Listening { port, addresses, .. } if port != 0 && addresses.len() == 1));
}

#[tokio::test]
async fn keeps_its_port_when_it_is_free() {
    let first = Node::new().await;
    let port = first.port;
    first.stop().await;
    assert_eq!(Node::with(Some(port), 256, Patience::default()).await.port, port);
}

#[tokio::test]
async fn takes_another_port_when_the_kept_one_is_taken() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().port();
    let node = Node::with(Some(taken), 256, Patience::default()).await;
    assert_ne!(node.port, taken);
    assert_eq!(node.addresses, [Address(format!("/ip4/127.0.0.1/tcp/{}", node.port))]);
}

#[tokio::test]
async fn a_port_that_was_asked_for_and_is_taken_is_an_error() {
    let node = Node::new().await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    for taken in [node.port, other.local_addr().unwrap().port()] {
        let asked = config(&format!("/ip4/127.0.0.1/tcp/{taken}"), None);
        assert!(matches!(start(asked, mpsc::channel(8).0), Err(NetError::PortTaken)));
    }
}

#[tokio::test]
async fn listens_on_tcp_and_ip_only() {
    for text in ["/ip4/127.0.0.1/udp/0", "/dns4/localhost/tcp/0", "/memory/1", "/ip4/127.0.0.1/tcp/0/ws"] {
        assert!(matches!(start(config(text, None), mpsc::channel(8).0), Err(NetError::Address)));
    }
    let nowhere = NetConfig { listen: Vec::new(), ..config(LOOPBACK, None) };
    assert!(matches!(start(nowhere, mpsc::channel(8).0), Err(NetError::Address)));
}

#[tokio::test]
async fn an_interface_without_a_port_is_one_with_port_zero() {
    let named = ["/ip4/127.0.0.1", "/ip6/::1", LOOPBACK].map(str::to_owned);
    let (parsed, fixed) = interfaces(&named).unwrap();
    assert_eq!(
        parsed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [named[0].clone() + "/tcp/0", named[1].clone() + "/tcp/0", named[2].clone()]
    );
    assert!(!fixed, "each group keeps a port of its own");
    assert!(interfaces(&["/ip4/127.0.0.1/tcp/4001".to_owned()]).unwrap().1);
    let (sender, mut inbox) = mpsc::channel(8);
    let _handle = start(NetConfig { listen: parsed[..1].to_vec(), ..config(LOOPBACK, None) }, sender).unwrap();
    let told = timeout(LONG, inbox.recv()).await.unwrap().unwrap().input;
    assert!(matches!(told, Input::Listening { port, addresses, .. } if port != 0 && addresses.len() == 1));
}

#[tokio::test]
async fn no_two_networks_of_a_device_and_no_two_starts_of_one_share_an_identity() {
    /// Under which id a new peer that is dialled knows it.
    async fn identity(node: &mut Node) -> Vec<u8> {
        let mut peer = Node::new().await;
        node.dial(&peer.addresses[0]).await;
        let (_, own, _) = node.connected().await;
        let (_, seen, _) = peer.connected().await;
        assert_eq!(own.local, seen.remote);
        seen.remote
    }
    let (mut one, mut other) = (Node::new().await, Node::new().await);
    let mut seen = vec![identity(&mut one).await, identity(&mut other).await];
    assert_eq!(identity(&mut one).await, seen[0], "it is an identity, and not one for each link");
    let port = one.port;
    one.stop().await;
    let mut again = Node::with(Some(port), 256, Patience::default()).await;
    assert_eq!(again.port, port);
    seen.push(identity(&mut again).await);
    assert_eq!(seen.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[tokio::test]
async fn ends_when_the_core_is_gone() {
    let Node { handle, inbox, .. } = Node::new().await;
    drop((inbox, handle.commands));
    timeout(LONG, handle.task).await.unwrap().unwrap();
}
