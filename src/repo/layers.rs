//! The layers of an index, read as one and written one at a time, with one file of each layer in memory.

use std::collections::VecDeque;

use futures::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, LocalBoxStream},
};
use serde::{Deserialize, Serialize};

use super::{
    Chosen, FileRef, IndexLine, IndexReader, IndexWriter, RecordKey, RepoError, Repository, layout, tombstone::Marks,
};
use crate::{
    crypto::{Opener, Recipient},
    model::Record,
};

/// A part of a snapshot's index: of the layers that have a line for one secret, the newest one's counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Lines that are records.
    pub records: u64,
    /// Lines that are removals.
    pub removed: u64,
    /// The index files, in the order of their lines.
    pub files: Vec<FileRef>,
}

/// The lines of a layer, or of several read as one, in order.
pub type LayerLines<'a> = LocalBoxStream<'a, Result<IndexLine, RepoError>>;

/// Several layers that are read side by side.
struct Merge<'a> {
    /// The oldest first, each with its next line.
    layers: Vec<(LayerLines<'a>, Option<IndexLine>)>,
    is_open: bool,
    removals: bool,
}

impl Layer {
    /// Lines of both kinds.
    pub fn lines(&self) -> u64 {
        self.records + self.removed
    }
}

impl Repository {
    /// Every record of a snapshot, sorted by name, with one file of each layer in memory. A version that a tombstone marks as
    /// leaked has no value in it.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::TombstoneClosed`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub fn record_stream<'a>(
        &'a self,
        chosen: &Chosen,
        opener: Opener<'a>,
    ) -> impl Stream<Item = Result<Record, RepoError>> + use<'a> {
        let (marks, refused) = match chosen.tombstones.marks(&chosen.manifest().source, opener) {
            Ok(marks) => (marks, None),
            Err(error) => (Marks::default(), Some(Err(error))),
        };
        let records = self.captured_stream(chosen, opener).map_ok(move |record| marks.apply(record));
        stream::iter(refused).chain(records)
    }

    /// Every record as it was captured, what is leaked included: for those who write the next snapshot or count, never for those
    /// who give a value to anybody.
    ///
    /// # Errors
    /// As [`Self::record_stream`].
    pub fn captured_stream<'a>(
        &'a self,
        chosen: &Chosen,
        opener: Opener<'a>,
    ) -> impl Stream<Item = Result<Record, RepoError>> + use<'a> {
        let layers = chosen.manifest().indexes.iter().map(|layer| self.layer_lines(layer, opener)).collect();
        merge_layers(layers, false).try_filter_map(async |line| Ok(line.into_record()))
    }

    /// [`Self::record_stream`] in memory as a whole.
    ///
    /// # Errors
    /// As there.
    pub async fn records(&self, chosen: &Chosen, opener: Opener<'_>) -> Result<Vec<Record>, RepoError> {
        self.record_stream(chosen, opener).try_collect().await
    }

    /// [`Self::captured_stream`] in memory as a whole.
    ///
    /// # Errors
    /// As there.
    pub async fn captured(&self, chosen: &Chosen, opener: Opener<'_>) -> Result<Vec<Record>, RepoError> {
        self.captured_stream(chosen, opener).try_collect().await
    }

    /// The lines of one layer; nothing follows an error.
    pub fn layer_lines<'a>(&'a self, layer: &Layer, opener: Opener<'a>) -> LayerLines<'a> {
        let ahead: VecDeque<FileRef> = layer.files.iter().copied().collect();
        let lines = stream::try_unfold((ahead, None::<IndexReader>), move |(mut ahead, mut open)| async move {
            loop {
                if let Some(line) = open.as_mut().and_then(Iterator::next) {
                    return Ok(Some((line?, (ahead, open))));
                }
                let Some(file) = ahead.pop_front() else { return Ok(None) };
                let last: Option<RecordKey> = open.take().and_then(IndexReader::into_last);
                let sealed = self.index(&file).await?;
                open = Some(IndexReader::open(&layout::index(&file.sha256), sealed, opener)?.after(last));
            }
        });
        lines.boxed_local()
    }

    /// Seals and stores lines, which come in order, as one layer of as many files as they need.
    ///
    /// # Errors
    /// The first error of `lines`, or as [`Repository::put_index`].
    pub async fn put_layer(
        &self,
        recipients: &[Recipient],
        lines: impl Stream<Item = Result<IndexLine, RepoError>>,
    ) -> Result<Layer, RepoError> {
        let mut layer = Layer { records: 0, removed: 0, files: Vec::new() };
        let mut index = IndexWriter::new(recipients);
        let mut lines = std::pin::pin!(lines);
        while let Some(line) = lines.try_next().await? {
            if index.is_full() {
                let full = std::mem::replace(&mut index, IndexWriter::new(recipients)).finish();
                layer.files.push(full.file);
                self.put_index(full).await?;
            }
            *if matches!(line, IndexLine::Record(_)) { &mut layer.records } else { &mut layer.removed } += 1;
            index.push_line(&line);
        }
        let last = index.finish();
        layer.files.push(last.file);
        self.put_index(last).await?;
        Ok(layer)
    }
}

