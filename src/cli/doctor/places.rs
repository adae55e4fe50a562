//! Where the repository, its copies and a target are, and whose: what `doctor` finds about places.

use super::{Context, Failure, Findings, Host, State};
use crate::{
    app::{self, Estate, Neighbours, Whereabouts},
    config::CopySection,
    storage::{Owner, Storage, StorageError},
};

impl Findings {
    /// Whether the repository and every copy are reached safely, and whether the copies are apart from the sources. Gives the
    /// copies that are too close, which are therefore not written.
    pub(super) async fn places(&mut self, host: &Host, estate: Option<&Estate>) -> Vec<String> {
        let accounts = estate.map_or(&[][..], |estate| &estate.sections).iter();
        let accounts = accounts.filter_map(|section| section.account.clone());
        let neighbours = Neighbours::new(&host.config, []).with_accounts(accounts);
        let mut own = Whereabouts::default();
        if let Ok(storage) = Storage::open(&host.config.repository.url) {
            self.in_clear("repository", &storage).await;
            own = app::whereabouts(&neighbours, &CopySection::new(host.config.repository.url.clone()), &storage).await;
        }
        let mut close = Vec::new();
        for copy in &host.config.copies {
            // One that cannot be opened is named already.
            if let Ok(storage) = Storage::open(&copy.url) {
                self.in_clear(&format!("copy {}", copy.url), &storage).await;
                if !self.apart(&neighbours, copy, (&storage, &own)).await {
                    close.push(copy.url.clone());
                }
            }
        }
        close
    }

    async fn in_clear(&mut self, what: &str, storage: &Storage) {
        match storage.in_clear().await {
            Ok(Some(endpoint)) => {
                let words = "anyone on the network can read names, sizes and times, and change data; use https";
                self.add(format!("{what}: connection"), State::Wrong, format!("{endpoint} is not encrypted: {words}"));
            }
            Err(StorageError::Setting { reason, .. }) => self.add(format!("{what}: connection"), State::Wrong, reason),
            Ok(None) | Err(_) => {}
        }
    }

    /// Whether a copy is apart from the sources. What it shares with the repository at `own` is a remark.
    async fn apart(
        &mut self,
        neighbours: &Neighbours,
        copy: &CopySection,
        (storage, own): (&Storage, &Whereabouts),
    ) -> bool {
        let found = app::whereabouts(neighbours, copy, storage).await;
        match &found.owner {
            Some(Owner::Account(account)) => {
                self.add(format!("copy {}: owner", copy.url), State::Well, format!("account {account}, proven by S3"));
            }
            Some(Owner::Another) => {
                let words = "not the account of a source, proven by S3";
                self.add(format!("copy {}: owner", copy.url), State::Well, words);
            }
            Some(Owner::Unknown(reason)) => {
                let words = format!("the owner of the bucket is not known: {reason}");
                self.add(format!("copy {}: owner", copy.url), State::Remark, words);
            }
            None => {}
        }
        if found.region.is_none() && neighbours.has_policy() {
            let words = "its region is not known, so [policy] regions cannot be checked; set [[copy]] region";
            self.add(format!("copy {}: region", copy.url), State::Remark, words);
        }
        let close = app::closeness(neighbours, copy, &found);
        let is_apart = close.is_empty();
        for close in close {
            self.attempt::<(), _>(&format!("copy {}: place", copy.url), Err(close));
        }
        if let Some(beside) = app::beside(&found, own) {
            self.add(format!("copy {}: place", copy.url), State::Remark, beside);
        }
        if let Some(key) = app::key_of_a_source(neighbours, copy, storage).await {
            self.add(format!("copy {}: key", copy.url), State::Wrong, key);
        }
        is_apart
    }

    /// Whether the configuration, where there is one, lets a target be in a region.
    pub(super) fn allowed(&mut self, context: &Context, region: &str) -> Result<(), Failure> {
        if !context.global.config.exists() {
            return Ok(());
        }
        if let Err(elsewhere) = app::allowed(&context.host()?.config.policy, region) {
            self.add("policy", State::Wrong, elsewhere.to_string());
        }
        Ok(())
    }
}
