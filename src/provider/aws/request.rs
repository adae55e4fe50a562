//! What was asked for, and whether an answer is one to it.
//!
//! A status of 200 proves nothing: proxies, half-broken endpoints and wrong credentials answer with nothing, with half, with
//! an error object, or with another secret. What is no answer to the request is a failure of that part, by name.

use super::{call::Operation, failure::Failure};
use crate::provider::ErrorKind;

/// The size of the largest value, see
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>. A larger one could not be restored.
pub(super) const LARGEST: usize = 65_536;

/// The secret that a request is about: its name and its ARN; where one of them is not known, the other one twice.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) id: &'a str,
}

impl Asked<'_> {
    /// Whether the answer is about this secret.
    pub(super) fn answered(&self, operation: Operation, name: Option<&str>, arn: Option<&str>) -> Result<(), Failure> {
        let (Some(name), Some(arn)) = (name, arn) else {
            return Err(self.bad(operation, "the answer names no secret"));
        };
        // By its name or a part of its ARN another secret may answer. moto gives the name where AWS gives the ARN.
        let is_arn = arn == self.id || arn == self.name || (self.id == self.name && !arn.is_empty());
        let by_arn_alone = self.name == self.id && arn == self.id;
        if is_arn && (name == self.name || by_arn_alone) {
            Ok(())
        } else {
            Err(self.other(operation, "the answer is about another secret"))
        }
    }

    /// What is no answer.
    pub(super) fn bad(&self, operation: Operation, why: &str) -> Failure {
        Failure::own(ErrorKind::Unavailable, operation, self.name, "BadAnswer", why)
    }

    /// An answer to something else.
    pub(super) fn other(&self, operation: Operation, why: &str) -> Failure {
        Failure::own(ErrorKind::Unavailable, operation, self.name, "OtherAnswer", why)
    }
}

/// Whether an ARN is that of a secret of this name, account and region:
/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX`.
/// An account that is not known yet is not compared.
pub(super) fn is_arn_of(arn: &str, name: &str, account: Option<&str>, region: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    match parts[..] {
        ["arn", _, "secretsmanager", in_region, of_account, "secret", resource] => {
            let suffix = resource.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            in_region == region
                && account.is_none_or(|account| of_account == account)
                && suffix.is_some_and(|suffix| !suffix.is_empty())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_secret_that_was_asked_for() {
        let code = |asked: Asked<'_>, name, arn| {
            asked.answered(Operation::DescribeSecret, name, arn).map_err(|failure| failure.error.code)
        };
        let by_arn = Asked { name: "a", id: "arn:a" };
        assert_eq!(code(by_arn, Some("a"), Some("arn:a")), Ok(()));
        assert_eq!(code(by_arn, Some("a"), Some("a")), Ok(()), "as moto answers");
        for (name, arn) in [(Some("a"), Some("arn:b")), (Some("b"), Some("arn:a")), (Some("a"), Some(""))] {
            assert_eq!(code(by_arn, name, arn), Err("OtherAnswer".into()));
        }
        for (name, arn) in [(None, None), (Some("a"), None), (None, Some("arn:a"))] {
            assert_eq!(code(by_arn, name, arn), Err("BadAnswer".into()));
        }
        let by_arn_alone = Asked { name: "arn:a", id: "arn:a" };
        assert_eq!(code(by_arn_alone, Some("a"), Some("arn:a")), Ok(()));
        assert!(code(by_arn_alone, Some("a"), Some("arn:b")).is_err());
        let by_name = Asked { name: "a", id: "a" };
        assert_eq!(code(by_name, Some("a"), Some("arn:whatever")), Ok(()));
        assert!(code(by_name, Some("a"), Some("")).is_err() && code(by_name, Some("b"), Some("arn:b")).is_err());
    }

    #[test]
    fn an_arn_tells_name_account_and_region() {
        let arn = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:app/db-AbCdEf";
        assert!(is_arn_of(arn, "app/db", Some("111111111111"), "eu-central-1"));
        assert!(is_arn_of(arn, "app/db", None, "eu-central-1"));
        assert!(is_arn_of(&arn.replace(":aws:", ":aws-cn:"), "app/db", None, "eu-central-1"));
        for (name, account, region) in [
            ("app", "111111111111", "eu-central-1"),
            ("app/db-AbCdEf", "111111111111", "eu-central-1"),
            ("app/db", "222222222222", "eu-central-1"),
            ("app/db", "111111111111", "eu-west-1"),
        ] {
            assert!(!is_arn_of(arn, name, Some(account), region), "{name} {account} {region}");
        }
        for other in ["", "app/db", "arn:aws:kms:eu-central-1:111111111111:key/1", "arn:aws:secretsmanager:eu:1:secret"]
        {
            assert!(!is_arn_of(other, "app/db", None, "eu-central-1"), "{other}");
        }
        assert!(!is_arn_of(&arn.replace("-AbCdEf", "-"), "app/db", None, "eu-central-1"), "no suffix");
    }
}
