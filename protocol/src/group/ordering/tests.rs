//! The head rule by its clauses, over all small trees, and against the model that it was found with.

use super::*;

/// Permutations in an ordinary run, in 0.8 s with optimisation; 1,000,000 hold too and take 6 s.
const PERMUTATIONS: u64 = 100_000;
/// Permutations of one shape.
const SHUFFLES: u64 = 10;
/// What devices of the model knew at forks. Its first lines say how to read it.
const VIEWS: &str = include_str!("views.txt");

const GOOD: Judged = Judged::Good { removes: false };
const REMOVES: Judged = Judged::Good { removes: true };

fn name(n: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn member(n: u64) -> MemberId {
    MemberId::from_bytes(name(n))
}

fn epoch(n: u64) -> EpochId {
    EpochId::from_bytes(name(n))
}

fn members(of: impl IntoIterator<Item = u64>) -> BTreeSet<MemberId> {
    of.into_iter().map(member).collect()
}

/// A child whose commit and turn are ordered as its number is.
fn child(n: u64, judged: Judged) -> Child {
    Child { epoch: epoch(n), commit: CommitId::from_bytes(name(n)), turn: name(n), judged }
}

/// Votes by member: the first list is that of state 0.
fn votes(for_each: &[&[u64]]) -> BTreeMap<MemberId, EpochId> {
    let each = (0..).zip(for_each);
    each.flat_map(|(state, voters)| voters.iter().map(move |voter| (member(*voter), epoch(state)))).collect()
}

/// State 0 of some members and what was built on it.
fn fork(count: u64, children: &[Child]) -> Shape {
    let parent = Parent { members: members(0..count), children: children.to_vec(), ..Parent::default() };
    Shape { parents: BTreeMap::from([(epoch(0), parent)]), votes: BTreeMap::new() }
}

impl Shape {
    fn with(mut self, for_each: &[&[u64]]) -> Self {
        self.votes = votes(for_each);
        self
    }

    fn parent(&mut self, n: u64) -> &mut Parent {
        self.parents.get_mut(&epoch(n)).unwrap()
    }

    fn grow(mut self, n: u64, child: Child) -> Self {
        let alike = Parent { children: Vec::new(), ..self.parent(0).clone() };
        self.parents.entry(epoch(n)).or_insert(alike).children.push(child);
        self
    }

    fn old(mut self) -> Self {
        self.parents.values_mut().for_each(|parent| parent.old = true);
        self
    }

    fn out(mut self, who: impl IntoIterator<Item = u64>) -> Self {
        self.parent(0).out = members(who);
        self
    }

    fn here(&self) -> EpochId {
        self.head(epoch(0)).here
    }

    /// The head of those who can go everywhere.
    fn all(&self) -> EpochId {
        let head = self.head(epoch(0));
        head.beyond.unwrap_or(head.here)
    }
}

#[test]
fn where_nothing_was_built_the_head_is_the_root() {
    assert_eq!(Shape::default().head(epoch(3)), Head { here: epoch(3), beyond: None });
    assert_eq!(fork(3, &[]).here(), epoch(0));
    assert_eq!(fork(3, &[child(1, GOOD)]).here(), epoch(1));
}

#[test]
fn h1_a_standing_majority_beats_a_removal_and_half_is_none() {
    let shape = fork(4, &[child(1, REMOVES), child(2, GOOD)]);
    assert_eq!(shape.clone().with(&[&[], &[], &[0, 1, 2]]).here(), epoch(2));
    assert_eq!(shape.with(&[&[], &[], &[0, 1]]).here(), epoch(1));
}

#[test]
fn h1_a_removal_beats_more_votes_and_more_votes_beat_the_turn() {
    let shape = fork(5, &[child(1, GOOD), child(2, GOOD), child(3, REMOVES)]);
    assert_eq!(shape.clone().with(&[&[], &[], &[0, 1]]).here(), epoch(3));
    let shape = fork(5, &[child(1, GOOD), child(2, GOOD)]);
    assert_eq!(shape.clone().with(&[&[], &[0], &[1, 2]]).here(), epoch(2));
    // Only of those who are in it.
    assert_eq!(shape.with(&[&[], &[0], &[1, 7, 8]]).here(), epoch(1));
}

#[test]
fn h1_equal_votes_are_decided_by_the_turn_and_then_by_the_commit() {
    let late = Child { turn: name(9), ..child(1, GOOD) };
    assert_eq!(fork(3, &[late, child(2, GOOD)]).here(), epoch(2));
    let same = |n, commit| Child { turn: name(0), commit: CommitId::from_bytes(name(commit)), ..child(n, GOOD) };
    assert_eq!(fork(3, &[same(1, 6), same(2, 5)]).here(), epoch(2));
}

#[test]
fn h2_an_old_fork_is_decided_by_votes_and_then_by_the_commit_alone() {
    let turned = Child { turn: name(9), ..child(1, GOOD) };
    let shape = fork(5, &[turned, child(2, REMOVES)]);
    assert_eq!(shape.here(), epoch(2));
    assert_eq!(shape.clone().old().here(), epoch(1));
    assert_eq!(shape.old().with(&[&[], &[], &[0]]).here(), epoch(2));
}

#[test]
fn h2_whoever_is_to_be_removed_counts_only_where_the_others_are_equal() {
    let shape = fork(5, &[child(1, GOOD), child(2, GOOD)]).old().out([3, 4]);
    assert_eq!(shape.clone().with(&[&[], &[0], &[3, 4]]).here(), epoch(1));
    assert_eq!(shape.with(&[&[], &[0], &[1, 3]]).here(), epoch(2));
}

#[test]
fn h2_whoever_comes_counts_only_where_the_members_are_equal() {
    let mut shape = fork(3, &[child(1, GOOD), child(2, GOOD)]).old();
    shape.parent(0).added = members([7]);
    assert_eq!(shape.clone().with(&[&[], &[0], &[1, 7]]).here(), epoch(2));
    assert_eq!(shape.clone().with(&[&[], &[0], &[7]]).here(), epoch(1));
    assert_eq!(shape.with(&[&[], &[0], &[1, 8]]).here(), epoch(1));
}

#[test]
fn h3_a_late_removal_of_voters_overturns_no_standing_majority() {
    let shape = fork(3, &[child(1, REMOVES), child(2, GOOD)]).out([1, 2]);
    assert_eq!(shape.with(&[&[], &[], &[1, 2]]).here(), epoch(2));
}

#[test]
fn h3_depth_counts_for_nothing() {
    let shape = fork(3, &[child(1, GOOD), child(2, GOOD)]).grow(2, child(3, GOOD)).grow(3, child(4, GOOD));
    assert_eq!(shape.here(), epoch(1));
}

#[test]
fn o4_a_vote_counts_for_all_before_its_state_and_for_nothing_if_that_is_unknown() {
    let shape = fork(3, &[child(1, GOOD), child(2, GOOD)]).grow(2, child(3, GOOD)).grow(3, child(4, GOOD));
    assert_eq!(shape.clone().with(&[&[0], &[], &[], &[], &[1]]).here(), epoch(4));
    assert_eq!(shape.clone().with(&[&[0], &[], &[], &[], &[], &[1, 2]]).here(), epoch(1));
    // A vote at the fork is for neither.
    assert_eq!(shape.with(&[&[0, 1, 2]]).here(), epoch(1));
}

#[test]
fn h1_votes_beyond_what_is_closed_count_for_what_is_before_it() {
    let shape = fork(3, &[child(1, GOOD), child(2, GOOD)]).grow(2, child(3, Judged::Closed)).grow(3, child(4, GOOD));
    let head = shape.with(&[&[], &[], &[], &[], &[0]]).head(epoch(0));
    assert_eq!(head, Head { here: epoch(2), beyond: None });
}

#[test]
fn h2_the_best_that_is_judged_meets_what_cannot_be_judged_by_votes() {
    // The removal beats 2 among those that are judged, and not what all can see.
    let judged = [child(1, GOOD), child(2, REMOVES)];
    for other in [Judged::Walked, Judged::Heard] {
        let shape = fork(5, &[&judged[..], &[child(3, other)]].concat());
        assert_eq!(shape.clone().with(&[&[], &[0, 1]]).all(), epoch(2));
        assert_eq!(shape.clone().with(&[&[], &[0, 1], &[], &[2]]).all(), epoch(3));
        assert_eq!(shape.old().with(&[&[], &[0, 1], &[], &[2]]).all(), epoch(1));
    }
}

#[test]
fn h5_a_better_branch_that_is_only_heard_of_is_where_a_swap_leads() {
    let shape = fork(3, &[child(1, GOOD), child(2, Judged::Heard)]).grow(2, child(3, Judged::Heard));
    assert_eq!(shape.clone().with(&[&[], &[0], &[], &[1]]).head(epoch(0)), Head { here: epoch(1), beyond: None });
    let head = shape.with(&[&[], &[0], &[], &[1, 2]]).head(epoch(0));
    assert_eq!(head, Head { here: epoch(1), beyond: Some(epoch(3)) });
}

#[test]
fn h5_a_joiner_walks_to_its_state_past_states_that_it_never_held() {
    let shape = fork(3, &[child(1, Judged::Walked)]).grow(1, child(2, Judged::Walked)).grow(2, child(3, GOOD));
    assert_eq!(shape.head(epoch(0)), Head { here: epoch(3), beyond: None });
}

#[test]
fn forged_links_lead_in_no_circle_and_take_no_vote_from_what_is_known() {
    let shape = fork(3, &[child(1, GOOD), child(2, GOOD)]).grow(2, child(3, GOOD));
    let circle = [(3, 3), (3, 2), (3, 0), (1, 0), (1, 3), (1, 2)];
    let forged = circle.into_iter().fold(shape, |shape, (at, to)| {
        shape.grow(at, Child { commit: CommitId::from_bytes(name(0)), ..child(to, Judged::Heard) })
    });
    let head = forged.with(&[&[], &[], &[0], &[1]]).head(epoch(0));
    assert_eq!(head, Head { here: epoch(3), beyond: None });
}

/// State 2 is heard of like what is made up, and its commit is the greater one.
#[test]
fn what_is_made_up_and_leads_from_nowhere_takes_no_state_away() {
    let true_ones =
        fork(3, &[child(1, Judged::Heard)]).grow(1, child(2, Judged::Heard)).grow(2, child(3, Judged::Heard));
    let mut lie = child(2, Judged::Heard);
    lie.commit = CommitId::from_bytes([0; 32]);
    let nowhere = true_ones.clone().grow(9, lie.clone());
    let ring = true_ones.clone().grow(3, child(9, Judged::Heard)).grow(9, lie);
    for shape in [true_ones, nowhere, ring] {
        let shape = shape.with(&[&[], &[0], &[1], &[2]]);
        assert_eq!(shape.voters_from(epoch(0)), members(0..3));
        assert_eq!(shape.voters_from(epoch(2)), members(1..3));
    }
}

/// Those from which votes go several ways come first: there are no more of them than there are votes.
#[test]
fn h2_the_forks_that_are_asked_about_first_are_those_that_votes_decide() {
    let forked = |shape: Shape, n: u64| shape.grow(n, child(n + 1, GOOD)).grow(n, child(n + 51, Judged::Heard));
    let shape = (0..8).fold(fork(4, &[]), forked).old();
    let on_both = Shape { votes: BTreeMap::from([(member(0), epoch(55)), (member(1), epoch(8))]), ..shape };
    assert_eq!(on_both.old_forks(epoch(0)).first(), Some(&epoch(4)));
    assert_eq!(on_both.old_forks(epoch(0)).len(), 8);
}

#[test]
fn c2_the_turn_is_another_in_each_group_and_epoch_and_for_each_member() {
    let (group, other) = (GroupId::from_bytes([1; 16]), GroupId::from_bytes([2; 16]));
    let one = turn(&group, 1, &member(1));
    assert_eq!(one, turn(&group, 1, &member(1)));
    assert!(
        [turn(&other, 1, &member(1)), turn(&group, 2, &member(1)), turn(&group, 1, &member(2))]
            .iter()
            .all(|t| *t != one)
    );
}

/// All numbers of so many digits, each below its base.
fn counting(bases: Vec<u64>) -> impl Iterator<Item = Vec<u64>> {
    let all: u64 = bases.iter().product();
    (0..all).map(move |mut n| {
        let digit = |base: &u64| {
            let digit = n % base;
            n /= base;
            digit
        };
        bases.iter().map(digit).collect()
    })
}

/// All trees of so many commits: the state before each. A child has a greater number than its parent; siblings stand in
/// every order, for their subtrees do.
fn trees(commits: u64) -> impl Iterator<Item = Vec<u64>> {
    counting((1..=commits).collect())
}

fn tree(before: &[u64], judged: &[Judged]) -> Shape {
    let root = Shape { parents: BTreeMap::from([(epoch(0), Parent::default())]), votes: BTreeMap::new() };
    let mut shape = (1..).zip(before).zip(judged).fold(root, |shape, ((n, before), judged)| {
        // Turns are the other way round than commits, and some are equal.
        shape.grow(*before, Child { turn: name((9 - n) / 2), ..child(n, *judged) })
    });
    shape.parents.values_mut().for_each(|parent| parent.members = members(0..3));
    shape
}

/// The latest votes of three members for any of the states, or for none: the last number.
fn three_votes(states: u64) -> impl Iterator<Item = Vec<u64>> {
    counting(vec![states + 1; 3])
}

fn vote(shape: &mut Shape, states: u64, chosen: &[u64]) {
    shape.votes =
        (0..).zip(chosen).filter(|(_, state)| **state < states).map(|(m, s)| (member(m), epoch(*s))).collect();
}

/// The head is the same with children in another order, and stays when one more votes for it.
fn holds(shape: &mut Shape, reversed: &mut Shape) {
    let head = shape.head(epoch(0));
    reversed.votes.clone_from(&shape.votes);
    assert_eq!(reversed.head(epoch(0)), head, "{shape:?}");
    goes_over(shape, head.beyond.unwrap_or(head.here));
}

/// Whoever goes over to the head of all moves nobody: it stays the head.
fn goes_over(shape: &mut Shape, all: EpochId) {
    let voters: BTreeSet<MemberId> = shape.parents.values().flat_map(|parent| &parent.members).copied().collect();
    for voter in voters {
        let before = shape.votes.insert(voter, all);
        if before != Some(all) {
            assert_eq!(shape.all(), all, "{voter:?} moved from {before:?} in {shape:?}");
        }
        match before {
            Some(before) => shape.votes.insert(voter, before),
            None => shape.votes.remove(&voter),
        };
    }
}

/// Runs all votes over a shape. Where members are alike, the names of those who voted for what make no difference.
fn over_all_votes(mut shape: Shape, states: u64, alike: bool) -> usize {
    let mut reversed = shape.clone();
    reversed.parents.values_mut().for_each(|parent| parent.children.reverse());
    let mut count = 0;
    for chosen in three_votes(states).filter(|chosen| !alike || chosen.is_sorted()) {
        vote(&mut shape, states, &chosen);
        holds(&mut shape, &mut reversed);
        count += 1;
    }
    count
}

/// Every way to judge the commits of a tree. One without a rival is good: nothing else leads on.
fn over_all_judged(before: &[u64], kinds: &[Judged]) -> Vec<Vec<Judged>> {
    let rivals = |of: &u64| before.iter().filter(|other| *other == of).count() > 1;
    let ways = |of| if rivals(of) { kinds.len() as u64 } else { 1 };
    let of = |digits: Vec<u64>| digits.into_iter().map(|digit| kinds[usize::try_from(digit).unwrap()]).collect();
    counting(before.iter().map(ways).collect()).map(of).collect()
}

#[test]
fn h1_over_all_trees_of_five_commits_order_is_nothing_and_whoever_goes_over_moves_nobody() {
    let mut count = 0;
    for commits in 1..=5 {
        for before in trees(commits) {
            for judged in over_all_judged(&before, &[GOOD, REMOVES]) {
                count += over_all_votes(tree(&before, &judged), commits + 1, true);
            }
        }
    }
    assert_eq!(count, 144_933);
}

#[test]
fn h2_over_all_old_trees_of_five_commits_order_is_nothing_and_whoever_goes_over_moves_nobody() {
    let mut count = 0;
    for commits in 1..=5 {
        for before in trees(commits) {
            let shape = tree(&before, &vec![GOOD; before.len()]).old();
            count += over_all_votes(shape.clone(), commits + 1, true);
            count += over_all_votes(shape.out([0]), commits + 1, false);
        }
    }
    // 11,684 where members are alike, 47,249 where one is to be removed.
    assert_eq!(count, 58_933);
}

#[test]
fn h5_over_all_trees_of_four_commits_half_known_whoever_goes_over_moves_nobody() {
    let mut count = 0;
    for commits in 1..=4 {
        for before in trees(commits) {
            for judged in over_all_judged(&before, &[GOOD, REMOVES, Judged::Heard, Judged::Closed]) {
                count += over_all_votes(tree(&before, &judged), commits + 1, true);
            }
        }
    }
    assert_eq!(count, 111_545);
}

/// Splitmix64, so that a failing run can be had again.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn some(&mut self, of: u64, one_in: u64) -> BTreeSet<MemberId> {
        members((0..of).filter(|_| self.below(one_in) == 0))
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, usize::try_from(self.below(at as u64 + 1)).unwrap());
        }
    }

    /// A tree of up to twelve commits and nine members, with forged links on top if wanted.
    fn shape(&mut self, forged: u64) -> Shape {
        let (count, commits) = (1 + self.below(9), 2 + self.below(11));
        let mut shape = fork(count, &[]);
        for n in 1..=commits {
            let before = self.below(n);
            shape = shape.grow(before, self.child(n));
        }
        for parent in shape.parents.values_mut() {
            (parent.old, parent.members) = (self.below(4) == 0, members((0..count).filter(|_| self.below(6) > 0)));
            (parent.out, parent.added) = (self.some(count, 6), self.some(count, 3));
        }
        for _ in 0..forged {
            let (before, after, judged) = (self.below(commits + 1), self.below(commits + 1), Judged::Heard);
            shape = shape.grow(before, Child { judged, ..self.child(after) });
        }
        // One state that nobody here knows is voted for too.
        for voter in 0..count {
            if self.below(5) > 0 {
                shape.votes.insert(member(voter), epoch(self.below(commits + 2)));
            }
        }
        shape
    }

    fn child(&mut self, n: u64) -> Child {
        let judged = [GOOD, GOOD, GOOD, REMOVES, Judged::Walked, Judged::Heard, Judged::Closed];
        let judged = judged[usize::try_from(self.below(7)).unwrap()];
        // So few turns and commits that some are equal.
        let commit = CommitId::from_bytes(name(self.below(4)));
        Child { turn: name(self.below(3)), commit, ..child(n, judged) }
    }

    fn shuffled(&mut self, shape: &Shape) -> Shape {
        let mut parents: Vec<_> = shape.parents.iter().map(|(id, parent)| (*id, parent.clone())).collect();
        parents.iter_mut().for_each(|(_, parent)| self.shuffle(&mut parent.children));
        self.shuffle(&mut parents);
        Shape { parents: parents.into_iter().collect(), votes: shape.votes.clone() }
    }
}

