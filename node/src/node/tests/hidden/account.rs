//! Gives an account of every byte of a connection: it is one of the constants below, a number in one of their fields, or
//! part of a piece that must mean nothing to who does not hold the group's keys.

use std::collections::BTreeMap;

use crate::net::recorded::Taped;

/// What the multistream protocol says before each stream, each with its length before it: that it is spoken, and what is
/// to be spoken next. The same for every program that has this version of libp2p; only one of them names Kinfold.
const MULTISTREAM: &[u8] = b"/multistream/1.0.0\n";
const NOT_AVAILABLE: &[u8] = b"na\n";
/// Streams.
const YAMUX: &[u8] = b"/yamux/1.0.0\n";
/// The link, ping, and gossipsub in the versions that are asked for.
const LINK: &[u8] = b"/kinfold/link/1\n";
const PING: &[u8] = b"/ipfs/ping/1.0.0\n";
const GOSSIP: [&[u8]; 4] = [b"/meshsub/1.3.0\n", b"/meshsub/1.2.0\n", b"/meshsub/1.1.0\n", b"/meshsub/1.0.0\n"];

/// A yamux header: version 0, one of four kinds, flags, and two numbers of four bytes, stream and length.
const HEADER: usize = 12;
const PING_BYTES: usize = 32;

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The end of a stream that was cut off in the middle of something.
    Cut,
    Envelope,
    Frame,
    HelloNonce,
    HelloTags,
    MessageId,
    Ping,
    Topic,
    TransportId,
}

