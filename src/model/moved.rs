//! Identifiers that lead nowhere any more.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

/// A set of identifiers in eight bytes each. Two of one estate are taken for each other once in 10^13 estates of a million.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    state: RandomState,
    ids: Vec<u64>,
    gone: HashSet<u64>,
}

impl Moved {
    /// Adds an identifier.
    pub fn add(&mut self, id: &str) {
        self.ids.push(self.state.hash_one(id));
    }

    /// Takes one out again.
    pub fn remove(&mut self, id: &str) {
        self.gone.insert(self.state.hash_one(id));
    }

    /// Ends adding and removing.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        let gone = std::mem::take(&mut self.gone);
        self.ids.retain(|id| !gone.contains(id));
        self.ids.sort_unstable();
        self.ids.shrink_to_fit();
        self
    }

    /// Whether an identifier is in it.
    pub fn contains(&self, id: &str) -> bool {
        !self.ids.is_empty() && self.ids.binary_search(&self.state.hash_one(id)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_there_has_not_moved() {
        let mut moved = Moved::default();
        for arn in ["old", "new", "app"] {
            moved.add(arn);
        }
        moved.remove("new");
        let moved = moved.sorted();
        assert_eq!(["old", "new", "app", ""].map(|arn| moved.contains(arn)), [true, false, true, false]);
    }
}
