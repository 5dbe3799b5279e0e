//! A key tree after Goldreich, Goldwasser and Micali: one seed stands for all leaves below it.
//!
//! The tree is the set of the nodes it still holds. A fresh tree holds its root and so has every leaf; a leaf
//! below no held node is gone, and nothing that is held can bring it back, for a seed leads down only.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::bytes::Cursor;

/// A leaf's key or a node's seed.
pub(crate) type Seed = Zeroizing<[u8; 32]>;

/// A tree of `2^depth` leaves.
pub(crate) struct Tree {
    depth: u8,
    /// From left to right, no node below another.
    nodes: Vec<Node>,
}

struct Node {
    depth: u8,
    /// The path from the root, first step in the highest of `depth` bits.
    prefix: u64,
    seed: Seed,
}

impl Tree {
    /// The whole tree that hangs on `root`.
    pub(crate) fn new(depth: u8, root: Seed) -> Self {
        assert!(depth < 64, "a leaf is named by a u64");
        Self { depth, nodes: vec![Node { depth: 0, prefix: 0, seed: root }] }
    }

    /// The key of one leaf, or `None` if it is gone or was never in the tree.
    #[cfg(test)]
    pub(crate) fn derive(&self, leaf: u64) -> Option<Seed> {
        self.derive_along(leaf, &mut Trail::default())
    }

    /// The key of one leaf, or `None` if it is gone or was never in the tree. The trail must be of this tree as it is.
    pub(crate) fn derive_along(&self, leaf: u64, trail: &mut Trail) -> Option<Seed> {
        let after = self.nodes.partition_point(|node| node.first_leaf(self.depth) <= leaf);
        let node = self.nodes.get(after.checked_sub(1)?)?;
        if leaf > node.last_leaf(self.depth) {
            return None;
        }
        let height = self.depth - node.depth;
        let seed = if height <= BRANCH {
            descend(&node.seed, leaf, (0..height).rev())
        } else {
            let from = trail.branch(leaf >> BRANCH, || descend(&node.seed, leaf, (BRANCH..height).rev()));
            descend(from, leaf, (0..BRANCH).rev())
        };
        Some(keyed(&seed, LEAF))
    }

    /// How many bytes [`encode`](Self::encode) adds.
    pub(crate) fn encoded_len(&self) -> usize {
        4 + self.nodes.len() * NODE_LEN
    }

    /// Appends the node list: count u32, then depth u8, prefix u64 and seed of each node.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let count = u32::try_from(self.nodes.len()).expect("a keyring slot holds far fewer nodes than a u32 counts");
        out.extend_from_slice(&count.to_be_bytes());
        for node in &self.nodes {
            out.push(node.depth);
            out.extend_from_slice(&node.prefix.to_be_bytes());
            out.extend_from_slice(&node.seed[..]);
        }
    }

    /// Reads a node list back; `None` unless it is one that a tree of this depth can have.
    pub(super) fn decode(depth: u8, from: &mut Cursor<'_>) -> Option<Self> {
        let count = usize::try_from(from.u32()?).ok()?;
        if from.0.len() / NODE_LEN < count {
            return None;
        }
        // The room is taken at once: a vector that grows would leave seeds behind in freed memory.
        let mut nodes: Vec<Node> = Vec::with_capacity(count);
        for _ in 0..count {
            let node = Node { depth: from.u8()?, prefix: from.u64()?, seed: from.secret()? };
            let in_tree = node.depth <= depth && node.prefix >> node.depth == 0;
            if !in_tree || nodes.last().is_some_and(|left| left.last_leaf(depth) >= node.first_leaf(depth)) {
                return None;
            }
            nodes.push(node);
        }
        Some(Self { depth, nodes })
    }
}

/// The seeds of branches on the way to leaves that were derived before. Kept only while many rows are opened: a leaf that
/// is destroyed must be gone from here too.
#[derive(Default)]
pub(crate) struct Trail(BTreeMap<u64, Seed>);

impl Trail {
    fn branch(&mut self, branch: u64, find: impl FnOnce() -> Seed) -> &Seed {
        if self.0.len() >= BRANCHES_MAX {
            self.0.clear();
        }
        self.0.entry(branch).or_insert_with(find)
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree(depth {}, {} nodes)", self.depth, self.nodes.len())
    }
}

impl Node {
    fn first_leaf(&self, tree_depth: u8) -> u64 {
        self.prefix << (tree_depth - self.depth)
    }

    fn last_leaf(&self, tree_depth: u8) -> u64 {
        self.first_leaf(tree_depth) + ((1 << (tree_depth - self.depth)) - 1)
    }
}

fn descend(from: &Seed, leaf: u64, levels: impl Iterator<Item = u8>) -> Seed {
    levels.fold(from.clone(), |seed, level| keyed(&seed, &[b'G', b'G', b'M', u8::from((leaf >> level) & 1 == 1)]))
}

fn keyed(key: &Seed, message: &[u8]) -> Seed {
    let mut hash = blake3::keyed_hash(key, message);
    let out = Zeroizing::new(*hash.as_bytes());
    hash.zeroize();
    out
}

