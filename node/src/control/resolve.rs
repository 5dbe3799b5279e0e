//! Finds what a person meant by a name or the beginning of an id. Pure.
//!
//! Names are chosen by other people, so a name never takes the place of an id: a whole id wins, and a name that is
//! also the beginning of somebody else's id is ambiguous.

/// Fewer characters than this are no beginning of an id: too easy to hit the wrong one by a slip.
pub const ID_PREFIX_MIN: usize = 4;

/// Fewer characters than this are no beginning of a name, for the same reason.
pub const NAME_PREFIX_MIN: usize = 3;

/// How alike two names must be to ask "did you mean": catches one or two slips in a word, not another word.
const ALIKE_MIN: f64 = 0.8;

/// Characters of an id that tell two apart for a person.
const ID_SHOWN: usize = 8;

/// The most that are listed when a query is ambiguous, so that the hint stays readable.
const CHOICES_MAX: usize = 5;

/// Something that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name; empty for things without one.
    pub name: &'a str,
    /// Its id in lower-case hexadecimal.
    pub id: &'a str,
}

/// Why a query names nothing in particular.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// It fits more than one.
    Ambiguous {
        /// The names that it fits, each with the beginning of its id.
        choices: Vec<String>,
    },
    /// It fits none.
    Unknown {
        /// The most similar name, if one is similar.
        did_you_mean: Option<String>,
    },
}

