//! The values that are recorded, built from fixed ones: key n is made of n's, and every other field too.

use std::time::Duration;

use minicbor::bytes::ByteVec;
use rand_core::RngCore;
use zeroize::Zeroizing;

use super::Vector;
use crate::group::changes::line_id;
use crate::id::{CommitId, EnvelopeId, EpochId, GroupId, MemberId, MsgId};
use crate::identity::{Credential, Identity, safety_code};
use crate::meet::generation::Generation;
use crate::meet::hello::{Admission, Candidate};
use crate::meet::reconcile::{Listed, Session, Step};
use crate::meet::talk::{Heard, Talk};
use crate::policy::extension::Extension;
use crate::seal::{self, Secret};
use crate::step::{Address, Ends};
use crate::time::Time;
use crate::wire::commit::{Commit, CommitBinding};
use crate::wire::content::{Class, Content, Kind, Numbered, msg_id};
use crate::wire::control::{Control, Link, Operation, Policy, Ticket, Vote};
use crate::wire::encode;
use crate::wire::envelope::{Cover, Envelope, EnvelopeKey, LifetimeClass};
use crate::wire::invite::{Invite, answerer_hash, commitment, invite_key};
use crate::wire::message::{
    Answerer, Bundle, Bytes, CommitWire, Greeting, Handed, Head, JoinRefusal, Message, Moves, Proof, Push, Reach,
    SessionId, Span, Told, Want,
};
use crate::wire::signed::Signed;

/// The group of all vectors.
pub(super) const GROUP: GroupId = GroupId::from_bytes([0x10; 16]);
const AT: Time = Time::from_ms(1_790_000_000_000);
const PARENT: EpochId = EpochId::from_bytes([0x21; 32]);
const CHILD: EpochId = EpochId::from_bytes([0x22; 32]);
const COMMIT: CommitId = CommitId::from_bytes([0x23; 32]);

/// Entropy without any: the same byte for ever.
struct Same(u8);

