//! `lifeboat words`

use serde_json::json;

use super::{Context, Exit, Failure, output::table};
use crate::{
    custody,
    repo::{Epoch, Repository},
    storage::Storage,
};

/// Show the six words that every sheet of a key has
///
/// Whoever asks a custodian for a sheet must know them. A custodian whose sheet has other words does not bring it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat words
  lifeboat words --repo /mnt/west/lifeboat

Needs no sheet. Without a configuration the words are those that the copy claims: compare them with a sheet.")]
pub struct Args {}

pub(super) async fn run(context: &Context, _: Args) -> Result<Exit, Failure> {
    let clean = context.global.repo.as_ref().filter(|_| !context.global.config.exists());
    let is_verified = clean.is_none();
    let epochs = if let Some(address) = clean {
        let repository = Repository::open(Storage::open(address)?).await?;
        repository.epochs().await?.into_iter().map(|stored| stored.epoch).collect()
    } else {
        let host = context.host()?;
        context.repository(&host).await?.1.epochs().to_vec()
    };
    let keys = by_key(epochs);
    if keys.is_empty() {
        return Err(Failure::new(Exit::Damaged, "there is no key epoch").hint("use another copy (--repo)"));
    }
    let value = json!({
        "keys": keys.iter().map(|epoch| json!({
            "words": custody::words(epoch), "epoch": epoch.number, "created": epoch.created,
            "threshold": epoch.threshold, "total": epoch.total,
        })).collect::<Vec<_>>(),
        "verified": is_verified,
    });
    context.output.result(&value, || {
        let row = |epoch: &Epoch| {
            vec![
                epoch.number.to_string(),
                custody::words(epoch),
                format!("any {} of {}", epoch.threshold, epoch.total),
                epoch.created.strftime("%Y-%m-%d").to_string(),
            ]
        };
        table(&["epoch", "words on every sheet", "sheets", "made"], keys.iter().map(row).collect())
    });
    if !is_verified {
        context.output.note("not verified: there is no configuration here; every sheet must show these words");
    }
    Ok(Exit::Complete)
}

/// The newest epoch of each key, the newest first: a reshare keeps the words.
fn by_key(mut epochs: Vec<Epoch>) -> Vec<Epoch> {
    epochs.sort_by_key(|epoch| std::cmp::Reverse(epoch.number));
    let mut keys: Vec<Epoch> = Vec::new();
    for epoch in epochs {
        if !keys.iter().any(|known| known.root == epoch.root && known.recipient == epoch.recipient) {
            keys.push(epoch);
        }
    }
    keys
}
