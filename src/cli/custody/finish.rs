//! The switch to a new set: the epoch is stored, then the configuration, the register and the copies follow.
//!
//! Storing the epoch is the commit. Everything after it can be done again, and the pending file goes last, so that
//! running `--confirm` again after a crash finishes the rest.

use serde_json::json;

use super::renew::Desk;
use crate::{
    app,
    cli::{
        Context, Exit, Failure,
        copying::{Copied, copy_to},
        history::{AcceptArgs, Reach},
        trail,
    },
    custody::{self, Kind, Pending},
    fsutil,
    repo::{Finding, TrustAnchor},
};

/// `cut`: with this change a person said that the history ends there, so that this host no longer remembers what came after.
pub(super) async fn switch(
    context: &Context,
    desk: &Desk,
    pending: &Pending,
    cut: Option<u64>,
) -> Result<Exit, Failure> {
    let before = desk.trust.current();
    pending.switch(&desk.repository, &desk.trust, &desk.host.signer()?).await?;
    let epoch = pending.epoch();
    let anchor = TrustAnchor { root: epoch.root.clone(), recipient: epoch.recipient.clone() };
    if desk.host.anchor()? != anchor {
        app::repin(&context.global.config, &anchor)?;
    }
    let recorded = record(desk, pending, &anchor).await;
    if let Err(error) = &recorded {
        context.output.warn(&format!("the proofs of the new sheets were not recorded: {}", error.message));
    }
    let (trust, copies) = (desk.repository.trust(&anchor).await?, &desk.host.config.copies);
    trail::after_change(context, &trust);
    trail::count("epochs", 1);
    if let Some(cut) = cut {
        let chain = desk.repository.chain(&trust).await?;
        chain
            .head()
            .filter(|head| head.manifest().sequence == cut)
            .map_or(Ok(()), |head| desk.host.remember_cut(head))?;
    }
    let copies =
        copy_to(context, &desk.host, &desk.repository, &trust, copies, &AcceptArgs::default(), (Reach::Whole, false))
            .await?;
    for Copied { url, outcome, .. } in &copies {
        if let Err(failure) = outcome {
            context.output.warn(&format!(
                "the copy at {url} does not know the new sheets ({}): keep the old ones until `lifeboat copy` succeeds",
                failure.message
            ));
        }
    }
    fsutil::remove(&desk.pending_path)?;
    let complete = recorded.is_ok() && copies.iter().all(Copied::is_up_to_date);
    let value = json!({
        "kind": pending.kind(), "epoch": epoch.number, "in_force": true, "missing": [], "threshold": epoch.threshold,
        "signers": epoch.signers, "copies": copies.iter().map(Copied::json).collect::<Vec<_>>(), "complete": complete,
    });
    let names: Vec<&str> = epoch.signers.iter().map(|signer| signer.name.as_str()).collect();
    context.output.result(&value, || match pending.kind() {
        Kind::Signers => format!("epoch {} is in force; allowed signers: {}", epoch.number, names.join(", ")),
        _ => format!(
            "every new sheet was read back: epoch {} is in force, any {} of {} sheets open the backup",
            epoch.number, epoch.threshold, epoch.total
        ),
    });
    context
        .output
        .note(&what_now(pending.kind(), if before.number < epoch.number { before.number } else { epoch.number - 1 }));
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

/// What became of the old sheets, plainly.
fn what_now(kind: Kind, old: u32) -> String {
    match kind {
        Kind::Reshare => format!(
            "\nThe sheets of epoch {old} are retired. Destroy every one of them: the key is the same, so any quorum\n\
             of them still opens old and new snapshots, at least with recover.py. If one of them may have been\n\
             copied, do not only destroy it: also make a new key with `lifeboat custody rotate`."
        ),
        Kind::Signers => "\nThe sheets stay the same. They show an older epoch; this is correct.".to_owned(),
        Kind::Rotate | Kind::Rehearse => format!(
            "\nThe key is new. Run `lifeboat snapshot` now: it reads every value again. Other hosts also need the\n\
             new [trust]. Older snapshots stay sealed to the key of epoch {old}: keep its sheets as long as you\n\
             need those snapshots, then destroy them. Anyone who had a quorum of them can read those snapshots:\n\
             if this is possible, change the secrets themselves. Values that the source no longer returns are\n\
             only in those snapshots: use `lifeboat custody rotate --reseal` with the old sheets."
        ),
    }
}

/// Every new sheet was read back from paper: that is its first proof. Done once, however often this runs.
async fn record(desk: &Desk, pending: &Pending, anchor: &TrustAnchor) -> Result<(), Failure> {
    let (repository, epoch) = (&desk.repository, pending.epoch());
    let trust = repository.trust(anchor).await?;
    let known = repository.attestations(&trust).await?.verified;
    let signer = desk.host.signer()?;
    for (custodian, time) in pending.confirmed() {
        if known.iter().any(|known| known.epoch == epoch.number && known.share == custodian.share) {
            continue;
        }
        let proof =
            custody::attestation(repository.id(), epoch.number, custodian, time, Finding::Intact, signer.public());
        repository.put_attestation(&proof, &signer).await?;
    }
    Ok(())
}
