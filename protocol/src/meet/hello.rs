//! The hello: two devices find out what both hold, and show nothing of it to who holds nothing (PROTOCOL M2, J3).
//!
//! Each end sends a random nonce, then a fixed number of tags, one under each key it holds, the rest random. A tag is
//! bound to both nonces, both transport ids and the sender's side, so it cannot be replayed or sent back.

use rand_core::RngCore;

use super::GENERATIONS_MAX;
use super::channel::Channel;
use super::generation::Rank;
use crate::id::InviteId;
use crate::limits::INVITES_MAX;
use crate::seal::{self, Secret};
use crate::step::Ends;

const NONCE_FRAME: usize = 512;
const TAG: usize = 16;
const TAGS: usize = GENERATIONS_MAX + INVITES_MAX;

/// Something that two devices may both hold, and the key that proves it. Greater ones are preferred.
#[derive(Clone)]
pub(crate) struct Candidate {
    /// What it is.
    pub(crate) admission: Admission,
    /// What proves it.
    pub(crate) key: Secret,
}

/// On what ground two devices talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Admission {
    /// An invite: one of the two wants to come in.
    Invite(InviteId),
    /// A generation of the net secret.
    Member(Rank),
}

/// One end of a hello under way.
pub(crate) struct Hello {
    ends: Ends,
    nonce: [u8; 32],
    /// What the peer sent, and what we showed it: the answer is looked for among just these.
    shown: Option<([u8; 32], Vec<Candidate>)>,
}

/// What a frame of a hello led to.
pub(crate) enum Progress {
    /// The peer has nothing in common with us, or does not keep to the form.
    Failed,
    /// Send these bytes and wait.
    Send(Vec<u8>),
    /// Both hold this; the channel is sealed from now on.
    Sealed(Admission, Channel),
}

impl Hello {
    /// Begins, with the first frame to send.
    pub(crate) fn new(ends: Ends, rng: &mut impl RngCore) -> (Self, Vec<u8>) {
        let mut frame = vec![0; NONCE_FRAME];
        rng.fill_bytes(&mut frame);
        let nonce = *frame.first_chunk().expect("the frame is longer than a nonce");
        (Self { ends, nonce, shown: None }, frame)
    }

    /// Whether this end opened the stream: the one with the smaller transport id.
    pub(crate) fn is_opener(&self) -> bool {
        self.ends.local < self.ends.remote
    }

    /// Takes the peer's next frame.
    pub(crate) fn receive(
        &mut self,
        frame: &[u8],
        candidates: impl FnOnce() -> Vec<Candidate>,
        rng: &mut impl RngCore,
    ) -> Progress {
        match &self.shown {
            None => self.receive_nonce(frame, candidates(), rng),
            Some((peer_nonce, shown)) => self.receive_tags(frame, peer_nonce, shown),
        }
    }

    fn receive_nonce(&mut self, frame: &[u8], mut candidates: Vec<Candidate>, rng: &mut impl RngCore) -> Progress {
        let Some(nonce) = frame.first_chunk::<32>().filter(|nonce| frame.len() == NONCE_FRAME && **nonce != self.nonce)
        else {
            return Progress::Failed;
        };
        candidates.truncate(TAGS);
        let transcript = self.transcript(nonce);
        let mut tags = vec![0; TAGS * TAG];
        rng.fill_bytes(&mut tags);
        // Which slots hold real tags must not tell how many there are: they are drawn without replacement.
        let mut slots: Vec<usize> = (0..TAGS).collect();
        for candidate in &candidates {
            let pick = rng.next_u64().checked_rem(slots.len() as u64).and_then(|pick| usize::try_from(pick).ok());
            let slot = slots.swap_remove(pick.unwrap_or(0));
            if let Some(target) = tags.chunks_exact_mut(TAG).nth(slot) {
                target.copy_from_slice(&tag(candidate, &transcript, self.is_opener()));
            }
        }
        self.shown = Some((*nonce, candidates));
        Progress::Send(tags)
    }

    fn receive_tags(&self, frame: &[u8], peer_nonce: &[u8; 32], candidates: &[Candidate]) -> Progress {
        if frame.len() != TAGS * TAG {
            return Progress::Failed;
        }
        let transcript = self.transcript(peer_nonce);
        let common = candidates
            .iter()
            .filter(|candidate| {
                let expected = tag(candidate, &transcript, !self.is_opener());
                frame.chunks_exact(TAG).any(|shown| shown == expected)
            })
            .max_by_key(|candidate| candidate.admission);
        common.map_or(Progress::Failed, |candidate| {
            Progress::Sealed(candidate.admission, Channel::new(&candidate.key, &transcript, self.is_opener()))
        })
    }