/// Bytes that are no constant.
#[derive(Clone)]
pub(super) struct Piece {
    /// Of which connection.
    pub(super) connection: usize,
    /// Whether the end that was recorded wrote it.
    pub(super) written: bool,
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Why there is no account: what stands where none of it should.
pub(super) type Unknown = String;

/// The account of a connection.
pub(super) fn account(connection: usize, taped: &Taped) -> Result<Vec<Piece>, Unknown> {
    let mut pieces = Vec::new();
    for (written, bytes) in [true, false].into_iter().zip(&taped.ends) {
        pieces.push(Piece { connection, written, kind: Kind::TransportId, bytes: bytes.clone() });
    }
    let mut streams: BTreeMap<u32, [Vec<u8>; 2]> = BTreeMap::new();
    for (end, bytes) in [&taped.written, &taped.read].into_iter().enumerate() {
        let mut rest = Rest(bytes);
        for line in [MULTISTREAM, YAMUX] {
            match rest.line()? {
                Some(said) if said != line => return Err(format!("no {line:?}: {said:?}")),
                _ => {}
            }
        }
        while let Some(header) = rest.take(HEADER) {
            let (stream, length) = header_of(header)?;
            let data = rest.up_to(length);
            streams.entry(stream).or_default()[end].extend_from_slice(data);
        }
        pieces.push(Piece { connection, written: end == 0, kind: Kind::Cut, bytes: rest.0.to_vec() });
    }
    for (stream, mut ends) in streams {
        // Who dialled has the odd numbers.
        let ours = taped.dialled == (stream % 2 == 1);
        if !ours {
            ends.reverse();
        }
        let [mut opener, mut acceptor] = [Rest(&ends[0]), Rest(&ends[1])];
        let Some(protocol) = negotiated(&mut opener, &mut acceptor)? else { continue };
        for (written, rest) in [(ours, opener), (!ours, acceptor)] {
            let content = content(protocol, rest)?;
            pieces.extend(content.into_iter().map(|(kind, bytes)| Piece { connection, written, kind, bytes }));
        }
    }
    pieces.retain(|piece| !piece.bytes.is_empty());
    Ok(pieces)
}

/// Stream and bytes that follow.
fn header_of(header: &[u8]) -> Result<(u32, usize), Unknown> {
    let number = |at: usize| header[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let flags = u16::from_be_bytes([header[2], header[3]]);
    match (header[0], header[1]) {
        (0, 0) if flags <= 0xf => Ok((number(4), number(8) as usize)),
        // The last number is a window, a ping's or a reason; nothing follows.
        (0, 1..=3) if flags <= 0xf => Ok((number(4), 0)),
        _ => Err(format!("no yamux header: {header:?}")),
    }
}

/// The protocol that two ends of a stream agree on. One that is in haste speaks it before the other has agreed.
fn negotiated<'a>(opener: &mut Rest<'a>, acceptor: &mut Rest<'a>) -> Result<Option<&'a [u8]>, Unknown> {
    for end in [&mut *opener, &mut *acceptor] {
        match end.line()? {
            Some(line) if line != MULTISTREAM => return Err(format!("no stream begins so: {line:?}")),
            _ => {}
        }
    }
    while let Some(proposed) = opener.line()? {
        let known = proposed == LINK || proposed == PING || GOSSIP.contains(&proposed);
        if !known {
            return Err(format!("no protocol of ours: {proposed:?}"));
        }
        match acceptor.line()? {
            Some(NOT_AVAILABLE) => {}
            None => return Ok(Some(proposed)),
            Some(agreed) if agreed == proposed => return Ok(Some(proposed)),
            Some(other) => return Err(format!("no answer: {other:?}")),
        }
    }
    Ok(None)
}

/// What one end says in a protocol.
fn content(protocol: &[u8], mut rest: Rest<'_>) -> Result<Vec<(Kind, Vec<u8>)>, Unknown> {
    let mut pieces = Vec::new();
    if protocol == LINK {
        for kind in [Kind::HelloNonce, Kind::HelloTags].into_iter().chain(std::iter::repeat(Kind::Frame)) {
            let before = rest;
            let Some(length) = rest.take(4) else { break };
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            let Some(frame) = rest.take(length as usize) else {
                rest = before;
                break;
            };
            pieces.push((kind, frame.to_vec()));
        }
    } else if protocol == PING {
        while let Some(ping) = rest.take(PING_BYTES) {
            pieces.push((Kind::Ping, ping.to_vec()));
        }
    } else {
        loop {
            let before = rest;
            let Some(message) = rest.varint().and_then(|length| rest.take(length)) else {
                rest = before;
                break;
            };
            rpc(&[], Rest(message), &mut pieces)?;
        }
    }
    pieces.push((Kind::Cut, rest.0.to_vec()));
    Ok(pieces)
}

/// A message of gossipsub: the fields that it may have, by their numbers from the outside in, and no others. It has no
/// author, number, signature or key, and names no peers.
fn rpc(path: &[usize], mut rest: Rest<'_>, pieces: &mut Vec<(Kind, Vec<u8>)>) -> Result<(), Unknown> {
    while !rest.0.is_empty() {
        let unknown = || format!("no field of gossipsub's in {path:?}");
        let tag = rest.varint().ok_or_else(unknown)?;
        let path = [path, &[tag >> 3]].concat();
        let unknown = || format!("no field of gossipsub's: {path:?}");
        if tag & 7 == 0 {
            let number = rest.varint().ok_or_else(unknown)?;
            match path[..] {
                // Whether to subscribe; parts of messages are neither asked for nor sent; for how many seconds not to graft.
                [1, 1] if number <= 1 => {}
                [1, 3 | 4] if number == 0 => {}
                [3, 4, 3] if number <= 60 => {}
                _ => return Err(format!("{}: {number}", unknown())),
            }
            continue;
        }
        let bytes = rest.varint().and_then(|length| rest.take(length)).filter(|_| tag & 7 == 2).ok_or_else(unknown)?;
        match path[..] {
            [1..=3] | [3, 1..=5] => rpc(&path, Rest(bytes), pieces)?,
            // What else this end can do: nothing.
            [3, 6] if bytes.is_empty() => {}
            [2, 2] => pieces.push((Kind::Envelope, bytes.to_vec())),
            [1, 2] | [2, 4] | [3, 1 | 3 | 4, 1] => pieces.push((Kind::Topic, bytes.to_vec())),
            [3, 1, 2] | [3, 2 | 5, 1] => pieces.push((Kind::MessageId, bytes.to_vec())),
            _ => return Err(unknown()),
        }
    }
    Ok(())
}

/// What has not been read yet.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// So many bytes, or nothing, if there are fewer.
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// So many bytes, or all, if there are fewer.
    fn up_to(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number of seven bits a byte, least first.
    fn varint(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..28).step_by(7) {
            let byte = usize::from(self.take(1)?[0]);
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A line with its length before it; nothing, if the connection ended first.
    fn line(&mut self) -> Result<Option<&'a [u8]>, Unknown> {
        let before = *self;
        let Some(line) = self.varint().and_then(|length| self.take(length)) else {
            *self = before;
            let short = self.0.len() <= MULTISTREAM.len();
            return if short { Ok(None) } else { Err(format!("no line: {:?}", self.0.get(..64))) };
        };
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use kinfold_protocol::id::NetId;

    use super::*;

    fn taped(streams: &[(u32, &[u8])]) -> Taped {
        let mut written = b"\x13/multistream/1.0.0\n\x0d/yamux/1.0.0\n".to_vec();
        for (id, bytes) in streams {
            written.extend([0, 0, 0, 1]);
            written.extend(id.to_be_bytes());
            written.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
            written.extend_from_slice(bytes);
        }
        Taped { net: NetId(1), dialled: true, ends: [vec![1; 38], vec![2; 38]], written, read: Vec::new() }
    }

    fn kinds(stream: &[u8]) -> Result<Vec<Kind>, Unknown> {
        let pieces = account(0, &taped(&[(1, stream)]))?;
        Ok(pieces.into_iter().map(|piece| piece.kind).filter(|kind| *kind != Kind::TransportId).collect())
    }

    fn stream(protocol: &[u8], said: &[u8]) -> Vec<u8> {
        let length = [u8::try_from(protocol.len()).unwrap()];
        [b"\x13/multistream/1.0.0\n", &length[..], protocol, said].concat()
    }

    #[test]
    fn what_is_no_constant_and_no_piece_has_no_account() {
        assert_eq!(kinds(&stream(PING, &[7; 32])), Ok(vec![Kind::Ping]));
        assert_eq!(kinds(&stream(PING, &[7; 33])), Ok(vec![Kind::Ping, Kind::Cut]));
        assert_eq!(kinds(&stream(LINK, b"\0\0\0\x02ab\0\0\0\x01c\0\0\0\x01d")).unwrap()[2], Kind::Frame);
        let publish = b"\x0a\x12\x08\x12\x02ee\x22\x02tt";
        assert_eq!(kinds(&stream(GOSSIP[0], publish)), Ok(vec![Kind::Envelope, Kind::Topic]));
        // An author; a peer in a prune; a protocol that nobody speaks; a header of another version.
        kinds(&stream(GOSSIP[0], b"\x06\x12\x04\x0a\x02me")).unwrap_err();
        kinds(&stream(GOSSIP[0], b"\x08\x1a\x06\x22\x04\x12\x02\x0a\x00")).unwrap_err();
        kinds(&stream(b"/ipfs/id/1.0.0\n", b"")).unwrap_err();
        kinds(b"\x03all").unwrap_err();
        let mut other = taped(&[(1, &stream(PING, &[7; 32]))]);
        other.written[34] = 1;
        assert!(account(0, &other).is_err());
    }
}