/// Longer than a step's message, so a leaf's key is never a node's seed.
const LEAF: &[u8] = b"GGM leaf";
const NODE_LEN: usize = 1 + 8 + 32;
/// The height of a branch: 256 versions in a row, or four minutes of deadlines.
const BRANCH: u8 = 8;
/// A week of deadlines, in less than a megabyte.
const BRANCHES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DEPTH: u8 = 8;

    fn seed(byte: u8) -> Seed {
        Zeroizing::new([byte; 32])
    }

    fn decode(depth: u8, bytes: &[u8]) -> Option<Tree> {
        Tree::decode(depth, &mut Cursor(bytes))
    }

    /// All leaves of a small tree, computed level by level.
    fn all_leaves(root: &Seed, depth: u8) -> Vec<[u8; 32]> {
        let mut level = vec![**root];
        for _ in 0..depth {
            level = level
                .iter()
                .flat_map(|seed| [0, 1].map(|bit| *blake3::keyed_hash(seed, &[b'G', b'G', b'M', bit]).as_bytes()))
                .collect();
        }
        level.iter().map(|seed| *blake3::keyed_hash(seed, b"GGM leaf").as_bytes()).collect()
    }

    #[test]
    fn every_leaf_is_what_the_level_by_level_model_says() {
        let tree = Tree::new(DEPTH, seed(7));
        for (leaf, model) in (0u64..).zip(all_leaves(&seed(7), DEPTH)) {
            assert_eq!(*tree.derive(leaf).unwrap(), model);
        }
        assert!(tree.derive(256).is_none());
        assert!(tree.derive(u64::MAX).is_none());
    }

    #[test]
    fn a_trail_leads_to_the_same_keys_and_to_none_that_are_gone() {
        let depth = BRANCH + 3;
        let model = all_leaves(&seed(7), depth);
        let inner = |path: &[u8]| path.iter().fold(seed(7), |at, bit| keyed(&at, &[b'G', b'G', b'M', *bit]));
        // All but the second of eight branches, below nodes as high as a branch and higher.
        let held = [(3, 0b000, inner(&[0, 0, 0])), (2, 0b01, inner(&[0, 1])), (1, 1, inner(&[1]))];
        let tree = Tree { depth, nodes: held.map(|(depth, prefix, seed)| Node { depth, prefix, seed }).into() };
        let mut trail = Trail::default();
        for _ in 0..2 {
            for (leaf, model) in (0_u64..).zip(&model) {
                let lives = leaf >> BRANCH != 1;
                assert_eq!(tree.derive_along(leaf, &mut trail).map(|key| *key), lives.then_some(*model), "{leaf}");
            }
        }
        let many = Tree::new(40, seed(7));
        let mut trail = Trail::default();
        for branch in 0..2 * BRANCHES_MAX as u64 {
            assert_eq!(many.derive_along(branch << BRANCH, &mut trail), many.derive(branch << BRANCH));
            assert!(trail.0.len() <= BRANCHES_MAX);
        }
    }

    #[test]
    fn leaves_differ_from_each_other_from_inner_seeds_and_between_roots() {
        let mut seen = BTreeSet::new();
        for root in [1, 2] {
            for leaf in all_leaves(&seed(root), DEPTH) {
                assert!(seen.insert(leaf));
            }
            let mut level = vec![*seed(root)];
            for _ in 0..=DEPTH {
                assert!(level.iter().all(|inner| seen.insert(*inner)));
                level = level
                    .iter()
                    .flat_map(|seed| [0, 1].map(|bit| *blake3::keyed_hash(seed, &[b'G', b'G', b'M', bit]).as_bytes()))
                    .collect();
            }
        }
    }

    #[test]
    fn a_tree_with_gaps_has_exactly_the_leaves_below_its_nodes() {
        // Leaves 0..=63, 128 alone, and 192..=255 of a tree whose root is gone.
        let whole = all_leaves(&seed(9), DEPTH);
        let inner = |path: &[u8]| path.iter().fold(seed(9), |at, bit| keyed(&at, &[b'G', b'G', b'M', *bit]));
        let held = [(2, 0b00, inner(&[0, 0])), (8, 128, inner(&[1, 0, 0, 0, 0, 0, 0, 0])), (2, 0b11, inner(&[1, 1]))];
        let nodes = held.map(|(depth, prefix, seed)| Node { depth, prefix, seed }).into();
        let mut bytes = Vec::new();
        let tree = Tree { depth: DEPTH, nodes };
        tree.encode(&mut bytes);
        assert_eq!(bytes.len(), tree.encoded_len());
        let tree = decode(DEPTH, &bytes).unwrap();
        for (leaf, model) in (0u64..).zip(whole) {
            let lives = leaf < 64 || leaf == 128 || leaf >= 192;
            assert_eq!(tree.derive(leaf).map(|key| *key), lives.then_some(model), "leaf {leaf}");
        }
    }

    #[test]
    fn a_list_that_no_tree_can_have_is_refused() {
        let list = |nodes: &[(u8, u64)]| {
            let mut out = u32::try_from(nodes.len()).unwrap().to_be_bytes().to_vec();
            for (depth, prefix) in nodes {
                out.push(*depth);
                out.extend_from_slice(&prefix.to_be_bytes());
                out.extend_from_slice(&[1; 32]);
            }
            out
        };
        assert!(decode(DEPTH, &list(&[])).unwrap().derive(0).is_none());
        assert!(decode(DEPTH, &list(&[(1, 0), (1, 1)])).is_some());
        assert!(decode(DEPTH, &list(&[(1, 1), (1, 0)])).is_none(), "out of order");
        assert!(decode(DEPTH, &list(&[(0, 0), (1, 1)])).is_none(), "one below another");
        assert!(decode(DEPTH, &list(&[(1, 2)])).is_none(), "outside its level");
        assert!(decode(DEPTH, &list(&[(9, 0)])).is_none(), "below the leaves");
        assert!(decode(DEPTH, &list(&[(1, 0)])[..40]).is_none(), "cut short");
        assert!(decode(DEPTH, &[0xFF; 4]).is_none(), "a count past the end");
    }
}