    fn transcript(&self, peer_nonce: &[u8; 32]) -> [u8; 32] {
        let (local, remote) = (&self.ends.local, &self.ends.remote);
        let parts: [&[u8]; 4] = if self.is_opener() {
            [&self.nonce, peer_nonce, local, remote]
        } else {
            [peer_nonce, &self.nonce, remote, local]
        };
        seal::digest("kinfold hello", &parts)
    }
}

fn tag(candidate: &Candidate, transcript: &[u8; 32], by_opener: bool) -> [u8; TAG] {
    let hash = seal::keyed(&candidate.key, "hello tag", &[transcript, &[u8::from(by_opener)]]);
    *hash.first_chunk().expect("a hash is longer than a tag")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GenerationId;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    fn generation(n: u8) -> Candidate {
        let rank = (u64::from(n), GenerationId::from_bytes([n; 32]));
        Candidate { admission: Admission::Member(rank), key: Secret::new([n; 32]) }
    }

    fn invite(n: u8) -> Candidate {
        Candidate { admission: Admission::Invite(InviteId::from_bytes([n; 8])), key: Secret::new([n; 32]) }
    }

    fn meet(ours: &[Candidate], theirs: &[Candidate]) -> (Progress, Progress) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (mut ana, to_ben) = Hello::new(Ends { local: vec![1], remote: vec![2] }, &mut rng);
        let (mut ben, to_ana) = Hello::new(Ends { local: vec![2], remote: vec![1] }, &mut rng);
        let Progress::Send(ana_tags) = ana.receive(&to_ana, || ours.to_vec(), &mut rng) else { panic!("no tags") };
        let Progress::Send(ben_tags) = ben.receive(&to_ben, || theirs.to_vec(), &mut rng) else { panic!("no tags") };
        (ana.receive(&ben_tags, Vec::new, &mut rng), ben.receive(&ana_tags, Vec::new, &mut rng))
    }

    #[test]
    fn two_devices_settle_on_the_newest_generation_that_both_hold() {
        let (ana, ben) = meet(&[generation(1), generation(2), invite(9)], &[generation(3), generation(2), invite(9)]);
        let (Progress::Sealed(a, mut to_ben), Progress::Sealed(b, mut to_ana)) = (ana, ben) else {
            panic!("no channel")
        };
        assert_eq!((a, b), (generation(2).admission, generation(2).admission));
        let frame = to_ben.seal(b"hello").unwrap();
        assert_eq!(to_ana.open(&frame).unwrap(), b"hello");
    }

    #[test]
    fn strangers_learn_nothing_and_get_nothing() {
        let (ana, ben) = meet(&[generation(1), invite(2)], &[generation(3), invite(4)]);
        assert!(matches!((ana, ben), (Progress::Failed, Progress::Failed)));
    }

    #[test]
    fn a_hello_reflected_or_replayed_proves_nothing() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (mut ana, first) = Hello::new(Ends { local: vec![1], remote: vec![2] }, &mut rng);
        assert!(
            matches!(ana.receive(&first, || vec![generation(1)], &mut rng), Progress::Failed),
            "own nonce sent back"
        );
        let Progress::Send(tags) = ana.receive(&[7; NONCE_FRAME], || vec![generation(1)], &mut rng) else {
            panic!("no tags")
        };
        assert!(matches!(ana.receive(&tags, || vec![generation(1)], &mut rng), Progress::Failed), "own tags sent back");
    }

    #[test]
    fn a_generation_that_begins_in_the_middle_of_a_hello_does_not_part_the_two_ends() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (mut ana, to_ben) = Hello::new(Ends { local: vec![1], remote: vec![2] }, &mut rng);
        let (mut ben, to_ana) = Hello::new(Ends { local: vec![2], remote: vec![1] }, &mut rng);
        let old = || vec![generation(1)];
        let both = || vec![generation(1), generation(2)];
        let Progress::Send(ana_tags) = ana.receive(&to_ana, old, &mut rng) else { panic!("no tags") };
        let Progress::Send(ben_tags) = ben.receive(&to_ben, both, &mut rng) else { panic!("no tags") };
        // Ana learns the newer generation only now.
        let Progress::Sealed(a, mut to_ben) = ana.receive(&ben_tags, both, &mut rng) else { panic!("no channel") };
        let Progress::Sealed(b, mut to_ana) = ben.receive(&ana_tags, both, &mut rng) else { panic!("no channel") };
        assert_eq!(a, b);
        assert_eq!(to_ana.open(&to_ben.seal(b"hello").unwrap()).unwrap(), b"hello");
    }

    #[test]
    fn frames_of_other_sizes_fail() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for len in [0, 1, 511, 513] {
            let (mut ana, _) = Hello::new(Ends { local: vec![1], remote: vec![2] }, &mut rng);
            assert!(matches!(ana.receive(&vec![7; len], Vec::new, &mut rng), Progress::Failed));
        }
    }
}
