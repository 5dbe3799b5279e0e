//! What a fuzzer calls: each function takes any bytes, panics where a promise of a parser is broken, and says how far the
//! bytes came. For tests only.

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

use crate::Client;
use crate::id::{EnvelopeId, GroupId, InviteId, LinkId};
use crate::identity::Credential;
use crate::limits::{ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX};
use crate::meet::channel::Channel;
use crate::meet::hello::{Admission, Candidate, Hello, Progress};
use crate::meet::reconcile::{Listed, Session, Step};
use crate::policy::extension::Extension;
use crate::seal;
use crate::step::{Ends, Output};
use crate::time::Time;
use crate::wire::commit::Commit;
use crate::wire::content::{Content, Numbered};
use crate::wire::control::{Control, Link, Ticket, Vote};
use crate::wire::envelope::{Cover, Envelope, EnvelopeKey, LifetimeClass};
use crate::wire::invite::Invite;
use crate::wire::message::{Message, Round};
use crate::wire::signed::{Body, MemberKey, Signed};
use crate::wire::{decode, encode};

/// Hears how far bytes came: a target that refuses everything at the first byte tests nothing.
pub type Reach<'a> = &'a mut dyn FnMut(&str);

/// Envelopes in the log that a reconciliation is compared with: more than one answer lists one by one.
const LOG: u8 = 40;
/// The hour of the first of them.
const HOUR: u32 = 500_000;
/// Frames of a hello: a nonce and tags from each end.
const HELLO_FRAMES: u8 = 4;

/// An envelope as gossip brings it, and the same bytes as the padded and as the plain body of one.
pub fn envelope(bytes: &[u8], reach: Reach<'_>) {
    let key = EnvelopeKey::new(&[1; 32]);
    match Envelope::parse(bytes.to_vec()) {
        Ok(envelope) => {
            reach("parsed");
            assert_eq!(envelope.as_bytes(), bytes);
            assert!(envelope.open(&key).is_err(), "nobody sealed it");
        }
        Err(_) => reach("refused"),
    }
    match seal::unpad(bytes) {
        Some(body) => {
            reach("unpadded");
            assert!(seal::pad(body, bytes.len()).is_some_and(|padded| padded.as_slice() == bytes));
        }
        None => reach("badly padded"),
    }
    let cover = Cover { lane: [2; 16], hour: HOUR, class: LifetimeClass::Week, nonce: [3; 24] };
    if let Some(sealed) = Envelope::seal(&key, &cover, bytes) {
        reach("sealed");
        let again = Envelope::parse(sealed.into_bytes()).expect("what was made can be read");
        assert!(again.is_under(&key) && again.open(&key).is_ok_and(|body| body.as_slice() == bytes));
    }
}

/// After a 0, the frames of a stranger who says hello, each behind its length. After anything else, what somebody between
/// two members changes in their hello: a frame, a place in it, and what is flipped there.
pub fn hello(bytes: &[u8], reach: Reach<'_>) {
    match bytes.split_first() {
        Some((0, frames)) => strange_hello(frames, reach),
        Some((_, edits)) => meddled_hello(edits, reach),
        None => {}
    }
}

fn strange_hello(frames: &[u8], reach: Reach<'_>) {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let (mut hello, _) = Hello::new(Ends { local: vec![1], remote: vec![2] }, &mut rng);
    let mut rest = frames;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let (frame, after) = after.split_at(after.len().min(u16::from_be_bytes(*len).into()));
        rest = after;
        match hello.receive(frame, || (0..3).map(candidate).collect(), &mut rng) {
            Progress::Sealed(..) => panic!("a stranger came in"),
            Progress::Failed => return reach("turned away"),
            Progress::Send(_) => reach("answered"),
        }
    }
}