/// Finds the one candidate that `query` names, by its place in `candidates`; the beginning of a name is enough where
/// no name fits as a whole.
///
/// # Errors
/// When it names none, or more than one.
pub fn resolve(query: &str, candidates: &[Candidate<'_>]) -> Result<usize, Unresolved> {
    find(query, candidates, true)
}

/// The same for what cannot be undone: a name must fit as a whole.
///
/// # Errors
/// When it names none, or more than one.
pub fn resolve_whole(query: &str, candidates: &[Candidate<'_>]) -> Result<usize, Unresolved> {
    find(query, candidates, false)
}

fn find(query: &str, candidates: &[Candidate<'_>], beginnings: bool) -> Result<usize, Unresolved> {
    let query = query.trim();
    let folded = query.to_lowercase();
    let places = |fits: &dyn Fn(&Candidate<'_>) -> bool| -> Vec<usize> {
        candidates.iter().enumerate().filter(|(_, candidate)| fits(candidate)).map(|(place, _)| place).collect()
    };

    if let [place] = places(&|candidate| candidate.id == folded).as_slice() {
        return Ok(*place);
    }
    let exact = places(&|candidate| !query.is_empty() && candidate.name == query);
    let named = if exact.is_empty() {
        places(&|candidate| !query.is_empty() && candidate.name.to_lowercase() == folded)
    } else {
        exact
    };
    let begun = beginnings && named.is_empty() && query.chars().count() >= NAME_PREFIX_MIN;
    let mut found = if begun { places(&|candidate| candidate.name.to_lowercase().starts_with(&folded)) } else { named };
    if folded.len() >= ID_PREFIX_MIN {
        found.extend(places(&|candidate| candidate.id.starts_with(&folded)));
        found.sort_unstable();
        found.dedup();
    }

    match found.as_slice() {
        [] => Err(Unresolved::Unknown { did_you_mean: nearest(&folded, candidates) }),
        [place] => Ok(*place),
        several => {
            let shown = several.iter().take(CHOICES_MAX).filter_map(|place| candidates.get(*place));
            Err(Unresolved::Ambiguous { choices: shown.map(choice).collect() })
        }
    }
}

fn nearest(folded: &str, candidates: &[Candidate<'_>]) -> Option<String> {
    let scored = candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(folded, &candidate.name.to_lowercase()), candidate.name));
    let alike = scored.filter(|(score, name)| *score >= ALIKE_MIN && !name.is_empty());
    alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name.to_owned())
}

fn choice(candidate: &Candidate<'_>) -> String {
    let id = candidate.id.get(..ID_SHOWN).unwrap_or(candidate.id);
    if candidate.name.is_empty() { id.to_owned() } else { format!("{} ({id})", candidate.name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: &str = "0a0b0c0d0e0f1111";
    const BEN: &str = "beef0c0d0e0f2222";

    fn ask(query: &str, people: &[(&str, &str)]) -> Result<usize, Unresolved> {
        let candidates: Vec<_> = people.iter().map(|(name, id)| Candidate { name, id }).collect();
        resolve(query, &candidates)
    }

    #[test]
    fn a_name_is_found_whatever_its_case() {
        assert_eq!(ask("Ben", &[("Ana", ANA), ("Ben", BEN)]), Ok(1));
        assert_eq!(ask(" ben ", &[("Ana", ANA), ("Ben", BEN)]), Ok(1));
    }

    #[test]
    fn the_exact_case_decides_between_two_that_differ_only_in_it() {
        assert_eq!(ask("ana", &[("Ana", ANA), ("ana", BEN)]), Ok(1));
        assert!(matches!(ask("ANA", &[("Ana", ANA), ("ana", BEN)]), Err(Unresolved::Ambiguous { .. })));
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_from_four_characters_on() {
        assert_eq!(ask("0a0b", &[("Ana", ANA), ("Ben", BEN)]), Ok(0));
        assert_eq!(ask("BEEF", &[("Ana", ANA), ("Ben", BEN)]), Ok(1));
        assert_eq!(ask("0a0", &[("Ana", ANA)]), Err(Unresolved::Unknown { did_you_mean: None }));
    }

    #[test]
    fn the_beginning_of_a_name_is_enough_where_it_fits_one_and_never_for_what_cannot_be_undone() {
        let people = [("Anabel", ANA), ("Ben", BEN)];
        assert_eq!(ask("ana", &people), Ok(0));
        assert!(matches!(ask("an", &people), Err(Unresolved::Unknown { .. })), "too short");
        assert_eq!(ask("Ana", &[("Anabel", ANA), ("Ana", BEN)]), Ok(1), "a whole name wins");
        assert!(matches!(ask("Ana", &[("Anabel", ANA), ("Anatol", BEN)]), Err(Unresolved::Ambiguous { .. })));
        let candidates = people.map(|(name, id)| Candidate { name, id });
        let near = Unresolved::Unknown { did_you_mean: Some("Anabel".into()) };
        assert_eq!(resolve_whole("Ana", &candidates), Err(near));
        assert_eq!(resolve_whole("anabel", &candidates), Ok(0));
    }

    #[test]
    fn two_of_the_same_name_are_told_apart_by_id() {
        let choices = vec!["Ana (0a0b0c0d)".to_owned(), "Ana (beef0c0d)".to_owned()];
        assert_eq!(ask("Ana", &[("Ana", ANA), ("Ana", BEN)]), Err(Unresolved::Ambiguous { choices }));
        assert_eq!(ask("beef", &[("Ana", ANA), ("Ana", BEN)]), Ok(1));
    }

    #[test]
    fn a_name_that_poses_as_an_id_never_takes_its_place() {
        assert!(matches!(ask("0a0b", &[("Ana", ANA), ("0a0b", BEN)]), Err(Unresolved::Ambiguous { .. })));
        assert_eq!(ask(ANA, &[("Ana", ANA), (ANA, BEN)]), Ok(0), "a whole id wins");
    }

    #[test]
    fn a_slip_is_asked_about_and_another_word_is_not() {
        let near = Unresolved::Unknown { did_you_mean: Some("Tuesday circle".into()) };
        assert_eq!(ask("tuesdya circle", &[("Tuesday circle", ANA), ("Family", BEN)]), Err(near));
        assert_eq!(ask("zebra", &[("Tuesday circle", ANA)]), Err(Unresolved::Unknown { did_you_mean: None }));
    }

    #[test]
    fn nothing_is_never_something() {
        assert_eq!(ask("", &[("", ANA)]), Err(Unresolved::Unknown { did_you_mean: None }));
        assert_eq!(ask("Ana", &[]), Err(Unresolved::Unknown { did_you_mean: None }));
    }
}
