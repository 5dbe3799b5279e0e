//! Reads what a person gives as an argument, and says at once what is the matter with it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A number, also zero.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a whole number, as 20".to_owned())
}

/// A number of things to show.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    match number(text)? {
        0 => Err("a whole number from 1 on, as 20".to_owned()),
        count => Ok(count),
    }
}

/// Whether a text is an address that can be dialled.
pub(crate) fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["", "ip4", ip, "tcp", port] => ip.parse::<Ipv4Addr>().is_ok() && is_port(port),
        ["", "ip6", ip, "tcp", port] => ip.parse::<Ipv6Addr>().is_ok() && is_port(port),
        _ => false,
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_what_is_none() {
        for right in ["/ip4/192.168.1.20/tcp/4001", "/ip6/::1/tcp/1"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in
            ["nonsense", "", "192.168.1.20:4001", "/ip4/1.2.3/tcp/1", "/ip4/1.2.3.4/tcp/0", "/ip4/1.2.3.4/udp/1"]
        {
            assert!(!is_address(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_a_whole_one() {
        assert_eq!((number("0"), count("20")), (Ok(0), Ok(20)));
        assert_eq!(count("x"), Err("a whole number, as 20".to_owned()));
        assert_eq!(count("0"), Err("a whole number from 1 on, as 20".to_owned()));
    }
}