fn meddled_hello(edits: &[u8], reach: Reach<'_>) {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let (mut ana, from_ana) = Hello::new(Ends { local: vec![1], remote: vec![2] }, &mut rng);
    let (mut ben, from_ben) = Hello::new(Ends { local: vec![2], remote: vec![1] }, &mut rng);
    let meddle = |frame: u8, mut bytes: Vec<u8>| {
        for [which, high, low, flip] in edits.as_chunks().0 {
            let place = bytes.get_mut(usize::from(u16::from_be_bytes([*high, *low])));
            if let Some(byte) = place.filter(|_| which.checked_rem(HELLO_FRAMES) == Some(frame)) {
                *byte ^= flip;
            }
        }
        bytes
    };
    let Progress::Send(of_ben) = ben.receive(&meddle(0, from_ana), || vec![candidate(0), candidate(1)], &mut rng)
    else {
        return reach("parted");
    };
    let Progress::Send(of_ana) = ana.receive(&meddle(1, from_ben), || vec![candidate(1), candidate(2)], &mut rng)
    else {
        return reach("parted");
    };
    let (ana, ben) = (sealed(&mut ana, &meddle(2, of_ben)), sealed(&mut ben, &meddle(3, of_ana)));
    match (ana, ben) {
        (Some((one, mut ana)), Some((other, mut ben))) => {
            reach("met");
            assert!(one == other && one == candidate(1).admission, "they met on what only one of them holds");
            let said = ana.seal(b"hello").expect("it is short");
            assert_eq!(ben.open(&said).as_deref(), Ok(&b"hello"[..]));
        }
        (None, None) => reach("both turned away"),
        (Some(_), None) | (None, Some(_)) => reach("one turned away"),
    }
}

fn candidate(n: u8) -> Candidate {
    Candidate { admission: Admission::Invite(InviteId::from_bytes([n; 8])), key: Zeroizing::new([n; 32]) }
}

fn sealed(hello: &mut Hello, tags: &[u8]) -> Option<(Admission, Channel)> {
    match hello.receive(tags, Vec::new, &mut ChaCha20Rng::from_seed([6; 32])) {
        Progress::Sealed(admission, channel) => Some((admission, channel)),
        Progress::Failed | Progress::Send(_) => None,
    }
}

/// An invite as somebody typed it, and what stands in one before it is written as text.
pub fn invite(bytes: &[u8], reach: Reach<'_>) {
    let typed = std::str::from_utf8(bytes).ok().map(Invite::parse);
    for (name, parsed) in [("text", typed), ("bytes", Some(Invite::from_body(bytes)))] {
        match parsed {
            Some(Ok(invite)) => {
                reach(name);
                assert!(Invite::parse(&invite.to_text()) == Ok(invite));
            }
            Some(Err(_)) | None => reach("refused"),
        }
    }
}

/// A message of a link, and the same bytes as a round of a reconciliation: from the end that opened it when there is an
/// odd number of them, else from the other.
pub fn sync(bytes: &[u8], reach: Reach<'_>) {
    let opener = bytes.len() % 2 == 1;
    compare(&Round { nonce: [0; 16], since: HOUR, opener, bytes: bytes.to_vec() }, reach);
    match Message::parse(bytes) {
        Ok(message) => {
            reach("parsed");
            let said = message.encode();
            assert!(Message::parse(&said).is_ok_and(|again| again == message) && said.len() <= FRAME_BYTES_MAX);
            if let Message::Reconcile(round) = message {
                compare(&round, reach);
            }
        }
        Err(_) => reach("refused"),
    }
}

fn log() -> impl Iterator<Item = Listed> {
    let listed = |n: u8| Listed {
        hour: HOUR.saturating_add(n.into()),
        id: EnvelopeId::from_bytes([n; 32]),
        told: !n.is_multiple_of(5),
    };
    (0..LOG).map(listed)
}

fn compare(round: &Round, reach: Reach<'_>) {
    let session = if round.opener {
        Session::join(round, log())
    } else {
        Session::open(round.nonce, round.since, log()).map(|(session, _)| session)
    };
    match session.and_then(|mut session| session.receive(round)) {
        Ok(Step::Next(_)) => reach("compared"),
        Ok(Step::Done(difference)) => {
            reach("done");
            let held = |id: &EnvelopeId| log().any(|known| known.id == *id);
            assert!(difference.lacks.iter().all(held), "what is not there was offered");
        }
        Err(_) => reach("no round"),
    }
}

