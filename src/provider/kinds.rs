//! The kinds of providers, by the scheme of their addresses: the only place that tells them apart.

#[cfg(all(unix, feature = "dotenv"))]
use super::dotenv;
#[cfg(feature = "gcp")]
use super::gcp;
#[cfg(feature = "vault")]
use super::vault;
use super::{Address, ErrorKind, Kind, NoAddress, ProviderError, Rules, aws};

/// A kind that there is, in this build or in another.
struct Known {
    scheme: &'static str,
    /// What an address of it looks like, in a message.
    form: &'static str,
    /// The cargo feature that brings it.
    feature: &'static str,
    kind: Option<&'static dyn Kind>,
}

/// What an address looks like, in the help of a command.
pub const FORMS: &str = "aws:REGION|vault:URL|gcp:PROJECT|env:DIR";

#[cfg(feature = "vault")]
const VAULT: Option<&dyn Kind> = Some(&vault::VaultKind);
#[cfg(not(feature = "vault"))]
const VAULT: Option<&dyn Kind> = None;

#[cfg(feature = "gcp")]
const GCP: Option<&dyn Kind> = Some(&gcp::GcpKind);
#[cfg(not(feature = "gcp"))]
const GCP: Option<&dyn Kind> = None;

#[cfg(all(unix, feature = "dotenv"))]
const DOTENV: Option<&dyn Kind> = Some(&dotenv::DotenvKind);
#[cfg(not(all(unix, feature = "dotenv")))]
const DOTENV: Option<&dyn Kind> = None;

/// Every kind, one line each.
static KNOWN: [Known; 4] = [
    Known { scheme: "aws", form: "aws:REGION", feature: "aws", kind: Some(&aws::AwsKind) },
    Known { scheme: "vault", form: "vault:https://HOST:PORT/MOUNT", feature: "vault", kind: VAULT },
    Known { scheme: "gcp", form: "gcp:PROJECT/LOCATION", feature: "gcp", kind: GCP },
    Known { scheme: "env", form: "env:FOLDER", feature: "dotenv", kind: DOTENV },
];

/// A kind that this build does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownKind {
    /// No build has it.
    #[error("nothing can be restored into {0} by this build")]
    Unknown(String),
    /// Another build has it.
    #[error("this build lacks the feature {feature}")]
    NotInThisBuild {
        /// The scheme.
        scheme: &'static str,
        /// What the build would need.
        feature: &'static str,
    },
}

impl From<UnknownKind> for ProviderError {
    fn from(unknown: UnknownKind) -> Self {
        let (code, operation) = match &unknown {
            UnknownKind::Unknown(_) => ("UnknownKind", "rules"),
            UnknownKind::NotInThisBuild { .. } => ("NotInThisBuild", "connect"),
        };
        Self {
            provider: "target",
            kind: ErrorKind::Invalid,
            operation,
            secret: None,
            code: code.into(),
            message: unknown.to_string(),
        }
    }
}

/// Every kind of this build.
pub fn kinds() -> impl Iterator<Item = &'static dyn Kind> {
    KNOWN.iter().filter_map(|known| known.kind)
}

/// The kind of a scheme.
///
/// # Errors
/// [`UnknownKind`].
pub fn kind(scheme: &str) -> Result<&'static dyn Kind, UnknownKind> {
    let known = KNOWN.iter().find(|known| known.scheme == scheme);
    let known = known.ok_or_else(|| UnknownKind::Unknown(scheme.to_owned()))?;
    known.kind.ok_or(UnknownKind::NotInThisBuild { scheme: known.scheme, feature: known.feature })
}

/// The rules of a kind.
///
/// # Errors
/// [`UnknownKind`].
pub fn rules(scheme: &str) -> Result<&'static dyn Rules, UnknownKind> {
    Ok(kind(scheme)?.rules())
}

/// What addresses look like: `a, b or c`.
pub(super) fn forms() -> String {
    let forms: Vec<&str> = KNOWN.iter().map(|known| known.form).collect();
    let (last, others) = forms.split_last().expect("there are kinds");
    format!("{} or {last}", others.join(", "))
}

/// The address of a region alone, as organizations and the targets of drills name it: those are of AWS.
///
/// # Errors
/// [`NoAddress::Region`] for what can be no region.
pub fn of_region(region: &str) -> Result<Address, NoAddress> {
    let text = format!("{}:{region}", aws::SCHEME);
    text.parse().map_err(|_| NoAddress::Region(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_answers_to_its_scheme_and_its_form() {
        for known in &KNOWN {
            assert!(known.form.starts_with(&format!("{}:", known.scheme)), "{}", known.form);
            assert!(FORMS.split('|').any(|form| form.starts_with(&format!("{}:", known.scheme))), "{FORMS}");
            if let Some(kind) = known.kind {
                assert_eq!(kind.scheme(), known.scheme);
                assert!(rules(known.scheme).is_ok());
            } else {
                assert_eq!(
                    kind(known.scheme).err().unwrap().to_string(),
                    format!("this build lacks the feature {}", known.feature)
                );
            }
        }
        assert_eq!(FORMS.split('|').count(), KNOWN.len());
        assert_eq!(kind("fax").err(), Some(UnknownKind::Unknown("fax".into())));
    }

    #[test]
    fn a_text_without_a_kind_is_no_address() {
        for text in ["", "aws", "aws:", "aws:mars", "aws:eu west-1", "fax:1", "eu-west-1", ":x"] {
            let refused = text.parse::<Address>().unwrap_err();
            assert_eq!(refused, NoAddress::Unknown(text.into()), "{text}");
        }
        let address: Address = "aws:eu-west-1".parse().unwrap();
        assert_eq!(
            (address.rest(), address.region(), address.to_string().as_str()),
            ("eu-west-1", Some("eu-west-1"), "aws:eu-west-1")
        );
        assert_eq!(of_region("eu-west-1").unwrap(), address);
        assert_eq!(of_region("mars").unwrap_err(), NoAddress::Region("aws:mars".into()));
    }
}
