//! The ceremony that makes a recovery key and leaves it on paper, and the way back from sheets to the key.

mod attest;
mod fit;
#[cfg_attr(not(feature = "paper"), path = "no_pdf.rs")]
mod pdf;
mod pending;
mod register;
mod rehearse;
mod reseal;
mod reshare;
mod script;
mod sheet;
mod verify;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::{
    crypto::{self, Namespace, RecoveryKey, Signer, VersionKey},
    model::RepositoryId,
    repo::{AllowedSigner, ClosingList, Custodian, Epoch, PreviousEpoch, StoredEpoch, TrustAnchor},
    scan,
    share::{
        self, Gathering, Holder, KeyFingerprint, NoQuorum, Register, Rejection, Share, ShareSetId, SplitError,
        UntrustedShare,
    },
    text,
};
pub use attest::attestation;
pub use fit::{check, copy_to_show};
pub use pending::{Kind, NotConfirmed, Pending, PendingError};
pub use register::{Entry, PROOF_EVERY_DAYS, Policy, entries, policy};
pub use rehearse::{gives_key, rehearse, rehearsed};

pub use reseal::{Reseal, ResealError, Resealed, ResealedSnapshot, reseal};
pub use reshare::{Successor, change_signers, reshare, rotate};
pub use verify::{SheetReport, SheetState, verify};

pub use script::{Held, SealedSheet, clear_command, script, words};

/// What a ceremony is asked to make.
#[derive(Clone, Debug)]
pub struct CeremonyRequest {
    /// The repository the key is for.
    pub repository: RepositoryId,
    /// Sheets needed to recover.
    pub threshold: u8,
    /// One sheet each, in the order of the share index.
    pub custodians: Vec<String>,
    /// The hosts that may sign.
    pub signers: Vec<AllowedSigner>,
    /// The time of the ceremony.
    pub created: Timestamp,
    /// What the sheets are printed on.
    pub paper: Paper,
    /// Whom a custodian asks, and where a copy is.
    pub contact: Contact,
}

/// What a sheet says for the day when nobody remembers: nothing of it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Whose backup it is.
    pub organisation: Option<String>,
    /// Whom to call: a name and a telephone number.
    pub call: Option<String>,
    /// The address of a copy.
    pub copy: Option<String>,
}

/// What a ceremony leaves: sheets for the custodians, the public epoch, and the root key to sign it with.
/// The recovery key itself is gone when this exists.
pub struct Ceremony {
    /// The public record.
    pub epoch: Epoch,
    /// What counts of the signers that the epoch removes, where it removes one.
    pub closing: Option<ClosingList>,
    /// Signs the epoch; dropped right after.
    pub root: Signer,
    /// For the hosts of this key.
    pub versions: VersionKey,
    /// One per custodian, in order.
    pub sheets: Vec<Sheet>,
}

/// One custodian's sheet, as a page to print and as plain text.
///
/// Both are wiped when it goes. What the PDF library copied on the way (a content stream, glyph numbers, modules of
/// the code) the program's allocator wipes.
pub struct Sheet {
    /// The custodian.
    pub custodian: String,
    /// The share's index.
    pub index: u8,
    /// The page as text.
    pub text: Zeroizing<String>,
    /// One printed page; the same sheet gives the same bytes.
    pub pdf: Zeroizing<Vec<u8>>,
}

/// A paper size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paper {
    /// 210 × 297 mm.
    #[default]
    A4,
    /// 8.5 × 11 in.
    Letter,
}