/// Reads layers, the oldest first, as one: where several have a line for one name and identifier, the newest layer's counts.
/// With `removals` these are lines too, as for a layer that others lie below.
pub fn merge_layers(layers: Vec<LayerLines<'_>>, removals: bool) -> LayerLines<'_> {
    let layers = layers.into_iter().map(|layer| (layer, None)).collect();
    let merge = Merge { layers, is_open: false, removals };
    stream::try_unfold(merge, async |mut merge| Ok(merge.next().await?.map(|line| (line, merge)))).boxed_local()
}

impl Merge<'_> {
    async fn next(&mut self) -> Result<Option<IndexLine>, RepoError> {
        if !self.is_open {
            for (lines, head) in &mut self.layers {
                *head = lines.try_next().await?;
            }
            self.is_open = true;
        }
        loop {
            let Some((newest, line)) = self.take_first() else { return Ok(None) };
            for (lines, head) in &mut self.layers[..newest] {
                if head.as_ref().is_some_and(|head| head.key() == line.key()) {
                    *head = lines.try_next().await?;
                }
            }
            let (lines, head) = &mut self.layers[newest];
            *head = lines.try_next().await?;
            if self.removals || matches!(line, IndexLine::Record(_)) {
                return Ok(Some(line));
            }
        }
    }

    /// The first line by name and identifier, from the newest layer that has one for them.
    fn take_first(&mut self) -> Option<(usize, IndexLine)> {
        let heads = self.layers.iter().enumerate().filter_map(|(at, (_, head))| Some((at, head.as_ref()?.key())));
        // `min_by` gives the first of equal ones, which is the newest when the newest come first.
        let (newest, _) = heads.rev().min_by(|a, b| a.1.cmp(&b.1))?;
        let line = self.layers[newest].1.take()?;
        Some((newest, line))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::model::Secret;

    fn line(key: u8, number: i64, removed: bool) -> IndexLine {
        let (name, id) = (format!("n{}", key / 2), format!("i{key}"));
        if removed {
            return IndexLine::removal(&name, &id);
        }
        let read = Timestamp::from_second(number).unwrap();
        IndexLine::Record(Record {
            secret: Secret { name, id, ..Secret::default() },
            versions: vec![],
            read,
            listing: None,
        })
    }

    fn merged(layers: &[Vec<IndexLine>], removals: bool) -> Vec<IndexLine> {
        let streams =
            layers.iter().map(|layer| stream::iter(layer.clone().into_iter().map(Ok)).boxed_local()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(merge_layers(streams, removals).try_collect()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
        #[test]
        fn the_newest_layer_counts_and_the_order_of_merging_does_not(
            layers in proptest::collection::vec(proptest::collection::btree_map(0_u8..12, any::<bool>(), 0..8), 0..6),
            from in 0_usize..6,
        ) {
            let mut expected = BTreeMap::new();
            let numbered = layers.iter().zip(0..);
            let layers: Vec<Vec<IndexLine>> = numbered.map(|(layer, number)| {
                let lines = layer.iter().map(|(key, removed)| line(*key, number, *removed)).collect::<Vec<_>>();
                expected.extend(lines.iter().map(|line| (RecordKey::of(line.key()), line.clone())));
                lines
            }).collect();
            let records = |lines: Vec<IndexLine>| lines.into_iter().filter_map(IndexLine::into_record).collect::<Vec<_>>();
            let expected: Vec<IndexLine> = expected.into_values().collect();
            prop_assert_eq!(merged(&layers, true), expected.clone());
            prop_assert_eq!(records(merged(&layers, false)), records(expected.clone()));
            let from = from.min(layers.len());
            let newest = merged(&layers[from..], true);
            let two_steps = [layers[..from].to_vec(), vec![newest]].concat();
            prop_assert_eq!(merged(&two_steps, true), expected);
        }
    }
}