#[test]
fn h3_the_order_in_which_anything_came_makes_no_difference() {
    let mut dice = Dice(84);
    for at in 0..PERMUTATIONS / SHUFFLES {
        let shape = dice.shape(at % 4);
        let head = shape.head(epoch(0));
        for _ in 0..SHUFFLES {
            assert_eq!(dice.shuffled(&shape).head(epoch(0)), head, "{shape:?}");
        }
    }
}

#[test]
fn h2_in_larger_groups_too_whoever_goes_over_moves_nobody_if_nobody_is_to_be_removed() {
    let mut dice = Dice(5_266);
    for _ in 0..PERMUTATIONS / SHUFFLES {
        let mut shape = dice.shape(0);
        shape.parents.values_mut().for_each(|parent| parent.out.clear());
        let all = shape.all();
        goes_over(&mut shape, all);
    }
}

#[test]
fn h4_a_half_known_fork_can_move_when_one_who_is_to_be_removed_goes_over() {
    // Its vote made 2 the best of what is judged; without it that is 3, which has the only vote that counts for all.
    let mut shape = fork(3, &[child(1, Judged::Heard), child(2, GOOD), child(3, GOOD)]).out([0, 2]);
    shape.votes = votes(&[&[], &[0], &[2], &[1]]);
    assert_eq!(shape.all(), epoch(1));
    assert_eq!(shape.with(&[&[], &[0, 2], &[], &[1]]).all(), epoch(3));
}