/// A ceremony that cannot be held as asked, or whose sheets did not give the key back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CeremonyError {
    /// Threshold and number do not go together.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A name, or a part of the contact, that no sheet can show.
    #[error("{what} {text:?} cannot be printed on a sheet: {reason}")]
    Unprintable {
        /// `custodian name`, `organisation`, `call` or `copy`.
        what: &'static str,
        /// The beginning of the text.
        text: String,
        /// Why.
        reason: String,
    },
    /// Two custodians of one name: nobody could tell their sheets apart.
    #[error("custodian {0:?} is named twice")]
    Twice(String),
    /// The key that is to be split anew is not the one in force.
    #[error("this is not the key of epoch {0}, the one in force")]
    OtherKey(u32),
    /// Signers that cannot be told apart, or none.
    #[error("an epoch needs at least one signer, each with its own name and key")]
    Signers,
    /// No closing list where a signer is removed, or one where none is.
    #[error("an epoch has a closing list only when it removes a signer")]
    Closing,
    /// A page could not be made.
    #[error("the sheets could not be made ({0})")]
    Page(String),
    /// The sheets, read back, did not give the key: nothing was kept.
    #[error("the sheets could not be read back to the same key ({0})")]
    Proof(String),
}

/// Makes a key, splits it, prints the sheets, reads every sheet back and proves that they give the key.
///
/// # Errors
/// See [`CeremonyError`].
pub fn hold(request: &CeremonyRequest) -> Result<Ceremony, CeremonyError> {
    issue(&RecoveryKey::generate(), request, 1, None)
}

/// Splits `key` anew into the sheets of epoch `number`, and proves that they give it back.
fn issue(
    key: &RecoveryKey,
    request: &CeremonyRequest,
    number: u32,
    previous: Option<PreviousEpoch>,
) -> Result<Ceremony, CeremonyError> {
    fit::check_marked(&request.custodians, &request.contact)?;
    let total = u8::try_from(request.custodians.len()).map_err(|_| SplitError::Threshold {
        threshold: request.threshold.into(),
        total: u32::try_from(request.custodians.len()).unwrap_or(u32::MAX),
    })?;
    let shares = share::split(key, request.threshold, total)?;
    let root = key.root_signer();
    let set = shares[0].set();
    let custodians = shares.iter().zip(&request.custodians);
    let epoch = Epoch {
        version: crate::repo::FORMAT_VERSION,
        repository: request.repository,
        number,
        created: request.created,
        recipient: key.recipient(),
        root: root.public(),
        threshold: request.threshold,
        total,
        share_set: hex::encode(set.0),
        custodians: custodians
            .clone()
            .map(|(share, name)| Custodian { name: name.clone(), share: share.index(), sha256: share.digest() })
            .collect(),
        signers: request.signers.clone(),
        previous,
        closing: None,
    };
    let sheets: Vec<Sheet> =
        custodians.map(|(share, name)| make_sheet(&epoch, name, share, request)).collect::<Result<_, _>>()?;
    prove(&epoch, &sheets, key)?;
    Ok(Ceremony { epoch, closing: None, root, versions: key.version_key(), sheets })
}

/// What the policy of good custody would say of a threshold; advice, never an obstacle.
pub fn advice(threshold: u8, custodians: usize) -> Option<String> {
    let threshold = usize::from(threshold);
    if threshold * 2 <= custodians {
        Some(format!("{threshold} of {custodians} lets a minority open everything; use more than half"))
    } else if threshold == custodians {
        Some(format!("{threshold} of {custodians} leaves no spare sheet: one lost sheet loses everything"))
    } else {
        None
    }
}

/// The public knowledge about each epoch's sheets, for judging sheets on arrival. An epoch is retired when a later one
/// of the same key and with other sheets, truly signed by it, is there; an epoch of an earlier key opens the snapshots of
/// its time. Epochs with the same sheets, of which only the signers changed, are one register: the newest.
pub fn registers(epochs: &[StoredEpoch]) -> Vec<Register> {
    let later = |epoch: &Epoch| {
        let (number, root) = (epoch.number, epoch.root.clone());
        epochs.iter().filter(move |next| next.epoch.number > number && next.epoch.root == root && is_signed(next))
    };
    let is_repeated = |epoch: &Epoch| later(epoch).any(|next| next.epoch.share_set == epoch.share_set);
    let retired = |epoch: &Epoch| later(epoch).min_by_key(|next| next.epoch.number).map(|next| next.epoch.created);
    let sets = epochs.iter().map(|stored| &stored.epoch).filter(|epoch| !is_repeated(epoch));
    sets.filter_map(|epoch| register(epoch, retired(epoch))).collect()
}