impl RngCore for Same {
    fn next_u32(&mut self) -> u32 {
        u32::from_be_bytes([self.0; 4])
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes([self.0; 8])
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

fn ana() -> Identity {
    Identity::new("Ana", &mut Same(1))
}

fn ben() -> Identity {
    Identity::new("Ben", &mut Same(2))
}

fn generation() -> Generation {
    Generation::new(Secret::new([0x30; 32]), 7, AT)
}

/// Every vector.
pub(super) fn all() -> Vec<Vector> {
    let mut all = vec![credential(), extension(), numbered(), commit(), binding(), invite(), names(), keys(), talk()];
    all.extend(envelopes());
    all.extend(contents());
    all.extend(controls());
    all.extend(messages());
    all.extend(rounds());
    all
}

fn credential() -> Vector {
    let (ana, ben) = (ana().credential, ben().credential);
    let code = safety_code(GROUP, &ana, &ben);
    let mut vector = Vector::value("credential", &ana).with("member id", ana.member().as_bytes());
    vector.again = |bytes| Credential::parse(bytes).ok().map(|credential| credential.encode());
    vector.facts.push(("safety code with Ben", code.digits.clone()));
    vector.with("safety code as QR", &code.qr)
}

fn policy() -> Policy {
    Policy { name: "Circle".to_owned(), retention: 604_800 }
}

fn extension() -> Vector {
    let mut extension = Extension::new(ana().member(), policy());
    let ticket = ticket(Operation::Remove, ben().member());
    extension = extension.after(&[ticket], 9);
    let mut vector = Vector::value("extension", &extension);
    vector.again = |bytes| Extension::parse(bytes).ok().map(|extension| extension.encode());
    vector
}

fn numbered() -> Vector {
    Vector::value("numbered", &Numbered { leaf: 1, count: 70, burnt: 64, mls: vec![0x40; 8] })
}

fn commit() -> Vector {
    let commit = Commit::new(GROUP, PARENT, vec![0x41; 8], vec![signed_ticket(Operation::Leave)]);
    let mut vector = Vector::value("commit", &commit).with("commit id", commit.encode().1.as_bytes());
    vector.again = |bytes| Commit::parse(bytes).ok().map(|(commit, _)| commit.encode().0);
    vector
}

fn binding() -> Vector {
    let mut vector =
        Vector::value("commit-binding", &CommitBinding::new(PARENT, &[signed_ticket(Operation::Leave)], AT));
    vector.again = |bytes| {
        let checked = CommitBinding::check(bytes, PARENT, &[signed_ticket(Operation::Leave)]);
        checked.ok().map(|binding| binding.encode())
    };
    vector
}

fn invite() -> Vector {
    let invite = Invite {
        seed: Zeroizing::new([0x50; 16]),
        commitment: commitment(GROUP, &ana().key()),
        answerer: answerer_hash(&[0x51; 32]),
        expiry_hour: 500_000,
        hints: vec![Address("/ip4/192.0.2.1/tcp/4001".to_owned()), Address("/ip6/2001:db8::1/tcp/4001".to_owned())],
    };
    let text = invite.to_text();
    let again = |bytes: &[u8]| {
        let invite = Invite::parse(std::str::from_utf8(bytes).ok()?).ok()?;
        Some(invite.to_text().as_bytes().to_vec())
    };
    let facts = vec![("text", text.to_string()), ("expires at hour", invite.expiry_hour.to_string())];
    Vector { name: "invite", bytes: text.as_bytes().to_vec(), facts, again }
        .with("seed", invite.seed.as_slice())
        .with("commitment", &invite.commitment)
        .with("answerer", &invite.answerer)
        .with("invite id", invite.id().as_bytes())
        .with("key of its hello", invite_key(&invite.seed).as_slice())
}

/// Names that no other vector has.
fn names() -> Vector {
    Vector::value("line-id", &line_id(&COMMIT, 2)).with("commit id", COMMIT.as_bytes())
}

/// What comes from a generation of the net secret.
fn keys() -> Vector {
    let generation = generation();
    Vector::value("generation", &generation.to_wire())
        .with("generation id", generation.id().as_bytes())
        .with("topic of day 20000", generation.topic(20_000).as_bytes())
        .with("lane of day 20000", &generation.lane(20_000))
        .with("key of its hello", generation.hello_key().as_slice())
}

fn envelopes() -> Vec<Vector> {
    let sealed = |name, key: &EnvelopeKey, class, body: &[u8]| {
        let cover = Cover { lane: generation().lane(20_000), hour: 480_001, class, nonce: [0x60; 24] };
        let envelope = Envelope::seal(key, &cover, body).unwrap();
        let id = envelope.id();
        let facts = vec![("hour", envelope.hour().to_string()), ("class", format!("{:?}", envelope.class))];
        let again = |bytes: &[u8]| Envelope::parse(bytes.to_vec()).ok().map(Envelope::into_bytes);
        let opened = Envelope::parse(envelope.as_bytes().to_vec()).unwrap();
        assert!(opened.is_under(key) && opened.open(key).unwrap().as_slice() == body);
        Vector { name, bytes: envelope.into_bytes(), facts, again }
            .with("body", body)
            .with("envelope id", id.as_bytes())
            .with("binding of leaf 1, count 70, burnt 64", &cover.binding(1, 70, 64))
    };
    let control = encode(&Control::Ticket(signed_ticket(Operation::Leave)));
    vec![
        sealed("envelope", &EnvelopeKey::new(&[0x61; 32]), LifetimeClass::Week, b"body"),
        sealed("envelope-control", &generation().control_key(), LifetimeClass::Quarter, &control),
    ]
}

fn said(kind: Kind) -> Signed {
    let parents = vec![MsgId::from_bytes([0x70; 32]), MsgId::from_bytes([0x71; 32])];
    let (author, deadline) = (ana().key(), AT + Duration::from_secs(3_600));
    ana().sign(GROUP, &Content { version: 1, author, pos: AT, parents, deadline, class: Class::Talk, kind })
}

fn contents() -> Vec<Vector> {
    let content = |name, kind| {
        let signed = said(kind);
        Vector::signed::<Content>(name, &signed).with("message id", msg_id(&signed).as_bytes())
    };
    vec![
        content("content-text", Kind::Text("Good morning, everybody".to_owned())),
        content("content-receipt", Kind::Receipt(vec![MsgId::from_bytes([0x72; 32]).stem()])),
    ]
}

fn ticket(operation: Operation, target: MemberId) -> Ticket {
    Ticket {
        group: GROUP,
        operation,
        target,
        sequence: 3,
        epoch: PARENT,
        number: 9,
        issuer: ana().key(),
        key_package: operation.adds().then(|| vec![0x80; 8]),
        policy: (operation == Operation::Policy).then(policy),
    }
}

fn signed_ticket(operation: Operation) -> Signed {
    let target = if operation == Operation::Remove { ben() } else { ana() };
    ana().sign(GROUP, &ticket(operation, target.member()))
}

fn controls() -> Vec<Vector> {
    let ana = ana();
    let vote = Vote { group: GROUP, epoch: CHILD, number: 10, commit: COMMIT, counter: 4, voter: ana.key() };
    let link = Link { parent: PARENT, child: CHILD, commit: COMMIT, committer: ana.key() };
    let (vote, link) = (ana.sign(GROUP, &vote), ana.sign(GROUP, &link));
    vec![
        Vector::signed::<Ticket>("ticket-add", &signed_ticket(Operation::Add)),
        Vector::signed::<Ticket>("ticket-remove", &signed_ticket(Operation::Remove)),
        Vector::signed::<Ticket>("ticket-leave", &signed_ticket(Operation::Leave)),
        Vector::signed::<Ticket>("ticket-policy", &signed_ticket(Operation::Policy)),
        Vector::signed::<Ticket>("ticket-appoint", &signed_ticket(Operation::Appoint)),
        Vector::signed::<Ticket>("ticket-dismiss", &signed_ticket(Operation::Dismiss)),
        Vector::signed::<Ticket>("ticket-swap", &signed_ticket(Operation::Swap)),
        Vector::signed::<Vote>("vote", &vote),
        Vector::signed::<Link>("link", &link),
        Vector::value("control-ticket", &Control::Ticket(signed_ticket(Operation::Leave))),
        Vector::value("control-vote", &Control::Vote(vote)),
        Vector::value("control-link", &Control::Link(link)),
    ]
}

fn step() -> CommitWire {
    let moves = Moves { came: vec![ana().member()], went: vec![ben().member()], at: Some(AT) };
    CommitWire { parent: PARENT, commit: COMMIT, child: CHILD, envelope: Bytes(Vec::new()), moves: Some(moves) }
}

fn messages() -> Vec<Vector> {
    let ids = || vec![EnvelopeId::from_bytes([0x90; 32]), EnvelopeId::from_bytes([0x91; 32])];
    let reach = || vec![Reach { member: ana().member(), address: "/ip4/192.0.2.1/tcp/4001".to_owned() }];
    let greeting = |member, head, answerer| {
        Message::Greeting(Box::new(Greeting { clock: AT, member, head, answerer, newest: true }))
    };
    let span = || Span { epoch: CHILD, leaf: 1, from: 5, to: 7 };
    let handed = Handed {
        envelope: EnvelopeId::from_bytes([0x90; 32]),
        epoch: CHILD,
        signed: said(Kind::Text("Good morning, everybody".to_owned())),
    };
    let proof = Proof { credential: ana().credential.encode(), signature: ana().sign_hash(&[0x92; 32]) };
    let answerer = Answerer { key: [0x93; 32], signature: [0x94; 64] };
    let push = Push { envelopes: vec![Bytes(vec![0x95; 8]), Bytes(vec![0x96; 8])], more: true };
    let bundle = Bundle {
        welcome: vec![0x97; 8],
        commit: COMMIT,
        generations: vec![generation().to_wire()],
        at: AT,
        inviter: ana().key(),
        reach: reach(),
        commits: vec![CommitWire {
            parent: PARENT,
            commit: COMMIT,
            child: CHILD,
            envelope: Bytes(vec![0x98; 8]),
            moves: None,
        }],
    };
    let message = |name, message: Message| {
        let again = |bytes: &[u8]| Message::parse(bytes).ok().map(|message| message.encode());
        Vector { again, ..Vector::value(name, &message) }
    };
    vec![
        message("greeting-joiner", greeting(None, None, None)),
        message("greeting-answerer", greeting(None, None, Some(answerer))),
        message(
            "greeting-member",
            greeting(Some(proof), Some(Head { epoch: CHILD, number: 10, since: 480_000 }), None),
        ),
        message("prove", Message::Prove([0x99; 16])),
        message("want", Message::Want(Want { names: vec![SessionId([0x9a; 32])], more: true })),
        message("push", Message::Push(push)),
        message("have", Message::Have(ids())),
        message("after", Message::After(PARENT)),
        message("addresses", Message::Addresses(reach())),
        message("join-request", Message::JoinRequest(vec![0x9b; 8])),
        message("welcome", Message::Welcome(Box::new(bundle))),
        message("join-refused-used", Message::JoinRefused(JoinRefusal::Used)),
        message("join-refused-revoked", Message::JoinRefused(JoinRefusal::Revoked)),
        message("join-refused-expired", Message::JoinRefused(JoinRefusal::Expired)),
        message("join-refused-full", Message::JoinRefused(JoinRefusal::Full)),
        message("join-refused-malformed", Message::JoinRefused(JoinRefusal::Malformed)),
        message("join-refused-name-taken", Message::JoinRefused(JoinRefusal::NameTaken)),
        message("got", Message::Got(ids())),
        message("compare", Message::Compare),
        message("enough", Message::Enough),
        message("head", Message::Head(Head { epoch: CHILD, number: 10, since: 480_000 })),
        message(
            "controls",
            Message::Controls(vec![Told { control: Control::Ticket(signed_ticket(Operation::Leave)), until: AT }]),
        ),
        message("missing", Message::Missing(span())),
        message("absent", Message::Absent(span())),
        message("line", Message::Line(vec![step()])),
        message("cannot", Message::Cannot(ids())),
        message("handed", Message::Handed(vec![handed])),
    ]
}

/// Two rounds over logs that have one envelope in common.
fn rounds() -> Vec<Vector> {
    let item = |n: u8| Listed { hour: 480_000 + u32::from(n), id: EnvelopeId::from_bytes([n; 32]), told: true };
    let (mut ana, first) = Session::open([0xa0; 16], 480_000, [1, 2].into_iter().map(item)).unwrap();
    let mut ben = Session::join(&first, [2, 3].into_iter().map(item)).unwrap();
    let Step::Next(second) = ben.receive(&first).unwrap() else { panic!("the joiner ends") };
    let Step::Done(found) = ana.receive(&second).unwrap() else { panic!("one round is enough") };
    assert_eq!(found.lacks, [item(1).id]);
    let name = ben.name(&item(3).id);
    assert!(found.wants == [name]);
    let again = |bytes: &[u8]| Message::parse(bytes).ok().map(|message| message.encode());
    let round = |name, round| Vector { again, ..Vector::value(name, &Message::Reconcile(round)) };
    vec![
        round("reconcile-opener", first),
        round("reconcile-acceptor", second).with("session's name of 03..03", &name.0),
    ]
}

/// A hello between two who hold one generation, and the first frame each way.
fn talk() -> Vector {
    let key = generation().hello_key();
    let held = || vec![Candidate { admission: Admission::Member(generation().rank()), key: key.clone() }];
    let (mut one, mut two) = (Same(0xb1), Same(0xb2));
    let (opener, acceptor) = (b"opener".to_vec(), b"the acceptor".to_vec());
    let ends = |local: &[u8], remote: &[u8]| Ends { local: local.to_vec(), remote: remote.to_vec() };
    let (mut ana, nonce_a) = Talk::begin(ends(&opener, &acceptor), &mut one);
    let (mut ben, nonce_b) = Talk::begin(ends(&acceptor, &opener), &mut two);
    let answer = |heard: Result<Heard, _>| if let Ok(Heard::Answer(frame)) = heard { frame } else { panic!("no tags") };
    let tags_a = answer(ana.hear(&nonce_b, held, &mut one));
    let tags_b = answer(ben.hear(&nonce_a, held, &mut two));
    assert!(matches!(ana.hear(&tags_b, held, &mut one), Ok(Heard::Sealed(Admission::Member(_)))));
    assert!(matches!(ben.hear(&tags_a, held, &mut two), Ok(Heard::Sealed(Admission::Member(_)))));
    // As docs/wire.md has it, with nothing taken from the code of the hello.
    let transcript = seal::digest("kinfold hello", &[&[0xb1; 32], &[0xb2; 32], &opener, &acceptor]);
    let tag = |side: u8| seal::keyed(&key, "hello tag", &[&transcript, &[side]])[..16].to_vec();
    for (frame, side) in [(&tags_a, 1), (&tags_b, 0)] {
        assert_eq!(frame.chunks_exact(16).filter(|shown| *shown == tag(side)).count(), 1);
        assert_eq!((frame.len(), nonce_a.len(), nonce_b.len()), (2_048, 512, 512));
    }
    let (from_a, from_b) = (ana.say(&Message::Compare).unwrap(), ben.say(&Message::After(PARENT)).unwrap());
    assert!(matches!(ben.hear(&from_a, Vec::new, &mut two), Ok(Heard::Message(said)) if *said == Message::Compare));
    assert!(matches!(ana.hear(&from_b, Vec::new, &mut one), Ok(Heard::Message(_))));
    let newer = [0xb3; 32];
    let proof = ana.proof(&newer, true).unwrap();
    assert_eq!(ben.proof(&newer, false), Some(proof));
    Vector::value("hello-transcript", &ByteVec::from(transcript.to_vec()))
        .with("tag of the opener", &tag(1))
        .with("tag of the acceptor", &tag(0))
        .with("opener's binding of a member", &ana.binding("member", true).unwrap())
        .with("acceptor's binding of a member", &ben.binding("member", true).unwrap())
        .with("acceptor's binding of an answerer", &ben.binding("answerer", true).unwrap())
        .with("opener's proof of the generation b3..b3", &proof)
        .with("first frame of the opener: compare", &from_a)
        .with("first frame of the acceptor: after 21..21", &from_b)
}