/// Tickets, and everything else that is signed or stands in a commit.
pub fn ticket(bytes: &[u8], reach: Reach<'_>) {
    signed::<Ticket>("ticket", bytes, |ticket, key| ticket.issuer = key, reach);
    signed::<Vote>("vote", bytes, |vote, key| vote.voter = key, reach);
    signed::<Link>("link", bytes, |link, key| link.committer = key, reach);
    signed::<Content>("content", bytes, |content, key| content.author = key, reach);
    settles::<Control>("control", bytes, reach);
    settles::<Numbered>("numbered", bytes, reach);
    settles::<Commit>("commit", bytes, reach);
    if let Ok(extension) = Extension::parse(bytes) {
        reach("extension");
        assert!(Extension::parse(&extension.encode()) == Ok(extension));
    }
    if let Ok(credential) = Credential::parse(bytes) {
        reach("credential");
        assert!(Credential::parse(&credential.encode()) == Ok(credential));
    }
}

/// Nobody signed these bytes; but whatever can be read can be signed by a member with a changed program, and is taken then
/// if it keeps its bounds, and only in its own group.
fn signed<T: Body + PartialEq>(name: &str, bytes: &[u8], by: impl Fn(&mut T, MemberKey), reach: Reach<'_>) {
    let (group, other) = (GroupId::from_bytes([5; 16]), GroupId::from_bytes([6; 16]));
    if let Ok(forged) = decode::<Signed>(bytes, ENVELOPE_BYTES_MAX) {
        reach("signed by nobody");
        assert!(forged.open::<T>(group).is_err(), "nobody signed it");
    }
    let Some(mut body) = settles::<T>(name, bytes, reach) else { return };
    let key = SigningKey::from_bytes(&[7; 32]);
    by(&mut body, MemberKey(key.verifying_key().to_bytes()));
    let allowed = body.check().is_ok() && encode(&body).len() <= T::BYTES_MAX;
    let said = Signed::new(group, &body, &key);
    assert!(said.open::<T>(other).is_err(), "it was said in another group");
    assert_eq!(said.open::<T>(group).is_ok_and(|opened| opened == body), allowed);
    reach(if allowed { "allowed" } else { "out of bounds" });
}

/// What can be read is written so that it is read again.
fn settles<T>(name: &str, bytes: &[u8], reach: Reach<'_>) -> Option<T>
where
    T: PartialEq + minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
{
    let value = decode::<T>(bytes, ENVELOPE_BYTES_MAX).ok()?;
    reach(name);
    assert!(decode::<T>(&encode(&value), ENVELOPE_BYTES_MAX).is_ok_and(|again| again == value));
    Some(value)
}

/// What a member with a changed program can seal.
#[derive(Clone, Copy, Debug)]
pub enum Seal {
    /// As a commit on its head.
    Commit,
    /// As a message of its head: if the bytes are a content, it says that; if not, they stand where MLS's should.
    Content,
    /// As a ticket or vote that it signs, if the bytes are one; if not, they stand where that should.
    Control,
}

impl Client {
    /// An envelope of the only group as a member can seal it, and what that does to the member's own device.
    pub fn forge_envelope(&mut self, seal: Seal, bytes: &[u8], now: Time) -> (Option<Vec<u8>>, Output) {
        self.inside(now, |group, cx| group.forge_envelope(cx, seal, bytes))
    }

    /// An envelope of the only group that a member opens, changes inside and seals again.
    pub fn forge_again(&mut self, bytes: Vec<u8>, edits: &[u8], now: Time) -> Option<Vec<u8>> {
        self.inside(now, |group, _| group.forge_again(bytes, edits)).0
    }

    /// A frame with any bytes inside, sealed as the peer at the other end of a link expects it.
    pub fn forge_frame(&mut self, link: LinkId, plain: &[u8], now: Time) -> Option<Vec<u8>> {
        self.inside(now, |group, _| group.forge_frame(link, plain)).0
    }
}