/// What a recovered key lets a reader believe.
pub fn anchor(key: &RecoveryKey) -> TrustAnchor {
    TrustAnchor { root: key.root_signer().public(), recipient: key.recipient() }
}

fn make_sheet(
    epoch: &Epoch,
    custodian: &str,
    share: &Share,
    request: &CeremonyRequest,
) -> Result<Sheet, CeremonyError> {
    let content = sheet::Content { custodian, epoch, share, contact: &request.contact };
    let pdf = pdf::page(&content, request.paper).map_err(CeremonyError::Page)?;
    Ok(Sheet { custodian: custodian.to_owned(), index: share.index(), text: content.text(), pdf })
}

/// The share set of an epoch as its sheets show it, in groups.
pub fn share_set(epoch: &Epoch) -> String {
    set_of(epoch).map_or_else(|| epoch.share_set.clone(), |set| set.to_string())
}

fn set_of(epoch: &Epoch) -> Option<ShareSetId> {
    let mut set = [0; 4];
    hex::decode_to_slice(&epoch.share_set, &mut set).ok()?;
    Some(ShareSetId(set))
}

fn register(epoch: &Epoch, retired: Option<Timestamp>) -> Option<Register> {
    Some(Register {
        epoch: epoch.number,
        set: set_of(epoch)?,
        threshold: epoch.threshold,
        total: epoch.total,
        fingerprint: KeyFingerprint::of(&epoch.root, &epoch.recipient),
        holders: epoch
            .custodians
            .iter()
            .map(|custodian| Holder {
                index: custodian.share,
                name: text::line(&custodian.name).into_owned(),
                digest: custodian.sha256,
            })
            .collect(),
        retired,
    })
}

/// Whether its own root signed it: whoever can write to the storage cannot retire a key's sheets without the key.
fn is_signed(stored: &StoredEpoch) -> bool {
    crypto::verify(&stored.epoch.root, Namespace::Epoch, &stored.bytes, &stored.signature).is_ok()
}

/// Reads every sheet back as a reader would, its page too, and recovers from the first `k`, the last `k` and all.
fn prove(epoch: &Epoch, sheets: &[Sheet], key: &RecoveryKey) -> Result<(), CeremonyError> {
    for (sheet, custodian) in sheets.iter().zip(&epoch.custodians) {
        prove_page(custodian, &sheet.pdf)?;
    }
    let threshold = usize::from(epoch.threshold);
    for quorum in [&sheets[..threshold], &sheets[sheets.len() - threshold..], sheets] {
        let recovered = recover(epoch, quorum)?;
        if anchor(&recovered) != anchor(key) {
            return Err(CeremonyError::Proof("the sheets recovered another key".into()));
        }
    }
    Ok(())
}

/// Scans a page as a reader of a printed one would: every code on it is this custodian's share.
fn prove_page(custodian: &Custodian, pdf: &[u8]) -> Result<(), CeremonyError> {
    let failed = |reason: String| CeremonyError::Proof(format!("the page of {}: {reason}", custodian.name));
    for text in scan::texts(pdf).map_err(|fault| failed(fault.to_string()))? {
        let share = UntrustedShare::parse(&text).map_err(|fault| failed(fault.to_string()))?;
        if (share.index(), share.digest()) != (custodian.share, custodian.sha256) {
            return Err(failed("a code on it belongs to another share".into()));
        }
    }
    Ok(())
}

