//! The deeper half of a check: every record resolved, every value opened, on all cores.

use std::sync::Arc;

use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{
    CheckOptions, CheckReport, Fault, FileRef, IndexReader, PackReader, RepoError, Repository, VerifiedManifest,
    check::fault_of,
    layout,
    resolve::{Expected, Lines, Tally},
    restorable::ValuesByPack,
};
use crate::{cores, crypto::Opener, progress::Progress};

impl Repository {
    /// Every record of every snapshot: its references lead to packs of the manifest, and the counts are right. Gives how many
    /// values are in each pack, of the snapshots whose indexes can be read.
    pub(super) async fn check_records(
        &self,
        manifests: &[VerifiedManifest],
        opener: Opener<'_>,
        expected: Option<&Arc<Expected>>,
        options: &CheckOptions<'_>,
        report: &mut CheckReport,
    ) -> Result<ValuesByPack, RepoError> {
        options.progress.begin("resolve references", Some(report.snapshots));
        let mut values = ValuesByPack::new();
        let files = manifests.iter().flat_map(|found| &found.manifest().indexes);
        let mut tallies =
            stream::iter(files).map(|file| self.tally(file, opener, expected.cloned())).buffered(cores::count());
        for found in manifests {
            let (mut tally, mut whole) = (Tally::default(), true);
            for file in &found.manifest().indexes {
                match tallies.next().await.expect("each index is answered") {
                    // What follows the first index that cannot be read tells nothing of the counts.
                    _ if !whole => {}
                    Ok(found) => tally.merge(found),
                    Err(RepoError::WrongKey { file }) => {
                        report.unopened.push(file);
                        whole = false;
                    }
                    Err(error) => {
                        report.faults.push(fault_of(&layout::index(&file.sha256), error)?);
                        whole = false;
                    }
                }
            }
            if whole {
                report.references += tally.references();
                report.faults.extend(tally.faults(found));
                values.insert(found.manifest().sequence, tally.into_by_pack());
            }
            options.progress.advance(1);
        }
        Ok(values)
    }

    async fn tally(
        &self,
        file: &FileRef,
        opener: Opener<'_>,
        expected: Option<Arc<Expected>>,
    ) -> Result<Tally, RepoError> {
        let index = IndexReader::open(&layout::index(&file.sha256), self.index(file).await?, opener)?;
        cores::aside(move || Tally::of(index, expected.as_deref())).await
    }

    /// Every value referred to: there, and of the secret, version and kind the record says. One pack is one piece of work.
    pub(super) async fn check_values(
        &self,
        opener: Opener<'_>,
        expected: Expected,
        progress: &dyn Progress,
        report: &mut CheckReport,
    ) -> Result<(), RepoError> {
        progress.begin("open values", Some(expected.packs()));
        let (send, mut packs) = mpsc::channel(1);
        // Walks ahead of the packs by one; it stops when nobody takes what it gives.
        let walk = tokio::task::spawn_blocking(move || expected.each_pack(|lines| send.blocking_send(lines).is_ok()));
        let packs = stream::poll_fn(|context| packs.poll_recv(context));
        let mut compared = packs.map(|lines| self.compare(lines, opener)).buffer_unordered(cores::count() + 1);
        while let Some(result) = compared.next().await {
            progress.advance(1);
            match result {
                Ok((values, faults)) => {
                    report.values += values;
                    report.faults.extend(faults);
                }
                Err(RepoError::WrongKey { file }) => report.unopened.push(file),
                Err(error) => report.faults.push(fault_of("", error)?),
            }
        }
        walk.await.expect("walking through references does not panic")
    }

    async fn compare(&self, lines: Lines, opener: Opener<'_>) -> Result<(u64, Vec<Fault>), RepoError> {
        let name = layout::pack(&lines.pack);
        let entries = PackReader::open(&name, self.pack(&lines.pack).await?, opener)?;
        cores::aside(move || lines.compare(&name, entries)).await
    }
}
