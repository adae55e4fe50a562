//! What a target has of the names a restore is about.

use std::{iter::Peekable, path::Path};

use futures::{StreamExt, TryStreamExt, stream};

use super::look::LookError;
use crate::{
    model::Existing,
    provider::Target,
    repo::{RepoError, Sorted, Spool, Walk},
};

/// Up to this many names it is quicker to ask for each than to list the region.
const FEW: u64 = 1_000;
/// Secrets looked up at the same time; the provider's limiter paces the calls.
const LOOKED_UP_AT_ONCE: usize = 32;

/// What exists of `names`, which come in order, `count` of them; by name.
///
/// # Errors
/// The target refuses one of them: a plan made on half an inventory would be wrong.
pub(super) async fn inventory(
    target: &dyn Target,
    count: u64,
    names: impl Iterator<Item = Result<String, RepoError>>,
    scratch: Option<&Path>,
) -> Result<Sorted<Existing>, LookError> {
    let listed = if count > FEW { Some(list(target, scratch).await?) } else { None };
    let mut listed = listed.as_ref().map(|listed| Ok::<_, RepoError>(listed.walk()?.peekable())).transpose()?;
    let mut last = None;
    let names = names.filter_map(|name| match name {
        Ok(name) if last.as_ref() == Some(&name) => None,
        Ok(name) => {
            last = Some(name.clone());
            let there = listed.as_mut().map_or(Ok(true), |listed| holds(listed, &name));
            there.map(|there| there.then_some(name)).transpose()
        }
        Err(error) => Some(Err(error)),
    });
    let mut found = Spool::new(scratch, |a: &Existing, b| a.secret.name.cmp(&b.secret.name));
    let look_up = |name: Result<String, RepoError>| async { Ok::<_, LookError>(target.look_up(&name?).await?) };
    let mut looked_up = stream::iter(names).map(look_up).buffer_unordered(LOOKED_UP_AT_ONCE);
    while let Some(existing) = looked_up.try_next().await? {
        if let Some(existing) = existing {
            found.push(existing)?;
        }
    }
    Ok(found.sorted()?)
}

async fn list(target: &dyn Target, scratch: Option<&Path>) -> Result<Sorted<String>, LookError> {
    let mut names = target.names();
    let mut listed = Spool::new(scratch, String::cmp);
    while let Some(name) = names.try_next().await? {
        listed.push(name)?;
    }
    Ok(listed.sorted()?)
}

/// Whether a name is among those that come; it is asked for in their order.
fn holds(listed: &mut Peekable<Walk<String>>, name: &str) -> Result<bool, RepoError> {
    while listed.next_if(|next| next.as_ref().is_ok_and(|next| next.as_str() < name)).is_some() {}
    match listed.peek() {
        Some(Ok(next)) => Ok(next == name),
        None => Ok(false),
        Some(Err(_)) => listed.next().transpose().map(|_| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Secret,
        provider::{ProviderError, memory::Memory},
    };

    async fn found(there: &[&str], wanted: &[&str], count: u64) -> Vec<String> {
        let target = Memory::new("2", "eu-west-1");
        for name in there {
            let secret = Secret { name: (*name).into(), id: format!("arn:{name}"), ..Secret::default() };
            target.insert(secret, Vec::new());
        }
        let names = wanted.iter().map(|name| Ok((*name).to_owned()));
        let found = inventory(&target, count, names, None).await.unwrap();
        found.walk().unwrap().map(|existing| existing.unwrap().secret.name).collect()
    }

    #[tokio::test]
    async fn few_names_are_asked_for_and_many_are_listed_and_it_is_the_same() {
        for count in [0, FEW + 1] {
            assert_eq!(found(&["a", "b", "d", "e"], &["a", "b", "b", "c", "e", "f"], count).await, ["a", "b", "e"]);
            assert_eq!(found(&[], &["a"], count).await, [""; 0]);
            assert_eq!(found(&["a"], &[], count).await, [""; 0]);
            assert_eq!(found(&["B", "a"], &["A", "B", "b"], count).await, ["B"]);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_no_empty_inventory() {
        for (count, operation) in [(0, "DescribeSecret"), (FEW + 1, "DescribeSecret")] {
            let target = Memory::new("2", "eu-west-1");
            target.insert(Secret { name: "a".into(), ..Secret::default() }, Vec::new());
            target.refuse("a", operation, "AccessDeniedException");
            let names = ["a"].map(|name| Ok(name.to_owned())).into_iter();
            let error = inventory(&target, count, names, None).await.err();
            assert!(matches!(error, Some(LookError::Provider(ProviderError { .. }))), "{error:?}");
        }
    }
}
