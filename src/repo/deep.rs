//! The deeper half of a check: every record resolved, every value opened.

use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{
    CheckReport, Fault, OpenSet, PackLists, PackReader, RepoError, Repository, VerifiedManifest,
    check::fault_of,
    layout,
    resolve::{Expected, Lines},
    side_by_side::groups,
    tally::{ValuesByPack, layer_fault},
};
use crate::{cores, crypto::Opener, progress::Progress};

impl Repository {
    /// Every record of every snapshot: its references lead to packs of the manifest, and counts and readings are right. Gives how many
    /// values are in each pack, for each of the snapshots whose index can be read.
    pub(super) async fn check_records(
        &self,
        manifests: &[VerifiedManifest],
        opener: Opener<'_>,
        mut expected: Option<&mut Expected>,
        (lists, progress): (&PackLists, &dyn Progress),
        report: &mut CheckReport,
    ) -> Result<ValuesByPack, RepoError> {
        progress.begin("resolve references", Some(report.snapshots));
        let mut values = ValuesByPack::unread(manifests.len());
        for group in groups(manifests) {
            let tallied = self.tally_group(manifests, &group, opener, expected.as_deref_mut()).await?;
            for error in tallied.failed {
                match error {
                    RepoError::WrongKey { file } => report.unopened.push(file),
                    error => report.faults.push(fault_of("", error)?),
                }
            }
            let mut whole = Vec::with_capacity(group.snapshots.len());
            for (at, tallied_one) in group.snapshots.iter().zip(tallied.snapshots) {
                progress.advance(1);
                let (found, Some((tally, readings))) = (&manifests[*at], tallied_one) else { continue };
                report.references += tally.values();
                let set = self.listed(found, lists).await?;
                report.faults.extend(tally.faults(found, set.as_ref(), readings));
                let of_layers = tallied.miscounted.iter().filter(|(layer, _)| found.manifest().indexes.contains(layer));
                report.faults.extend(of_layers.filter_map(|(layer, counted)| layer_fault(found, layer, *counted)));
                whole.push((*at, tally));
            }
            values.note(whole);
        }
        Ok(values)
    }

    /// The packs of a snapshot; `None` where a list cannot be read, which is a fault of that list.
    pub(super) async fn listed(
        &self,
        found: &VerifiedManifest,
        lists: &PackLists,
    ) -> Result<Option<OpenSet>, RepoError> {
        match self.packs_of(found.manifest(), lists).await {
            Ok(set) => Ok(Some(set)),
            Err(error @ RepoError::Storage(_)) => Err(error),
            Err(_) => Ok(None),
        }
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
