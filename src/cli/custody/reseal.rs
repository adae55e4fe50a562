//! `lifeboat custody rotate --reseal`

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::renew::Desk;
use crate::{
    cli::{
        Context, Exit, Failure,
        copying::{self, Copied, copy_to},
        history::{AcceptArgs, Reach},
        output::plural,
        quorum::{self, ShareArgs},
        watch::Watch,
    },
    clock::{Clock, SystemClock, to_seconds},
    custody::{self, Pending, Reseal, ResealedSnapshot},
};

pub(super) async fn run(
    context: &Context,
    desk: &Desk,
    shares: Vec<PathBuf>,
    accept: &AcceptArgs,
) -> Result<Exit, Failure> {
    if Pending::load(&desk.pending_path)?.is_some_and(|pending| !desk.is_in_force(&pending)) {
        return Err(Failure::new(Exit::Refused, "new sheets wait to be read back; nothing is sealed to their key yet")
            .hint("run `lifeboat custody rotate --confirm` first"));
    }
    let (signer, index_key) = (desk.host.signer()?, desk.host.index_key()?);
    let known = desk.host.witness(desk.repository.id())?;
    let opened = quorum::open(context, &desk.repository, &ShareArgs { shares }).await?;
    let watch = Watch::new(context.output.json);
    let done = custody::reseal(&Reseal {
        repository: &desk.repository,
        trust: &desk.trust,
        key: &opened.key,
        index_key: &index_key,
        signer: &signer,
        known,
        accepted: &accept.accepted,
        now: to_seconds(SystemClock.now()),
        progress: &watch,
    })
    .await;
    watch.done();
    drop(opened);
    let done = done?;
    if let Some(last) = done.snapshots.last() {
        desk.host.remember(&last.manifest)?;
    }
    let host = &desk.host;
    let copies =
        copy_to(context, host, &desk.repository, &desk.trust, &host.config.copies, accept, (Reach::Whole, false))
            .await?;
    copying::warn(context, &copies);
    for accepted in &done.accepted {
        context.output.warn(&format!("fault accepted: {accepted}"));
    }
    for fault in &done.history {
        context.output.warn(&format!("history: {fault}"));
    }
    let lacking: u64 = done.snapshots.iter().map(|done| done.manifest.manifest().counts.unreadable).sum();
    if lacking > 0 {
        let lacking = plural(lacking, "secret");
        context.output.warn(&format!("{lacking} cannot be read from the source or from an earlier snapshot"));
    }
    let copied = copies.iter().all(Copied::is_up_to_date);
    let complete = copied && done.history.is_empty() && lacking == 0;
    let value = json!({
        "resealed": done.snapshots.iter().map(to_json).collect::<Vec<_>>(), "history": done.history,
        "accepted": done.accepted,
        "copies": copies.iter().map(Copied::json).collect::<Vec<_>>(), "complete": complete,
    });
    context.output.result(&value, || match &done.snapshots[..] {
        [] => "nothing in the newest snapshots needs the earlier key".to_owned(),
        snapshots => snapshots.iter().map(line).collect::<Vec<_>>().join("\n"),
    });
    context.output.note(
        "\nThe sheets in force open the newest snapshot. Older snapshots do not: they stay sealed\n\
         to the earlier key. Destroy its sheets when you no longer need the older snapshots.",
    );
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

fn to_json(done: &ResealedSnapshot) -> Json {
    let manifest = done.manifest.manifest();
    json!({
        "snapshot": manifest.snapshot, "sequence": manifest.sequence, "time": manifest.time, "of": done.of,
        "source": manifest.source, "values": done.values, "counts": manifest.counts,
    })
}

fn line(done: &ResealedSnapshot) -> String {
    let manifest = done.manifest.manifest();
    format!(
        "snapshot {} (number {}) of {}: {} of snapshot {} sealed to the key in force",
        manifest.snapshot.short(),
        manifest.sequence,
        manifest.source,
        plural(done.values, "value"),
        done.of.short()
    )
}