/// One line of [`VIEWS`].
struct View {
    shape: Shape,
    head: Head,
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap()
}

fn set(text: &str) -> BTreeSet<MemberId> {
    let bits = hex(text);
    members((0..64).filter(|bit| (bits >> bit) & 1 == 1))
}

impl View {
    fn parse(line: &str) -> Self {
        let mut words = line.split(' ').skip(2);
        let here = epoch(hex(words.next().unwrap()));
        let beyond = words.next().filter(|word| *word != "-").map(|word| epoch(hex(word)));
        let votes = words.next().filter(|word| *word != "-").map_or_else(BTreeMap::new, |word| {
            let of = |vote: &str| vote.split_once('.').map(|(by, state)| (member(hex(by)), epoch(hex(state)))).unwrap();
            word.split(',').map(of).collect()
        });
        Self { shape: Shape { parents: words.map(parse_parent).collect(), votes }, head: Head { here, beyond } }
    }
}

fn parse_parent(word: &str) -> (EpochId, Parent) {
    let [state, members, added, out, age, children] = word.split(':').collect::<Vec<_>>()[..] else { panic!("{word}") };
    let children = children.split(',').map(parse_child).collect();
    (epoch(hex(state)), Parent { members: set(members), added: set(added), out: set(out), old: age == "o", children })
}

fn parse_child(word: &str) -> Child {
    let [state, judged, turn, commit] = word.split('.').collect::<Vec<_>>()[..] else { panic!("{word}") };
    let judged = match judged {
        "c" => Judged::Closed,
        "g" => GOOD,
        "h" => Judged::Heard,
        "r" => REMOVES,
        _ => Judged::Walked,
    };
    Child { epoch: epoch(hex(state)), commit: CommitId::from_bytes(name(hex(commit))), turn: name(hex(turn)), judged }
}

#[test]
fn h1_heads_are_those_of_the_model() {
    let lines: Vec<&str> = VIEWS.lines().filter(|line| !line.starts_with('#')).collect();
    for line in &lines {
        let view = View::parse(line);
        assert_eq!(view.shape.head(epoch(0)), view.head, "{line}");
    }
    assert!(lines.len() > 300 && lines.iter().any(|line| line.starts_with("84.")));
}
