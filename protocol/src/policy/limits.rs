//! Every bound of the protocol, with its reason (DESIGN 11).

use std::time::Duration;

use super::allowance::Allowance;

/// Protocol version spoken here; what a group's minimum is compared with (PROTOCOL V8).
pub const PROTOCOL_VERSION: u16 = 1;

/// Members of a group: what one roster frame, one Welcome and the design's cost figures hold for.
pub const MEMBERS_MAX: usize = 150;
/// Groups of one device: one swarm each.
pub const GROUPS_MAX: usize = 64;
/// Text of one message: fits an envelope of 32 KiB with all its wrappings.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// A group's or a person's name.
pub const NAME_BYTES_MAX: usize = 64;
/// A multiaddr as text.
pub const ADDRESS_BYTES_MAX: usize = 200;
/// Addresses in an invite: keeps its QR code readable.
pub const INVITE_ADDRESSES_MAX: usize = 3;
/// An invite as text.
pub const INVITE_TEXT_MAX: usize = 2_048;
/// Invites of one group that are open or remembered: each is a candidate in the hello.
pub const INVITES_MAX: usize = 64;

/// The largest envelope; anything larger goes by stream (PROTOCOL M3).
pub const ENVELOPE_BYTES_MAX: usize = 32 * 1024;
/// The smallest envelope.
pub const ENVELOPE_BYTES_MIN: usize = 512;
/// The largest frame on a link: a Welcome for [`MEMBERS_MAX`] members and its envelope of state.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Bytes of envelopes in one frame: small enough that other frames are not held up, and with what is around them they
/// fill one of 64 KiB.
pub const PUSH_BYTES_MAX: usize = 63 * 1024;

/// The group's rule how long messages live, at its shortest.
pub const RETENTION_MIN: Duration = Duration::from_secs(3_600);
/// The group's rule, at its longest.
pub const RETENTION_MAX: Duration = Duration::from_secs(90 * 86_400);
/// The group's rule until somebody sets it.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
/// The shortest life of a single message.
pub const EXPIRY_MIN: Duration = Duration::from_secs(5);
/// How long an invite is good for unless said otherwise.
pub const INVITE_VALID_DEFAULT: Duration = Duration::from_secs(24 * 3_600);
/// The longest an invite may be good for.
pub const INVITE_VALID_MAX: Duration = Duration::from_secs(30 * 86_400);

/// How long a state that the head has left stays readable (PROTOCOL E).
pub const READER_KEPT: Duration = Duration::from_secs(72 * 3_600);
/// How long commits, tickets, votes and rosters are kept (PROTOCOL E).
pub const CONTROL_KEPT: Duration = Duration::from_secs(97 * 86_400);
/// How long generations of the net secret are kept and handed to joiners (PROTOCOL M1).
pub const GENERATION_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// How long an id is remembered past its deadline (PROTOCOL D3).
pub const TOMBSTONE_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How far ahead of the own clock an author may be before the message is parked (PROTOCOL D3).
pub const AHEAD_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How far ahead a shown message may move the own order stamp (PROTOCOL D3).
pub const POS_AHEAD_MAX: Duration = Duration::from_secs(600);
/// The clock offset from which stamps are corrected (PROTOCOL D4).
pub const CLOCK_OFF: Duration = Duration::from_secs(600);
/// A jump of the clock past the last confirmed time from which nothing is destroyed unasked (PROTOCOL E1).
pub const CLOCK_JUMP: Duration = Duration::from_secs(30 * 86_400);

/// Own messages of a group that nobody else is known to hold.
pub const OUTBOX_MAX: usize = 10_000;
/// Causal parents that a message names (PROTOCOL O6).
pub const PARENTS_MAX: usize = 8;
/// Generations a sender burns after an unclean stop: more than a lost batch can have used (PROTOCOL G3).
pub const BURN: u32 = 64;
/// Out-of-order window and forward distance of the ratchets (PROTOCOL M4).
pub const RATCHET_WINDOW: u32 = 1_000;
/// Remembered addresses of a group: three a member for a group of twenty.
pub const ADDRESSES_MAX: usize = 64;
/// Links of one network at a time: every member of a large group twice, once for each of two starts.
pub const LINKS_MAX: usize = 2 * MEMBERS_MAX;
/// Envelopes that wait in one group: so many of unknown epochs, and as many of known ones (PROTOCOL M5, M6).
pub const WAITING_MAX: usize = 20_000;
/// How many of either one peer may bring in one run: three that flood leave room for others.
pub const WAITING_BY_PEER_MAX: usize = WAITING_MAX / 4;

/// Messages of one author that gossip may bring: a program that says 500 a second loses none, and five seconds of
/// delay that come at once are no flood.
pub const SAID_BY_AUTHOR: Allowance = Allowance { per_second: 600, burst: 3_000 };
/// Own messages that are given to gossip: less, so that nobody who keeps to it is taken for a flood. The others reach
/// their readers by link a second later.
pub const SAID_HERE: Allowance = Allowance { per_second: 500, burst: 2_500 };
/// Envelopes that one link may bring by gossip: what two authors say at their most, and all else that is passed on.
pub const GOSSIP_BY_LINK: Allowance = Allowance { per_second: 1_500, burst: 3_000 };
/// What one member may ask of a device on its links, in units of 50 microseconds of one core: a tenth of it, and a
/// second at once. A catch-up of 100,000 messages is within it.
pub const ASKED_BY_MEMBER: Allowance = Allowance { per_second: 2_000, burst: 20_000 };
/// What one member may give on by hand and is nobody's, in the same units, in time: beyond it nothing that it gives on is
/// opened.
pub const BROUGHT_BY_HAND: Allowance = Allowance { per_second: 2_000, burst: 20_000 };
/// How long nothing but control is taken from a member who goes beyond. Without it a flood would come back with a fresh
/// transport identity at once; with more, a mistake of ours would part people.
pub const MUTED: Duration = Duration::from_secs(60);

const _: () = {
    assert!(SAID_HERE.per_second < SAID_BY_AUTHOR.per_second && SAID_HERE.burst < SAID_BY_AUTHOR.burst);
    assert!(SAID_BY_AUTHOR.per_second < GOSSIP_BY_LINK.per_second && SAID_BY_AUTHOR.burst <= GOSSIP_BY_LINK.burst);
    assert!(EXPIRY_MIN.as_secs() < RETENTION_MIN.as_secs());
    assert!(RETENTION_MAX.as_secs() <= GENERATION_KEPT.as_secs());
    assert!(GENERATION_KEPT.as_secs() < CONTROL_KEPT.as_secs());
    assert!(TEXT_BYTES_MAX * 2 <= ENVELOPE_BYTES_MAX);
    assert!(PUSH_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(BURN < RATCHET_WINDOW);
};