fn recover(epoch: &Epoch, sheets: &[Sheet]) -> Result<RecoveryKey, CeremonyError> {
    let rejected = |rejection: Rejection| CeremonyError::Proof(rejection.to_string());
    let missing = |none: NoQuorum| CeremonyError::Proof(none.to_string());
    let mut gathering = Gathering::new(register(epoch, None).into_iter().collect());
    for sheet in sheets {
        gathering.add(&sheet.custodian, &sheet.text).map_err(rejected)?;
    }
    gathering.quorum().map_err(missing)?.recover().map_err(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(threshold: u8, custodians: &[&str]) -> CeremonyRequest {
        CeremonyRequest {
            repository: RepositoryId::from_bytes([7; 16]),
            threshold,
            custodians: custodians.iter().map(ToString::to_string).collect(),
            signers: vec![AllowedSigner { name: "host".into(), key: Signer::generate().public() }],
            created: "2026-11-24T05:50:42Z".parse().unwrap(),
            paper: Paper::A4,
            contact: Contact::default(),
        }
    }

    #[test]
    fn a_sheet_says_whose_it_is_whom_to_call_and_where_a_copy_is() {
        let contact = Contact {
            organisation: Some("Example Ltd".into()),
            call: Some("Platform on call: +49 30 1234567".into()),
            copy: Some("s3://backup-west/lifeboat?region=eu-west-1".into()),
        };
        for paper in [Paper::A4, Paper::Letter] {
            let ceremony =
                hold(&CeremonyRequest { contact: contact.clone(), paper, ..request(2, &["Ana", "Bo"]) }).unwrap();
            let text = &ceremony.sheets[0].text;
            for words in
                ["Example Ltd", "+49 30 1234567", "COPY IS", "      s3://backup-west/lifeboat?region=eu-west-1"]
            {
                assert!(text.contains(words), "{words} is missing");
            }
        }
    }

    #[test]
    fn sheets_two_four_five_give_the_key_and_two_do_not() {
        let ceremony = hold(&request(3, &["Ana", "Bo", "Çelik", "Đào", "Eve"])).unwrap();
        let sheets = &ceremony.sheets;
        let mut gathering = Gathering::new(register(&ceremony.epoch, None).into_iter().collect());
        for sheet in [&sheets[1], &sheets[3]] {
            gathering.add(&sheet.custodian, &sheet.text).unwrap();
        }
        assert!(matches!(
            gathering.add("again", &sheets[3].text),
            Err(Rejection::Duplicate { index: 4, holder: Some(name), .. }) if name == "Đào"
        ));
        gathering.add("last", &sheets[4].text).unwrap();
        let key = gathering.quorum().unwrap().recover().unwrap();
        assert_eq!(anchor(&key).recipient, ceremony.epoch.recipient);
        assert_eq!(ceremony.root.public(), ceremony.epoch.root);
    }

    #[test]
    fn a_page_that_does_not_scan_to_its_own_share_is_no_proof() {
        let ceremony = hold(&request(2, &["Ana", "Bo"])).unwrap();
        let [ana, bo] = &ceremony.epoch.custodians[..] else { panic!("two custodians") };
        let pages: Vec<&[u8]> = ceremony.sheets.iter().map(|sheet| &sheet.pdf[..]).collect();
        assert!(prove_page(ana, pages[0]).is_ok() && prove_page(bo, pages[1]).is_ok());
        for (custodian, page) in [(ana, pages[1]), (bo, pages[0]), (ana, &pages[0][..2000]), (ana, b"%PDF-1.7")] {
            let error = prove_page(custodian, page).unwrap_err().to_string();
            assert!(error.contains(&custodian.name), "{error}");
        }
        let mut forged = ana.clone();
        forged.sha256 = bo.sha256;
        assert!(prove_page(&forged, pages[0]).is_err());
    }

    #[test]
    fn impossible_ceremonies_are_refused() {
        for (threshold, names) in [(1, vec!["a", "b"]), (3, vec!["a", "b"]), (2, vec!["a", "a"]), (2, vec!["a", " "])] {
            assert!(hold(&request(threshold, &names)).is_err(), "{threshold} of {names:?}");
        }
        assert!(hold(&request(2, &["a\nb", "c"])).is_err());
    }

    #[test]
    fn advice_is_given_at_both_ends() {
        assert!(advice(3, 5).is_none());
        assert!(advice(2, 4).unwrap().contains("minority"));
        assert!(advice(3, 3).unwrap().contains("spare"));
    }
}
