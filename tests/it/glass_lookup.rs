//! One name in an index of many files: found in few of them, and the same as when all are read.

use futures::StreamExt as _;
use jiff::Timestamp;
use lifeboat::{
    crypto::Opener,
    glass::{Name, Secrets, version},
    model::{Record, Secret},
    repo::{IndexLine, IndexWriter, Layer, Lookup, Repository, merge_layers},
    storage::Storage,
};

use crate::repo_sample::{Sample, block_on, chosen, values};

const SHARED: u64 = 25;

fn record(name: u64, id: u64) -> IndexLine {
    let secret = Secret { name: format!("n{name:03}"), id: format!("i{id}"), ..Secret::default() };
    IndexLine::Record(Record { secret, versions: vec![], read: Timestamp::UNIX_EPOCH, listing: None })
}

/// A layer whose files have so many lines each.
pub async fn layer(sample: &Sample, lines: &[IndexLine], of_a_file: usize) -> Layer {
    let mut files = Vec::new();
    for part in lines.chunks(of_a_file) {
        let mut writer = IndexWriter::new(&[sample.recovery.recipient()]);
        for line in part {
            writer.push_line(line);
        }
        let sealed = writer.finish();
        files.push(sealed.file);
        sample.repository.put_index(sealed).await.unwrap();
    }
    let records = lines.iter().filter(|line| matches!(line, IndexLine::Record(_))).count() as u64;
    Layer { records, removed: lines.len() as u64 - records, files }
}

/// The same by reading everything.
async fn by_reading_all(repository: &Repository, layers: &[Layer], opener: Opener<'_>, name: &str) -> Vec<Record> {
    let layers = layers.iter().map(|layer| repository.layer_lines(layer, opener)).collect();
    let lines: Vec<_> = merge_layers(layers, false).collect().await;
    let records = lines.into_iter().filter_map(|line| line.unwrap().into_record());
    records.filter(|record| record.secret.name == name).collect()
}

#[test]
fn a_name_is_found_in_few_files_of_an_index() {
    let sample = Sample::empty(Storage::memory());
    let opener = Opener::Recovery(&sample.recovery);
    block_on(async {
        let mut lines: Vec<IndexLine> = (0..200).step_by(2).map(|number| record(number, 1)).collect();
        // One name, many incarnations: over the ends of several files.
        lines.extend((10..10 + SHARED).map(|id| record(101, id)));
        lines.sort_by(|a, b| a.key().cmp(&b.key()));
        let base = layer(&sample, &lines, 3).await;
        let gone = IndexLine::removal("n004", "i1");
        let changes = layer(&sample, &[gone, record(7, 3), record(8, 2)], 1).await;
        let layers = [base.clone(), changes];
        for number in [0, 1, 4, 7, 8, 50, 100, 101, 102, 198, 199, 300] {
            let name = format!("n{number:03}");
            let mut lookup = Lookup::new(&sample.repository, opener, &name);
            let found = lookup.captured(&layers).await.unwrap();
            assert_eq!(found, by_reading_all(&sample.repository, &layers, opener, &name).await, "{name}");
            let once = lookup.files_read();
            assert!(once <= 8 + 3 || number == 101, "{name}: {once} of {} files", base.files.len());
            // Layers that were read are not read again.
            assert_eq!(lookup.captured(&layers[..1]).await.unwrap().len(), found_in_base(&lines, &name));
            assert_eq!(lookup.files_read(), once);
        }
        assert_eq!(found_in_base(&lines, "n101"), usize::try_from(SHARED).unwrap());
    });
}

fn found_in_base(lines: &[IndexLine], name: &str) -> usize {
    lines.iter().filter(|line| line.key().0 == name).count()
}

#[test]
fn values_are_read_by_name_and_version_and_each_is_what_it_was() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let trust = sample.trust_now().await;
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        let newest = judgement.newest(None).unwrap();
        let snapshot = chosen(&sample.repository, &trust, newest.verified()).await;
        let secrets = Secrets::new(&sample.repository, Opener::Recovery(&sample.recovery));
        for (name, id, value) in values() {
            let found = secrets.in_snapshot(&snapshot, &Name::new(name)).await.unwrap();
            let [record] = &found[..] else { panic!("{name} is there {} times", found.len()) };
            let version = version(record, id).unwrap();
            assert!(secrets.value(record, version).await.unwrap().same_as(&value), "{name} {id}");
        }
        assert!(secrets.in_snapshot(&snapshot, &Name::new("app/d")).await.unwrap().is_empty());
    });
}
